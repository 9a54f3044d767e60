"""Principal components: directions along the spectrum in which a scene varies most.

Pearson, 1901 (doi:10.1080/14786440109462720). The covariance is that of all valid pixels, over n - 1, in float64; signs are such that
each component's largest weight is positive, so that two runs, and two scenes that are alike, give the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hsikit.errors import SceneError
from hsikit.method import Halo, Partial, Tile
from hsikit.tasks.detection.background import scene_moments, temporary_bytes
from hsikit.tasks.transformation.base import ComponentMethod, Components, Floats, positive_largest


@dataclass(frozen=True)
class Pca(ComponentMethod):
    """Principal components.

    Attributes:
        components: how many are written; None: 20, or all of fewer bands.
        standardise: whether each band is divided by its deviation first, so that dark bands count as much as bright ones.

    Raises:
        OptionError: a number of components below 1.
    """

    name: ClassVar[str] = "pca"
    strength: ClassVar[str] = "variance"
    unit: ClassVar[str] = ""

    standardise: bool = False

    @property
    def halo(self) -> Halo:
        """None."""
        return 0, 0

    def gather(self, tile: Tile) -> Partial | None:
        """See `ComponentMethod`."""
        return scene_moments(tile.inner("cube"), tile.inner_valid("cube"))

    def solve(self, found: Mapping[str, Floats], scene: str) -> Components:
        """See `ComponentMethod`; strengths are the components' variances.

        Raises:
            SceneError: fewer than two valid pixels.
        """
        count = float(found["count"])
        if count < 2:
            raise SceneError(scene, f"{count:.0f} valid pixel is too little for a covariance", "Check its nodata value and its mask")
        covariance = found["scatter"] / (count - 1)
        deviation = np.sqrt(covariance.diagonal())
        # A constant band has no direction of its own, whatever it is divided by.
        scale = np.where(deviation > 0, deviation, 1.0) if self.standardise else np.ones(len(deviation))
        variances, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        return Components(found["mean"], positive_largest(vectors[:, ::-1]) / scale[:, None], np.maximum(variances[::-1], 0.0))

    def gather_bytes(self, bands: int, tile: tuple[int, int]) -> int:
        """See `ComponentMethod`."""
        return temporary_bytes(bands, tile[1])

    def options(self) -> dict[str, Any]:
        """See `ComponentMethod`."""
        return {"standardise": self.standardise}
