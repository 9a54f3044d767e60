"""What a file says of itself, before it is interpreted, and what the user says instead: shared by every reader.

A reader fills a `FileFacts` in the file's own band order; `layout` turns it into the `SceneInfo` that everybody sees and the
order in which the file's bands must be read.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.remote import RemotePath
from hsikit.geo.swath import Swath
from hsikit.geo.zipped import ZippedPath
from hsikit.scene import QUANTITIES, Codes, Decoding, Floats, Indices, Quality, Raw, SceneInfo
from hsikit.sensors.bands import BandClaims, Interpretation, interpret

Factor = float | Sequence[float]
OVERLAPS = ("average", "vnir", "swir", "keep")
LONGEST_TEXT = 16_000
"""Characters of the longest attribute that is kept of a file; the names of EMIT's minerals are as many."""


@dataclass(frozen=True)
class Options:
    """What the user names on opening; each wins over what the file says.

    Attributes:
        sensor: a name of `list_sensors()`, whose band centres serve where the file has none.
        wavelengths: a CSV file, or band centres in nm.
        scale: factor from stored to physical values.
        offset: added after the factor.
        nodata: the stored fill value.
        quantity: a key of `QUANTITIES`.
        role: what the scene is for; "pan" and "layer" need no wavelengths.
        pan_range: (shortest, longest) wavelength in nm of a panchromatic band.
        variable: which array of a container with several.
        resolution: side of a pixel (m) for products that deliver several grids.
        detector_overlap: how two detectors that see the same wavelengths are joined, one of `OVERLAPS`.
        dem: a raster of heights above the ellipsoid (m), for products that are placed by rational polynomials.
    """

    sensor: str | None = None
    wavelengths: str | Path | ArrayLike | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    quantity: str | None = None
    role: str = "cube"
    pan_range: tuple[float, float] | None = None
    variable: str | None = None
    resolution: float | None = None
    detector_overlap: str = "average"
    dem: str | Path | None = None

    def told(self) -> list[Any]:
        """What tells one reading from another beside what the file says, JSON-able."""
        return [self.variable, str(self.dem or "")]

    def __post_init__(self) -> None:
        if self.detector_overlap not in OVERLAPS:
            raise OptionError("detector_overlap", f"{self.detector_overlap!r} is not known", f"Known are {', '.join(OVERLAPS)}")
        if self.resolution is not None and not (np.isfinite(self.resolution) and self.resolution > 0):
            raise OptionError("res", f"{self.resolution} is no size of a pixel", "Give metres, such as 20")
        if self.quantity is not None and self.quantity not in QUANTITIES:
            raise OptionError("quantity", f"{self.quantity!r} is not known", f"Known are {', '.join(QUANTITIES)}")
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale != 0):
            raise OptionError("scale", f"{self.scale} is no factor", "Give a finite number other than 0")
        if self.offset is not None and not np.isfinite(self.offset):
            raise OptionError("offset", f"{self.offset} is no number", "Give a finite number")


class WatchedOptions(Options):
    """Options that know which choices a reader has looked at, so that none is silently without effect."""

    CHOICES: ClassVar[Mapping[str, str]] = {"variable": "variable", "resolution": "res", "dem": "dem"}
    """Fields that only some readers use, and how the command line calls them."""

    @classmethod
    def of(cls, options: Options) -> WatchedOptions:
        """The same options, watched from now on."""
        watched = cls(**{field.name: getattr(options, field.name) for field in fields(Options)})
        object.__setattr__(watched, "_seen", set())
        return watched

    def __getattribute__(self, name: str) -> Any:
        if name in WatchedOptions.CHOICES and "_seen" in object.__getattribute__(self, "__dict__"):
            object.__getattribute__(self, "_seen").add(name)
        return object.__getattribute__(self, name)

    def refuse_unused(self, what: str) -> None:
        """Refuses choices that were made and not looked at.

        Raises:
            OptionError: there is one.
        """
        held = object.__getattribute__(self, "__dict__")
        for name, option in WatchedOptions.CHOICES.items():
            if held.get(name) is not None and name not in held["_seen"]:
                raise OptionError(option, f"{what} has no such choice", "Leave it out")

    def told(self) -> list[Any]:
        """What tells one reading from another, without counting as looked at."""
        held = object.__getattribute__(self, "__dict__")
        return [held["variable"], str(held["dem"] or "")]


