"""Doubts about where a scene lies: no CRS, two georeferences that disagree, a table that is off by half a pixel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.check.finding import Finding, passed, skipped, warned
from hsikit.errors import GridError, SceneError
from hsikit.geo.grid import IDENTITY, Coefficients, Grid, Window
from hsikit.geo.places import CentresIn, SwathPlaces
from hsikit.geo.swath import Lookup, LookupTable, Swath
from hsikit.scene import PlaceDoubt, SceneInfo

DISAGREE, HALF = 0.1, (0.35, 0.65)
"""Pixels: from which distance on two georeferences disagree, and what looks like a corner taken for a centre."""
TABLE_OFF = 0.4
"""Pixels of the map; EMIT's own tables are 0.2 to 0.4 off in the median, since both its conventions leave something."""
TABLE_WINDOW, TABLE_WINDOWS = 256, 3
LEAST_PLACES = 30
WORLD_SUFFIXES = ("wld", "tfw", "tifw", "bqw", "blw", "bpw", "hdrw", "imgw", "igw", "datw")


def check_place(info: SceneInfo) -> list[Finding]:
    """All checks of this file."""
    return [_crs(info), _georeferences(info), _point(info), _swath(info), _table(info)]


def _crs(info: SceneInfo) -> Finding:
    name = "CRS"
    if info.swath is not None:
        return passed(name, "the pixels lie on the sensor's grid, each with its longitude and latitude")
    if info.grid.georeferenced:
        return passed(name, info.grid.crs_name)
    if info.grid.transform != IDENTITY:
        return warned(name, "the scene has a transform but no CRS", "Assign it, for example with gdal_edit.py -a_srs EPSG:32633")
    return warned(name, "the scene has no georeference", "Georeference it, or give labels and masks pixel by pixel")


def _georeferences(info: SceneInfo) -> Finding:
    name = "half a pixel"
    if doubts := [notice for notice in info.notices if isinstance(notice, PlaceDoubt)]:
        return warned(name, "; ".join(doubts), "Compare with a layer that you trust")
    if info.swath is not None or not info.grid.georeferenced:
        return skipped(name, "the scene lies on no map grid")
    others = dict(_others(info))
    if not others:
        return passed(name, "no second georeference disagrees with the scene's")
    for what, transform in others.items():
        across, down = corner_shift(info.grid.transform, transform)
        if max(abs(across), abs(down)) > DISAGREE:
            half = all(abs(step) < DISAGREE or HALF[0] < abs(step) < HALF[1] for step in (across, down))
            doubt = "as if one took the corner of the first pixel for its centre" if half else "so one of them is wrong"
            wrong = f"{what} puts the scene {_steps(across, down)} from where it is read, {doubt}"
            return warned(name, wrong, "Compare with a layer that you trust, and remove the wrong one")
    return passed(name, f"{', '.join(others)} and the scene agree")


def _steps(across: float, down: float) -> str:
    """Columns and rows in words, without a negative nothing."""
    return f"{round(across, 2) + 0.0:+.2f} columns and {round(down, 2) + 0.0:+.2f} rows"


def corner_shift(one: Coefficients, other: Coefficients) -> tuple[float, float]:
    """By how many columns and rows of the first the second's corner is away."""
    a, b, c, d, e, f = one
    x, y = other[2] - c, other[5] - f
    scale = a * e - b * d
    return (e * x - b * y) / scale, (a * y - d * x) / scale


def _others(info: SceneInfo) -> Iterator[tuple[str, Coefficients]]:
    """What else says where the scene lies: world files, GDAL's side-car, a GeoTIFF's own tags."""
    path = Path(info.name)
    for suffix in WORLD_SUFFIXES:
        beside = path.with_suffix(f".{suffix}")
        if (found := _world(beside)) is not None:
            yield beside.name, found
    aux = Path(f"{path}.aux.xml")
    if (found := _auxiliary(aux)) is not None:
        yield aux.name, found
    if info.driver == "geotiff" and (found := _own_tags(path)) is not None:
        yield "the GeoTIFF's own tags", found


