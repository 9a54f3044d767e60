"""Missing values between their neighbours along the wavelength: the floor of every method, and where the encoder starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.gaps import fill_gaps

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_PIXELS = 2048
"""Spectra that are interpolated at once."""


def linear_fill(values: Tensor, wavelength: NDArray[np.float64]) -> Tensor:
    """A straight line between the nearest bands that a pixel has; beyond the first and the last one its value is held.

    Args:
        values: float32, shape (C, rows, cols), NaN where missing; not changed.
        wavelength: band centres (nm), ascending, shape (C,).

    Returns:
        The same shape; a pixel without any value stays NaN.
    """
    import torch

    flat = values.flatten(1)
    out = torch.empty_like(flat)
    for start in range(0, flat.shape[1], CHUNK_PIXELS):
        part = flat[:, start : start + CHUNK_PIXELS].T.cpu().numpy()
        out[:, start : start + CHUNK_PIXELS] = torch.from_numpy(fill_gaps(part, wavelength).T).to(values.device)
    return out.view_as(values)


def linear_at(values: Tensor, bands: tuple[int, ...], wavelength: NDArray[np.float64]) -> Tensor:
    """`linear_fill` of some neighbouring bands alone, shape (len(bands), rows, cols)."""
    complete = (~values.isnan().flatten(1).any(1)).nonzero()[:, 0].tolist()
    low = max((band for band in complete if band < bands[0]), default=0)
    high = min((band for band in complete if band > bands[-1]), default=len(values) - 1)
    filled = linear_fill(values[low : high + 1], wavelength[low : high + 1])
    return filled[bands[0] - low : bands[-1] + 1 - low]


def linear_bytes(bands: int) -> int:
    """Temporary memory of `linear_fill`."""
    # Of each number: the copy and its result, positions of the neighbours on both sides, shares and values in float64.
    return CHUNK_PIXELS * bands * (2 * 4 + 4 * 8 + 6 * 8)
