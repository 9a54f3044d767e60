"""Diffusion along edges over whole scenes: values flow inside fields, and hardly across their borders.

Y <- keep Y0 + (1 - keep) sum(w Y) / sum(w) over the four neighbours, w = exp(-(d / median d)^2) of the spectral difference d
(`edges`); after Perona and Malik, 1990 (doi:10.1109/34.56205), guided by the spectra in place of the diffused values.
Hundreds of steps would need a halo of hundreds of pixels, so they run as a Loop of Maps of a few steps each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsikit.method import Loop, Map, Store, Tile
from hsikit.tasks.classification.edges import EDGES, MEDIAN

if TYPE_CHECKING:
    from torch import Tensor

STEPS_AT_ONCE = 25
"""Steps of one Map, and its halo: wider halos are computed twice, narrower ones read the layers more often."""

Shares = tuple[tuple["Tensor", "Tensor"], tuple["Tensor", "Tensor"], "Tensor"]


def diffusion_loop(name: str, data: str, now: str, steps: int, keep: float, least: float | None = None) -> Loop:
    """Diffuses the layer `now`, which begins as a copy of the layer `data`.

    Args:
        name: of the loop.
        data: layer of the original values; NaN where not valid.
        now: layer that is rewritten.
        steps: in all, a multiple of `STEPS_AT_ONCE`.
        keep: share of the original at each step.
        least: original values below this count as this; `now` begins like that.
    """

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        # In float64: rounding of hundreds of steps would otherwise depend on where a tile begins.
        values, original, edges = (tile.arrays[layer].double() for layer in (now, data, EDGES))
        original = original if least is None else original.clamp(min=least)
        after = advance(values, original, edges, store[MEDIAN]["median"].double(), STEPS_AT_ONCE, keep)
        return {now: after[(slice(None), *tile.cores[now])].float()}

    return Loop(name, (Map(f"{name}-step", (data, now, EDGES), (now,), apply, halo=(STEPS_AT_ONCE, STEPS_AT_ONCE)),), steps // STEPS_AT_ONCE)


def advance(now: Tensor, data: Tensor, edges: Tensor, median: Tensor, steps: int, keep: float) -> Tensor:
    """Some steps of diffusion.

    Args:
        now: shape (K, rows, cols); NaN in all channels where not valid.
        data: the original values, likewise; may be `now`.
        edges: shape (2, rows, cols): differences to the right and lower neighbour; NaN where either is not valid.
        median: the scene's median difference.
        steps: how many.
        keep: share of the original at each step.

    Returns:
        Shape (K, rows, cols) of the type of `now`, NaN where not valid. Exact at pixels at least `steps` from the array's border.
    """
    import torch

    right, below, own = edge_shares(edges, median, keep)
    anchor = data.nan_to_num(0.0).mul_(own)
    values = now.nan_to_num(0.0)
    after = torch.empty_like(values)
    for _ in range(steps):
        after.copy_(anchor)
        after[:, :, :-1].addcmul_(right[0], values[:, :, 1:])
        after[:, :, 1:].addcmul_(right[1], values[:, :, :-1])
        after[:, :-1].addcmul_(below[0], values[:, 1:])
        after[:, 1:].addcmul_(below[1], values[:, :-1])
        values, after = after, values
    return values.masked_fill_(data[0].isnan(), float("nan"))


def edge_shares(edges: Tensor, median: Tensor, keep: float) -> Shares:
    """Each neighbour's share in a pixel's next value (to the right, to the left; below, above), and the data term's own.

    Shares are a softmax over the neighbours: where all of them differ by many medians, plain exponentials would all be zero.
    """
    import torch

    energy = (edges / median).square().neg_().nan_to_num_(-torch.inf)
    nothing = torch.full_like(energy[:1], -torch.inf)
    to_right, to_below = energy[:1].clone(), energy[1:].clone()
    to_right[:, :, -1:], to_below[:, -1:] = -torch.inf, -torch.inf
    to_left = torch.cat([nothing[:, :, :1], to_right[:, :, :-1]], 2)
    to_above = torch.cat([nothing[:, :1], to_below[:, :-1]], 1)
    every = torch.cat([to_right, to_left, to_below, to_above])
    shares = every.softmax(0).nan_to_num_(0.0).mul_(1 - keep)
    own = torch.full_like(every[0], keep).masked_fill_(torch.isinf(every).all(0), 1.0)
    return (shares[0, :, :-1], shares[1, :, 1:]), (shares[2, :-1], shares[3, 1:]), own
