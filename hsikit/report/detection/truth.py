"""What is true of a detection, on the map's grid and window by window: a raster, or polygons or points of objects.

A raster says of each pixel whether it is a target: above 0, where it is not nodata; other nodata than 0 is unknown. Of a polygon the pixels are targets
whose centres lie inside, and of one that holds no centre the pixel in its middle. A point names one pixel; the eight around it are unknown, since
nobody says which of them belong to the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, HsikitError, LabelError
from hsikit.geo.grid import Coefficients, Grid, Window
from hsikit.geo.mask import VECTOR_SUFFIXES
from hsikit.metrics.detection_strips import BACKGROUND, TARGET, UNKNOWN
from hsikit.report.ground import Pixels, on_map, pixel_places
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source

Codes = NDArray[np.int8]
BELOW = "Above 0 is a target, 0 background; declare what is unknown as nodata (gdal_edit.py -a_nodata)"
SMALL = 3
"""Polygons of up to so many pixels across may hold no centre."""


class Truth(Protocol):
    """Truth on a map's grid.

    Attributes:
        kind: "raster", "polygons" or "points".
    """

    kind: str

    def read(self, window: Window) -> Codes:
        """What is true of each pixel, shape (rows, cols): `TARGET`, `BACKGROUND` or `UNKNOWN`."""
        ...


class RasterTruth:
    """Truth in the first band of a raster on the map's grid."""

    kind = "raster"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._zero_is_nodata = source.info.nodata == 0

    def read(self, window: Window) -> Codes:
        """See `Truth`.

        Raises:
            LabelError: values below 0.
        """
        values = read_window(self._source, window, np.array([0]))[0]
        if (values < 0).any():
            raise LabelError(self._source.info.name, f"holds values below 0 (such as {values[values < 0][0]:g})", BELOW)
        out = np.where(values > 0, TARGET, BACKGROUND).astype(np.int8)
        out[np.isnan(values)] = BACKGROUND if self._zero_is_nodata else UNKNOWN
        return out


class ObjectTruth:
    """Truth as polygons and points, in map coordinates.

    Args:
        shapes: polygons, shape (n,).
        points: rows and columns of points.
        grid: of the map.
    """

    def __init__(self, shapes: NDArray[Any], points: Pixels, grid: Grid) -> None:
        import shapely

        self.kind = "polygons" if len(shapes) else "points"
        self._drawn, self._shapes, self._points = grid.drawn, shapes, points
        self._tree = shapely.STRtree(shapes)
        self._middles = self._without_centre()

    def _without_centre(self) -> Pixels:
        """Pixels of the polygons that hold no pixel centre."""
        import shapely

        found = [np.zeros((0, 2), np.intp)]
        for shape in self._shapes:
            rows, cols = pixel_places(self._drawn, *shapely.get_coordinates(shape).T)
            if max(np.ptp(cols), np.ptp(rows)) > SMALL:
                continue
            window = Window(int(np.floor(rows.min())), int(np.floor(cols.min())), SMALL + 2, SMALL + 2)
            if not self._burnt([shape], window).any():
                row, col = pixel_places(self._drawn, *shapely.get_coordinates(shape.representative_point()).T)
                found.append(np.floor(np.stack((row, col), 1)).astype(np.intp))
        places = np.concatenate(found)
        return places[:, 0], places[:, 1]

    def _burnt(self, shapes: Sequence[Any], window: Window) -> NDArray[np.bool_]:
        from affine import Affine
        from rasterio.features import rasterize

        a, b, c, d, e, f = self._drawn
        place = Affine(a, b, a * window.col + b * window.row + c, d, e, d * window.col + e * window.row + f)
        return np.asarray(rasterize(shapes, out_shape=window.shape, transform=place, default_value=1, dtype="uint8"), bool)

    def read(self, window: Window) -> Codes:
        """See `Truth`."""
        out = np.full(window.shape, BACKGROUND, np.int8)
        mark(out, self._points, window, UNKNOWN, 1)
        near = self._tree.query(_outline(self._drawn, window))
        if len(near):
            out[self._burnt(self._shapes[np.sort(near)].tolist(), window)] = TARGET
        for pixels in (self._middles, self._points):
            mark(out, pixels, window, TARGET)
        return out


