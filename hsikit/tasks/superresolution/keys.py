"""Cubic convolution at any positions, with missing pixels left out: how cubes are put onto a finer grid.

Keys, "Cubic convolution interpolation for digital image processing", 1981 (doi:10.1109/TASSP.1981.1163711), with the paper's
a = -1/2, the one that reproduces quadratics. What differs: the weights of missing neighbours are dropped and the others scaled to a sum of
1, first along the columns and then along the rows; and a fine pixel is missing where the coarse pixel that it lies in is
missing. One axis at a time the weights that remain never sum to less than 7/16, so that no value is blown up near a hole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

A = -0.5
REACH = 2
"""Coarse pixels that the kernel needs beyond the one that a position lies in."""
CHUNK = 4 * 1024 * 1024
"""Bytes of one intermediate array: bands are interpolated in groups of about this size."""
TEMPORARIES = 6
"""Intermediate arrays of the fine size that are alive at once, one group of bands each: sums, weights, terms, masks."""


@dataclass(frozen=True, eq=False)
class Taps:
    """Neighbours and weights of n positions along one axis.

    Attributes:
        index: the four neighbours in the array, shape (4, n).
        weight: their weights, float32, shape (4, n), each column summing to 1.
        own: the pixel that each position lies in, shape (n,).
    """

    index: Tensor
    weight: Tensor
    own: Tensor


def keys_weights(remainder: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the pixels at -1, 0, 1, 2 for positions at a remainder of 0 to 1 beyond pixel 0, shape (4, n)."""
    distance = np.abs(remainder - np.arange(-1, 3)[:, None])
    near = ((A + 2) * distance - (A + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * A * distance - 4 * A
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def taps(whole: NDArray[np.int64], remainder: NDArray[np.float64], size: int, device: torch.device) -> Taps:
    """Taps of positions `whole + remainder`, in pixels of an axis of `size` pixels; neighbours outside it have no weight."""
    index = whole + np.arange(-1, 3)[:, None]
    weight = np.where((index >= 0) & (index < size), keys_weights(remainder), 0.0)
    total = weight.sum(0)
    # Positions outside the array altogether occur where a tile reaches past the scene; their values are never used.
    weight /= np.where(total > 0, total, 1.0)
    own = whole + (remainder >= 0.5)
    return Taps(
        torch.from_numpy(index.clip(0, size - 1)).to(device),
        torch.from_numpy(weight.astype(np.float32)).to(device),
        torch.from_numpy(own.clip(0, size - 1)).to(device),
    )


def resample(values: Tensor, valid: Tensor, rows: Taps, cols: Taps) -> Tensor:
    """A cube on other rows and columns.

    Args:
        values: float32 with NaN where missing, shape (bands, r, c).
        valid: pixels that may be used, bool, shape (r, c).
        rows: n positions along the rows.
        cols: m positions along the columns.

    Returns:
        float32 of shape (bands, n, m), NaN where missing.
    """
    n, m = len(rows.own), len(cols.own)
    out = values.new_empty((len(values), n, m))
    for part in _groups(len(values), 4 * m * max(n, values.shape[1])):
        _resample_group(values[part], valid, rows, cols, out[part])
    return out


def resample_bytes(bands: int, fine: int) -> int:
    """Bytes of temporary arrays that `resample` needs for so many bands and fine pixels, halo included."""
    return TEMPORARIES * 4 * fine * min(bands, max(1, CHUNK // max(1, 4 * fine)))


def _groups(bands: int, band_bytes: int) -> list[slice]:
    step = max(1, CHUNK // max(1, band_bytes))
    return [slice(b, b + step) for b in range(0, bands, step)]


def _resample_group(values: Tensor, valid: Tensor, rows: Taps, cols: Taps, out: Tensor) -> None:
    missing = values.isnan().logical_or_(~valid)
    if not bool(missing.any()):
        _convolve(_convolve(values, cols, 2), rows, 1, out)
        return
    values = values.masked_fill(missing, 0.0)
    # Most holes are in all bands alike: then one band of weights serves all.
    if bool((missing == missing[:1]).all()):
        missing = missing[:1]
    across, lost = _convolve_present(values, missing, cols, 2)
    across.masked_fill_(lost, 0.0)
    _, lost = _convolve_present(across, lost, rows, 1, out)
    out.masked_fill_(lost, torch.nan)


def _convolve_present(values: Tensor, missing: Tensor, axis: Taps, dim: int, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Convolution over the pixels that are there, and where the result is missing; `values` is 0 where missing."""
    total = _convolve(values, axis, dim, out)
    total /= _convolve((~missing).to(values.dtype), axis, dim)
    return total, missing.index_select(dim, axis.own)


def _convolve(values: Tensor, axis: Taps, dim: int, out: Tensor | None = None) -> Tensor:
    """The weighted sum of four neighbours along a dimension, always in the same order."""
    shape = (-1, 1) if dim == 1 else (-1,)
    total = torch.mul(values.index_select(dim, axis.index[0]), axis.weight[0].view(shape), out=out)
    for index, weight in zip(axis.index[1:], axis.weight[1:], strict=True):
        total.addcmul_(values.index_select(dim, index), weight.view(shape))
    return total
