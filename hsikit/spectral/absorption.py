"""What a gas takes from the light: tables of radiance against its column, and a sensor's unit absorption out of them.

The unit absorption is the slope of the logarithm of a band's radiance over the column (1/(ppm m), negative), by least squares with an
intercept over the columns of the table, after the table is brought to the sensor's bands (Foote et al., 2020, doi:10.1109/TGRS.2020.2976888).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Floats = NDArray[np.float64]
GEOMETRY = ("sun_zenith", "view_zenith", "water")
"""Axes that a table may have: degrees from the vertical, and centimetres of precipitable water."""
LEAST_COVERAGE = 0.8
OPTIONS = {"sun_zenith": "--sun-zenith", "view_zenith": "--view-zenith", "water": "--water"}


@dataclass(frozen=True, eq=False)
class AbsorptionTable:
    """Radiance, or transmittance, of a cloudless atmosphere with more and more of a gas.

    Attributes:
        radiance: above 0, in any unit, shape (S, V, H, K, M); S, V and H are 1 where the table has no such axis.
        wavelength: nm, ascending, shape (M,).
        concentration: columns of the gas (ppm m), ascending, shape (K,), two or more.
        axes: for each of `GEOMETRY`, its values, ascending; a single NaN where the table has no such axis.
        source: the file, for messages.

    Raises:
        OptionError: shapes that do not fit, axes that do not ascend, radiance that is not above 0.
    """

    radiance: Floats
    wavelength: Floats
    concentration: Floats
    axes: dict[str, Floats]
    source: str = "the absorption table"

    def __post_init__(self) -> None:
        sizes = (*(len(self.axes[name]) for name in GEOMETRY), len(self.concentration), len(self.wavelength))
        if self.radiance.shape != sizes:
            raise OptionError(self.source, f"radiance of shape {self.radiance.shape} for axes of {sizes}", "See docs/gas.md for its form")
        for name, axis in (("wavelength", self.wavelength), ("concentration", self.concentration), *self.axes.items()):
            if not (len(axis) == 1 and name in GEOMETRY) and (not np.isfinite(axis).all() or (np.diff(axis) <= 0).any()):
                raise OptionError(self.source, f"its {name} does not ascend", "Sort it")
        if len(self.concentration) < 2 or len(self.wavelength) < 2:
            raise OptionError(self.source, "it has fewer than two concentrations or wavelengths", "Give radiance for several of them")
        if not np.isfinite(self.radiance).all() or (self.radiance <= 0).any():
            raise OptionError(self.source, "its radiance is not above 0 everywhere", "Leave such wavelengths out")

    def needs(self) -> tuple[str, ...]:
        """The geometry that must be known."""
        return tuple(name for name in GEOMETRY if len(self.axes[name]) > 1)

    def at(self, where: dict[str, float]) -> Floats:
        """Radiance at a geometry, linear between the table's values, shape (K, M).

        Args:
            where: a value for each of `needs()`.

        Raises:
            OptionError: one is missing, or lies outside the table.
        """
        found = self.radiance
        for name in GEOMETRY:
            found = self._along(found, name, where.get(name))
        return found

    def _along(self, values: Floats, name: str, place: float | None) -> Floats:
        """Values of one axis less, the first one."""
        axis = self.axes[name]
        if len(axis) == 1:
            return np.asarray(values[0], np.float64)
        words = name.replace("_", " ")
        if place is None:
            raise OptionError(self.source, f"it is a table by {words}, which the scene does not tell", f"Give {OPTIONS[name]}")
        if not axis[0] <= place <= axis[-1]:
            raise OptionError(self.source, f"it reaches from {axis[0]:g} to {axis[-1]:g} of {words}, and the scene has {place:g}", "Give a wider table")
        after = min(max(int(np.searchsorted(axis, place)), 1), len(axis) - 1)
        share = (place - axis[after - 1]) / (axis[after] - axis[after - 1])
        return np.asarray((1 - share) * values[after - 1] + share * values[after], np.float64)

    def unit_absorption(self, centres: Floats, fwhm: Floats, where: dict[str, float]) -> Floats:
        """Unit absorption of a sensor's bands.

        Args:
            centres: nm, shape (D,).
            fwhm: nm, shape (D,).
            where: as for `at`.

        Returns:
            1/(ppm m), shape (D,): negative where the gas absorbs.

        Raises:
            OptionError: as `at`, or bands beyond the table.
        """
        from hsikit.spectral.resample import gaussian_resampling

        spacing = np.gradient(self.wavelength)
        means = gaussian_resampling(self.wavelength, spacing, centres, fwhm)
        if (means.coverage < LEAST_COVERAGE).any():
            low, high = self.wavelength[[0, -1]]
            raise OptionError(self.source, f"it reaches from {low:g} to {high:g} nm, and bands at {centres[means.coverage < LEAST_COVERAGE][0]:g} nm are used",
                              "Give a wider table, or a --window within it")  # fmt: skip
        bands = np.log(self.at(where) @ np.asarray(means.weights.todense(), np.float64).T)
        columns = self.concentration - self.concentration.mean()
        return np.asarray(columns @ bands / (columns @ columns), np.float64)
