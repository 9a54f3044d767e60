"""Features of pixels by a pretrained encoder: in tiles of a map, and at the labelled pixels by the very same stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Store, Tile
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.samples import Samples

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hsikit.nn.body import BandFacts, TaskNetwork
    from hsikit.tasks.band_scale import BandScale
    from hsikit.train.labelled import LabelledScene

FEATURES = "features"


def pixel_numbers(
    network: TaskNetwork, tile: Tile, standardised: Callable[[Tensor], Tensor], bands: BandFacts, head: Any, channels: int, radius: int
) -> Tensor:
    """Linear numbers of the features of a tile's pixels, averaged over valid neighbours.

    Args:
        network: on the tile's device, in evaluation mode.
        tile: with a halo of the network's and `radius` together.
        standardised: what the network takes of the values (D, rows, cols) of a block, standardised: (C, rows, cols).
        bands: of what it takes.
        head: maps features (n, width) to (n, channels).
        channels: of the result.
        radius: neighbours on each side that are averaged.

    Returns:
        Float64 of shape (channels, rows, cols) of the core; NaN where no neighbour is valid.
    """
    from hsikit.nn.body import by_blocks, require_halo

    values, valid = tile.arrays["cube"], tile.valid["cube"]
    halo = require_halo(network.body)
    inner = valid[halo : valid.shape[0] - halo, halo : valid.shape[1] - halo]
    out = values.new_zeros((channels, *inner.shape), dtype=_float64())
    for (rows, cols), features in by_blocks(network, values, valid, bands, standardised):
        # Rows of one pixel each, and in float64: what a discriminant weighs is large and of both signs.
        flat = features.flatten(1).T.double()
        out[:, rows, cols] = head(flat).T.view(channels, *features.shape[1:])
    return box_mean(out, inner, radius)


def _float64() -> torch.dtype:
    import torch

    return torch.float64


def features_at(
    scenes: Sequence[LabelledScene], samples: Samples, network: TaskNetwork, scales: Mapping[int, BandScale], widths: Sequence[int], run: Any, progress: Any
) -> dict[int, NDArray[np.float64]]:
    """Features (n, width) of the training pixels, averaged over squares of each of some widths.

    Args:
        scenes: see `PixelClassifier.train`.
        samples: their training pixels.
        network: see `pixel_numbers`.
        scales: of each scene, by `id` of its source.
        widths: sides of the squares in pixels, odd.
        run: the engine's `compute`.
        progress: passed to it.
    """
    found = {width: np.empty((len(samples.codes), network.body.width)) for width in widths}
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene == number)
        if not len(mine):
            continue
        job = _feature_job(scene, samples, network, scales[id(scene.source)], widths)
        at = (samples.rows[mine], samples.cols[mine])
        values = run(job, {"cube": scene.source}, layers=tuple(_layer(width) for width in widths), at=at, progress=progress).values
        for width in widths:
            found[width][mine] = values[_layer(width)].T
    return found


def _layer(width: int) -> str:
    return f"{FEATURES}_{width}"


def _feature_job(scene: LabelledScene, samples: Samples, network: TaskNetwork, scale: BandScale, widths: Sequence[int]) -> Job:
    """One Map, so that only the tiles that hold labelled pixels are run."""
    from hsikit.nn.body import require_halo
    from hsikit.tasks.band_scale import band_facts

    info, size = scene.source.info, network.body.width
    index = samples.basis.match(info)
    bands = band_facts(info.bands.take(index), scale)
    most = max(widths) // 2

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        plain = pixel_numbers(network, tile, scale.standardised, bands, lambda features: features, size, 0)
        valid = tile.valid["cube"]
        halo = require_halo(network.body)
        inner = valid[halo : valid.shape[0] - halo, halo : valid.shape[1] - halo]
        out = {}
        for width in widths:
            cut = slice(most - width // 2, -(most - width // 2) or None)
            out[_layer(width)] = box_mean(plain[:, cut, cut], inner[cut, cut], width // 2).float()
        return out

    layers = tuple(Layer(_layer(width), bands=size, delivered=False) for width in widths)
    around = require_halo(network.body) + most
    stage = Map(FEATURES, ("cube",), tuple(layer.name for layer in layers), apply, halo=(around, around))
    return Job(
        method="encoder-features", identity={}, reference="cube", inputs={"cube": Input(tuple(int(b) for b in index))}, layers=layers, stages=(stage,),
        cost=lambda shape: feature_cost(network, len(index), size * (1 + len(widths)), shape),
    )  # fmt: skip


def feature_cost(network: TaskNetwork, bands: int, channels: int, tile_shape: tuple[int, int]) -> Cost:
    """Memory and work of one tile of `pixel_numbers` with so many numbers of a pixel."""
    from hsikit.nn.body import block_bytes
    from hsikit.nn.tuning import parameter_counts

    pixels = tile_shape[0] * tile_shape[1]
    return Cost(pixels * 8 * 4 * channels + block_bytes(network, bands), pixels * 2.0 * (parameter_counts(network).total + bands * network.body.width))
