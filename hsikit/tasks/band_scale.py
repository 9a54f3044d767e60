"""Mean and deviation of each band over a scene, and values standardised by them: what the bodies of tasks are given.

Every scene is standardised by its own statistics, so that no unit and no smooth error of gain matters. They are learned from
unlabelled pixels of the scene that is mapped; what reports a score says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hsikit.method import Cost, Input, Job, Partial, Reduce, Store, Tile
from hsikit.nn.body import BandFacts

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.scene import Bands, Indices, SceneInfo, Source

SCALE = "band_scale"


@dataclass(frozen=True, eq=False)
class BandScale:
    """Mean and deviation of each band, float64 of shape (C,)."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, stored: Mapping[str, Tensor]) -> BandScale:
        """Out of what `scale_stage` found."""
        return cls(stored["mean"], (stored["square"] / stored["count"].clamp(min=1)).sqrt())

    @property
    def varies(self) -> Tensor:
        """Which bands are not constant, bool (C,): a constant one tells nothing."""
        return self.deviation.isfinite() & (self.deviation > 1e-12 * self.mean.abs())

    def standardised(self, values: Tensor) -> Tensor:
        """Values (..., C, rows, cols) of mean 0 and deviation 1 in each band, float32; 0 in a constant one."""
        scale = torch.where(self.varies, self.deviation, 1.0).reciprocal() * self.varies
        return (values - self._placed(self.mean, values)) * self._placed(scale, values)

    def restored(self, standardised: Tensor) -> Tensor:
        """The inverse of `standardised`, where bands vary."""
        return standardised * self._placed(self.deviation, standardised) + self._placed(self.mean, standardised)

    @staticmethod
    def _placed(numbers: Tensor, like: Tensor) -> Tensor:
        return numbers.to(like)[:, None, None]


def scale_stage() -> Reduce:
    """The fold that gathers them: `store["band_scale"]` has `count` (scalar), `mean` and `square` (C,), the sum of squared differences."""
    return Reduce(SCALE, ("cube",), _update, merge_scale)


def _update(tile: Tile, store: Store) -> Partial | None:
    valid = tile.inner_valid("cube")
    if not valid.any():
        return None
    values = tile.inner("cube")
    count = valid.sum().double()
    # Band by band: a whole tile in float64 would stand in memory twice.
    mean = torch.stack([band[valid].double().mean() for band in values])
    square = torch.stack([(band[valid].double() - centre).square().sum() for band, centre in zip(values, mean, strict=True)])
    return {"count": count, "mean": mean, "square": square}


def merge_scale(left: Partial, right: Partial) -> Partial:
    """`count`, `mean` and `square` of the union of two sets; one count for all bands, or one for each, shape (C,).

    Chan, Golub and LeVeque, 1982, as in `hsikit.spectral.moments`, for the diagonal alone.
    """
    total = left["count"] + right["count"]
    share, step = right["count"] / total.clamp(min=1.0), right["mean"] - left["mean"]
    square = left["square"] + right["square"] + step.square() * left["count"] * share
    return {"count": total, "mean": left["mean"] + step * share, "square": square}


def scene_scale(source: Source, bands: Indices, run: Any, progress: Any = None) -> BandScale:
    """The statistics of one scene.

    Raises:
        SceneError: nothing in it is valid.
    """
    return BandScale.of(run(_job(source.info, tuple(int(b) for b in bands)), {"cube": source}, progress=progress).store[SCALE])


def _job(info: SceneInfo, bands: tuple[int, ...]) -> Job:
    return Job(
        method="band-scale", identity={}, reference="cube", inputs={"cube": Input(bands)}, layers=(), stages=(scale_stage(),), cost=scale_cost
    )  # fmt: skip


def scale_cost(tile_shape: tuple[int, int]) -> Cost:
    """Memory and work of one tile of `scale_stage`."""
    pixels = tile_shape[0] * tile_shape[1]
    return Cost(pixels * 8 * 3, pixels * 4.0)


def band_facts(bands: Bands, scale: BandScale) -> BandFacts:
    """What a body is told of a scene's bands: a constant one does not count."""
    device = scale.mean.device
    return BandFacts(torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy()), scale.varies.cpu()).on(device)
