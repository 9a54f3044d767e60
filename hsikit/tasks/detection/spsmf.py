"""The subpixel spectral matched filter: a pixel of which a part is replaced by the target, and only the rest varies as the background does.

The likelihood ratio of Schaum and Stocker, 1997 ("Spectrally selective target detection", ISSSR), in closed form: with a share c of background,
v = z - u and B bands, the likeliest c solves B c^2 - (u'v) c - v'v = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.tasks.detection.target_detector import TargetDetector

LEAST = 1e-6
"""Least share of background: a pixel that is the target itself has a likelihood without bound."""


@dataclass(frozen=True)
class SubpixelMatchedFilter(TargetDetector):
    """z'z - |v + c u|^2 / c^2 - 2 B ln c, with the likeliest share of background c, 0 to 1."""

    name: ClassVar[str] = "spsmf"
    description: ClassVar[str] = "log-likelihood ratio of a target that replaces a part of the pixel"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, bands: int) -> Tensor:
        """See `TargetDetector`."""
        crossed = along - target  # u'v
        rest = distance - 2 * along + target  # v'v
        share = (crossed + (crossed**2 + 4 * bands * rest.clamp(min=0)).sqrt()) / (2 * bands)
        share = share.clamp(LEAST, 1.0)
        left = rest + 2 * share * crossed + share**2 * target  # |v + c u|^2
        return distance - left / share**2 - 2 * bands * share.log()
