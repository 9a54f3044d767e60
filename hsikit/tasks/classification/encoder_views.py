"""What an encoder is given of a scene: its standardised bands, or the model's bands as those of another sensor speak for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.nn.body import BandFacts
from hsikit.scene import Bands, SceneInfo
from hsikit.spectral.band_estimate import band_estimate
from hsikit.spectral.sensor_change import SensorChange
from hsikit.tasks.band_scale import BandScale, band_facts
from hsikit.tasks.classification.seen_bands import SeenBands

Taken = tuple[Callable[[Tensor], Tensor], BandFacts]
"""What makes (C, ...) of a scene's values (D, ...), and the facts of those C bands."""


@dataclass(frozen=True, eq=False)
class OwnBands:
    """A scene that has the model's bands."""

    bands: Bands

    @property
    def count(self) -> int:
        """Numbers of a pixel that stand in memory at once."""
        return len(self.bands)

    def taken(self, scale: BandScale) -> Taken:
        """For a scene of these statistics."""
        return scale.standardised, band_facts(self.bands, scale)


@dataclass(frozen=True, eq=False)
class EstimatedBands:
    """A scene of another sensor.

    Attributes:
        bands: the model's, C of them.
        change: to the D bands of the scene that are read.
        mean: of the training scenes, shape (C,).
        covariance: of their single pixels, shape (C, C).
    """

    bands: Bands
    change: SensorChange
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    _found: dict[bytes, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @property
    def count(self) -> int:
        """Numbers of a pixel that stand in memory at once; float64 counts twice."""
        return 3 * len(self.bands) + 3 * len(self.change.used)

    def taken(self, scale: BandScale) -> Taken:
        """For a scene of these statistics."""
        varies = scale.varies.cpu().numpy()
        if (key := varies.tobytes()) not in self._found:
            self._found[key] = band_estimate(self.change, self.mean, self.covariance, varies)
        estimate = torch.from_numpy(self._found[key]).to(scale.mean.device)

        def standardised(values: Tensor) -> Tensor:
            # In float64: narrow bands are differences of large numbers.
            return torch.einsum("cd,d...->c...", estimate, scale.standardised(values).double()).float()

        known = torch.from_numpy(np.diag(self.covariance) > 0)
        facts = BandFacts(torch.from_numpy(self.bands.wavelength.copy()), torch.from_numpy(self.bands.fwhm.copy()), known)
        return standardised, facts.on(scale.mean.device)


def view_of(basis: SeenBands, arrays: Mapping[str, NDArray[Any]], info: SceneInfo) -> OwnBands | EstimatedBands:
    """What an encoder is given of a scene.

    Raises:
        ModelError: another quantity, or the scene sees too little of the model's range.
    """
    index = basis.match(info)
    if basis.own(info) is not None:
        return OwnBands(info.bands.take(index))
    mean, covariance = (arrays[name].astype(np.float64) for name in ("scene_mean", "scene_covariance"))
    return EstimatedBands(basis.bands, basis.change_to(info), mean, covariance)
