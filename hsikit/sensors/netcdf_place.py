"""Where the pixels of a CF variable lie: 1-D coordinates of pixel centres, a `GeoTransform`, or 2-D longitudes and latitudes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import IDENTITY, Coefficients, Grid, Window
from hsikit.geo.swath import Degrees, LookupTable, Swath
from hsikit.scene import Handled
from hsikit.sensors.crs import crs_text
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Table
from hsikit.sensors.netcdf_variables import Variable, axes_in, related

EASTINGS = frozenset({"x", "lon", "longitude", "easting", "xc", "cols", "columns", "samples", "crosstrack"})
NORTHINGS = frozenset({"y", "lat", "latitude", "northing", "yc", "rows", "lines", "downtrack"})
_EAST = frozenset({"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"})
_NORTH = frozenset({"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"})
_KILOMETRES = frozenset({"km", "kilometer", "kilometers", "kilometre", "kilometres"})
_METRES = frozenset({"", "m", "meter", "meters", "metre", "metres", "degrees", "degree", "ft", "us_survey_foot", "us survey foot", "foot"})
_NO_MAPPING = ("spatial_ref", "crs", "transverse_mercator", "projection")
"""Names of the variable of a CRS that some files do not point to."""
UNEVEN = 1e-2
"""How far, in pixels, a centre may lie from an even spacing."""
AGREES = 1e-3
"""How far, in pixels, a `GeoTransform` and the coordinates may be apart and mean the same."""


@dataclass
class Place:
    """What a file says of the place of its pixels.

    Attributes:
        grid: shape, transform, CRS.
        swath: positions of a scene without a map grid.
        flipped: whether the file's rows run from south to north, so that they must be turned.
        notices: for the user.
    """

    grid: Grid
    swath: Swath | None = None
    flipped: bool = False
    notices: list[str] = field(default_factory=list)


def place_of(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, axes: tuple[int, int]) -> Place:
    """The place of an image.

    Args:
        file: the open file.
        variables: all that the file has.
        image: the variable whose pixels are meant.
        axes: its axes of rows and columns.
    """
    place = Place(Grid((image.shape[axes[0]], image.shape[axes[1]])))
    across, down = (_centres(file, variables, image, axis, kind) for axis, kind in ((axes[1], "x"), (axes[0], "y")))
    mapping = _mapping(variables, image)
    crs = _crs(mapping, across, down, place)
    transform = _transform(mapping, across, down, place)
    if crs is None or transform is None:
        place.swath = _swath(file, variables, image, axes)
        if place.swath is None and transform is not None and across is None:
            place.grid = Grid(place.grid.shape, transform)  # a transform that the file states, though in no known system
        return place
    if transform[4] > 0 and transform[1] == transform[3] == 0:
        rows = place.grid.shape[0]
        transform = (*transform[:4], -transform[4], transform[5] + rows * transform[4])
        place.flipped = True
        place.notices.append(Handled("its rows run from south to north; they are turned, north is up"))
    place.grid = Grid(place.grid.shape, transform, crs)
    return place


@dataclass(frozen=True, eq=False)
class _Axis:
    """Centres of the pixels along an axis, and the variable that holds them."""

    variable: Variable
    centres: NDArray[np.float64]

    @property
    def geographic(self) -> bool:
        told = self.variable
        return told.text("standard_name") in ("longitude", "latitude") or told.text("units").lower() in _EAST | _NORTH


def _centres(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, axis: int, kind: str) -> _Axis | None:
    """The 1-D coordinate of an axis."""
    dim, size = image.dims[axis], image.shape[axis]
    names = ("x", "lon", "longitude", "easting") if kind == "x" else ("y", "lat", "latitude", "northing")
    found = variables.get(dim) if dim else next((v for v in variables.values() if v.short in names and v.shape == (size,)), None)
    if found is None or not found.numeric or found.shape != (size,):
        return None
    centres = file.numbers(found.name, most=1 << 20) * found.number("scale_factor", 1.0) + found.number("add_offset", 0.0)
    return _Axis(found, centres)


def _mapping(variables: Mapping[str, Variable], image: Variable) -> Variable | None:
    """The variable that holds the CRS."""
    told = image.text("grid_mapping").split(":")[0].split()
    if told:
        return related(variables, image, told[0])
    return next((found for name in _NO_MAPPING if (found := related(variables, image, name)) is not None), None)


def _crs(mapping: Variable | None, across: _Axis | None, down: _Axis | None, place: Place) -> str | None:
    """The CRS that the grid mapping names; WGS 84 for longitudes and latitudes without one."""
    if mapping is not None:
        found = _stated_crs(mapping.attrs)
        if found is not None:
            return found
        place.notices.append(f"the coordinate reference system in {mapping.name!r} is not understood; the scene has no georeference")
        return None
    if across is not None and down is not None and across.geographic and down.geographic:
        place.notices.append("it names no coordinate reference system; its longitudes and latitudes are taken as WGS 84")
        return "EPSG:4326"
    return None


def _stated_crs(attrs: Mapping[str, Any]) -> str | None:
    for key in ("crs_wkt", "spatial_ref", "epsg_code", "epsg", "EPSG", "EPSG_code", "proj4", "proj4text", "proj4_string"):
        told = attrs.get(key)
        text = f"EPSG:{told}" if isinstance(told, int) else told if isinstance(told, str) else None
        if text and text.strip().isdigit():
            text = f"EPSG:{text.strip()}"
        found = crs_text(text)
        if found is not None:
            return found
    if "grid_mapping_name" not in attrs:
        return None
    from pyproj import CRS

    try:
        return crs_text(CRS.from_cf({key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in attrs.items()}).to_wkt())
    except Exception:  # PROJ and its parser of CF parameters raise errors of many classes
        return None


def _transform(mapping: Variable | None, across: _Axis | None, down: _Axis | None, place: Place) -> Coefficients | None:
    """From the coordinates where there are any, since a `GeoTransform` may be of the rows in the other order; else from that."""
    stated = _geotransform(mapping)
    if across is None or down is None:
        return stated
    scales = []
    for axis in (across, down):
        unit = axis.variable.text("units").lower()
        if unit not in _KILOMETRES | _METRES | _EAST | _NORTH:
            place.notices.append(f"its {axis.variable.name} coordinates are in {unit!r}; the scene has no georeference")
            return None
        scales.append(1000.0 if unit in _KILOMETRES else 1.0)
    steps = [_even(axis.centres * scale) for axis, scale in zip((across, down), scales, strict=True)]
    sizes = (stated[0], stated[4]) if stated else (0.0, 0.0)
    found = []
    for axis, step, size in zip((across, down), steps, sizes, strict=True):
        if step is None or (step[1] or size) == 0:
            place.notices.append(f"its {axis.variable.name} coordinates are not evenly spaced; the scene has no georeference")
            return None
        found.append((step[0] - (step[1] or size) / 2, step[1] or size))
    (left, width), (top, height) = found
    left -= 360.0 if across.geographic and left >= 180.0 else 0.0
    made = (width, 0.0, left, 0.0, height, top)
    return stated if stated and _agree(made, stated, place.grid.shape) else made


def _even(centres: NDArray[np.float64]) -> tuple[float, float] | None:
    """(first, step) of evenly spaced centres, the step 0 of a single one; None where they are not even."""
    if len(centres) == 1:
        return float(centres[0]), 0.0
    step = float(centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    if not np.isfinite(centres).all() or step == 0 or np.abs(centres - even).max() > UNEVEN * abs(step):
        return None
    return float(centres[0]), step


def _geotransform(mapping: Variable | None) -> Coefficients | None:
    told = None if mapping is None else mapping.attrs.get("GeoTransform")
    try:
        numbers = [float(part) for part in (told.replace(",", " ").split() if isinstance(told, str) else np.ravel(np.asarray(told)))]
    except (TypeError, ValueError):
        return None
    if len(numbers) != 6 or not np.isfinite(numbers).all() or numbers[1] * numbers[5] == numbers[2] * numbers[4]:
        return None
    c, a, b, f, d, e = numbers
    return a, b, c, d, e, f


def _agree(one: Coefficients, other: Coefficients, shape: tuple[int, int]) -> bool:
    """Whether two transforms put the outer corners at the same places, to a fraction of a pixel."""
    if other == IDENTITY:
        return False
    corners = np.array([(0, 0, 1), (shape[1], 0, 1), (0, shape[0], 1), (shape[1], shape[0], 1)], float).T
    apart = np.abs(np.subtract(np.reshape(one, (2, 3)), np.reshape(other, (2, 3))) @ corners).max()
    return bool(apart < AGREES * min(abs(one[0]), abs(one[4])))


def _swath(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, axes: tuple[int, int]) -> Swath | None:
    """2-D longitudes and latitudes of the pixels."""
    found = [_positions(variables, image, axes, kind) for kind in ("longitude", "latitude")]
    if found[0] is None or found[1] is None:
        return None
    shape = (image.shape[axes[0]], image.shape[axes[1]])
    (lon, lon_turned), (lat, lat_turned) = found[0], found[1]

    def locate(window: Window) -> tuple[Degrees, Degrees]:
        x, y = _degrees(file, lon, lon_turned, window), _degrees(file, lat, lat_turned, window)
        absent = ~((np.abs(y) <= 90) & (np.abs(x) <= 360))
        x[absent] = y[absent] = np.nan
        return x, y

    return Swath(shape, locate, _table(file, variables, image, shape))


def _degrees(file: Hdf5File, variable: Variable, turned: bool, window: Window) -> Degrees:
    rows, cols = window.slices()
    values = np.array(file.read(variable.name, (cols, rows) if turned else (rows, cols)), np.float64)
    values[np.isin(values, [variable.number(key, np.nan) for key in ("_FillValue", "missing_value")])] = np.nan
    values = values * variable.number("scale_factor", 1.0) + variable.number("add_offset", 0.0)
    return values.T if turned else values


def _positions(variables: Mapping[str, Variable], image: Variable, axes: tuple[int, int], kind: str) -> tuple[Variable, bool] | None:
    """The 2-D variable of longitudes or latitudes of an image, and whether its axes are (cols, rows)."""
    named = [found for name in image.text("coordinates").split() if (found := related(variables, image, name)) is not None]
    for variable in (*named, *variables.values()):
        turned = axes_in(variable, image, axes) if _is_position(variable, kind) else None
        if turned is not None:
            return variable, turned
    return None


def _table(file: Hdf5File, variables: Mapping[str, Variable], image: Variable, shape: tuple[int, int]) -> LookupTable | None:
    """The lookup table as `hsikit.writers.cf` writes it."""
    x, y = (related(variables, image, name) for name in ("glt_x", "glt_y"))
    mapping = None if x is None else related(variables, x, x.text("grid_mapping"))
    transform = _geotransform(mapping)
    if x is None or y is None or mapping is None or transform is None or len(x.shape) != 2:
        return None
    return Hdf5Table(file, Grid((x.shape[0], x.shape[1]), transform, _stated_crs(mapping.attrs)), x.name, y.name, shape)


def _is_position(variable: Variable, kind: str) -> bool:
    if len(variable.shape) != 2 or not variable.numeric:
        return False
    units = _EAST if kind == "longitude" else _NORTH
    told = variable.text("standard_name")
    return told == kind or (not told and variable.text("units").lower() in units) or variable.short in (kind, kind[:3])
