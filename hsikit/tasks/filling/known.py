"""What is known of a scene's bands before any is filled: means and deviations, and how much is missing where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from hsikit.errors import SceneError
from hsikit.method import Partial, Reduce, Store, Tile
from hsikit.tasks.band_scale import merge_scale

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.tasks.filling.base import Filling

KNOWN = "known"


def known_stage(filling: Filling) -> Reduce:
    """The fold that gathers it.

    `store["known"]` has `count`, `mean` and `square` (sum of squared differences) of the values of each band outside of what is set
    aside, and `missing` values of valid pixels, each (C,), 0 for bands of which no value is used; the number of `runs` of missing bands
    over all pixels, of pixels that `lack` any, and of valid `pixels`.
    """

    def update(tile: Tile, store: Store) -> Partial | None:
        valid = tile.inner_valid("cube")
        if not valid.any():
            return None
        learned = valid & ~torch.from_numpy(filling.aside.within(tile.core)).to(valid.device)
        return _of_bands(tile.inner("cube"), filling.known, valid, learned)

    def finish(total: Partial, store: Store) -> Partial:
        if not filling.filled and not total["missing"].any():
            raise SceneError(
                filling.scene.name, "none of its valid pixels lacks a band, and no band is bad: there is nothing to fill", "Name bands with --bands"
            )
        return total

    return Reduce(KNOWN, ("cube",), update, _merge, finish)


def gap_length(stored: Mapping[str, Tensor]) -> float:
    """Mean number of neighbouring bands that a pixel lacks; 0 where none lacks any."""
    runs = float(stored["runs"])
    return float(stored["missing"].sum()) / runs if runs else 0.0


def _of_bands(values: Tensor, kept: Sequence[int], valid: Tensor, learned: Tensor) -> Partial:
    zeros = torch.zeros(len(values), dtype=torch.float64, device=values.device)
    found: Partial = {name: zeros.clone() for name in ("count", "mean", "square", "missing")}
    runs, before, lacking = zeros.new_zeros(()), torch.zeros_like(valid), torch.zeros_like(valid)
    for band in kept:
        missing = values[band].isnan()
        seen = values[band][learned & ~missing].double()
        if len(seen):
            found["count"][band], found["mean"][band] = len(seen), seen.mean()
            found["square"][band] = (seen - seen.mean()).square().sum()
        missing &= valid
        found["missing"][band] = missing.sum()
        runs += (missing & ~before).sum()
        lacking |= missing
        before = missing
    return {**found, "runs": runs, "lack": lacking.sum().double(), "pixels": valid.sum().double()}


def _merge(left: Partial, right: Partial) -> Partial:
    return {**{name: left[name] + right[name] for name in ("missing", "runs", "lack", "pixels")}, **merge_scale(left, right)}