def _world(path: Path) -> Coefficients | None:
    """A world file, whose place is the centre of the first pixel."""
    try:
        a, d, b, e, x, y = (float(word) for word in path.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    return a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2


def _auxiliary(path: Path) -> Coefficients | None:
    """The transform in GDAL's side-car file."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        text = ElementTree.fromstring(path.read_text(encoding="utf-8"), forbid_dtd=True).findtext("GeoTransform") or ""
        c, a, b, f, d, e = (float(word) for word in text.split(","))
    except (OSError, ValueError, ElementTree.ParseError, DefusedXmlException):
        return None
    return a, b, c, d, e, f


def _dataset(path: Path, **settings: str) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.Env(**settings):
            return rasterio.open(path)


def _own_tags(path: Path) -> Coefficients | None:
    """What the tags inside a GeoTIFF say, whatever lies beside it."""
    from rasterio.errors import RasterioError

    try:
        with _dataset(path, GDAL_GEOREF_SOURCES="INTERNAL") as file:
            found: Coefficients = tuple(file.transform)[:6]
    except RasterioError:
        return None
    return None if found == IDENTITY else found


def _point(info: SceneInfo) -> Finding:
    name = "corner or centre"
    if info.driver != "geotiff":
        return skipped(name, "only GeoTIFF says which of the two its coordinates are")
    from rasterio.errors import RasterioError

    try:
        with _dataset(Path(info.name)) as file:
            point = file.tags().get("AREA_OR_POINT") == "Point"
    except RasterioError:
        return skipped(name, "the scene is more than one file")
    if point:
        wrong = "the GeoTIFF says that its coordinates are centres of pixels (PixelIsPoint), and is read so; some programs write that by mistake"
        return warned(name, wrong, "Compare with a layer that you trust; half a pixel off, correct it with gdal_edit.py -mo AREA_OR_POINT=Area")
    return passed(name, "coordinates are corners of pixels")


def _swath(info: SceneInfo) -> Finding:
    name = "lookup table"
    if info.swath is None:
        return skipped(name, "the scene is no swath")
    if info.swath.table is None:
        return warned(
            name, "the swath has no lookup table: map pixels take the nearest measurement", "--radius of hsikit orthorectify says how far that may be"
        )
    return passed(name, f"the product's own table maps it onto {info.swath.table.grid.crs_name}")


def _table(info: SceneInfo) -> Finding:
    """Whether the table's map pixels lie where the product says that their measurements lie."""
    name = "table and positions"
    if info.swath is None or info.swath.table is None:
        return skipped(name, "there is no lookup table")
    try:
        offsets = _table_offsets(info.swath, info.swath.table)
    except (GridError, SceneError) as error:
        return warned(name, f"the table cannot be compared with the positions: {error.wrong}", error.advice)
    if len(offsets) < LEAST_PLACES:
        return skipped(name, "too few map pixels hold a measurement")
    across, down = np.median(offsets, axis=0)
    if max(abs(across), abs(down)) > TABLE_OFF:
        wrong = f"measurements lie {_steps(across, down)} from the map pixels that the table gives them, in the median"
        return warned(name, wrong, "Make a table from the positions (hsikit orthorectify --res), and compare with a layer that you trust")
    return passed(name, f"measurements lie {_steps(across, down)} from their map pixels, in the median")


def _table_offsets(swath: Swath, table: LookupTable) -> np.ndarray:
    """Columns and rows from a map pixel's centre to its measurement, shape (n, 2), for a sample of the table."""
    centres = CentresIn(SwathPlaces(swath), table.grid.crs)
    found = [np.zeros((0, 2))]
    for window in _table_windows(table.grid):
        lookup = table.read(window)
        line, column = np.nonzero(lookup.filled & ~lookup.infill)
        if len(line):
            x, y = centres.at(*_measured(lookup, line, column))
            found.append(_pixels_away(table.grid, x, y, column + window.col, line + window.row))
    joined = np.concatenate(found)
    return joined[np.isfinite(joined).all(axis=1)]


def _measured(lookup: Lookup, line: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return lookup.rows[line, column].astype(np.intp), lookup.cols[line, column].astype(np.intp)


def _pixels_away(grid: Grid, x: np.ndarray, y: np.ndarray, cols: np.ndarray, rows: np.ndarray) -> np.ndarray:
    a, b, c, d, e, f = tuple(~grid.affine)[:6]
    return np.column_stack([a * x + b * y + c - cols - 0.5, d * x + e * y + f - rows - 0.5])


def _table_windows(grid: Grid) -> Iterator[Window]:
    """A few windows along the diagonal of the map and across it."""
    rows, cols = grid.shape
    side = (min(TABLE_WINDOW, rows), min(TABLE_WINDOW, cols))
    for row, col in {(i, j) for i in range(TABLE_WINDOWS) for j in range(TABLE_WINDOWS)}:
        yield Window((rows - side[0]) * row // (TABLE_WINDOWS - 1), (cols - side[1]) * col // (TABLE_WINDOWS - 1), *side)
