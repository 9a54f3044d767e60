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

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.area_filter import LEVELS, REACH, extent_stage, guided_mean, levels_of, mirrored, smaller_than
from hsikit.tasks.detection.background import scene_moments, temporary_bytes
from hsikit.tasks.detection.hit_stages import checked_pfa, hit_layer, hit_provenance, hit_stages
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.ranks import rank_stages, ranks, span_stage
from hsikit.tasks.detection.ring_nearest import nearest_cost, ring_nearest

COMPONENTS, PICTURES = 20, 3
"""Components of the distance to the scene's mean, at most; those whose shapes are looked at."""
NEIGHBOURS, NEAREST, RING = 4, 0.01, 7
"""Components in which neighbours are compared; the share of them that a pixel may be like; pixels from the inner window to the outer."""
WIDER = 2
"""The opening of distances goes up to so many times the objects' size: halos of bright objects are larger than these."""
LARGEST = 200
"""Pixels of an object, at most: tiles see twice as far."""
NO_COMPONENTS = "Mark bands as bad that hold nothing of their own, or use rx with -p ridge=1e-6"
EVIDENCE = ("local", "shape")


@dataclass(frozen=True)
class ObjectAnomaly:
    """Small objects unlike their surroundings.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        object_size: pixels of the largest objects looked for.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "object-anomaly"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    object_size: int = 50

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if not 1 <= self.object_size <= LARGEST:
            raise OptionError("-p object_size", f"{self.object_size} is no size of an object", f"Give pixels, 1 to {LARGEST}; the default is 50")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, 0 to 1), and "hits" with `pfa`.

        Raises:
            SceneError: the scene has no good band.
        """
        scene = inputs["cube"]
        used = scene.bands.used
        if not len(used):
            raise SceneError(scene.name, "none of its bands is good", "Look at its bad-band list")
        return _Detection(self, scene, tuple(int(i) for i in used)).job()


@dataclass(frozen=True, eq=False)
class _Detection:
    """The stages for one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of its good bands.
    """

    options: ObjectAnomaly
    scene: SceneInfo
    used: tuple[int, ...]

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
            Reduce("components", ("cube",), self._measure, merge_moments, self._components),
            Map("draw", ("cube",), ("pictures",), self._draw),
            span_stage("pictures-span", ("pictures",)),
            extent_stage("extent", "pictures"),
            Map("local", ("cube",), ("local",), self._local, halo=(ring, ring)),
            Map("shape", ("pictures",), ("shape",), self._shape, halo=(area, area)),
            *rank_stages("ranks", EVIDENCE),
            Map("score", EVIDENCE, ("scores",), lambda tile, store: {"scores": ranks(tile, store, "ranks", EVIDENCE).mean(0, keepdim=True).float()}),
        ]
        if told.pfa is not None:
            layers.append(hit_layer(told.pfa))
            stages += hit_stages("scores", told.pfa)
        return Job(
            method=told.name,
            identity={"pfa": told.pfa, "object_size": told.object_size, "bands": list(self.used)},
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=tuple(layers),
            stages=tuple(stages),
            cost=self._cost,
            provenance={"object_size": str(told.object_size), "components": str(self.components), "windows": f"{self.inner} and {self.outer}"}
            | hit_provenance(told.pfa),
        )

    def _cost(self, tile: tuple[int, int]) -> Cost:
        local = nearest_cost(tile, NEIGHBOURS, self.outer)
        # Components of all pixels (8), levels, their tree (parents, order and areas of 8 bytes each), residues, and the means along edges.
        shape = tile[0] * tile[1] * (12 * (PICTURES + 1) + 60 + 8 * 20)
        drawn = temporary_bytes(len(self.used), tile[1]) + 8 * (self.components + PICTURES + 1) * tile[0] * tile[1]
        return Cost(max(local.bytes + drawn, shape), local.flops + 2000.0 * tile[0] * tile[1])

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        return scene_moments(tile.inner("cube"), tile.inner_valid("cube"))

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
        span, size = store["pictures-span"], self.options.object_size
        pictures = mirrored(tile.arrays["pictures"], tile.windows["pictures"], store["extent"])
        valid, there = ~pictures[0].isnan(), ~tile.arrays["pictures"][0].isnan()
        levels = [levels_of(picture, valid, span["low"][i], span["high"][i]) for i, picture in enumerate(pictures)]
        small = sum((smaller_than(picture, size, dark=True) for picture in levels[:-1]), torch.zeros(valid.shape, dtype=torch.float64, device=valid.device))
        far = smaller_than(levels[-1], WIDER * size, dark=False)
        rows, cols = tile.cores["pictures"]
        near = slice(rows.start - REACH, rows.stop + REACH), slice(cols.start - REACH, cols.stop + REACH)
        guide = (levels[0][near].double() - 1).clamp(min=0) / (LEVELS - 1)
        # No less than 0: the many pixels where nothing is small stay equal.
        return {"shape": guided_mean(torch.stack((small[near], far[near])), guide, there[near]).clamp(min=0).float()}
