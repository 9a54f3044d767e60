"""Kernel RX: how far each pixel lies from the scene's mean where a Gaussian kernel measures likeness, so that the background may have any shape.

For scenes of many covers, whose cloud of spectra is bent or falls apart, so that an ellipsoid around it holds much that is not there. Kwon and
Nasrabadi, 2005 (doi:10.1109/TGRS.2004.841487). Its Gram matrix grows with the square of the pixels; what differs is the approximation by
landmarks (Nystroem; Williams and Seeger, 2001): up to 500 pixels drawn from the whole scene by a seed span a space, in which all pixels are the
background, and with all pixels as landmarks the score is the exact one. The kernel looks at the leading principal components at unit variance; its
bandwidth is the median distance between landmarks. The covariance gives way to its mean eigenvalue by a declared share, and so it has that share in
the directions that no landmark spans too, where a pixel unlike all of them lies: left out, that pixel would have no length, and score low.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import Moments, merge_moments
from hsikit.tasks.detection.background import RIDGE, distances, row_chunks, scene_moments, temporary_bytes, whitener
from hsikit.tasks.detection.drawn_pixels import checked_seed, draw, drawn_bytes, merge_draws
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, checked_components, good_bands_for, measure

MOST_LANDMARKS = 500
SHRINKAGE = 0.1
LEAST = 1e-10
"""A direction with less than this share of the kernel's largest eigenvalue is rounding, and left out."""


