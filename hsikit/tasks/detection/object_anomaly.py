"""Anomalies of a known size: three kinds of evidence, spectral and of shape, joined by their ranks; no truth is asked for.

For surveyors who look for vehicles, roofs, boats, pits: whatever is smaller than a number of pixels and unlike what is around it. The
evidence: how far a pixel lies from the pixels of the ring around it that are most like it (`ring_nearest`); what openings and closings by area
take away from the first three components (attribute and edge-preserving filters, Kang et al. 2017, doi:10.1109/TGRS.2017.2710145); and what an
opening by area takes away from the distance to the scene's mean. Shape and spectra fail in different scenes, so that the mean of the ranks beats
each.
The score is a mean rank, 0 to 1: it has no law of its own, and a threshold is the scene's own quantile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.area_filter import REACH, smaller_than
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.ranks import rank_stages, ranks
from hsikit.tasks.detection.ring_nearest import nearest_cost, ring_nearest
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, good_bands, measure
from hsikit.tasks.detection.small_shapes import BYTES, NO_COMPONENTS, PICTURES, ObjectSearch, picture_stages, shapes_of

COMPONENTS = 20
"""Components of the distance to the scene's mean, at most."""
NEIGHBOURS, NEAREST, RING = 4, 0.01, 7
"""Components in which neighbours are compared; the share of them that a pixel may be like; pixels from the inner window to the outer."""
WIDER = 2
"""The opening of distances goes up to so many times the objects' size: halos of bright objects are larger than these."""
EVIDENCE = ("local", "shape")


@dataclass(frozen=True)
class ObjectAnomaly(ObjectSearch):
    """Small objects unlike their surroundings."""

    name: ClassVar[str] = "object-anomaly"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, 0 to 1), and "hits" with `pfa`.

        Raises:
            SceneError: the scene has no good band.
        """
        return _Detection(self, inputs["cube"], good_bands(inputs["cube"])).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[ObjectAnomaly]):
    """The stages for one scene."""

    @property
    def inner(self) -> int:
        """Side of the inner window: half as wide again as a square object."""
        return 2 * round(0.75 * math.sqrt(self.options.object_size)) + 1

    @property
    def outer(self) -> int:
        """Side of the outer window."""
        return self.inner + 2 * RING

    @property
    def components(self) -> int:
        """Components of the distance to the mean."""
        return min(COMPONENTS, len(self.used))

    def job(self) -> Job:
        told, pictures = self.options, min(PICTURES, self.components)
        ring, area = self.outer // 2, WIDER * told.object_size - 1 + REACH
        layers = [
            Layer("scores", description=f"mean rank of three kinds of evidence of objects of up to {told.object_size} pixels"),
            Layer("pictures", bands=pictures + 1, delivered=False),
            Layer("local", delivered=False),
            Layer("shape", bands=2, delivered=False),
        ]
        stages: list[Stage] = [
            Reduce("components", ("cube",), measure, merge_moments, self._components),
            *picture_stages(self._draw),
            Map("local", ("cube",), ("local",), self._local, halo=(ring, ring)),
            Map("shape", ("pictures",), ("shape",), self._shape, halo=(area, area)),
            *rank_stages("ranks", EVIDENCE),
            Map("score", EVIDENCE, ("scores",), lambda tile, store: {"scores": ranks(tile, store, "ranks", EVIDENCE).mean(0, keepdim=True).float()}),
        ]
        says = {"object_size": str(told.object_size), "components": str(self.components), "windows": f"{self.inner} and {self.outer}"}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, {"object_size": told.object_size}, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        local = nearest_cost(tile, NEIGHBOURS, self.outer)
        # One picture more, and residues of two kinds.
        shape = tile[0] * tile[1] * (BYTES + 12 + 8 * 6)
        drawn = temporary_bytes(len(self.used), tile[1]) + 8 * (self.components + PICTURES + 1) * tile[0] * tile[1]
        return Cost(max(local.bytes + drawn, shape), local.flops + 2000.0 * tile[0] * tile[1])

    def _components(self, found: Partial, store: Store) -> Partial:
        return leading_components(found, self.components, self.scene.name, NO_COMPONENTS)

    def _draw(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        """The first components, and the logarithm of the distance from the scene's mean."""
        white = whitened(tile.inner("cube"), tile.inner_valid("cube"), store["components"])
        return {"pictures": torch.cat((white[:PICTURES], white.square().sum(0, keepdim=True).log1p())).float()}

    def _local(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        found, valid = store["components"], tile.valid["cube"]
        white = whitened(tile.arrays["cube"], valid, {"mean": found["mean"], "project": found["project"][:NEIGHBOURS]})
        return {"local": ring_nearest(white, valid, self.inner, self.outer, NEAREST).log1p()[None]}

    def _shape(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        """What is small in the components, bright or dark, and in the distance, bright; each kept within the edges of the first component."""
        size, found = self.options.object_size, shapes_of(tile, store)
        small = torch.stack([smaller_than(picture, size, dark=True) for picture in found.levels[:-1]]).sum(0)
        return {"shape": found.kept(torch.stack((small, smaller_than(found.levels[-1], WIDER * size, dark=False))))}
