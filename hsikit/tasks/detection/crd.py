"""Collaborative representation (CRD): how badly the pixels around a pixel explain it, each the less welcome the less it is like it.

For small objects in scenes of several covers: a ring may hold many, and no covariance of it is asked for. Li and Du, 2015
(doi:10.1109/TGRS.2014.2343955): the score is the residual y - D a of the weights a that make |y - D a|^2 + penalty * sum(|y - d_i|^2 a_i^2) least,
over the pixels d_i between two windows. What differs: solved for the residual itself, penalty (M + penalty)^-1 y with M = sum(d_i d_i' / |y - d_i|^2),
which is the same by the push-through identity, and holds where the system for a is singular; in the leading principal components about zero, so that
a pixel costs one small solve; a ring that is cut off by the scene's border or has holes counts for a whole one; a pixel with no more valid pixels in its
ring than there are components is explained by pixels drawn from the whole scene. A pixel that equals one of its ring scores 0, or nearly so.
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
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.drawn_pixels import draw, drawn_bytes, merge_draws
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_directions, whitened
from hsikit.tasks.detection.ring_moments import check_ring
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, checked_components, good_bands_for, measure

LARGEST_WINDOW = 101
"""The cost of a pixel grows with the ring."""
PENALTY = 1e-6
TWIN = 1e-12
"""Least squared distance of a neighbour, as a share of the pixel's own squared length: what float32 tells apart. It bounds the weight of an equal pixel."""
ROUNDING = 1e-14
"""Added to the penalty, as a share of the trace of M: with equal pixels around, rounding alone could make M + penalty indefinite."""
GATHERED = 1 << 19
"""Numbers of the rings that are gathered at once: bounds the temporary arrays whatever the tile."""