def mark(out: NDArray[Any], pixels: Pixels, window: Window, value: float, reach: int = 0) -> None:
    """Sets pixels, and those within a reach, in a window."""
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            row, col = pixels[0] + down - window.row, pixels[1] + across - window.col
            here = (row >= 0) & (row < window.rows) & (col >= 0) & (col < window.cols)
            out[row[here], col[here]] = value


def open_truth(path: str | Path, grid: Grid, name: str) -> Truth:
    """Opens truth for a map.

    Args:
        path: a raster on the map's grid, or a vector file of polygons or points.
        grid: of the map.
        name: of the map, for messages.

    Raises:
        LabelError: it cannot be read, or holds nothing that lies on the map.
        GridError: another grid than the map's, or another kind of place.
    """
    path = Path(path)
    if not path.exists():
        raise LabelError(path, "does not exist", "Check the path")
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return _objects(path, grid, name)
    try:
        source = open_source(path, role="pan", inspect=False)
    except HsikitError as error:
        raise LabelError(
            path, f"cannot be read as truth ({error.wrong})", "Give a raster of one band, above 0 where a target is, or polygons or points"
        ) from None
    return RasterTruth(on_map(source, grid, name, advice="Give truth on the map's own grid, or polygons of the objects"))


def _objects(path: Path, grid: Grid, name: str) -> Truth:
    import geopandas
    import shapely

    try:
        frame = geopandas.read_file(path)
        shapes = frame.geometry
    except Exception as error:  # GDAL, pyogrio and geopandas raise each their own
        raise LabelError(path, f"cannot be read as objects ({error})", "Give polygons or points of the objects, or a raster") from error
    placed = np.asarray(_on_map(shapes, grid, path, name).array, dtype=object)
    placed = shapely.get_parts(placed[~(shapely.is_missing(placed) | shapely.is_empty(placed))])
    flat = shapely.get_dimensions(placed)
    if (flat == 1).any() or not len(placed):
        raise LabelError(path, "holds lines" if len(placed) else "holds no object", "Give polygons or points of the objects")
    points = shapely.get_coordinates(placed[flat == 0])
    rows, cols = (np.floor(place).astype(np.intp) for place in pixel_places(grid.drawn, points[:, 0], points[:, 1]))
    on = (rows >= 0) & (rows < grid.shape[0]) & (cols >= 0) & (cols < grid.shape[1])
    polygons = shapely.make_valid(placed[flat == 2])
    polygons = polygons[shapely.intersects(polygons, _outline(grid.drawn, grid.whole))]
    if not on.any() and not len(polygons):
        raise LabelError(path, f"none of its {len(placed)} objects lies on the map {name}", "Give truth of the same area")
    return ObjectTruth(polygons, (rows[on], cols[on]), grid)


def _outline(drawn: Coefficients, window: Window) -> Any:
    """The polygon around a window's pixels."""
    import shapely

    a, b, c, d, e, f = drawn
    left, top, right, bottom = window.col, window.row, window.col_end, window.row_end
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return shapely.Polygon([(a * col + b * row + c, d * col + e * row + f) for col, row in corners])


def _on_map(shapes: Any, grid: Grid, path: Path, name: str) -> Any:
    """Geometries in the map's coordinates."""
    if (shapes.crs is not None) != grid.georeferenced:
        which = "has a CRS, and the map has none" if shapes.crs is not None else "has no CRS, and the map has one"
        raise GridError(path, f"{which} ({name})", "Give objects in the map's coordinates; without georeference these are (column, -row)")
    if not grid.georeferenced:
        return shapes
    try:
        return shapes.to_crs(grid.crs)
    except Exception as error:  # PROJ raises several kinds
        raise GridError(path, f"its CRS cannot be related to that of the map ({error})", "Reproject it") from error
