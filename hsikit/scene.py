"""A scene as the engine sees it: facts known before a pixel is read (`SceneInfo`), and windowed reads (`Source`).

Nothing here imports xarray, torch or GDAL, so that `hsikit info` answers at once. `cube.py` wraps a `Source` as the lazy
xarray cube that analysts hold; the engine reads the `Source` directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath

DECODED_AT_ONCE = 2**18
"""Numbers that are decoded in one go: what a processor's cache holds, and no large temporary array."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Rgba = tuple[int, int, int, int]
Indices = NDArray[np.intp]
Convert = Callable[[NDArray[Any], NDArray[np.float32]], None]
"""Writes integers of up to 16 bits into float32, exactly."""

QUANTITIES: dict[str, str] = {
    "radiance": "W m-2 sr-1 um-1",
    "toa_reflectance": "1",
    "surface_reflectance": "1",
    "rrs": "sr-1",
    "brightness_temperature": "K",
    "dn": "1",
}
"""What a pixel value can be, each with its one unit."""
QUALITY_FLAGS: dict[str, int] = {
    "cloud": 1, "shadow": 2, "cirrus": 4, "haze": 8, "snow": 16, "water": 32, "saturated": 64, "no-data": 128,
}  # fmt: skip
"""What a product may say of a pixel's quality, in one vocabulary for all sensors, each with its bit."""


class Handled(str):
    """A notice of something usual that the reader has taken care of, and that leaves nothing to doubt; any other notice is a doubt."""


class PlaceDoubt(str):
    """A notice that a product says in two ways where it lies, and that they differ."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The spectral axis, in ascending order of wavelength.

    Attributes:
        wavelength: band centres (nm), strictly ascending, shape (C,). NaN throughout for a panchromatic input without any, and for
            layers that are no bands of a spectrum (angles, masks), which are told apart by their names.
        fwhm: full widths at half maximum (nm), shape (C,); NaN where unknown.
        good: False for bands that should not be used (water vapour, constant, all fill), shape (C,).
        names: the product's own band names, C of them.
    """

    wavelength: Floats
    fwhm: Floats
    good: Booleans
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.wavelength)

    def take(self, index: Indices) -> Bands:
        """The bands at these positions."""
        return Bands(self.wavelength[index], self.fwhm[index], self.good[index], tuple(self.names[i] for i in index))

    @property
    def spectral(self) -> bool:
        """Whether the bands have wavelengths."""
        return bool(np.isfinite(self.wavelength).all())

    @property
    def used(self) -> Indices:
        """Positions of the good bands."""
        return np.flatnonzero(self.good)


@dataclass(frozen=True)
class Codes:
    """What the whole numbers of a map mean, where they are codes and no measurements.

    Attributes:
        classes: the legend as JSON, as hsikit keeps it in the tag `classes`; "" where the file has none.
        colours: (red, green, blue, alpha; 0 to 255) of each code in the file's colour table; empty where it has none.
    """

    classes: str = ""
    colours: Mapping[int, Rgba] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Quality:
    """What a product says of each pixel's quality.

    Attributes:
        flags: the keys of `QUALITY_FLAGS` that this product can tell.
        read: the flags of a window, read when asked for: uint8 of shape (rows, cols), the sum of the bits that hold; may be
            called by several threads at once.
    """

    flags: tuple[str, ...]
    read: Callable[[Window], NDArray[np.uint8]]

    def crop(self, window: Window) -> Quality:
        """The quality of a window's pixels alone."""
        return Quality(self.flags, lambda part: self.read(Window(part.row + window.row, part.col + window.col, *part.shape)))


