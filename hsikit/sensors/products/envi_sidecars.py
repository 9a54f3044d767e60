"""Positions that lie beside an ENVI scene in files of their own: location (LOC), input geometry (IGM) and lookup table (GLT).

The names tell what belongs together: the same flight line (`ang20140912t192359`), or the scene's own name, with `loc`, `igm` or
`glt` as a word of it; and the shape must be the scene's. LOC holds longitude and latitude, IGM the same or map coordinates. A
GLT counts columns and rows from 1, 0 is nothing, negative numbers mark a neighbour's measurement put into a gap of the map.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import HsikitError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.swath import Degrees, Locate, Lookup, Swath
from hsikit.scene import Source
from hsikit.sensors.crs import crs_text
from hsikit.sensors.envi import EnviFile, EnviSource, envi_file
from hsikit.sensors.facts import Options, layout
from hsikit.sensors.hdf5 import lookup_from_one
from hsikit.sensors.products.angles import observed

KINDS = ("loc", "igm", "glt", "obs")
LINE = re.compile(r"(ang\d{8}t\d{6}|f\d{6}t\d{2}p\d{2}_?r\d{2}|av3\d{8}t\d{6}(?:_\d{3})?|prm\d{8}t\d{6}|emit\d{8}t\d{6})", re.IGNORECASE)
"""Names of flight lines and granules of JPL's spectrometers."""
CONTENTS = ("img", "rdn", "rfl", "rad", "rd", "raw", "corr", "refl", "radiance", "reflectance")
WGS84 = "EPSG:4326"
TABLE_ROWS = 256


@dataclass(frozen=True)
class Sidecars:
    """The side-cars of a scene by kind, and why others were left aside (one sentence each)."""

    files: Mapping[str, EnviFile]
    notices: tuple[str, ...] = ()


def words_of(name: str) -> list[str]:
    """The words of a file's name, in lower case."""
    return re.split(r"[_\-. ]+", name.lower())


def find_sidecars(header: Path) -> dict[str, Path]:
    """Headers beside a scene's, by kind, that belong to it by their names."""
    found: dict[str, Path] = {}
    for kind, path in _belonging(header):
        if kind not in found or len(path.name) < len(found[kind].name):
            found[kind] = path
    return found


def _belonging(header: Path) -> Iterator[tuple[str, Path]]:
    """Kind and header of everything beside a scene that belongs to it by its name, which may be on another grid."""
    stem, line = header.with_suffix("").name, LINE.search(header.name)
    own = _bare(stem)
    for path in sorted(entry for entry in header.parent.glob("*") if entry.suffix.lower() == ".hdr" and entry != header):
        words = words_of(path.with_suffix("").name)
        kind = next((kind for kind in KINDS if kind in words), None)
        if kind is None or kind in words_of(stem):
            continue
        other = LINE.search(path.name)
        same = line[0].lower() == other[0].lower() if line and other else _bare(path.with_suffix("").name) == own
        if same:
            yield kind, path


