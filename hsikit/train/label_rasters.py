"""Label rasters and label arrays: the class at each pixel centre of the scene, read by windows.

A raster on another grid or in another CRS gives each scene pixel the label at the pixel's centre. Only labelled pixels are
kept, so memory follows their number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.places import Places, places_of
from hsikit.geo.swath import Swath
from hsikit.layers import RESERVED, Colour
from hsikit.train.crosswalk import Value
from hsikit.train.label_pixels import LabelPixels, extent_text, place_on

WINDOW_PIXELS = 1 << 21
"""The most pixels of scene or labels that are held at once."""

Read = Callable[[Window], NDArray[Any]]
Project = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


class _Found:
    """Label pixels gathered window by window, in few bytes each: a dense raster has as many as the scene.

    Args:
        ordered: whether the windows come in the order of the pixels (full rows, from the top).
    """

    def __init__(self, ordered: bool = True) -> None:
        self.ordered = ordered
        self._rows: list[NDArray[np.int32]] = []
        self._cols: list[NDArray[np.int32]] = []
        self._numbers: list[NDArray[np.int32]] = []
        self._number_of: dict[int, int] = {}

    def add(self, rows: NDArray[np.intp], cols: NDArray[np.intp], labels: NDArray[Any], nodata: float | None, name: str) -> None:
        keep = _labelled(labels, nodata, name)
        different, index = np.unique(labels[keep].astype(np.int64), return_inverse=True)
        numbers = np.array([self._number_of.setdefault(value, len(self._number_of)) for value in different.tolist()], np.int32)
        self._rows.append(rows[keep].astype(np.int32))
        self._cols.append(cols[keep].astype(np.int32))
        self._numbers.append(numbers[index])

    def pixels(self, names: Mapping[int, str], colours: Mapping[Value, Colour]) -> LabelPixels:
        values = sorted(self._number_of)
        rank = np.zeros(len(values), np.intp)
        rank[[self._number_of[value] for value in values]] = np.arange(len(values))
        rows, cols, numbers = _joined(self._rows), _joined(self._cols), _joined(self._numbers)
        if not self.ordered:
            order = np.lexsort((cols, rows))
            rows, cols, numbers = rows[order], cols[order], numbers[order]
        return LabelPixels(rows.astype(np.intp), cols.astype(np.intp), rank[numbers], values, names=names, colours=colours)


def _joined(parts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """The parts as one array; the list is emptied."""
    whole = np.concatenate([np.zeros(0, np.int32), *parts])
    parts.clear()
    return whole


def _labelled(labels: NDArray[Any], nodata: float | None, name: str) -> NDArray[np.bool_]:
    """Where there is a label at all: neither 0 nor nodata nor NaN."""
    keep: NDArray[np.bool_] = labels != 0
    if np.issubdtype(labels.dtype, np.floating):
        keep &= np.isfinite(labels)
    if nodata is not None:
        keep &= labels != nodata
    chosen = labels[keep]
    if np.issubdtype(labels.dtype, np.floating) and chosen.size and (chosen != np.round(chosen)).any():
        stray = chosen[chosen != np.round(chosen)][0]
        raise LabelError(name, f"value {stray} is no class code", "Label rasters hold whole numbers; is this a raster of labels?")
    return keep


def array_of_shape(labels: NDArray[Any], shape: tuple[int, int], name: str) -> NDArray[Any]:
    """An array as one of the scene's shape, (rows, cols).

    Raises:
        LabelError: another shape, or no numbers.
    """
    array = labels if labels.ndim == 2 else labels.reshape([n for n in labels.shape if n != 1] or [1])
    if array.ndim != 2 or array.shape != shape:
        raise LabelError(name, f"has the shape {labels.shape}, the scene {shape} (rows, columns)", "Give an array with one label per pixel of the scene")
    if array.dtype.kind not in "biuf":
        raise LabelError(name, f"holds {array.dtype}, not class codes", "Give whole numbers; 0 is unlabelled")
    return array


def pixels_of_array(labels: NDArray[Any], shape: tuple[int, int], name: str) -> LabelPixels:
    """Labels in an array (or memory map) of the scene's shape.

    Raises:
        LabelError: another shape, or not whole numbers.
    """
    array = array_of_shape(labels, shape, name)
    found = _Found()
    for window in tile_windows(Window.whole(shape), (max(1, WINDOW_PIXELS // shape[1]), shape[1])):
        part = np.asarray(array[window.slices()])
        rows, cols = np.nonzero(part)
        found.add(rows + window.row, cols + window.col, part[rows, cols], None, name)
    return found.pixels({}, {})


def pixels_of_raster(path: Path, grid: Grid, name: str, swath: Swath | None = None) -> LabelPixels:
    """Labels in a raster file, on whatever grid, for a scene on a map grid or a swath.

    Raises:
        LabelError: unreadable, without CRS, beside the scene, or not whole numbers.
    """
    from rasterio.errors import RasterioError

    found = _Found()
    try:
        with open_quietly(path) as file:
            read = _reader(file)
            nodata = file.nodata
            names, colours = names_in_raster(path, file), _colours(file)
            label_grid = Grid((file.height, file.width), tuple(file.transform)[:6], crs_text(file.crs))
            places = places_of(grid, swath)
            if on_scene_grid(label_grid, grid, places, name):
                for window in tile_windows(grid.whole, (max(1, WINDOW_PIXELS // grid.shape[1]), grid.shape[1])):
                    part = read(window)
                    rows, cols = np.nonzero(part)
                    found.add(rows + window.row, cols + window.col, part[rows, cols], nodata, name)
            elif places is not None:
                found = _Found(ordered=False)
                reached = _sample(read, label_grid, places, nodata, name, found)
                if not reached:
                    wrong = f"the labels lie at {extent_text(label_grid.bounds, label_grid.crs)}, the scene at {extent_text(places.bounds, places.crs)}"
                    raise LabelError(name, f"no label lies inside the scene: {wrong}", "Check that they belong together, and the CRS of both")
    except (RasterioError, OSError) as error:
        raise LabelError(name, f"the label raster cannot be read ({_short(error)})", "Check that the file is whole") from error
    return found.pixels(names, colours)


def open_quietly(path: Path) -> Any:
    """A raster as a rasterio dataset, silent about a missing georeference: labels may have the scene's shape alone.

    Raises:
        rasterio.errors.RasterioError: GDAL does not open it.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def _reader(file: Any) -> Read:
    """Reads windows of the first band."""
    from rasterio.windows import Window as RasterWindow

    def read(window: Window) -> NDArray[Any]:
        values: NDArray[Any] = file.read(1, window=RasterWindow(window.col, window.row, window.cols, window.rows))
        return values

    return read


