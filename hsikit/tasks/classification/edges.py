"""How unlike two neighbouring pixels are, and the whole scene's median of it: what smoothing along edges stands on.

The difference of two neighbours is the root mean square, over bands, of the difference of their standardised spectra, each
the mean of 3 x 3 valid pixels; or that of the bands of a scratch layer, such as noise-whitened components, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsikit.layers import Layer
from hsikit.method import Map, Partial, Reduce, Store, Tile
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.decision import LOG_PROBABILITIES

if TYPE_CHECKING:
    from torch import Tensor

EDGES, MEDIAN = "edges", "edge_median"

EDGE_LAYER = Layer(EDGES, bands=2, band_names=("right", "below"), description="spectral difference to the right and lower neighbour", delivered=False)

BLOCK = 64
"""Rows and columns whose differences are made at once: bounds the temporary arrays whatever the tile."""

_SHIFT = 14
"""Bits of a float32 that a bin leaves out: 512 bins to each factor of two."""
_LOWEST = (127 - 24) << (23 - _SHIFT)
_BINS = 48 << (23 - _SHIFT)
"""Bins from 2^-24 to 2^24; standardised spectra differ by less than 2, noise-whitened components by up to their signal to noise."""


def edge_stage(layer: str = LOG_PROBABILITIES) -> Map:
    """Writes `edges`: two bands, NaN where the pixel or its neighbour lacks a value in `layer`: not valid, hidden, or outside the area that is run."""

    def write(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        edges = spectral_edges(tile.arrays["cube"], tile.valid["cube"]).float()
        missing = tile.arrays[layer][0].isnan()
        for edge, other in zip(edges, (missing[1:-1, 2:], missing[2:, 1:-1]), strict=True):
            edge.masked_fill_(missing[1:-1, 1:-1] | other, float("nan"))
        return {EDGES: edges}

    return Map(EDGES, ("cube", layer), (EDGES,), write, halo={"cube": (2, 2), layer: (1, 1)})


def layer_edge_stage(layer: str) -> Map:
    """Writes `edges` from a scratch layer in place of spectra: the root mean square difference of its bands; NaN where either is missing."""
    import torch

    def write(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values = tile.arrays[layer].double()
        here = values[:, 1:-1, 1:-1]
        return {EDGES: torch.stack([(other - here).square_().mean(0).sqrt_().float() for other in (values[:, 1:-1, 2:], values[:, 2:, 1:-1])])}

    return Map(EDGES, (layer,), (EDGES,), write, halo={layer: (1, 1)})


def edge_bytes(bands: int) -> int:
    """Temporary memory of `spectral_edges`."""
    return (BLOCK + 4) ** 2 * 4 * 4 * bands


def median_stage() -> Reduce:
    """Folds all edges into their median, `store["edge_median"]["median"]`, the same for every tile size."""
    return Reduce(MEDIAN, (EDGES,), _count, finish=_median)


def spectral_edges(values: Tensor, valid: Tensor) -> Tensor:
    """Differences to the right and lower neighbour.

    Args:
        values: shape (C, rows + 4, cols + 4), the halo of two included.
        valid: bool, shape (rows + 4, cols + 4).

    Returns:
        float32, shape (2, rows, cols).
    """
    rows, cols = values.shape[1] - 4, values.shape[2] - 4
    edges = values.new_empty(2, rows, cols)
    for row in range(0, rows, BLOCK):
        for col in range(0, cols, BLOCK):
            around = (slice(row, row + BLOCK + 4), slice(col, col + BLOCK + 4))
            edges[:, row : row + BLOCK, col : col + BLOCK] = _block_edges(values[(slice(None), *around)], valid[around])
    return edges


def _block_edges(values: Tensor, valid: Tensor) -> Tensor:
    import torch

    # In float32 and band by band in the same order at every pixel, whatever the tile.
    mean = box_mean(standardise(values), valid, 1).masked_fill_(~valid[1:-1, 1:-1], float("nan"))
    here = mean[:, 1:-1, 1:-1]
    return torch.stack([(other - here).square_().mean(0).sqrt_() for other in (mean[:, 1:-1, 2:], mean[:, 2:, 1:-1])])


def _count(tile: Tile, store: Store) -> Partial:
    import torch

    edges = tile.inner(EDGES)
    bins = (edges[~edges.isnan()].contiguous().view(torch.int32) >> _SHIFT) - _LOWEST
    return {"count": torch.bincount(bins.clamp_(0, _BINS - 1), minlength=_BINS)}


def _median(stored: Partial, store: Store) -> Partial:
    """The median, interpolated inside its bin; 1 where there is no edge at all."""
    import torch

    cumulated = stored["count"].cumsum(0)
    half = int(cumulated[-1]) / 2
    if half == 0:
        return {"median": torch.ones((), device=cumulated.device)}
    place = int(torch.searchsorted(cumulated, half))
    below = int(cumulated[place - 1]) if place else 0
    borders = ((torch.tensor([place, place + 1], dtype=torch.int32) + _LOWEST) << _SHIFT).view(torch.float32).double()
    share = (half - below) / int(stored["count"][place])
    return {"median": (borders[0] + share * (borders[1] - borders[0])).float().to(cumulated.device)}
