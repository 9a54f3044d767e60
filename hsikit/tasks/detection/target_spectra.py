"""Spectra to look for, as a scene's sensor would measure them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.scene import QUANTITIES, Indices, SceneInfo

LEAST_COVERAGE = 0.8
"""A band of the scene is used where at least this share of its response lies where the target was measured."""
LEAST_BANDS = 3


@dataclass(frozen=True, eq=False)
class TargetSpectra:
    """One or several spectra to look for.

    Attributes:
        names: one for each.
        values: shape (T, M), in the unit of `quantity`; NaN where unknown.
        wavelength: nm, ascending, shape (M,).
        fwhm: nm, NaN where unknown, shape (M,).
        quantity: a key of `QUANTITIES`.
        source: where they come from, for messages.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    wavelength: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    quantity: str
    source: str = "the target"

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.names), len(self.wavelength)) or not len(self.names):
            raise OptionError(self.source, f"{len(self.names)} names for values of shape {self.values.shape}", "Give one spectrum for each name")

    def seen_by(self, info: SceneInfo) -> tuple[Indices, NDArray[np.float64]]:
        """The targets as a scene's sensor measures them.

        Returns:
            Positions of the good bands that all targets answer for, D of them, and the targets there, shape (T, D).

        Raises:
            OptionError: another quantity than the scene's, or too few bands that the targets answer for.
        """
        from hsikit.spectral.resample import gaussian_resampling

        if self.quantity != info.quantity:
            wrong = f"holds {self.quantity} ({QUANTITIES[self.quantity]}), and {info.name} is {info.quantity} ({info.units})"
            raise OptionError(self.source, wrong, "Give a target in the scene's quantity, or pixels of the scene itself")
        used = info.bands.used
        bands = info.bands.take(used)
        known = np.isfinite(self.values).all(axis=0)
        if not bands.spectral or known.sum() < LEAST_BANDS:
            raise OptionError(self.source, f"cannot be compared with {info.name}: one of them has no wavelengths, or next to no values")
        found = gaussian_resampling(self.wavelength[known], self.fwhm[known], bands.wavelength, bands.fwhm)
        enough = found.coverage >= LEAST_COVERAGE
        if enough.sum() < LEAST_BANDS:
            reach = f"{self.wavelength[known][0]:.0f} to {self.wavelength[known][-1]:.0f} nm"
            raise OptionError(
                self.source, f"is known from {reach}, where {info.name} has {int(enough.sum())} good bands", "Give a target of the sensor's range"
            )
        weights = np.asarray(found.weights.todense(), np.float64)[enough]
        return used[enough], self.values[:, known] @ weights.T
