"""What detectors that look for nothing in particular share: a scene's good bands, its moments, and hits where a false-alarm rate is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Partial, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.detection.background import scene_moments
from hsikit.tasks.detection.hit_stages import hit_findings, hit_layer, hit_provenance, hit_stages

M = TypeVar("M")
CostOf = Callable[[tuple[int, int]], Cost]


@dataclass(frozen=True, eq=False)
class OnScene(Generic[M]):
    """A method on one scene: what its stages know.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of the bands that are read.
    """

    options: M
    scene: SceneInfo
    used: tuple[int, ...]


def good_bands(scene: SceneInfo) -> tuple[int, ...]:
    """Positions of the good bands.

    Raises:
        SceneError: there is none.
    """
    if not len(scene.bands.used):
        raise SceneError(scene.name, "none of its bands is good", "Look at its bad-band list")
    return tuple(int(i) for i in scene.bands.used)


def good_bands_for(scene: SceneInfo, components: int) -> tuple[int, ...]:
    """The same, as many as components at least.

    Raises:
        SceneError: there are fewer.
    """
    used = tuple(int(i) for i in scene.bands.used)
    if len(used) < components:
        wrong = f"has {len(used)} good bands, and {components} components are asked for"
        raise SceneError(scene.name, wrong, f"Ask for fewer: -p components={max(1, min(5, len(used)))}")
    return used


def checked_components(components: int, default: int = 20) -> int:
    """The number of components, when it is one.

    Args:
        components: as the user gave it.
        default: for the message.

    Raises:
        OptionError: below 1.
    """
    if components < 1:
        raise OptionError("-p components", f"{components} is no number of components", f"Give 1 or more; the default is {default}")
    return components


def measure(tile: Tile, store: Store) -> Partial | None:
    """Moments of a tile's valid pixels, for a `Reduce`."""
    return scene_moments(tile.inner("cube"), tile.inner_valid("cube"))


@dataclass(frozen=True, eq=False)
class SceneDetection:
    """A detector on one scene.

    Attributes:
        method: its name.
        used: positions of the bands that are read.
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
    """

    method: str
    used: tuple[int, ...]
    pfa: float | None

    def job(self, layers: list[Layer], stages: list[Stage], cost: CostOf, identity: Mapping[str, Any], provenance: Mapping[str, str],
            **told: float) -> Job:  # fmt: skip
        """The Job; hits come with `pfa`.

        Args:
            layers: "scores" first.
            stages: that make them.
            cost: of a tile.
            identity: options, beside bands and `pfa`.
            provenance: what the metadata say, beside the threshold.
            told: further numbers that the run reports beside "threshold" and "hits".
        """
        hits = self.pfa is not None
        return Job(
            method=self.method,
            identity={"pfa": self.pfa, "bands": list(self.used), **identity},
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=(*layers, *([hit_layer(self.pfa)] if self.pfa is not None else ())),
            stages=(*stages, *(hit_stages("scores", self.pfa, **told) if self.pfa is not None else ())),
            cost=cost,
            provenance={**provenance, **hit_provenance(self.pfa), **({name: f"{value:.6g}" for name, value in told.items()} if hits else {})},
            findings=hit_findings,
        )