def angles_of(scene: EnviFile) -> dict[str, str]:
    """Angles at the middle pixel, out of an observation (OBS) on the scene's own grid beside it; none where there is none that can be read."""
    rows, cols = scene.stored.shape[1:]
    for path in (path for kind, path in _belonging(scene.header) if kind == "obs"):
        try:
            file = envi_file(path)
            names = file.facts.claims.names
            if names is None or file.stored.shape != (len(names), rows, cols):
                continue
            with closing(open_layers(file)) as source:
                values = source.read(Window(rows // 2, cols // 2, 1, 1), np.arange(len(names))).values[:, 0, 0]
        except HsikitError:
            continue
        return observed(names, values)
    return {}


def _bare(stem: str) -> tuple[str, ...]:
    return tuple(word for word in words_of(stem) if word not in (*KINDS, *CONTENTS, "ort"))


def sidecars_of(scene: EnviFile) -> Sidecars:
    """The side-cars that fit a scene."""
    _, rows, cols = scene.stored.shape
    files: dict[str, EnviFile] = {}
    notices: list[str] = []
    for kind, path in find_sidecars(scene.header).items():
        try:
            file = envi_file(path)
        except HsikitError as error:
            notices.append(f"{path.name} beside it is not used: {error.wrong}")
            continue
        least = {"glt": 2, "obs": 1}.get(kind, 2)
        if file.stored.shape[0] < least or (kind != "glt" and file.stored.shape[1:] != (rows, cols)):
            notices.append(f"{path.name} beside it is not used: it has {file.stored.shape} (bands, rows, columns)")
        elif kind == "glt" and not file.facts.grid.georeferenced:
            notices.append(f"{path.name} beside it is not used: its header has no map info with a known projection")
        else:
            files[kind] = file
    return Sidecars(files, tuple(notices))


def swath_of(scene: EnviFile, found: Sidecars, notices: list[str]) -> Swath | None:
    """Where a scene's pixels lie by its side-cars; None where they do not tell."""
    _, rows, cols = scene.stored.shape
    table = EnviTable(found.files["glt"], (rows, cols)) if "glt" in found.files else None
    if "loc" in found.files:
        locate: Locate | None = _Positions(found.files["loc"], WGS84)
    elif "igm" in found.files:
        crs = _crs_of(found.files["igm"]) or (table.grid.crs if table is not None else None)
        locate = _Positions(found.files["igm"], crs) if crs is not None else None
        if locate is None:
            notices.append(f"{found.files['igm'].header.name} beside it is not used: neither it nor a lookup table names the CRS of its coordinates")
    else:
        locate = None
    if locate is None:
        locate = _FromTable(table, (rows, cols)) if table is not None else None
    return None if locate is None else Swath((rows, cols), locate, table)


def _crs_of(file: EnviFile) -> str | None:
    """The CRS that an IGM's header names; WGS 84 where it calls its bands longitude and latitude."""
    system = file.tokens.get("coordinate system string")
    named = crs_text(",".join(system) if isinstance(system, list) else str(system).strip("{} ")) if system else None
    first = " ".join(file.facts.claims.names or ()).lower()
    return named or (WGS84 if "longitude" in first or re.search(r"\blon\b", first) else None)


def open_layers(file: EnviFile, options: Options | None = None) -> EnviSource:
    """A side-car as layers that are no bands of a spectrum."""
    claims = replace(file.facts.claims, wavelength=None, fwhm=None, good=None, spectral=False)
    return EnviSource(layout(replace(file.facts, claims=claims), options or Options()), file.stored, file.data)


class _Positions:
    """Longitude and latitude out of the first two bands of a file, in whatever CRS they are."""

    def __init__(self, file: EnviFile, crs: str | None) -> None:
        self._source, self._crs, self._local = open_layers(file), crs, threading.local()

    def __call__(self, window: Window) -> tuple[Degrees, Degrees]:
        x, y = self._source.read(window, np.arange(2)).values.astype(np.float64)
        nodata = self._source.info.nodata
        absent = ~(np.isfinite(x) & np.isfinite(y)) | (x == -9999) | (y == -9999) | (False if nodata is None else (x == nodata) | (y == nodata))
        if self._crs != WGS84:
            if not hasattr(self._local, "transformer"):
                self._local.transformer = _transformer(self._crs)
            x, y = self._local.transformer.transform(np.where(absent, np.nan, x), np.where(absent, np.nan, y))
        absent |= ~((np.abs(y) <= 90) & (np.abs(x) <= 360))
        return np.where(absent, np.nan, x), np.where(absent, np.nan, y)


def _transformer(crs: str | None) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, WGS84, always_xy=True)


class EnviTable:
    """A lookup table in an ENVI file: columns, then rows."""

    def __init__(self, file: EnviFile, shape: tuple[int, int]) -> None:
        self._source, self._shape, self._path = open_layers(file), shape, file.header
        self.grid: Grid = file.facts.grid

    def read(self, window: Window) -> Lookup:
        """See `hsikit.geo.swath.LookupTable`.

        Raises:
            SceneError: the table points outside the scene, or is damaged.
        """
        x, y = self._source.read(window, np.arange(2)).values.astype(np.int64)
        return lookup_from_one(x, y, self._shape, self._path)


class _FromTable:
    """Positions where a lookup table is all that is there: the mean of the map pixels that show a measurement, NaN where none does."""

    def __init__(self, table: EnviTable, shape: tuple[int, int]) -> None:
        self._table, self._shape, self._lock = table, shape, threading.Lock()

    def __call__(self, window: Window) -> tuple[Degrees, Degrees]:
        with self._lock:
            longitude, latitude = self._places
        return longitude[window.slices()], latitude[window.slices()]

    @cached_property
    def _places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y, count = (np.zeros(self._shape) for _ in range(3))
        grid = self._table.grid
        for window in tile_windows(grid.whole, (TABLE_ROWS, grid.shape[1])):
            part = self._table.read(window)
            own = part.filled & ~part.infill
            rows, cols = np.nonzero(own)
            east, north = grid.centres(rows + window.row, cols + window.col)
            target = part.rows[own], part.cols[own]
            for total, values in ((x, east), (y, north), (count, 1.0)):
                np.add.at(total, target, values)
        known = count > 0
        lon, lat = np.full(self._shape, np.nan), np.full(self._shape, np.nan)
        lon[known], lat[known] = _transformer(grid.crs).transform(x[known] / count[known], y[known] / count[known])
        return lon, lat


class LayersReader:
    """Opens side-cars themselves (LOC, IGM, GLT, OBS) as layers."""

    DRIVER = "envi-layers"
    FIRST = ("glt sample", "longitude", "path length", "igm", "easting", "to-sensor")

    @classmethod
    def recognises(cls, probe: Any) -> bool:
        """Whether a header has no wavelengths, and names of bands as side-cars have them."""
        fields = probe.envi_fields
        names = fields.get("band names", "").lower().strip()
        return "wavelength" not in fields and names.startswith(cls.FIRST)

    @classmethod
    def open(cls, path: Path, options: Options) -> Source:
        """Opens the layers.

        Raises:
            SceneError: header or data file are missing, or disagree.
        """
        file = envi_file(path)
        file.facts.driver = cls.DRIVER
        if (file.facts.claims.names or [""])[0].lower().startswith("glt"):
            file.facts.nodata = 0 if file.facts.nodata is None else file.facts.nodata
        elif file.facts.nodata is None:
            file.facts.nodata = -9999
        return open_layers(file, options)
