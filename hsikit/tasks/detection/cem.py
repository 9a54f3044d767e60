"""Constrained energy minimisation: the filter that answers 1 to the target and as little as it can to the scene.

After Harsanyi, 1993 (PhD thesis, University of Maryland, Baltimore County); Chang, 2003 (ISBN 0-306-47483-2), ch. 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.tasks.detection.target_detector import TargetDetector


@dataclass(frozen=True)
class Cem(TargetDetector):
    """x'R^-1 t / t'R^-1 t, where R are the second moments of the scene, mean included."""

    name: ClassVar[str] = "cem"
    description: ClassVar[str] = "constrained energy minimisation: 1 for the target"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")
    centred: ClassVar[bool] = False
    needs_distance: ClassVar[bool] = False

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along / target
