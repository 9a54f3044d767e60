"""What the numbers of a CF variable are: quantity, unit, missing values, the time, and flags of quality."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUANTITIES, Quality
from hsikit.sensors.cf_flags import CfFlags, cf_flags, in_order
from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.netcdf_variables import Variable, axes_in
from hsikit.sensors.radiance_units import radiance_factor

_STANDARD = {
    "surface_bidirectional_reflectance": "surface_reflectance",
    "toa_bidirectional_reflectance": "toa_reflectance",
    "toa_brightness_temperature": "brightness_temperature",
    "brightness_temperature": "brightness_temperature",
    "surface_ratio_of_upwelling_radiance_emerging_from_sea_water_to_downwelling_radiative_flux_in_air": "rrs",
}
_PER_SR = frozenset({"sr-1", "sr^-1", "1/sr", "sr**-1"})
_PERCENT = frozenset({"%", "percent", "per cent"})
_TOP = re.compile(r"toa|top[ _]of[ _](the[ _])?atmosphere|rhot|at[ _-]sensor", re.IGNORECASE)
_SINCE = re.compile(r"(second|minute|hour|day)s?\s+since\s+(\S.*)$", re.IGNORECASE)
_TIME_KEYS = ("acquired", "time_coverage_start", "start_time", "acquisition_time", "time_of_first_pixel")
DEFAULT_FILL = 9.969209968386869e36
"""What the NetCDF library puts where nothing was written in an array of real numbers without a `_FillValue`."""


def quantity_of(variable: Variable) -> tuple[str, float, str]:
    """(quantity, factor to its unit, notice) of a variable; ("", 1, notice) where the file does not tell."""
    stated, unit = variable.text("quantity"), variable.text("units")
    if stated in QUANTITIES:
        return stated, 1.0, ""
    percent = 0.01 if unit.lower() in _PERCENT else 1.0
    standard = _STANDARD.get(variable.text("standard_name"))
    if standard is not None:
        return standard, percent, ""
    factor = radiance_factor(unit)
    if factor is not None:
        return "radiance", factor, ""
    name = f"{variable.short} {variable.text('long_name').lower()}"
    if unit.lower() in _PER_SR or variable.short.startswith("rrs"):
        return "rrs", 1.0, ""
    if "brightness" in name and unit in ("K", "kelvin"):
        return "brightness_temperature", 1.0, ""
    if "reflectance" in name:
        if _TOP.search(name):
            return "toa_reflectance", percent, ""
        told = "surface" in name
        return "surface_reflectance", percent, "" if told else "its reflectance is taken as that of the surface (--quantity)"
    return "", 1.0, f"it does not say what its values are ({variable.name}, in {unit or 'no unit'}); they are taken as dn (--quantity)"


@dataclass(frozen=True, eq=False)
class Missing:
    """Which stored values are missing.

    Attributes:
        nodata: the one value that stands for all of them once read; None where there are none, or NaN does.
        others: further values.
        low: the smallest valid one.
        high: the largest valid one.
    """

    nodata: float | None
    others: tuple[float, ...] = ()
    low: float = -np.inf
    high: float = np.inf

    @property
    def plain(self) -> bool:
        """Whether `nodata` says it all."""
        return not self.others and self.low == -np.inf and self.high == np.inf

    def mark(self, values: NDArray[Any], nodata: float | None) -> NDArray[Any]:
        """A copy of stored values, with `nodata` (NaN where it is None) for all that are missing."""
        absent = np.isin(values, self.others) | (values < self.low) | (values > self.high)
        marked = values.copy()
        marked[absent] = np.nan if nodata is None else nodata
        return marked


def missing_of(variable: Variable, dtype: np.dtype[Any], scale: float, offset: float) -> Missing:
    """The missing values of a variable, by `_FillValue`, `missing_value` and `valid_range`, in stored numbers.

    Raises:
        SceneError: an attribute is no number.
    """
    fills = [float(number) for key in ("_FillValue", "missing_value") for number in _numbers(variable, key)]
    if dtype.kind == "f" and "_FillValue" not in variable.attrs:
        fills.append(float(dtype.type(DEFAULT_FILL)))
    low, high = _valid_range(variable, dtype, scale, offset)
    distinct = list(dict.fromkeys(_as_unsigned(fill, dtype) for fill in fills if not np.isnan(fill)))
    if dtype.kind == "f":
        return Missing(distinct[0] if distinct else None, tuple(distinct[1:]), low, high)
    limits = np.iinfo(dtype)
    held = [fill for fill in distinct if fill.is_integer() and limits.min <= fill <= limits.max]
    outside = [fill for fill in (np.floor(low) - 1, np.ceil(high) + 1) if limits.min <= fill <= limits.max]
    low, high = (low, high) if outside else (-np.inf, np.inf)
    nodata = next(iter([*held, *outside]), None)
    return Missing(None if nodata is None else float(nodata), tuple(held[1:]), low, high)


def _as_unsigned(fill: float, dtype: np.dtype[Any]) -> float:
    """A fill value of -1 in numbers that are meant as unsigned is their largest."""
    return fill + float(2 ** (8 * dtype.itemsize)) if dtype.kind == "u" and fill < 0 else fill


def _valid_range(variable: Variable, dtype: np.dtype[Any], scale: float, offset: float) -> tuple[float, float]:
    both = _numbers(variable, "valid_range")
    low, high = (float(both[0]), float(both[1])) if len(both) == 2 else (variable.number("valid_min", -np.inf), variable.number("valid_max", np.inf))
    told = next((variable.attrs[key] for key in ("valid_range", "valid_min", "valid_max") if key in variable.attrs), 0)
    if dtype.kind in "iu" and np.asarray(told).dtype.kind == "f" and (scale, offset) != (1.0, 0.0):
        low, high = sorted(((low - offset) / scale, (high - offset) / scale))  # limits of the type of physical values are physical
    return (low, high) if low < high else (-np.inf, np.inf)


def _numbers(variable: Variable, key: str) -> NDArray[np.float64]:
    if key not in variable.attrs:
        return np.zeros(0)
    try:
        return np.ravel(np.asarray(variable.attrs[key])).astype(np.float64)
    except (TypeError, ValueError):
        raise SceneError(variable.name, f"its attribute {key} is no number ({variable.attrs[key]!r})", "Repair the file") from None


def time_of(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, root: Mapping[str, Any]) -> str:
    """ISO 8601 time of acquisition, "" where the file has none: global attributes, or a `time` of a single value."""
    told = next((str(attrs[key]) for attrs in (image.attrs, root) for key in _TIME_KEYS if isinstance(attrs.get(key), str) and attrs[key]), "")
    if told:
        return told
    for variable in variables.values():
        match = _SINCE.match(variable.text("units"))
        single = variable.numeric and variable.shape in ((), (1,))
        if match is not None and single and "time" in (variable.short, variable.text("standard_name")):
            return _moment(float(file.numbers(variable.name)[0]), match[1].lower(), match[2])
    return ""


def _moment(number: float, unit: str, since: str) -> str:
    text = re.sub(r"\s*(UTC|Z)$", "", since.strip(), flags=re.IGNORECASE)
    try:
        origin = datetime.fromisoformat(text)
        found = (origin if origin.tzinfo else origin.replace(tzinfo=UTC)) + timedelta(**{f"{unit}s": number})
    except (ValueError, OverflowError):
        return ""
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quality_of(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, axes: tuple[int, int], flipped: bool) -> Quality | None:
    """The flags that 2-D variables with `flag_meanings` tell of an image's pixels; None where they tell none of ours."""
    found: list[tuple[Variable, bool, CfFlags]] = []
    for variable in variables.values():
        turned, flags = axes_in(variable, image, axes), cf_flags(variable.attrs, variable.dtype)
        if turned is not None and flags is not None and variable.name != image.name:
            found.append((variable, turned, flags))
    if not found:
        return None
    height = image.shape[axes[0]]

    def read(window: Window) -> NDArray[np.uint8]:
        rows, cols = window.slices()
        stored = slice(height - window.row_end, height - window.row) if flipped else rows
        out = np.zeros(window.shape, np.uint8)
        for variable, turned, flags in found:
            values = file.read(variable.name, (cols, stored) if turned else (stored, cols))
            out |= flags.bits(values.T if turned else values)
        return out[::-1] if flipped else out

    return Quality(in_order(flags for _, _, flags in found), read)
