"""The subpixel spectral matched filter: a pixel of which a part is replaced by the target, and only the rest varies as the background does.

The likelihood ratio of Schaum and Stocker, 1997 ("Spectrally selective target detection", ISSSR), for a background whose tails are those of a multivariate
t-distribution, as Theiler, Zimmer and Ziemann did in 2018 ("Closed-form detector for solid sub-pixel targets in multivariate t-distributed background
clutter", IGARSS). By a Gaussian, a pixel that lies nearer to the mean than the average one is best explained by a share of background below 1,
whatever the target; where tails are heavy most pixels lie so, and score above targets.

With a share c of background, v = z - u, d dimensions and n degrees of freedom, the likeliest c solves
d (u'u + n - 2) c^2 + (d - n) (u'v) c - n v'v = 0, the Gaussian's d c^2 - (u'v) c - v'v = 0 for n without bound. Both d and n are measured over the
scene. Since each band's variance counts in a likelihood, the covariance is as it is if nobody asks for shrinkage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.tasks.detection.target_detector import TargetDetector

LEAST = 1e-6
"""Least share of background: a pixel that is the target itself has a likelihood without bound."""


@dataclass(frozen=True)
class SubpixelMatchedFilter(TargetDetector):
    """(d + n) (ln(1 + z'z / (n - 2)) - ln(1 + |v + c u|^2 / c^2 / (n - 2))) - 2 d ln c, with the likeliest share of background c, 0 to 1."""

    name: ClassVar[str] = "spsmf"
    description: ClassVar[str] = "log-likelihood ratio of a target that replaces a part of the pixel"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters", "local")
    needs_tail: ClassVar[bool] = True
    shrinkage: float = 0.0

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        dimensions, heaviness = tail["dimensions"], tail["heaviness"]
        crossed = along - target  # u'v
        rest = (distance - 2 * along + target).clamp(min=0)  # v'v
        # The equation over n.
        linear, square = (1 - dimensions * heaviness) * crossed, dimensions * (1 + heaviness * (target - 2))
        share = ((linear + (linear**2 + 4 * square * rest).sqrt()) / (2 * square)).clamp(LEAST, 1.0)
        left = (rest + 2 * share * crossed + share**2 * target).clamp(min=0) / share**2  # |v + c u|^2 / c^2
        scale = heaviness / (1 - 2 * heaviness)
        return (dimensions + 1 / heaviness) * ((distance * scale).log1p() - (left * scale).log1p()) - 2 * dimensions * share.log()