@dataclass
class FileFacts:
    """A file's own statements, bands in the file's order.

    Attributes:
        name: the path as the user gave it.
        driver: the reader's name.
        grid: shape, transform, CRS.
        dtype: stored type.
        claims: what it says of its bands.
        scale: factor from stored to physical values, one or one for each band.
        offset: the same, added after the factor.
        nodata: stored fill value.
        quantity: a key of `QUANTITIES`, or "" where the file is silent.
        acquired: ISO 8601, or "".
        files: the files whose size and time tell whether the input is still the same.
        identity: used instead of `files` where there is no file.
        notices: for the user.
        attrs: further metadata.
        swath: where the pixels lie, for a scene on the sensor's own grid.
        quality: what the product says of each pixel's quality.
        codes: legend and colours, should the numbers be codes.
    """

    name: str
    driver: str
    grid: Grid
    dtype: np.dtype[Any]
    claims: BandClaims
    scale: Factor = 1.0
    offset: Factor = 0.0
    nodata: float | None = None
    quantity: str = ""
    acquired: str = ""
    files: tuple[Path, ...] = ()
    identity: tuple[Any, ...] = ()
    notices: list[str] = field(default_factory=list)
    attrs: Mapping[str, str] = field(default_factory=dict)
    swath: Swath | None = None
    quality: Quality | None = None
    codes: Codes = field(default_factory=Codes)


@dataclass(frozen=True)
class Layout:
    """A scene's facts, and how its bands lie in the file.

    Attributes:
        info: the facts.
        order: position in the file of each of `info.bands`, shape (C,).
        scale: factor of each of `info.bands`, shape (C,).
        offset: the same.
    """

    info: SceneInfo
    order: Indices
    scale: Floats
    offset: Floats

    def decoding(self, bands: Indices) -> Decoding:
        """How to read these bands: single numbers where all bands share them, which decodes faster."""
        return Decoding(_shared(self.scale[bands]), _shared(self.offset[bands]), self.info.nodata)


