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

from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.area_filter import REACH, smaller_than
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.scene_detection import SceneDetection, good_bands, measure
from hsikit.tasks.detection.small_shapes import BYTES, NO_COMPONENTS, PICTURES, ObjectSearch, picture_stages, shapes_of


@dataclass(frozen=True)
class AttributeFilter(ObjectSearch):
    """Small bright or dark objects."""

    name: ClassVar[str] = "attribute-filter"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, in levels), and "hits" with `pfa`.

        Raises:
            SceneError: the scene has no good band.
        """
        scene, size = inputs["cube"], self.object_size
        used = good_bands(scene)
        pictures, area = min(PICTURES, len(used)), size - 1 + REACH

        def find(found: Partial, store: Store) -> Partial:
            return leading_components(found, pictures, scene.name, NO_COMPONENTS)

        def draw(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            return {"pictures": whitened(tile.inner("cube"), tile.inner_valid("cube"), store["components"]).float()}

        def shape(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            found = shapes_of(tile, store)
            return {"scores": found.kept(torch.stack([smaller_than(picture, size, dark=True) for picture in found.levels]).sum(0, keepdim=True))}

        def cost(tile: tuple[int, int]) -> Cost:
            pixels = tile[0] * tile[1]
            return Cost(temporary_bytes(len(used), tile[1]) + BYTES * pixels, 1500.0 * pixels)

        layers = [
            Layer("scores", description=f"levels by which objects of fewer than {size} pixels stand out of {pictures} components"),
            Layer("pictures", bands=pictures, delivered=False),
        ]
        stages: list[Stage] = [
            Reduce("components", ("cube",), measure, merge_moments, find),
            *picture_stages(draw),
            Map("shape", ("pictures",), ("scores",), shape, halo=(area, area)),
        ]
        told = {"object_size": str(size), "components": str(pictures)}
        return SceneDetection(self.name, used, self.pfa).job(layers, stages, cost, {"object_size": size}, told)