@dataclass(frozen=True, eq=False)
class SceneInfo:
    """Everything known of a scene before a pixel is read.

    Attributes:
        name: the path as the user gave it; what error messages name.
        grid: shape, transform, CRS.
        bands: the spectral axis.
        dtype: NumPy name of the stored type ("int16", ...).
        driver: the reader's name ("envi", "geotiff", ...).
        sensor: name of the instrument (a key of `hsikit sensors`), or "" where unknown.
        quantity: a key of `QUANTITIES`.
        acquired: ISO 8601 time of acquisition, or "".
        identity: JSON-able facts that tell whether the input is still the same (path, size, time of each file).
        nodata: the stored fill value, or None.
        notices: what the reader found worth telling the user, one sentence each; a `Handled`, a `PlaceDoubt`, or any other doubt.
        attrs: further metadata of the product, as text.
        swath: where the pixels lie, for a scene on the sensor's own grid, whose `grid` has then no georeference; else None.
        quality: what the product says of each pixel's quality; None where it says nothing.
        codes: what the numbers mean that are codes of a map and no measurements; None for a scene.
    """

    name: str
    grid: Grid
    bands: Bands
    dtype: str
    driver: str
    sensor: str = ""
    quantity: str = "dn"
    acquired: str = ""
    identity: tuple[Any, ...] = ()
    nodata: float | None = None
    notices: tuple[str, ...] = ()
    attrs: Mapping[str, str] = field(default_factory=dict)
    swath: Swath | None = None
    quality: Quality | None = None
    codes: Codes | None = None

    @property
    def cloud_cover(self) -> float | None:
        """Percent of the scene under clouds, as its metadata says (`attrs["cloud_cover"]`); None where it says no such number."""
        try:
            percent = float(self.attrs.get("cloud_cover", "nan"))
        except ValueError:
            return None
        return percent if 0 <= percent <= 100 else None

    @property
    def units(self) -> str:
        """Unit of the pixel values."""
        return QUANTITIES[self.quantity]

    def with_(self, **changes: Any) -> SceneInfo:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Decoding:
    """How stored numbers become physical ones: `value * scale + offset`, and NaN where `value == nodata`.

    Attributes:
        scale: one number, or one for each band that was read, shape (C,).
        offset: the same.
        nodata: the stored fill value; None where there is none. NaN and infinity in float data are always missing.
    """

    scale: float | Floats = 1.0
    offset: float | Floats = 0.0
    nodata: float | None = None

    def apply(self, values: NDArray[Any], out: NDArray[np.float32], bands: slice, convert: Convert | None = None) -> bool:
        """Writes physical values of some of the bands into `out`; returns whether anything is missing."""
        scale, offset = (factor if isinstance(factor, float) else factor[bands] for factor in (self.scale, self.offset))
        unit = isinstance(scale, float) and scale == 1.0
        if convert is not None and values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            convert(values, out)
            if not unit:
                np.multiply(out, _per_band(scale, values), out=out)
        elif unit:
            np.copyto(out, values, casting="unsafe")
        else:
            np.multiply(values, _per_band(scale, values), out=out, casting="unsafe")
        if not (isinstance(offset, float) and offset == 0.0):
            np.add(out, _per_band(offset, values), out=out)
        return _missing(values, self.nodata, out)