class OrderedSource(ABC):
    """Base of the readers: presents a file's bands in ascending order of wavelength.

    A subclass reads stored bands (`_stored`) and may close its handles (`close`).
    """

    block: tuple[int, int] = (1, 1)

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.info = layout.info

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window; see `hsikit.scene.Source`."""
        shape = self.info.grid.shape
        if window.intersect(Window.whole(shape)) != window:
            raise SceneError(self.info.name, f"pixels {tuple(window)} were asked for, outside the {shape[0]} x {shape[1]} of the scene")
        index = np.asarray(bands, np.intp)
        return Raw(self._stored(window, self._layout.order[index]), window, self.decoding(index))

    def decoding(self, bands: Indices) -> Decoding:
        """How the stored numbers of these bands are read."""
        return self._layout.decoding(np.asarray(bands, np.intp))

    @abstractmethod
    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        """Stored numbers of bands at these positions of the file."""

    def close(self) -> None:  # noqa: B027 - a source in memory has nothing to close
        """Closes what is open: nothing, unless a reader says otherwise."""


def layout(facts: FileFacts, options: Options) -> Layout:
    """Interprets what a file says, under what the user says.

    Raises:
        WavelengthError: the bands have no usable wavelengths.
        OptionError: an option makes no sense for this file.
    """
    if min(facts.grid.shape) < 1 or facts.claims.count < 1:
        raise SceneError(facts.name, f"has {facts.claims.count} bands of {facts.grid.shape[0]} x {facts.grid.shape[1]} pixels")
    if facts.dtype.kind not in "iufb" or facts.dtype.itemsize > 8:
        raise SceneError(facts.name, f"holds values of type {facts.dtype.name}", "Only integers and real numbers are read; convert it first")
    spectral = interpret(facts.name, facts.claims, options.sensor, options.wavelengths, options.role, options.pan_range)
    scale = np.broadcast_to(np.asarray(facts.scale if options.scale is None else options.scale, float), (facts.claims.count,))[spectral.order]
    offset = np.broadcast_to(np.asarray(facts.offset if options.offset is None else options.offset, float), (facts.claims.count,))[spectral.order]
    nodata = _nodata(facts.nodata, facts.dtype) if options.nodata is None else _named_nodata(options.nodata, facts.dtype)
    quantity = options.quantity or facts.quantity or ("surface_reflectance" if np.allclose(scale, 1e-4, rtol=1e-6, atol=0) else "dn")
    is_map = facts.dtype.kind in "iu" and len(scale) == 1 and not spectral.bands.spectral and scale[0] == 1 and offset[0] == 0 and quantity == "dn"
    told = [facts.grid.shape, scale.tolist(), offset.tolist(), nodata, quantity, *options.told()]
    info = SceneInfo(
        name=facts.name,
        grid=facts.grid,
        bands=spectral.bands,
        dtype=facts.dtype.name,
        driver=facts.driver,
        sensor=spectral.sensor,
        quantity=quantity,
        acquired=facts.acquired,
        identity=(*(facts.identity or file_identity(facts.files)), _reading(spectral, told)),
        nodata=nodata,
        notices=(*facts.notices, *spectral.notices),
        attrs=dict(facts.attrs),
        swath=facts.swath,
        quality=facts.quality,
        codes=facts.codes if is_map else None,
    )
    return Layout(info, spectral.order, scale, offset)


def file_identity(files: Sequence[Path]) -> tuple[Any, ...]:
    """(absolute path, size in bytes, time of change in ns; of a remote file its ETag) of each file; of one in a zip, those of the archive."""
    return tuple(_state(path) for path in files)


def _state(path: Path) -> tuple[str, int, int | str]:
    if isinstance(path, RemotePath):
        return (str(path), *path.state())
    path = path.archive if isinstance(path, ZippedPath) else path
    stat = path.stat()
    return str(path.absolute()), stat.st_size, stat.st_mtime_ns


def _reading(spectral: Interpretation, told: Sequence[Any]) -> tuple[str, str]:
    """A digest of how a file is read, whoever said so: the same file under another scale or other wavelengths is another input.

    What is found by sampling the scene stands not in it.
    """
    bands = spectral.bands
    axis = [values.tolist() for values in (spectral.order, bands.wavelength, bands.fwhm, bands.good)]
    return "reading", hashlib.sha256(json.dumps([*axis, spectral.sensor, *told]).encode()).hexdigest()


def _shared(factors: Floats) -> float | Floats:
    return float(factors[0]) if factors.size and (factors == factors[0]).all() else factors


def _named_nodata(value: float, dtype: np.dtype[Any]) -> float | None:
    """The user's fill value.

    Raises:
        OptionError: whole numbers of this type never have it.
    """
    if dtype.kind in "iu" and not (float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise OptionError("nodata", f"{value:g} is no number that {dtype.name} can hold", "Give a stored number, or leave it out")
    return _nodata(value, dtype)


def _nodata(value: float | None, dtype: np.dtype[Any]) -> float | None:
    """A fill value as the stored type holds it; beyond a float's range it reads as infinity, which is missing anyway."""
    if value is None or dtype.kind != "f":
        return None if value is None else float(value)
    with np.errstate(over="ignore"):
        stored = float(dtype.type(value))
    return None if np.isinf(stored) else stored
