"""Subspace RX: how far each pixel lies from the scene's mean in the leading principal components, the first of them left out where asked.

For scenes with more bands than information: components of noise add the same to every pixel, and drown what differs in a few. After Chang and
Chiang, 2002 (doi:10.1109/TGRS.2002.800280), and Schaum, 2007 (doi:10.1109/AERO.2007.353064). Dropping the first components takes out the
background's own variety, and with it objects that differ in the same directions: none is dropped unless one asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.scene_detection import SceneDetection, checked_components, good_bands_for, measure


@dataclass(frozen=True)
class SubspaceRX:
    """RX in some of the principal components.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that are looked at, those dropped included.
        dropped: how many of the first are left out.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "subspace-rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = 20
    dropped: int = 0

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_components(self.components)
        if not 0 <= self.dropped < self.components:
            told = f"{self.dropped} of {self.components} components cannot be left out"
            raise OptionError("-p dropped", told, "Give 0 or more, fewer than the components")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene, told = inputs["cube"], self
        used = good_bands_for(scene, self.components)

        def find(found: Partial, store: Store) -> Partial:
            held = leading_components(found, told.components, scene.name)
            return {"mean": held["mean"], "project": held["project"][told.dropped :].contiguous()}

        def score(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            return {"scores": whitened(tile.inner("cube"), tile.inner_valid("cube"), store["components"]).square().sum(0, keepdim=True).float()}

        described = f"squared distance from the scene's mean in principal components {self.dropped + 1} to {self.components} (subspace RX)"
        layers = [Layer("scores", description=described)]
        stages: list[Stage] = [Reduce("components", ("cube",), measure, merge_moments, find), Map("score", ("cube",), ("scores",), score)]
        options = {"components": self.components, "dropped": self.dropped}
        says = {name: str(value) for name, value in options.items()}
        return SceneDetection(self.name, used, self.pfa).job(layers, stages, self._cost(len(used)), options, says)

    def _cost(self, bands: int) -> Callable[[tuple[int, int]], Cost]:
        def cost(tile: tuple[int, int]) -> Cost:
            pixels = tile[0] * tile[1]
            return Cost(temporary_bytes(bands, tile[1]) + 16 * (self.components + 2) * pixels, 2.0 * bands * self.components * pixels)

        return cost