@dataclass(frozen=True)
class Raw:
    """Stored numbers of one window, not yet decoded: half the memory of float32 for a 16-bit product.

    Attributes:
        values: shape (bands, rows, cols), of any type; may be a view in any memory order.
        window: where it lies in the scene.
        decoding: how to read it.
    """

    values: NDArray[Any]
    window: Window
    decoding: Decoding

    def decode(self, window: Window, out: NDArray[np.float32], convert: Convert | None = None) -> bool:
        """Writes a window's physical values into `out`, NaN where missing.

        Args:
            window: a part of `self.window`, in the scene's pixels.
            out: float32, shape (bands, window.rows, window.cols); any strides.
            convert: how small integers become float32, where something faster than NumPy is at hand.

        Returns:
            Whether anything is missing.
        """
        values = self.values[(slice(None), *window.slices((self.window.row, self.window.col)))]
        step = max(1, DECODED_AT_ONCE // max(1, window.size))
        missing = False
        for first in range(0, len(values), step):
            bands = slice(first, first + step)
            missing |= self.decoding.apply(values[bands], out[bands], bands, convert)
        return missing

    def empty(self, window: Window) -> bool:
        """Whether a window is certainly all fill, which is much quicker to tell than to decode; False where that is not known."""
        nodata = self.decoding.nodata
        if nodata is None or np.isnan(nodata) or not _representable(nodata, self.values.dtype):
            return False
        values = self.values[(slice(None), *window.slices((self.window.row, self.window.col)))]
        fill = values.dtype.type(nodata)
        # One band tells most windows that hold anything; the others go in groups.
        step = max(1, DECODED_AT_ONCE // max(1, window.size))
        groups = [slice(0, 1), *(slice(first, first + step) for first in range(1, len(values), step))]
        return all(bool((values[bands] == fill).all()) for bands in groups)


def _per_band(factor: float | Floats, values: NDArray[Any]) -> Any:
    """A factor in the precision of the product: float32 for up to 16 bits, else float64."""
    kind = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
    return np.asarray(factor, kind).reshape(-1, 1, 1) if np.ndim(factor) else kind(factor)


def _missing(values: NDArray[Any], nodata: float | None, out: NDArray[np.float32]) -> bool:
    """Puts NaN where a value is fill or not finite; returns whether there was any."""
    if np.issubdtype(values.dtype, np.floating):
        # A sum is one fast pass, and finite only where all is: the slow pass runs on windows that need it.
        with np.errstate(over="ignore", invalid="ignore"):
            clean = bool(np.isfinite(out.sum(dtype=np.float64)))
        absent = np.zeros(0, bool) if clean else ~np.isfinite(out)
    else:
        absent = np.zeros(0, bool)
    if nodata is not None and not np.isnan(nodata):
        fill = values == values.dtype.type(nodata) if _representable(nodata, values.dtype) else np.zeros(0, bool)
        absent = fill if absent.size == 0 else (absent | fill if fill.size else absent)
    if absent.size == 0 or not absent.any():
        return False
    np.copyto(out, np.float32(np.nan), where=absent)
    return True


def _representable(number: float, dtype: np.dtype[Any]) -> bool:
    """Whether a type can hold this number: a fill value of -9999 in unsigned data never occurs."""
    if np.issubdtype(dtype, np.floating):
        return True
    limits = np.iinfo(dtype)
    return float(number).is_integer() and limits.min <= number <= limits.max


class Source(Protocol):
    """One open scene: its facts, and reads of windows. Readers implement this; so may other packages.

    A source may be used by several threads at once: each thread has its own file handles.
    """

    info: SceneInfo
    block: tuple[int, int]
    """(rows, cols) that the file decodes at once; (1, cols) for plain rows. Reads aligned to it decode nothing twice."""

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window that lies inside the scene.

        Args:
            window: which pixels.
            bands: positions in `info.bands`, ascending.

        Raises:
            SceneError: the file is truncated or damaged.
        """
        ...

    def close(self) -> None:
        """Closes the file handles of all threads."""
        ...


def bands_within(info: SceneInfo, limits: tuple[float, float]) -> Booleans:
    """Which bands have their centres in a range of wavelengths (nm), both ends included.

    Raises:
        OptionError: none has.
    """
    bands = info.bands
    found: Booleans = (bands.wavelength >= limits[0]) & (bands.wavelength <= limits[1])
    if not found.any():
        reach = f"its bands lie from {bands.wavelength[0]:.1f} to {bands.wavelength[-1]:.1f} nm" if bands.spectral else "its bands have no wavelengths"
        raise OptionError("--bands", f"no band of {info.name} lies within {limits[0]:g} to {limits[1]:g} nm; {reach}", "Choose another range")
    return found


def read_window(source: Source, window: Window, bands: Indices | None = None) -> NDArray[np.float32]:
    """A window's physical values as float32 of shape (bands, rows, cols), NaN where missing; all bands unless told."""
    index = np.arange(len(source.info.bands)) if bands is None else bands
    out = np.empty((len(index), *window.shape), np.float32)
    if out.size:
        source.read(window, index).decode(window, out)
    return out
