"""Averages of a fine image over coarse pixels, by exact shares of area: what a coarse sensor with a square response would see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def average_over(values: Tensor, whole: NDArray[np.int64], remainder: NDArray[np.float64], dim: int) -> Tensor:
    """Averages between neighbouring borders along one dimension.

    A difference of prefix sums: its memory is that of the image, whatever the number of borders.

    Args:
        values: float64 without NaN.
        whole: whole parts of n + 1 ascending borders, in pixels of that dimension.
        remainder: their remainders, 0 to below 1.
        dim: the dimension.

    Returns:
        The same shape with n along `dim`. What lies outside the array counts as 0.
    """
    size = values.shape[dim]
    place = np.clip(whole + remainder, 0, size)
    first = np.minimum(place.astype(np.int64), size - 1)
    prefix = torch.cat((torch.zeros_like(values.narrow(dim, 0, 1)), values.cumsum(dim)), dim)
    index = torch.from_numpy(first).to(values.device)
    shape = [1] * values.ndim
    shape[dim] = -1
    share = torch.from_numpy(place - first).to(values.device).view(shape)
    below = prefix.index_select(dim, index) + values.index_select(dim, index) * share
    width = torch.from_numpy(np.diff(whole + remainder)).to(values.device).view(shape)
    return (below.narrow(dim, 1, len(whole) - 1) - below.narrow(dim, 0, len(whole) - 1)) / width
