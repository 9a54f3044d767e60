"""What a target detector looks for in one scene, and what all kinds of background share of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hsikit.method import Partial, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.detection.tail import tail_of

if TYPE_CHECKING:
    from hsikit.tasks.detection.target_detector import TargetDetector

POSITIVE = "positive"
"""The layer of which quantiles are found."""
TAIL = "tail"
"""The stage that measures how heavy a background's tails are."""
EXCLUDED = "excluded"
"""The stages that find which pixels are left out."""


@dataclass(frozen=True, eq=False)
class Sought:
    """Targets in one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of the bands, D of them.
        spectra: the targets there, float64 (T, D).
    """

    options: TargetDetector
    scene: SceneInfo
    used: tuple[int, ...]
    spectra: Tensor

    @property
    def ranked(self) -> bool:
        """Whether a quantile of the scores is asked for."""
        return self.options.exclude > 0 or self.options.pfa is not None

    @property
    def written(self) -> tuple[str, ...]:
        """Layers that every stage of scores writes."""
        return ("scores", POSITIVE) if self.ranked else ("scores",)

    def result(self, scores: Tensor) -> dict[str, Tensor]:
        """These layers."""
        return {"scores": scores, POSITIVE: positive(scores)} if self.ranked else {"scores": scores}

    def prepare(self, found: Mapping[str, Tensor]) -> Partial:
        """What the method needs of a background, from its moments."""
        return self.options.prepare(found, self.spectra, self.scene.name, tuple(self.scene.bands.names[i] for i in self.used))

    def tail(self, found: Partial, store: Store) -> Partial:
        """How heavy the background's tails are, from sums of distances."""
        return tail_of(found, self.scene.name)

    def reads(self, again: bool) -> tuple[str, ...]:
        """What a stage that measures a background reads.

        Args:
            again: whether it leaves out the pixels that scored highest.
        """
        return ("cube", POSITIVE) if again else ("cube",)

    def counted(self, tile: Tile, store: Store, again: bool) -> Tensor:
        """The pixels that count as background, bool of the tile's shape with its halo."""
        valid = tile.valid["cube"]
        return valid & (tile.arrays[POSITIVE][0] <= float(store[f"{EXCLUDED}3"]["threshold"])) if again else valid


def positive(scores: Tensor) -> Tensor:
    """The highest of all bands where it is positive, else 0, shape (1, rows, cols); NaN where the first band is."""
    return scores.amax(0, keepdim=True).clamp(min=0.0).masked_fill(scores[:1].isnan(), float("nan"))
