"""A layer in the terms of the CF conventions: its attributes and coordinates, the same for every format that follows them.

A cube is (wavelength, y, x), other layers (band, y, x), a single band (y, x). On a map grid without rotation `x` and `y` are
1-D coordinates of pixel centres, a rotated one has only the `GeoTransform`; a swath has 2-D longitudes and latitudes, and the
product's lookup table as EMIT has it: for each map pixel `glt_x` and `glt_y`, counted from 1, negative for infill, 0 for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import IDENTITY, Grid, Window, tile_windows
from hsikit.geo.swath import LookupTable, Swath
from hsikit.layers import Layer
from hsikit.scene import QUALITY_FLAGS, Quality
from hsikit.writers.tags import band_names, has_wavelengths, names_by_code

GRID_MAPPING, MAP_GRID = "spatial_ref", "glt_grid"
"""The variables that hold the georeference of the pixels, and of the map of a lookup table."""
POSITIONS: dict[str, dict[str, Any]] = {
    "longitude": {"standard_name": "longitude", "units": "degrees_east", "long_name": "longitude of the pixel centre (WGS 84)"},
    "latitude": {"standard_name": "latitude", "units": "degrees_north", "long_name": "latitude of the pixel centre (WGS 84)"},
}
TABLE: dict[str, dict[str, Any]] = {
    "glt_x": {"long_name": "column of the measurement that belongs here, from 1; negative: a neighbour's", "grid_mapping": MAP_GRID},
    "glt_y": {"long_name": "row of the measurement that belongs here, from 1; negative: a neighbour's", "grid_mapping": MAP_GRID},
}
QUALITY = "quality"
AT_ONCE = 1 << 20
"""Pixels of the arrays beside a cube that are held at once."""
_TAKEN = {"wavelength", "band", "fwhm", "good_band", "x", "y", GRID_MAPPING, MAP_GRID, *POSITIONS, *TABLE, QUALITY, "map_x", "map_y"}
"""Names of what stands beside the pixels; a layer of such a name gets `_layer` behind it."""


@dataclass(frozen=True, eq=False)
class Coordinate:
    """One small array beside the pixels: text as objects, flags as bool, anything else as numbers."""

    name: str
    values: NDArray[Any]
    dims: tuple[str, ...]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Planes:
    """Arrays of rows and columns that stand beside the pixels, and are read together.

    Attributes:
        attrs: of each array, by its name.
        dims: names of the dimensions.
        shape: (rows, cols).
        dtype: of the arrays.
        fill: the value of what is missing; None where nothing is.
        read: the arrays of a window.
    """

    attrs: dict[str, dict[str, Any]]
    dims: tuple[str, str]
    shape: tuple[int, int]
    dtype: str
    fill: float | None
    read: Callable[[Window], tuple[NDArray[Any], ...]]

    def strips(self) -> Iterator[tuple[Window, tuple[NDArray[Any], ...]]]:
        """The arrays strip by strip, from top to bottom."""
        cols = self.shape[1]
        for window in tile_windows(Window.whole(self.shape), (max(1, AT_ONCE // cols), cols)):
            yield window, self.read(window)


def array_name(layer: Layer) -> str:
    """What the array of the pixels is called."""
    return layer.name if layer.name not in _TAKEN else f"{layer.name}_layer"


def spectral_axis(layer: Layer) -> str:
    """Name of the first dimension, or "" for a single band that is no cube."""
    if has_wavelengths(layer):
        return "wavelength"
    return "band" if layer.bands > 1 else ""


def dims_of(layer: Layer) -> tuple[str, ...]:
    """Names of the dimensions of the pixels."""
    axis = spectral_axis(layer)
    return (axis, "y", "x") if axis else ("y", "x")


def attributes(layer: Layer, grid: Grid, swath: Swath | None = None, quality: Quality | None = None) -> dict[str, Any]:
    """Attributes of the pixels, but for the fill value, which each format writes in its own way."""
    axis = spectral_axis(layer)
    attrs: dict[str, Any] = {"long_name": layer.description or layer.name}
    attrs |= {key: value for key, value in {"units": layer.unit, "sensor": layer.sensor, "quantity": layer.quantity}.items() if value}
    if axis == "band" or (not axis and layer.band_names):
        attrs["band_names"] = list(band_names(layer))
    if layer.legend is not None:
        names = names_by_code(layer.legend)
        attrs["flag_values"] = list(names)
        attrs["flag_meanings"] = " ".join("_".join(name.split()) for name in names.values())
    beside = [GRID_MAPPING] if placed(grid) else []
    if axis == "wavelength":
        beside += ["band", *(["fwhm"] if layer.fwhm is not None else []), *(["good_band"] if layer.good is not None else [])]
    beside += [] if swath is None else list(POSITIONS)
    if placed(grid):
        attrs["grid_mapping"] = GRID_MAPPING
    if beside:
        attrs["coordinates"] = " ".join(beside)
    if quality is not None:
        attrs["ancillary_variables"] = QUALITY
    return attrs


def placed(grid: Grid) -> bool:
    """Whether there is anything to say of where the grid lies."""
    return grid.crs is not None or grid.transform != IDENTITY


def coordinates(layer: Layer, grid: Grid, swath: Swath | None = None) -> list[Coordinate]:
    """The coordinates along the spectral axis and along rows and columns, and the georeference."""
    found = _along_the_spectrum(layer)
    a, b, c, d, e, f = grid.transform
    if swath is None and b == 0 and d == 0:
        found.append(Coordinate("x", c + a * (np.arange(grid.shape[1]) + 0.5), ("x",), _axis_attributes(grid, "x")))
        found.append(Coordinate("y", f + e * (np.arange(grid.shape[0]) + 0.5), ("y",), _axis_attributes(grid, "y")))
    if placed(grid):
        found.append(Coordinate(GRID_MAPPING, np.array(0, np.int32), (), _georeference(grid)))
    return found


def planes(swath: Swath | None, quality: Quality | None, shape: tuple[int, int]) -> list[Planes]:
    """Positions and lookup table of a swath, and flags of quality, of a scene of that shape."""
    found = []
    if swath is not None:
        found.append(Planes(POSITIONS, ("y", "x"), shape, "float64", float("nan"), swath.locate))
        if swath.table is not None:
            found.append(Planes(TABLE, ("map_y", "map_x"), swath.table.grid.shape, "int32", None, partial(_columns_and_rows, swath.table)))
    if quality is not None:
        found.append(Planes({QUALITY: _flag_attributes(quality)}, ("y", "x"), shape, "uint8", None, lambda window: (quality.read(window),)))
    return found


def map_coordinates(swath: Swath | None) -> list[Coordinate]:
    """The georeference of the map of a swath's lookup table."""
    if swath is None or swath.table is None:
        return []
    return [Coordinate(MAP_GRID, np.array(0, np.int32), (), _georeference(swath.table.grid))]


