"""What a file says of its spectra, before it is interpreted; shared by every reader of libraries.

A reader fills `LibraryFacts` with stored numbers in the file's own order; `interpret` makes the `Library` that everybody sees:
channels ascending in nm, deleted ones NaN, reflectance as a fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import OptionError, SceneError
from hsikit.library import Library
from hsikit.scene import QUANTITIES
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.bands import interpret as interpret_bands

ABSURD = 1e30
"""USGS marks deleted channels by -1.23e34; resampling leaves neighbours of it. No instrument measures the like."""
UNLIKELY_REFLECTANCE = 10.0
"""A reflectance beyond this, of either sign, is a deleted channel that was averaged with its neighbours."""
BRIGHTEST = 1.5
"""Few surfaces reflect more than a white panel in any direction: a library brighter than this is not in fractions."""
SCALES = ((1.0, "a fraction"), (1e-2, "percent"), (1e-4, "a fraction x 10,000"))
REFLECTANCES = ("surface_reflectance", "toa_reflectance")


@dataclass(frozen=True)
class LibraryOptions:
    """What the user names on opening; each wins over what the file says.

    Attributes:
        scale: factor from stored to physical values.
        quantity: a key of `QUANTITIES`.
        wavelengths: a CSV file, or channels in nm.
        sensor: a name of `list_sensors()`, whose channels serve where the file has none.
        variable: which array of a container with several.
    """

    scale: float | None = None
    quantity: str | None = None
    wavelengths: str | Path | ArrayLike | None = None
    sensor: str | None = None
    variable: str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise OptionError("scale", f"{self.scale} is no factor", "Give a positive number, such as 0.01 for percent")
        if self.quantity is not None and self.quantity not in QUANTITIES:
            raise OptionError("quantity", f"{self.quantity!r} is not known", f"Known are {', '.join(QUANTITIES)}")


@dataclass
class LibraryFacts:
    """A file's own statements.

    Attributes:
        name: the path as the user gave it.
        spectra: stored numbers, shape (n, C).
        wavelength: channels, as numbers or text; None where the file has none.
        unit: of channels and widths, as the file spells it.
        fwhm: widths, or None.
        names: n of them.
        metadata: column -> n entries.
        scale: factor that the file states; None where it is silent.
        nodata: what it says deleted channels hold.
        quantity: a key of `QUANTITIES`.
        notices: for the user.
    """

    name: str
    spectra: NDArray[np.float64]
    wavelength: Sequence[Any] | None
    unit: str = ""
    fwhm: Sequence[Any] | None = None
    names: Sequence[str] = ()
    metadata: dict[str, list[str]] = field(default_factory=dict)
    scale: float | None = None
    nodata: float | None = None
    quantity: str = "surface_reflectance"
    notices: list[str] = field(default_factory=list)


def interpret(facts: LibraryFacts, options: LibraryOptions) -> Library:
    """The library that a file holds, under what the user says.

    Raises:
        SceneError: no spectrum.
        WavelengthError: no usable wavelengths.
    """
    n, channels = facts.spectra.shape
    if not n or not channels:
        raise SceneError(facts.name, f"holds {n} spectra of {channels} channels")
    claims = BandClaims(channels, facts.wavelength, facts.unit, facts.fwhm)
    axis = interpret_bands(facts.name, claims, options.sensor, options.wavelengths)
    notices = [*facts.notices, *axis.notices]
    quantity = options.quantity or facts.quantity
    values = _without_deleted(facts.spectra[:, axis.order], facts.nodata)
    values *= _scale(values, facts, options.scale, quantity, notices)
    if quantity in REFLECTANCES:
        values[np.abs(values) > UNLIKELY_REFLECTANCE] = np.nan
    return Library(
        spectra=values.astype(np.float32),
        wavelength=axis.bands.wavelength,
        fwhm=axis.bands.fwhm,
        names=tuple(" ".join(str(name).split()) for name in facts.names),
        metadata={key: tuple(column) for key, column in facts.metadata.items() if any(column)},
        source=facts.name,
        quantity=quantity,
        notices=tuple(notices),
    )


def _without_deleted(stored: NDArray[np.float64], nodata: float | None) -> NDArray[np.float64]:
    values = np.array(stored, np.float64)
    with np.errstate(invalid="ignore"):
        deleted = ~(np.abs(values) < ABSURD)
    if nodata is not None and np.isfinite(nodata):
        deleted |= np.isclose(values, nodata, rtol=1e-6, atol=0)
    values[deleted] = np.nan
    return values


def _scale(values: NDArray[np.float64], facts: LibraryFacts, told: float | None, quantity: str, notices: list[str]) -> float:
    """The user's factor, else the file's, else one that makes reflectances fractions."""
    if told is not None:
        return told
    if facts.scale is not None:
        return facts.scale
    present = values[values > 0]  # deleted channels, and what was averaged with them, are negative
    if quantity not in REFLECTANCES or not present.size:
        return 1.0
    brightest = float(np.percentile(present, 98))
    for factor, what in SCALES:
        if brightest * factor <= BRIGHTEST:
            if factor != 1.0:
                notices.append(f"its reflectances, up to {brightest:.4g}, are taken as {what}")
            return factor
    raise SceneError(facts.name, f"its values, up to {brightest:.4g}, are no reflectances", "Name their quantity (radiance, dn) or their scale")
