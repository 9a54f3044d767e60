"""The exact k-th largest value of a float32 layer, by three passes over the bits of its numbers.

The bits of floats from 0 up, read as integers, stand in the order of the floats. Each pass counts one group of bits among the numbers that agree with what
earlier passes have found; counts add up, so the answer does not depend on how the layer was cut into tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from hsikit.method import Partial, Reduce, Store, Tile

DIGITS = ((20, 11), (10, 10), (0, 10))
"""(lowest bit, number of bits) of each pass, from the upper bits down; the sign is always 0."""


def quantile_stages(layer: str, share: float, name: str = "quantile") -> tuple[Reduce, ...]:
    """Stages that find the smallest value of a layer that at most a share of its values exceeds.

    The layer has one band of values from 0 up, NaN where there is none. `store[name + "3"]` holds "threshold" (float64), "count" of
    all values, and "above", how many exceed the threshold.

    Args:
        layer: read by the stages.
        share: above 0, below 1.
        name: of the stages, followed by 1, 2, 3.
    """
    return tuple(_pass(layer, share, name, number) for number in range(len(DIGITS)))


def _pass(layer: str, share: float, name: str, number: int) -> Reduce:
    before = f"{name}{number}"

    def update(tile: Tile, store: Store) -> Partial:
        return {"counts": _digits(tile.inner(layer)[0].flatten(), store[before] if number else {}, number)}

    def finish(total: Partial, store: Store) -> Partial:
        return _narrowed(total["counts"].cpu(), store[before] if number else {}, share, number)

    return Reduce(f"{name}{number + 1}", (layer,), update, finish=finish)


def exact_quantile(strips: Callable[[], Iterable[Tensor]], share: float) -> Partial:
    """The same of a finished layer, in three passes over it: "threshold", "count" and "above".

    Args:
        strips: gives the values anew, from 0 up, NaN where there is none; of any shapes.
        share: above 0, below 1.
    """
    found: Partial = {}
    for number, (_, width) in enumerate(DIGITS):
        total = torch.zeros(1 << width, dtype=torch.int64)
        for values in strips():
            total += _digits(values.flatten(), found, number)
        found = _narrowed(total, found, share, number)
    return found


def _digits(values: Tensor, before: Mapping[str, Tensor], number: int) -> Tensor:
    """Counts of one group of bits, among the values that agree with what earlier passes have found."""
    low, width = DIGITS[number]
    # A NaN compares false; -0.0 becomes 0.0, whose sign bit is 0.
    bits = (values[values >= 0] + 0.0).view(torch.int32)
    if number:
        bits = bits[bits >> (low + width) == int(before["prefix"])]
    return torch.bincount((bits >> low) & ((1 << width) - 1), minlength=1 << width)


def _narrowed(counts: Tensor, before: Mapping[str, Tensor], share: float, number: int) -> Partial:
    """Which value of the group of bits the wanted number has, and how many numbers are above all that have it."""
    total = int(before["count"]) if number else int(counts.sum())
    above = int(before["above"]) if number else 0
    allowed = math.floor(share * total + 1e-9)
    exceed = above + counts.flip(0).cumsum(0).flip(0)
    # exceed[i]: numbers whose digit is at least i. The wanted digit is the last one that too many numbers reach.
    digit = int((exceed > allowed).nonzero().max()) if total else 0
    prefix = (int(before["prefix"]) if number else 0) << DIGITS[number][1] | digit
    found = {"prefix": torch.tensor(prefix), "count": torch.tensor(total), "above": exceed[digit] - counts[digit]}
    if number == len(DIGITS) - 1:
        found["threshold"] = torch.tensor(prefix, dtype=torch.int32).view(torch.float32).double()
    return found
