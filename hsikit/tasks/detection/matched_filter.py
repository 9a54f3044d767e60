"""The matched filter: how far a pixel goes from the background towards the target, 1 being all the way.

For analysts with a target's spectrum: the score is an estimate of its abundance. After Robey et al., 1992 (doi:10.1109/7.135446),
and Boardman and Kruse, 2011 (doi:10.1109/TGRS.2011.2161585). The sign is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.tasks.detection.target_detector import TargetDetector


@dataclass(frozen=True)
class MatchedFilter(TargetDetector):
    """z'u / u'u."""

    name: ClassVar[str] = "matched-filter"
    description: ClassVar[str] = "abundance by the matched filter: 0 the background, 1 the target"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")
    needs_distance: ClassVar[bool] = False

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along / target


@dataclass(frozen=True)
class SpectralMatchedFilter(TargetDetector):
    """z'u / |u|: the matched filter in deviations of the background."""

    name: ClassVar[str] = "smf"
    description: ClassVar[str] = "matched filter in deviations of the background"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")
    needs_distance: ClassVar[bool] = False

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along / target.sqrt()