@dataclass(frozen=True)
class KernelRX:
    """RX in the space of a Gaussian kernel.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that the kernel looks at.
        landmarks: pixels that span the space, 2 to 500.
        bandwidth: of the kernel, in median distances between landmarks.
        shrinkage: share of the covariance that gives way to its mean eigenvalue, above 0, below 1.
        seed: of the landmarks drawn.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "kernel-rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = 20
    landmarks: int = MOST_LANDMARKS
    bandwidth: float = 1.0
    shrinkage: float = SHRINKAGE
    seed: int = 0

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_components(self.components)
        checked_seed(self.seed)
        if not 2 <= self.landmarks <= MOST_LANDMARKS:
            raise OptionError("-p landmarks", f"{self.landmarks} is no number of landmarks", f"Give 2 to {MOST_LANDMARKS}, the default")
        if not 1e-3 <= self.bandwidth <= 1e3:
            raise OptionError("-p bandwidth", f"{self.bandwidth} is no bandwidth", "Give 1e-3 to 1e3 median distances; the default is 1")
        if not RIDGE < self.shrinkage < 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share above {RIDGE:g}", f"Give less than 1; the default is {SHRINKAGE:g}")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, good_bands_for(scene, self.components)).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[KernelRX]):
    """The stages for one scene."""

    def job(self) -> Job:
        told = self.options
        layers = [Layer("scores", description="squared distance from the scene's mean in the space of a Gaussian kernel (kernel RX)")]
        stages: list[Stage] = [
            Reduce("landmarks", ("cube",), self._gather, self._merge, self._span),
            Reduce("background", ("cube",), self._measure, merge_moments, self._whitener),
            Map("score", ("cube",), ("scores",), self._score),
        ]
        options = {name: getattr(told, name) for name in ("components", "landmarks", "bandwidth", "shrinkage", "seed")}
        says = {name: f"{value:g}" for name, value in options.items()}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        told, bands, pixels = self.options, len(self.used), tile[0] * tile[1]
        gathering = temporary_bytes(bands, tile[1]) + drawn_bytes(told.landmarks, bands, pixels)
        # Of some rows: components, squared distances and the kernel (float64), features in both precisions.
        features = max(1024, tile[1]) * (16 * told.components + 28 * told.landmarks) + 8 * told.landmarks**2
        work = 2.0 * told.components * (bands + told.landmarks) + 3.0 * told.landmarks**2
        return Cost(max(gathering, features + temporary_bytes(told.landmarks, tile[1]) + 4 * pixels), work * pixels)

    def _gather(self, tile: Tile, store: Store) -> Partial | None:
        found, drawn = measure(tile, store), draw(tile, self.options.landmarks, self.options.seed)
        return None if found is None or drawn is None else {**found, **drawn}

    def _merge(self, left: Partial, right: Partial) -> Partial:
        return {**merge_moments(left, right), **merge_draws(left, right, self.options.landmarks)}

    def _span(self, found: Partial, store: Store) -> Partial:
        held = leading_components(found, self.options.components, self.scene.name)
        drawn = found["spectra"].T[:, None]
        marks = whitened(drawn, torch.ones(drawn.shape[1:], dtype=torch.bool), held)[:, 0]
        return {**held, **kernel_space(marks, self.options.bandwidth, self.scene.name)}

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        values, valid, total = tile.inner("cube"), tile.inner_valid("cube"), None
        for rows in row_chunks(values):
            found: Moments | None = scene_moments(self._features(values[:, rows], valid[rows], store).float(), valid[rows])
            if found is not None:
                total = found if total is None else merge_moments(total, found)
        return total

    def _whitener(self, found: Partial, store: Store) -> Partial:
        share = self.options.shrinkage
        white = whitener(found, share / (1 - share), self.scene.name, ())
        level = share * found["scatter"].diagonal().mean() / (found["count"] - 1)
        return {**found, **white, "whitener": white["whitener"] / (1 - share) ** 0.5, "level": level}

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid, background = tile.inner("cube"), tile.inner_valid("cube"), store["background"]
        out = values.new_empty(values.shape[1:])
        for rows in row_chunks(values):
            features = self._features(values[:, rows], valid[rows], store)
            # What of a pixel lies outside the landmarks' space, where the covariance is what it gives way to. A pixel is as long as 1.
            beyond = (1 - features.square().sum(0)).clamp_(min=0)
            out[rows] = distances(features.float(), background) + (beyond / background["level"]).float()
        return {"scores": out[None]}

    def _features(self, values: Tensor, valid: Tensor, store: Store) -> Tensor:
        """Features of a part of a tile, float64 of shape (m, rows, cols)."""
        white = whitened(values, valid, store["landmarks"])
        return kernel_features(white.flatten(1), store["landmarks"]).view(-1, *values.shape[1:])


def kernel_space(marks: Tensor, bandwidth: float, scene: str) -> dict[str, Tensor]:
    """The space that landmarks span.

    Args:
        marks: components of the landmarks, float64, shape (k, m).
        bandwidth: of the kernel, in median distances between them.
        scene: for messages.

    Returns:
        "marks" as given; "narrow", 1 / (2 bandwidth^2) in the unit of the components; "root" (m, m): root K root' = 1 for their Gram matrix K, but
        for the directions left out.

    Raises:
        SceneError: most of them are equal, so that they have no median distance.
    """
    apart = torch.cdist(marks.T, marks.T, compute_mode="donot_use_mm_for_euclid_dist").square()
    pairs = apart[tuple(torch.triu_indices(len(apart), len(apart), 1))]
    median = float(pairs.median()) if len(pairs) else 0.0
    if not median > 0:
        raise SceneError(scene, f"most of the {marks.shape[1]} pixels drawn from it are equal, which leaves a kernel no bandwidth", "Use --method rx")
    narrow = marks.new_tensor(0.5 / (median * bandwidth**2))
    values, vectors = torch.linalg.eigh(torch.exp(-narrow * apart))
    # Directions left out are rows of zeros, so that the mean eigenvalue of the covariance does not hang on how many they are.
    scale = torch.where(values > LEAST * values[-1], values.clamp(min=1e-300).rsqrt(), 0.0)
    return {"marks": marks, "narrow": narrow, "root": (vectors * scale).T.contiguous()}


def kernel_features(white: Tensor, space: Mapping[str, Tensor]) -> Tensor:
    """Features of pixels, whose inner products are the kernel as far as the landmarks span it.

    Args:
        white: components, float64, shape (k, n).
        space: see `kernel_space`.

    Returns:
        float64, shape (m, n).
    """
    return space["root"] @ torch.exp(-space["narrow"] * _squares(space["marks"], white))


def _squares(left: Tensor, right: Tensor) -> Tensor:
    """Squared distances (m, n) between columns of (k, m) and (k, n)."""
    found = left.square().sum(0)[:, None] + right.square().sum(0) - 2 * left.T @ right
    return found.clamp_(min=0)
