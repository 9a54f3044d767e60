"""Per-spectrum standardisation: each spectrum minus its own mean, over its own deviation.

Takes away brightness: shade, slope, much of the path. Known as the standard normal variate; Barnes, Dhanoa and Lister, 1989
(doi:10.1366/0003702894202201), who divide by the deviation over C - 1 bands; here it is over C, as in the figures of the
benchmarks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def standardise(values: Tensor, dim: int = 0) -> Tensor:
    """Spectra with mean 0 and deviation 1 along `dim`.

    Args:
        values: floats of any shape, whose axis `dim` runs along the bands.
        dim: the spectral axis.

    Returns:
        The same shape. A spectrum that is constant becomes 0; one that holds NaN becomes NaN.
    """
    import torch

    centred = values - values.mean(dim, keepdim=True)
    deviation = centred.square().mean(dim, keepdim=True).sqrt()
    # A constant spectrum's deviation is rounding, not signal: it divides nothing.
    rounding = values.abs().amax(dim, keepdim=True) * (4 * torch.finfo(values.dtype).eps)
    flat = deviation <= rounding
    return (centred / deviation.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)
