"""The adaptive coherence estimator, with its sign: the squared cosine between pixel and target where the background is white.

Blind to brightness, and so to what shade and slopes do. After Kraut, Scharf and Butler, 2005 (doi:10.1109/TSP.2004.840823).
What differs: the sign of the projection is kept, since a pixel that goes the other way is no target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.tasks.detection.target_detector import TargetDetector


@dataclass(frozen=True)
class Ace(TargetDetector):
    """sign(z'u) (z'u)^2 / (u'u z'z), from -1 to 1."""

    name: ClassVar[str] = "ace"
    description: ClassVar[str] = "adaptive coherence estimator with its sign, -1 to 1"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along * along.abs() / (target * distance.clamp(min=1e-30))


@dataclass(frozen=True)
class Glrt(TargetDetector):
    """sign(z'u) (z'u)^2 / (u'u (N + z'z)): Kelly's generalised likelihood ratio, 1986 (doi:10.1109/TAES.1986.310745)."""

    name: ClassVar[str] = "glrt"
    description: ClassVar[str] = "Kelly's generalised likelihood ratio with its sign"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along * along.abs() / (target * (count + distance))