def crs_text(crs: Any) -> str | None:
    """A CRS as `Grid` has it."""
    if not crs:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def on_scene_grid(labels: Grid, scene: Grid, places: Places | None, name: str) -> bool:
    """Whether the label raster's pixels are the scene's; False when it must be sampled.

    Raises:
        LabelError: where it lies cannot be known.
    """
    same_shape = labels.shape == scene.shape
    if same_shape and (not labels.georeferenced or places is None):
        return True
    if places is None:
        wrong = f"has the shape {labels.shape}, the scene {scene.shape} (rows, columns), and the scene has no georeference"
        raise LabelError(name, wrong, "Give labels of the scene's shape")
    if labels.crs is None:
        wrong = "has an unknown CRS" if labels.georeferenced or not same_shape else "has no georeference"
        raise LabelError(
            name, f"the label raster {wrong} and another shape {labels.shape} than the scene {scene.shape}", "Give it its CRS (gdal_edit.py -a_srs)"
        )
    return (
        scene.georeferenced
        and same_shape
        and np.allclose(labels.transform, scene.transform, rtol=0, atol=1e-3 * abs(scene.transform[0]))
        and _same_crs(labels.crs, scene.crs)
    )


def _same_crs(one: str | None, other: str | None) -> bool:
    """Whether two CRS say the same."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return one == other or bool(CRS.from_user_input(one).equals(CRS.from_user_input(other), ignore_axis_order=True))
    except CRSError:
        return False  # `projection` then says which is unknown


def _sample(read: Read, labels: Grid, scene: Places, nodata: float | None, name: str, found: _Found) -> bool:
    """The label at each scene pixel's centre; returns whether any centre lies inside the label raster."""
    project = projection(scene.crs, labels.crs, name)
    reached = False
    tile = (max(1, WINDOW_PIXELS // scene.shape[1] // 4), scene.shape[1])
    for window in tile_windows(Window.whole(scene.shape), tile):
        for rows, cols, label_rows, label_cols in _centres(window, scene, labels, project):
            area = _box(label_rows, label_cols)
            values = read(area)[label_rows - area.row, label_cols - area.col]
            found.add(rows, cols, values, nodata, name)
            reached = True
    return reached


def _centres(window: Window, scene: Places, labels: Grid, project: Project) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Scene pixels of a window and the label pixels that hold their centres, in parts whose label window is small."""
    rows, cols = (index.ravel() for index in np.mgrid[window.row : window.row_end, window.col : window.col_end])
    x, y = (values.ravel() for values in scene.centres(window))
    label_x, label_y = project(x, y)
    with np.errstate(invalid="ignore"):
        place_col, place_row = place_on(~labels.affine, label_x, label_y)
        inside = (place_row >= 0) & (place_row < labels.shape[0]) & (place_col >= 0) & (place_col < labels.shape[1])
    if not inside.any():
        return
    label_rows, label_cols = (np.floor(place[inside]).astype(np.intp) for place in (place_row, place_col))
    if window.size > 1 and _box(label_rows, label_cols).size > WINDOW_PIXELS:
        half = (-(-window.rows // 2), window.cols) if window.rows >= window.cols else (window.rows, -(-window.cols // 2))
        for part in tile_windows(window, half):
            yield from _centres(part, scene, labels, project)
        return
    yield rows[inside].astype(np.intp), cols[inside].astype(np.intp), label_rows, label_cols


def _box(rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Window:
    """The smallest window that holds these pixels."""
    row, col = int(rows.min()), int(cols.min())
    return Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)


def projection(source: str | None, target: str | None, name: str) -> Project:
    """A function from map coordinates of one CRS to another's; places without an image become infinite.

    Raises:
        LabelError: a CRS that PROJ does not know.
    """
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    try:
        one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    except CRSError as error:
        raise LabelError(name, "the CRS of the labels or of the scene is unknown to PROJ", "Give both a CRS by its EPSG code") from error
    if one.equals(other, ignore_axis_order=True):
        return lambda x, y: (x, y)
    transformer = Transformer.from_crs(one, other, always_xy=True)
    return lambda x, y: transformer.transform(x, y)


def names_in_raster(path: Path, file: Any) -> dict[int, str]:
    """Class names that the raster brings: ENVI's list, or GDAL's category names and attribute table in the .aux.xml."""
    listed = file.tags(ns="ENVI").get("class_names", "")
    names = dict(enumerate(part.strip() for part in listed.strip("{} \n").split(","))) if listed else _aux_names(Path(f"{path}.aux.xml"))
    return {code: text for code, text in names.items() if text and code not in RESERVED}


def _aux_names(path: Path) -> dict[int, str]:
    """Names by code in GDAL's side-car file, if there is one."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        text = path.read_text(encoding="utf-8")
        # GDAL writes no document type; entities could be made to expand without end.
        band = ElementTree.fromstring(text, forbid_dtd=True).find("PAMRasterBand")
    except (OSError, UnicodeDecodeError, ElementTree.ParseError, DefusedXmlException):
        return {}
    if band is None:
        return {}
    names = {code: (entry.text or "").strip() for code, entry in enumerate(band.findall("CategoryNames/Category"))}
    columns = {field.findtext("Usage"): i for i, field in enumerate(band.findall("GDALRasterAttributeTable/FieldDefn"))}
    value, label = columns.get("5"), columns.get("2")
    if value is not None and label is not None:
        for row in band.findall("GDALRasterAttributeTable/Row"):
            cells = [(cell.text or "").strip() for cell in row.findall("F")]
            if len(cells) > max(value, label) and cells[value].isdigit():
                names[int(cells[value])] = cells[label]
    return names


def _colours(file: Any) -> dict[Value, Colour]:
    """The raster's colour table."""
    try:
        table = file.colormap(1)
    except ValueError:
        return {}
    return {code: (red, green, blue) for code, (red, green, blue, _) in table.items() if (red, green, blue) != (0, 0, 0)}


def _short(error: Exception) -> str:
    """The first line of another library's message."""
    return (str(error).splitlines() or [error.__class__.__name__])[0][:160]
