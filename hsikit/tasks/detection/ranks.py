"""Ranks of pixels over a whole scene, by a histogram: which share of the scene scores lower.

Counts add up, and ranks run straight between the middles of the histogram's bins, so that they do not depend on how the scene was
cut into tiles. The lowest values, where many may be equal, share the middle of their ranks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hsikit.method import Partial, Reduce, Store, Tile

BINS = 1 << 16


def span_stage(name: str, layers: tuple[str, ...]) -> Reduce:
    """A stage that finds "low" and "high" of each band of layers, float64; NaN is left out."""

    def update(tile: Tile, store: Store) -> Partial | None:
        values = _together(tile, layers)
        there = ~values[0].isnan()
        if not bool(there.any()):
            return None
        kept = values[:, there].double()
        return {"low": kept.amin(1), "high": kept.amax(1)}

    return Reduce(name, layers, update, lambda a, b: {"low": torch.minimum(a["low"], b["low"]), "high": torch.maximum(a["high"], b["high"])})


def rank_stages(name: str, layers: tuple[str, ...]) -> tuple[Reduce, Reduce]:
    """Stages after which `ranks` knows the scene's ranks of each band of layers.

    Args:
        name: of the second stage; the first is called name + "-span".
        layers: all of their bands are NaN in the same pixels.
    """
    span = f"{name}-span"

    def update(tile: Tile, store: Store) -> Partial | None:
        values = _together(tile, layers)
        kept = values[:, ~values[0].isnan()]
        places = _places(kept, store[span]).long().clamp(0, BINS - 1)
        return {"counts": torch.stack([torch.bincount(row, minlength=BINS) for row in places])}

    def finish(total: Partial, store: Store) -> Partial:
        counts = total["counts"].double()
        return {"middle": (counts.cumsum(1) - counts / 2) / counts.sum(1, keepdim=True)}

    return span_stage(span, layers), Reduce(name, layers, update, finish=finish)


def ranks(tile: Tile, store: Store, name: str, layers: tuple[str, ...]) -> Tensor:
    """Ranks of a tile's pixels.

    Returns:
        Shape (bands of all layers, rows, cols), float64, 0 to 1; NaN where the layers are.
    """
    values = _together(tile, layers)
    missing = values.isnan()
    places = (_places(values.masked_fill(missing, 0.0), store[f"{name}-span"]) - 0.5).clamp(0, BINS - 1).flatten(1)
    left = places.floor().long().clamp(max=BINS - 2)
    middle = store[name]["middle"]
    low, high = middle.gather(1, left), middle.gather(1, left + 1)
    return (low + (places - left) * (high - low)).view(values.shape).masked_fill(missing, float("nan"))


def _together(tile: Tile, layers: tuple[str, ...]) -> Tensor:
    return torch.cat([tile.inner(layer) for layer in layers])


def _places(values: Tensor, span: Mapping[str, Tensor]) -> Tensor:
    """Where values lie in the histogram, 0 to `BINS`; one row for each band."""
    low, width = span["low"], (span["high"] - span["low"]).clamp(min=1e-30)
    shape = (-1, *[1] * (values.ndim - 1))
    return (values.double() - low.view(shape)) / width.view(shape) * BINS