@dataclass(frozen=True)
class Crd:
    """Collaborative representation by the ring between two square windows.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that are looked at.
        inner: side of the window that is left out (pixels, odd): larger than the objects looked for.
        outer: side of the window around it (pixels, odd).
        penalty: what a weight costs, above 0; without unit.

    Raises:
        OptionError: an option out of its range, or a ring of too few pixels for the components.
    """

    name: ClassVar[str] = "crd"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = 20
    inner: int = 11
    outer: int = 25
    penalty: float = PENALTY

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_components(self.components)
        check_ring(self.inner, self.outer, self.components, LARGEST_WINDOW)
        if not 1e-12 <= self.penalty <= 1e6:
            raise OptionError("-p penalty", f"{self.penalty} is no penalty", f"Give 1e-12 to 1e6; the default is {PENALTY:g}")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, in the unit of the scene), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, good_bands_for(scene, self.components)).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[Crd]):
    """The stages for one scene."""

    @property
    def ring(self) -> int:
        """Pixels of a whole ring, and of the sample that stands for one."""
        return self.options.outer**2 - self.options.inner**2

    def job(self) -> Job:
        told = self.options
        reach = told.outer // 2
        layers = [Layer("scores", description="length of what the ring around each pixel leaves unexplained (collaborative representation)")]
        stages: list[Stage] = [
            Reduce("components", ("cube",), self._measure, self._merge, self._components),
            Map("score", ("cube",), ("scores",), self._score, halo=(reach, reach)),
        ]
        options = {name: getattr(told, name) for name in ("components", "inner", "outer", "penalty")}
        says = {name: f"{value:g}" for name, value in options.items()}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        bands, k, ring, pixels = len(self.used), self.options.components, self.ring, tile[0] * tile[1]
        # Components in two orders; of a part's pixels their rings, the distances to them, and the rings with weights.
        scoring = pixels * (16 * k + 20) + _part(ring, k) * (ring * (3 * 8 * k + 40) + 32 * k * k)
        measuring = temporary_bytes(bands, tile[1]) + drawn_bytes(ring, bands, pixels)
        return Cost(max(measuring, scoring), pixels * (2.0 * bands * k + ring * (2.0 * k * k + 5 * k) + k**3 / 3))

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        found, drawn = measure(tile, store), draw(tile, self.ring, seed=0)
        return None if found is None or drawn is None else {**found, **drawn}

    def _merge(self, left: Partial, right: Partial) -> Partial:
        return {**merge_moments(left, right), **merge_draws(left, right, self.ring)}

    def _components(self, found: Partial, store: Store) -> Partial:
        held = leading_directions(found, self.options.components, self.scene.name)
        return {**held, "drawn": found["spectra"].double() @ held["project"].T, "places": found["places"]}

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        told, found, valid = self.options, store["components"], tile.valid["cube"]
        values = whitened(tile.arrays["cube"], valid, found)
        window = tile.windows["cube"]
        drawn = Drawn(found["drawn"], found["places"] - found["places"].new_tensor((window.row, window.col)))
        return {"scores": unexplained(values, valid, told.inner, told.outer, told.penalty, drawn)[None].float()}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Pixels of the whole scene that stand for a ring.

    Attributes:
        values: components, float64, shape (m, k); no more than a ring has pixels.
        places: row and column of each, counted from the corner of the tile with its halo, shape (m, 2).
    """

    values: Tensor
    places: Tensor


def unexplained(values: Tensor, valid: Tensor, inner: int, outer: int, penalty: float, drawn: Drawn) -> Tensor:
    """Lengths of the residuals of pixels.

    Args:
        values: components, float64, shape (k, rows, cols), with a halo of outer // 2.
        valid: bool, shape (rows, cols).
        inner: side of the window that is left out (odd).
        outer: side of the window around it (odd).
        penalty: what a weight costs.
        drawn: what explains a pixel with no more valid pixels in its ring than there are components, itself left out.

    Returns:
        float64, shape (rows, cols) without the halo; NaN where not valid.
    """
    reach, k, cols = outer // 2, len(values), valid.shape[1]
    offsets = _ring(inner, outer, cols, valid.device)
    pixels, there = values.flatten(1).T.contiguous(), valid.flatten()
    core = valid[reach : valid.shape[0] - reach, reach : cols - reach]
    row, col = core.nonzero(as_tuple=True)
    found = values.new_empty(len(row))
    step = _part(len(offsets), k)
    for first in range(0, len(row), step):
        part = slice(first, first + step)
        centre = (row[part] + reach) * cols + col[part] + reach
        near = centre[:, None] + offsets
        around, counted = pixels.index_select(0, near.flatten()).view(*near.shape, k), there[near]
        few = counted.sum(1) <= k
        if bool(few.any()):
            stand = len(drawn.values)
            around[few, :stand] = drawn.values
            counted[few] = False
            here = torch.stack((row[part], col[part]), 1) + reach
            counted[few, :stand] = (drawn.places != here[few][:, None]).any(2)
        found[part] = residuals(pixels[centre], around, counted, penalty)
    return values.new_full(core.shape, float("nan")).index_put_((row, col), found)


def residuals(own: Tensor, around: Tensor, counted: Tensor, penalty: float) -> Tensor:
    """Lengths of penalty (M + penalty)^-1 y.

    Args:
        own: pixels y, float64, shape (n, k).
        around: the pixels that explain each, shape (n, s, k).
        counted: which of them count, bool, shape (n, s); those that do stand for all s.
        penalty: what a weight costs.

    Returns:
        float64, shape (n,).
    """
    apart = (around - own[:, None]).square_().sum(2)
    least = (TWIN * own.square().sum(1, keepdim=True)).clamp(min=1e-300)  # a pixel of zeros beside one of zeros: no division by zero
    share = counted.shape[1] / counted.sum(1, keepdim=True).clamp(min=1)
    weights = torch.where(counted, share / torch.maximum(apart, least), 0.0)
    scaled = around * weights.sqrt_()[..., None]
    moments = scaled.transpose(1, 2) @ scaled
    diagonal = moments.diagonal(dim1=1, dim2=2)
    diagonal += penalty + ROUNDING * diagonal.sum(1, keepdim=True)
    solved = torch.cholesky_solve(own[..., None], torch.linalg.cholesky(moments))
    return penalty * solved.square().sum((1, 2)).sqrt()


def _ring(inner: int, outer: int, cols: int, device: torch.device) -> Tensor:
    """How far the pixels of a ring lie from its centre in an image of so many columns that is read row by row, shape (s,)."""
    away = torch.arange(-(outer // 2), outer // 2 + 1, device=device)
    outside = (away.abs()[:, None] > inner // 2) | (away.abs() > inner // 2)
    return (away[:, None] * cols + away)[outside]


def _part(ring: int, components: int) -> int:
    """Pixels whose rings are gathered at once."""
    return max(1, GATHERED // (ring * components))
