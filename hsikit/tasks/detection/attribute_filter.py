"""Anomalies by shape alone: what openings and closings by area take away from the first principal components, kept within their edges.

For objects of a known size that differ in brightness more than in kind, and for scenes of few bands. Attribute and edge-preserving filters, Kang et
al., 2017 (doi:10.1109/TGRS.2017.2710145). What differs: components are looked at in 1024 levels with neighbours by side and corner, the edges kept are
those of the first component, and groups that the scene's border cuts off count at their mirrored size. `object-anomaly` joins it with spectra.
"""

from __future__ import annotations

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
from hsikit.tasks.detection.object_anomaly import LARGEST, NO_COMPONENTS, PICTURES
from hsikit.tasks.detection.ranks import span_stage


@dataclass(frozen=True)
class AttributeFilter:
    """Small bright or dark objects.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        object_size: pixels of the largest objects looked for.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "attribute-filter"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    object_size: int = 50

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if not 1 <= self.object_size <= LARGEST:
            raise OptionError("-p object_size", f"{self.object_size} is no size of an object", f"Give pixels, 1 to {LARGEST}; the default is 50")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, in levels), and "hits" with `pfa`.

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

    options: AttributeFilter
    scene: SceneInfo
    used: tuple[int, ...]

    def job(self) -> Job:
        told, pictures = self.options, min(PICTURES, len(self.used))
        area = told.object_size - 1 + REACH
        layers = [
            Layer("scores", description=f"levels by which objects of fewer than {told.object_size} pixels stand out of {pictures} components"),
            Layer("pictures", bands=pictures, delivered=False),
        ]
        stages: list[Stage] = [
            Reduce("components", ("cube",), self._measure, merge_moments, self._components),
            Map("draw", ("cube",), ("pictures",), self._draw),
            span_stage("pictures-span", ("pictures",)),
            extent_stage("extent", "pictures"),
            Map("shape", ("pictures",), ("scores",), self._shape, halo=(area, area)),
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
            provenance={"object_size": str(told.object_size), "components": str(pictures)} | hit_provenance(told.pfa),
        )

    def _cost(self, tile: tuple[int, int]) -> Cost:
        pixels = tile[0] * tile[1]
        # As for object-anomaly: levels, their tree, residues, and the means along edges.
        return Cost(temporary_bytes(len(self.used), tile[1]) + pixels * (12 * PICTURES + 60 + 8 * 14), 1500.0 * pixels)

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        return scene_moments(tile.inner("cube"), tile.inner_valid("cube"))

    def _components(self, found: Partial, store: Store) -> Partial:
        return leading_components(found, min(PICTURES, len(self.used)), self.scene.name, NO_COMPONENTS)

    def _draw(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return {"pictures": whitened(tile.inner("cube"), tile.inner_valid("cube"), store["components"]).float()}

    def _shape(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        span, found = store["pictures-span"], tile.arrays["pictures"]
        pictures = mirrored(found, tile.windows["pictures"], store["extent"])
        valid, there = ~pictures[0].isnan(), ~found[0].isnan()
        levels = [levels_of(picture, valid, span["low"][i], span["high"][i]) for i, picture in enumerate(pictures)]
        small = torch.stack([smaller_than(picture, self.options.object_size, dark=True) for picture in levels]).sum(0)
        rows, cols = tile.cores["pictures"]
        near = slice(rows.start - REACH, rows.stop + REACH), slice(cols.start - REACH, cols.stop + REACH)
        guide = (levels[0][near].double() - 1).clamp(min=0) / (LEVELS - 1)
        return {"scores": guided_mean(small[None][(slice(None), *near)], guide, there[near]).clamp(min=0).float()}
