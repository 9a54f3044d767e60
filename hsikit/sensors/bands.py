"""The spectral axis of any file: what it claims, interpreted by one set of rules.

Band centres come from the user (`wavelengths`), else from the file, else from a sensor's table. They are converted to nm and
sorted; the reader permutes bands accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.scene import Bands, Booleans, Floats, Handled, Indices
from hsikit.sensors.catalogue import BandTable, known_sensor, read_band_table, sensor_bands
from hsikit.sensors.units import ADVICE, parse_numbers, to_nanometres
from hsikit.sensors.water_vapour import Ranges, outside

TIE_NM = 1e-3
DEFAULT_PAN = (400.0, 700.0)


@dataclass
class BandClaims:
    """What a file says of its bands, in its own order; None where it is silent.

    Attributes:
        count: how many there are.
        wavelength: centres, as numbers or text.
        unit: of centres and widths, as the file spells it.
        fwhm: widths.
        good: the bad band list: 0 for bad.
        names: band names.
        sensor: the instrument as the file names it.
        spectral: False for layers that are no bands of a spectrum (angles, masks): they keep their order, and have no wavelengths.
        absorbed: ranges (nm) where water vapour takes the light: bands there are bad too, unless the user's table says which are good.
    """

    count: int
    wavelength: Sequence[Any] | None = None
    unit: str = ""
    fwhm: Sequence[Any] | None = None
    good: Sequence[Any] | None = None
    names: Sequence[str] | None = None
    sensor: str = ""
    spectral: bool = True
    absorbed: Ranges = ()


@dataclass(frozen=True)
class Interpretation:
    """Bands in ascending order, the file position of each, and what to tell the user."""

    bands: Bands
    order: Indices
    sensor: str = ""
    notices: list[str] = field(default_factory=list)


def interpret(
    name: str,
    claims: BandClaims,
    sensor: str | None = None,
    wavelengths: str | Path | ArrayLike | None = None,
    role: str = "cube",
    pan_range: tuple[float, float] | None = None,
) -> Interpretation:
    """The spectral axis of a file.

    Args:
        name: the file, for messages.
        claims: what it says.
        sensor: a name of `list_sensors()`.
        wavelengths: a CSV file, or centres in nm.
        role: "pan" allows a single band without wavelengths, "layer" any bands without.
        pan_range: response of a pan band (nm).

    Raises:
        WavelengthError: centres are missing, of another number than the bands, in words, or implausible.
        OptionError: an unknown sensor, or a pan range that is none.
    """
    known = known_sensor(sensor) if sensor is not None else known_sensor(claims.sensor, strict=False)
    if role == "pan" and claims.count != 1:
        raise SceneError(name, f"has {claims.count} bands, and a panchromatic input has one", "Give the scene with many bands as the first input")
    if pan_range is not None and role != "pan":
        raise OptionError("pan_range", "only a panchromatic input has one")
    if role == "pan" and (pan_range is not None or (claims.wavelength is None and wavelengths is None)):
        return _pan(claims, pan_range, known)
    layers = not claims.spectral or (role == "layer" and claims.wavelength is None)
    if layers and wavelengths is None and sensor is None:
        return _layers(claims, known)
    notices: list[str] = []
    table = _choose(name, claims, sensor, wavelengths, notices)
    if len(table.wavelength) != claims.count:
        raise WavelengthError(name, f"has {claims.count} bands, but {table.origin} {len(table.wavelength)} wavelengths", ADVICE)
    order = np.argsort(table.wavelength, kind="stable").astype(np.intp)
    if not np.array_equal(order, np.arange(claims.count)):
        notices.append(Handled("bands were not in order of wavelength; they are sorted"))
    names = table.names or _names(claims, table.wavelength)
    bands = Bands(_part_ties(table.wavelength[order]), table.fwhm[order], _good(claims, table, notices)[order], tuple(names[i] for i in order))
    return Interpretation(bands, order, known, notices)


def _choose(name: str, claims: BandClaims, sensor: str | None, wavelengths: str | Path | ArrayLike | None, notices: list[str]) -> BandTable:
    if wavelengths is not None:
        return _named(wavelengths)
    if claims.wavelength is not None:
        try:
            return _claimed(name, claims, notices)
        except WavelengthError as error:
            if sensor is None:
                raise
            notices.append(f"{error.wrong}; the centres of {sensor} are used")
    if sensor is not None:
        table = sensor_bands(sensor)
        if len(table.wavelength) != claims.count:
            raise WavelengthError(
                name, f"has {claims.count} bands, and sensor {sensor} has {len(table.wavelength)}", "Give --wavelengths FILE.csv with one row per band"
            )
        return table
    raise WavelengthError(name, "no wavelengths", ADVICE)


def _named(wavelengths: str | Path | ArrayLike) -> BandTable:
    """The user's own centres: a CSV file, or numbers in nm."""
    if isinstance(wavelengths, (str, Path)):
        return read_band_table(Path(wavelengths))
    values = np.asarray(wavelengths)
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise WavelengthError("wavelengths", "is neither a CSV file nor a row of numbers in nm")
    centres, _, _ = to_nanometres("wavelengths", values.astype(float), "nm")
    return BandTable(centres, np.full(len(centres), np.nan), origin="you named")


