"""What a pretraining does: its options, checked. Everything of it is kept in the base folder, so that a base can be made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hsikit.errors import OptionError

SENSORS = ("random", "off")
HYPERSPECTRAL = ("enmap", "prisma", "emit", "desis", "aviris", "hyperion")
"""Sensors of simulated scenes, by choice; see `hsikit sensors`."""
REAL = (*HYPERSPECTRAL, "sentinel-2", "landsat-8", "worldview-3", "planetscope-superdove", "sentinel-3a-olci", "modis-terra")
"""Real instruments among those that windows are seen through."""
STEPS = 2000
WINDOW = 16


@dataclass(frozen=True)
class Recipe:
    """Options of a pretraining.

    Attributes:
        preset: of the encoder, a key of `hsikit.nn.encoder.PRESETS`.
        adapter: a key of `hsikit.nn.adapters.ADAPTERS`; the preset's own where it is "".
        changes: further attributes of the preset that differ.
        objective: a key of `hsikit.nn.rebuilding.OBJECTIVES`.
        sensors: "random": each window is also seen through an instrument drawn by chance; "off": through its own alone.
        steps: of the optimiser.
        window: side of a window in pixels, a multiple of 4.
        windows: of one scene at a time.
        scenes_per_step: scenes whose windows make one step.
        lr: highest learning rate, after a twentieth of the steps; it falls to zero along a cosine.
        weight_decay: of matrices.
        clip: longest gradient.
        seed: of everything random.

    Raises:
        OptionError: a number out of range, or a name that does not exist.
    """

    preset: str = "base"
    adapter: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "detail"
    sensors: str = "random"
    steps: int = STEPS
    window: int = WINDOW
    windows: int = 4
    scenes_per_step: int = 2
    lr: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        from hsikit.nn.rebuilding import OBJECTIVES

        for name in ("steps", "windows", "scenes_per_step"):
            if getattr(self, name) < 1:
                raise OptionError(name, f"{getattr(self, name)} is not a whole number of 1 or more")
        if self.window < 8 or self.window % 4 or self.window > 64:
            raise OptionError("window", f"{self.window} is no multiple of 4 from 8 to 64")
        if not (math.isfinite(self.lr) and self.lr > 0 and math.isfinite(self.weight_decay) and self.weight_decay >= 0 and self.clip > 0):
            raise OptionError("lr", f"lr {self.lr}, weight_decay {self.weight_decay} and clip {self.clip} must be above 0, the second 0 or more")
        if self.seed < 0:
            raise OptionError("seed", f"{self.seed} is below 0")
        if self.sensors not in SENSORS:
            raise OptionError("sensors", f"'{self.sensors}' is neither random nor off")
        if self.objective not in OBJECTIVES:
            raise OptionError("objective", f"there is none named '{self.objective}'", f"There are {', '.join(OBJECTIVES)}")
        if self.sensors == "off" and OBJECTIVES[self.objective].needs_other:
            raise OptionError(
                "objective", f"{self.objective} mixes two instruments, and --sensors off leaves one", "Give --sensors random, or another objective"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        warm = max(1, self.steps // 20)
        if step < warm:
            return self.lr * (step + 1) / warm
        return self.lr * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm))) / 2

    def record(self) -> dict[str, Any]:
        """JSON values."""
        own = {name: value for name, value in asdict(self).items() if name != "adapter" or value}
        return {**own, "changes": dict(self.changes)}


def known_options() -> set[str]:
    """Names of the options."""
    return {option.name for option in fields(Recipe)}
