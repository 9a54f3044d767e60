"""Local RX: how far each pixel lies from its own surroundings, a square ring around it, whatever the rest of the scene holds.

For analysts who look for small objects in scenes of several covers, where one covariance fits nothing. The dual window of Reed and
Yu, 1990 (doi:10.1109/29.60107), in the leading principal components at unit variance. Sums of products run along with the window, one row in
and one row out, so that the cost of a pixel does not depend on the window's size. What differs: the ring's covariance gives way
to its mean eigenvalue by a declared share; a pixel with no more valid pixels in its ring than there are components is measured by
the scene's own mean and covariance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.ring_moments import Ring, ring_cost, ring_moments
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, good_bands_for, measure


@dataclass(frozen=True)
class LocalRX:
    """RX against the ring between two square windows.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that are looked at.
        inner: side of the window that is left out (pixels, odd): larger than the objects looked for.
        outer: side of the window around it (pixels, odd).
        shrinkage: share of the ring's covariance that gives way to its mean eigenvalue, above 0, up to 1.

    Raises:
        OptionError: an option out of its range, or a ring of too few pixels for the components.
    """

    name: ClassVar[str] = "local-rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = Ring.components
    inner: int = Ring.inner
    outer: int = Ring.outer
    shrinkage: float = 0.1

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        Ring(self.components, self.inner, self.outer)
        if not 0 < self.shrinkage <= 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share above 0", "Give up to 1; the default is 0.1")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, good_bands_for(scene, self.components)).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[LocalRX]):
    """The stages for one scene."""

    def job(self) -> Job:
        told = self.options
        reach = told.outer // 2
        layers = [Layer("scores", description="squared Mahalanobis distance from the ring around each pixel (local RX)")]
        stages: list[Stage] = [
            Reduce("components", ("cube",), measure, merge_moments, self._components),
            Map("score", ("cube",), ("scores",), self._score, halo=(reach, reach)),
        ]
        options = {name: getattr(told, name) for name in ("components", "inner", "outer", "shrinkage")}
        says = {name: f"{value:g}" for name, value in options.items()}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        return ring_cost(tile, len(self.used), self.options.components)

    def _components(self, found: Partial, store: Store) -> Partial:
        return leading_components(found, self.options.components, self.scene.name)

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        told, valid = self.options, tile.valid["cube"]
        white = whitened(tile.arrays["cube"], valid, store["components"])
        return {"scores": ring_distances(white, valid, told.inner, told.outer, told.shrinkage)[None].float()}


def ring_distances(white: Tensor, valid: Tensor, inner: int, outer: int, shrinkage: float) -> Tensor:
    """Squared distances of pixels from the rings around them.

    Args:
        white: components at unit variance, 0 where not valid, float64 of shape (k, rows, cols), with a halo of outer // 2.
        valid: bool, shape (rows, cols).
        inner: side of the window that is left out (odd).
        outer: side of the window around it (odd).
        shrinkage: share of a ring's covariance that gives way to its mean eigenvalue.

    Returns:
        float64, shape (rows, cols) without the halo.
    """
    reach = outer // 2
    rows, cols = white.shape[1] - 2 * reach, white.shape[2] - 2 * reach
    out = white.new_empty(rows, cols)
    for row, ring in enumerate(ring_moments(white, valid, inner, outer, shrinkage)):
        apart = white[:, row + reach, reach : reach + cols].T - ring.mean
        away: Tensor = torch.linalg.solve_triangular(ring.factor, apart[:, :, None], upper=False)
        out[row] = away.square().sum((1, 2))
    return out
