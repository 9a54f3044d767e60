"""The bands of a model that takes any sensor: what a scene's sensor sees of them, said in words, and refused below a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hsikit.errors import ModelError
from hsikit.scene import Bands, Indices, SceneInfo
from hsikit.spectral.sensor_change import SensorChange, sensor_change
from hsikit.tasks.classification.basis import Basis

LEAST_SEEN, LEAST_BANDS = 0.15, 3
"""The least share of the model's bands that a scene's sensor must see, and the fewest bands."""

RANGES: Mapping[str, tuple[float, float]] = {
    "visible": (0.0, 700.0),
    "near infrared": (700.0, 1000.0),
    "short-wave infrared up to 1800 nm": (1000.0, 1800.0),
    "beyond": (1800.0, np.inf),
}
"""Ranges (nm) whose coverage is told."""


@dataclass(frozen=True, eq=False)
class SeenBands(Basis):
    """A basis that other sensors match, too: by those of their good bands that lie where the model's do, where these see enough of them."""

    def own(self, info: SceneInfo) -> Indices | None:
        """Positions of the model's very bands in a scene; None where it lacks some."""
        try:
            return Basis.match(self, info)
        except ModelError:
            return None

    def match(self, info: SceneInfo) -> Indices:
        """Positions of the bands that are read: the model's, or those of another sensor, D of them.

        Raises:
            ModelError: another quantity or no wavelengths; or a sensor that sees too little of the model's range.
        """
        found = self.own(info)
        if found is not None:
            return found
        used = info.bands.used
        if info.quantity != self.quantity or not len(used) or not info.bands.take(used).spectral:
            return super().match(info)  # says what is wrong
        change = self.change_to(info)
        if len(change.used) < LEAST_BANDS or change.seen.mean() < LEAST_SEEN:
            wrong = (
                f"{len(change.used)} of its {len(used)} good bands lie where the model's do, and see {change.seen.mean():.0%} of the range that "
                f"the model was trained on ({told_ranges(self.bands, change.seen)})"
            )
            raise ModelError(info.name, wrong, f"Use a model of a like sensor: at least {LEAST_BANDS} bands and {LEAST_SEEN:.0%} are needed")
        return np.asarray(used[change.used], np.intp)

    def change_to(self, info: SceneInfo) -> SensorChange:
        """From the model's bands to the good ones of a scene."""
        other = info.bands.take(info.bands.used)
        return sensor_change(self.bands.wavelength, self.bands.fwhm, other.wavelength, other.fwhm)

    def notice(self, info: SceneInfo) -> str:
        """How a scene of another sensor is mapped and what it sees; "" for the model's own."""
        if self.own(info) is not None:
            return ""
        change, trained = self.change_to(info), f" ({self.sensor})" if self.sensor else ""
        return (
            f"{info.name} has not the bands of the model{trained}: these are estimated from {len(change.used)} of its {len(info.bands.used)} good bands, "
            f"which see {change.seen.mean():.0%} of the model's range ({told_ranges(self.bands, change.seen)}); "
            "the confidence is not calibrated for this sensor"
        )


def told_ranges(bands: Bands, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """The share that is seen of each range that the model knows, in words."""
    parts = {name: seen[(bands.wavelength >= first) & (bands.wavelength < last)] for name, (first, last) in RANGES.items()}
    return ", ".join(f"{name} {part.mean():.0%}" for name, part in parts.items() if len(part))