def _columns_and_rows(table: LookupTable, window: Window) -> tuple[NDArray[Any], ...]:
    found = table.read(window)
    sign = np.where(found.infill, -1, 1)
    return tuple(np.where(found.filled, (values + 1) * sign, 0).astype(np.int32) for values in (found.cols, found.rows))


def _flag_attributes(quality: Quality) -> dict[str, Any]:
    return {
        "long_name": "what the product says of the pixel",
        "flag_masks": [QUALITY_FLAGS[flag] for flag in quality.flags],
        "flag_meanings": " ".join(flag.replace("-", "_") for flag in quality.flags),
    }


def _along_the_spectrum(layer: Layer) -> list[Coordinate]:
    if spectral_axis(layer) == "band":
        return [Coordinate("band", np.arange(1, layer.bands + 1, dtype=np.int32), ("band",), {"long_name": "number of the band"})]
    if layer.wavelength is None or not has_wavelengths(layer):
        return []
    axis = ("wavelength",)
    found = [
        Coordinate("wavelength", layer.wavelength, axis, {"standard_name": "radiation_wavelength", "units": "nm"}),
        Coordinate("band", np.array(band_names(layer), object), axis, {"long_name": "the product's name of the band"}),
    ]
    if layer.fwhm is not None:
        found.append(Coordinate("fwhm", layer.fwhm, axis, {"long_name": "full width at half maximum", "units": "nm"}))
    if layer.good is not None:
        found.append(Coordinate("good_band", layer.good, axis, {"long_name": "whether the band should be used"}))
    return found


def _axis_attributes(grid: Grid, axis: str) -> dict[str, str]:
    """Attributes of x or y: CF tells longitudes from metres by the standard name."""
    attrs = {"axis": axis.upper()}
    if grid.crs is None:
        return attrs
    from pyproj import CRS

    system = CRS.from_user_input(grid.crs)
    if system.is_geographic:
        name = "longitude" if axis == "x" else "latitude"
        return attrs | {"standard_name": name, "units": "degrees_east" if axis == "x" else "degrees_north"}
    unit = system.axis_info[0].unit_name if system.axis_info else "metre"
    return attrs | {"standard_name": f"projection_{axis}_coordinate", "units": "m" if unit == "metre" else unit}


def _georeference(grid: Grid) -> dict[str, Any]:
    """Attributes of `spatial_ref`: the CRS as CF parameters and WKT, and the transform in GDAL's order."""
    a, b, c, d, e, f = grid.transform
    attrs: dict[str, Any] = {"GeoTransform": " ".join(repr(float(n)) for n in (c, a, b, f, d, e))}
    if grid.crs is None:
        return attrs
    from pyproj import CRS

    system = CRS.from_user_input(grid.crs)
    return {**system.to_cf(), "crs_wkt": system.to_wkt(), "spatial_ref": system.to_wkt(), **attrs}
