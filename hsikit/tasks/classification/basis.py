"""What a classifier was trained on: sensor, bands, quantity. Checked against each scene before a pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsikit.errors import ModelError
from hsikit.scene import QUANTITIES, Bands, Floats, Indices, SceneInfo

WIDTH_SHARE = 0.25
"""A band fits when its centre is at most this share of the width away."""
DIGITS = 6
"""Decimals of a wavelength (nm) in a file: what follows them is noise of unit conversions."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The spectral axis and physical meaning of the numbers that a model knows.

    Attributes:
        sensor: the instrument's name, or "".
        quantity: a key of `hsikit.scene.QUANTITIES`.
        bands: the bands that the model reads, in its own order (ascending).
    """

    sensor: str
    quantity: str
    bands: Bands

    @classmethod
    def of(cls, info: SceneInfo) -> Basis:
        """The good bands of a scene."""
        return cls(info.sensor, info.quantity, info.bands.take(info.bands.used))

    def match(self, info: SceneInfo) -> Indices:
        """Positions of the model's bands in a scene.

        Raises:
            ModelError: another quantity or unit, a band that the scene lacks or has once for two of the model's, or too many that it marks as bad.
        """
        if info.quantity != self.quantity:
            wrong = f"its values are {info.quantity} ({info.units}); the model was trained on {self.quantity} ({QUANTITIES[self.quantity]})"
            raise ModelError(info.name, wrong, "Convert the scene, or train a model on scenes of its kind")
        if len(info.bands) == 0 or not np.isfinite(info.bands.wavelength).any():
            raise ModelError(info.name, "it has no wavelengths to compare with the model's", "Name them with --sensor or --wavelengths")
        distance = np.abs(info.bands.wavelength[None, :] - self.bands.wavelength[:, None])
        nearest = distance.argmin(1)
        away = distance[np.arange(len(nearest)), nearest]
        self._refuse_other_bands(info, away)
        self._refuse_shared_bands(info, nearest)
        bad = ~info.bands.good[nearest]
        if bad.sum() > len(nearest) / 10:
            raise ModelError(info.name, f"{int(bad.sum())} of the {len(nearest)} bands that the model reads are marked bad", "Train a model without them")
        return np.asarray(nearest, np.intp)

    def _refuse_other_bands(self, info: SceneInfo, away: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Raises where a band is farther than a quarter of its width."""
        far = np.flatnonzero(away > self.tolerance)
        if not len(far):
            return
        centre, ours = self.bands.wavelength, f" (sensor {self.sensor})" if self.sensor else ""
        wrong = (
            f"{len(far)} of the model's {len(centre)} bands{ours} have no counterpart within a quarter of their width; "
            f"the first is {centre[far[0]]:.1f} nm, and the scene's nearest is {away[far[0]]:.1f} nm away"
        )
        raise ModelError(info.name, wrong, "Use a model of the same sensor, or resample the scene to the model's bands")

    def _refuse_shared_bands(self, info: SceneInfo, nearest: np.ndarray[Any, np.dtype[np.intp]]) -> None:
        """Raises where two of the model's bands fall on one of the scene's."""
        found, count = np.unique(nearest, return_counts=True)
        if not (count > 1).any():
            return
        shared = found[count > 1][0]
        ours = ", ".join(f"{centre:.1f}" for centre in self.bands.wavelength[nearest == shared])
        wrong = f"several of the model's bands ({ours} nm) fall on one of its bands ({info.bands.wavelength[shared]:.1f} nm)"
        raise ModelError(info.name, wrong, "Use a model of the same sensor, or resample the scene to the model's bands")

    @property
    def tolerance(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """How far (nm) each band's centre may lie from the scene's: a quarter of its width, or of the spacing where the width is unknown."""
        centre = self.bands.wavelength
        spacing = np.gradient(centre) if len(centre) > 1 else np.full(len(centre), 10.0)
        width = np.where(np.isfinite(self.bands.fwhm), self.bands.fwhm, spacing)
        return np.asarray(WIDTH_SHARE * width, np.float64)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form, wavelengths to `DIGITS` of a nanometre; unknown widths are null."""
        widths = [round(float(w), DIGITS) if np.isfinite(w) else None for w in self.bands.fwhm]
        return {
            "sensor": self.sensor,
            "quantity": self.quantity,
            "units": QUANTITIES[self.quantity],
            "wavelength": _rounded(self.bands.wavelength),
            "fwhm": widths,
            "band_names": list(self.bands.names),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Basis:
        """The inverse of `to_json`.

        Raises:
            ValueError: numbers that do not fit together.
        """
        wavelength = np.array(facts["wavelength"], np.float64)
        fwhm = np.array([np.nan if w is None else w for w in facts["fwhm"]], np.float64)
        names = tuple(str(name) for name in facts["band_names"])
        if not len(wavelength) == len(fwhm) == len(names) > 0 or (np.diff(wavelength) <= 0).any():
            raise ValueError("wavelength, fwhm and band_names must be equally many, and wavelengths ascending")
        if facts["quantity"] not in QUANTITIES:
            raise ValueError(f"unknown quantity {facts['quantity']!r}")
        return cls(str(facts["sensor"]), str(facts["quantity"]), Bands(wavelength, fwhm, np.ones(len(wavelength), bool), names))


def _rounded(wavelength: Floats) -> list[float]:
    """Wavelengths as a file holds them; to the last bit where rounding would make two equal."""
    short = np.round(wavelength, DIGITS)
    return [float(centre) for centre in (short if (np.diff(short) > 0).all() else wavelength)]