def _claimed(name: str, claims: BandClaims, notices: list[str]) -> BandTable:
    """The file's own centres and widths."""
    values = parse_numbers(name, () if claims.wavelength is None else claims.wavelength)
    if len(values) != claims.count:
        raise WavelengthError(name, f"has {claims.count} bands, but names {len(values)} wavelengths", ADVICE)
    centres, factor, notice = to_nanometres(name, values, claims.unit)
    if notice:
        notices.append(notice)
    return BandTable(centres, _widths(claims, centres, factor, notices), origin="names")


def _widths(claims: BandClaims, centres: Floats, factor: float, notices: list[str]) -> Floats:
    unknown = np.full(claims.count, np.nan)
    if claims.fwhm is None:
        return unknown
    try:
        widths = parse_numbers("", claims.fwhm, "widths") * factor
    except WavelengthError:
        notices.append("band widths are no numbers; they count as unknown")
        return unknown
    if len(widths) != claims.count:
        notices.append(f"{len(widths)} band widths for {claims.count} bands; they count as unknown")
        return unknown
    sane = np.isfinite(widths) & (widths > 0) & (widths < centres)
    if not sane.all():
        notices.append(f"{int((~sane).sum())} band widths are implausible; they count as unknown")
    return np.where(sane, widths, np.nan)


def _good(claims: BandClaims, table: BandTable, notices: list[str]) -> Booleans:
    """The user's flags; else the file's, less what is absorbed."""
    if table.good is not None:
        return table.good
    return outside(table.wavelength, claims.absorbed, _listed(claims, notices), notices)


def _listed(claims: BandClaims, notices: list[str]) -> Booleans:
    """The bad band list; all good where there is none, or none that can be used."""
    good = np.ones(claims.count, bool)
    if claims.good is None:
        return good
    try:
        flags = parse_numbers("", [{"true": 1, "false": 0}.get(str(flag).strip().lower(), flag) for flag in claims.good], "bad band list")
    except WavelengthError:
        flags = np.zeros(0)
    if len(flags) != claims.count:
        notices.append(f"the bad band list does not fit the {claims.count} bands; it is not used")
        return good
    if not flags.any():
        notices.append("the bad band list names every band; it is not used")
        return good
    return np.asarray(flags != 0)


def _names(claims: BandClaims, centres: Floats) -> tuple[str, ...]:
    if claims.names is not None and len(claims.names) == claims.count and all(claims.names):
        return tuple(claims.names)
    return tuple(f"{centre:.2f} nm" for centre in centres)


def _part_ties(ascending: Floats) -> Floats:
    """Strictly ascending centres: each tie moves up by 1e-3 nm."""
    parted = ascending.copy()
    for i in range(1, len(parted)):
        if parted[i] <= parted[i - 1]:
            parted[i] = parted[i - 1] + TIE_NM
    return parted


def _layers(claims: BandClaims, sensor: str) -> Interpretation:
    """Layers without wavelengths, in the file's order."""
    names = tuple(claims.names or (f"layer {number}" for number in range(1, claims.count + 1)))
    unknown = np.full(claims.count, np.nan)
    return Interpretation(Bands(unknown, unknown.copy(), np.ones(claims.count, bool), names), np.arange(claims.count), sensor)


def _pan(claims: BandClaims, pan_range: tuple[float, float] | None, sensor: str) -> Interpretation:
    notices = []
    if pan_range is None:
        notices.append(f"a panchromatic input without a range of wavelengths: {DEFAULT_PAN[0]:g} to {DEFAULT_PAN[1]:g} nm is assumed (--pan-range)")
    low, high = (float(limit) for limit in (pan_range or DEFAULT_PAN))
    if not 100 <= low < high <= 30_000:
        raise OptionError("--pan-range", f"{low:g} to {high:g} is no range of wavelengths in nm", "Give the shortest, then the longest, such as 450 700")
    names = tuple(claims.names) if claims.names and all(claims.names) else ("pan",)
    bands = Bands(np.array([(low + high) / 2]), np.array([high - low]), np.ones(1, bool), names)
    return Interpretation(bands, np.zeros(1, np.intp), sensor, notices)
