"""Spatial mean over a square of valid pixels: what is missing counts neither in the sum nor in the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def box_mean(values: Tensor, valid: Tensor, radius: int) -> Tensor:
    """Mean over (2 radius + 1) x (2 radius + 1) valid pixels.

    Every output is summed in the same order wherever its tile begins, so tiles agree bit for bit.

    Args:
        values: shape (bands, rows, cols); anything, NaN included, where not valid.
        valid: bool, shape (rows, cols).
        radius: pixels on each side.

    Returns:
        Shape (bands, rows - 2 radius, cols - 2 radius); NaN where no pixel of the square is valid.
    """
    if radius == 0:
        return values.masked_fill(~valid, float("nan"))
    total = _box_sum(values.masked_fill(~valid, 0.0), radius)
    return total / _box_sum(valid[None].to(values.dtype), radius)


def _box_sum(values: Tensor, radius: int) -> Tensor:
    for dim in (1, 2):
        length = values.shape[dim] - 2 * radius
        total = values.narrow(dim, 0, length).clone()
        for step in range(1, 2 * radius + 1):
            total += values.narrow(dim, step, length)
        values = total
    return values
