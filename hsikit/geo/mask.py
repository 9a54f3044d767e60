"""Masks: what a user wants hidden in a map (cloud, water, built-up land), as a raster or as polygons, read window by window.

A raster may lie on any grid in any CRS: a pixel of the scene is hidden where the mask's pixel under its centre is neither
zero nor nodata. Polygons come from any vector file in any CRS: a pixel is hidden where its centre lies inside one.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Coefficients, Grid, Window
from hsikit.geo.handles import HandlePool

Booleans = NDArray[np.bool_]
Indices = NDArray[np.intp]

RASTER_SAMPLES = 4 << 20
"""Samples of a mask raster that are read at once, at most, however much finer than the scene it is."""
VECTOR_SUFFIXES = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".gdb", ".sqlite", ".zip"})


class Mask(Protocol):
    """What is hidden, on the grid that it was opened for. May be used by several threads at once.

    Attributes:
        identity: path, size and time of the file, which tell whether it is still the same.
    """

    identity: tuple[Any, ...]

    def read(self, window: Window) -> Booleans:
        """True where a pixel is hidden, shape (window.rows, window.cols); False outside the mask's extent."""
        ...

    def close(self) -> None:
        """Closes its files."""
        ...


def open_mask(path: str | Path, grid: Grid, name: str = "--mask") -> Mask:
    """Opens a mask for a scene's grid.

    Args:
        path: a raster that GDAL reads, or a vector file of polygons.
        grid: the grid of the scene.
        name: the option, for messages.

    Raises:
        OptionError: the file is missing, cannot be read, or holds no polygon.
        GridError: it has no CRS (or the scene has none), or does not overlap the scene.
    """
    file = Path(path)
    if not file.exists():
        raise OptionError(file, f"the file given for {name} does not exist", "Check the path")
    return PolygonMask(file, grid, name) if file.suffix.lower() in VECTOR_SUFFIXES else RasterMask(file, grid, name)


def _identity(path: Path) -> tuple[Any, ...]:
    facts = path.stat()
    return str(path.absolute()), facts.st_size, facts.st_mtime_ns


class RasterMask:
    """A mask raster on any grid and CRS, sampled at the pixel centres of the scene (nearest neighbour)."""

    def __init__(self, path: Path, grid: Grid, name: str = "--mask") -> None:
        self._path, self._grid, self._name = path, grid, name
        self.identity = _identity(path)
        self._local = threading.local()
        self._handles: HandlePool[Any] = HandlePool(self._open, _close)
        with self._handles.lend() as data:
            self._inverse, self._shape, self._nodata = (~data.transform)[:6], data.shape, data.nodata
            crs, self._bounds = data.crs, data.bounds
        if grid.georeferenced != (crs is not None):
            self._place_alike(crs is not None)
        self._from = grid.crs if grid.georeferenced else None
        self._to = crs.to_wkt() if crs is not None else None
        self._reproject = self._from is not None and not _same_crs(self._from, crs)
        if self._from is None:
            self._check_shape()
        elif not self._overlaps():
            raise GridError(path, "the mask does not overlap the scene", f"Give {name} a mask of the same area")

    def _place_alike(self, mask_is_placed: bool) -> None:
        if mask_is_placed:
            raise GridError(self._path, "the mask is georeferenced but the scene is not", "Give a mask without CRS, pixel by pixel like the scene")
        raise GridError(self._path, "the mask has no coordinate reference system", "Assign its CRS, for example with gdal_edit.py -a_srs")

    def _check_shape(self) -> None:
        if self._shape != self._grid.shape:
            wrong = f"neither mask nor scene is georeferenced, and their sizes differ: {self._shape} and {self._grid.shape} (rows, columns)"
            raise GridError(self._path, wrong, "Give a mask pixel by pixel like the scene")
        self._inverse = (~self._grid.affine)[:6]

    def _open(self) -> Any:
        import rasterio
        from rasterio.errors import RasterioError

        try:
            return rasterio.open(self._path)
        except RasterioError as error:
            raise OptionError(self._path, f"the file given for {self._name} is neither a raster nor a vector file that can be read", str(error)) from error

    def _overlaps(self) -> bool:
        """Whether some pixel centre out of a lattice lies in the mask, or a mask's corner in the scene."""
        rows, cols = self._grid.shape
        row, col = (np.unique(np.linspace(0, n - 1, 65).astype(np.intp)) for n in (rows, cols))
        line, column = self._positions(row, col)
        if self._inside(line, column).any():
            return True
        from rasterio.warp import transform_bounds

        try:
            left, bottom, right, top = transform_bounds(self._to, self._from, *self._bounds)
        except Exception as error:  # PROJ and GDAL raise several kinds
            raise GridError(self._path, f"the mask's CRS cannot be related to the scene's ({error})", "Reproject the mask") from error
        mine = self._grid.bounds
        return bool(max(left, mine[0]) < min(right, mine[2]) and max(bottom, mine[1]) < min(top, mine[3]))

    def _positions(self, row: Indices, col: Indices) -> tuple[Any, Any]:
        """Row and column in the mask, as real numbers, of each pixel's centre; shape (len(row), len(col))."""
        column, line = np.meshgrid(col + 0.5, row + 0.5)
        x, y = _apply(self._grid.transform, column, line)
        if self._reproject:
            x, y = self._transformer().transform(x, y)
        across, down = _apply(self._inverse, x, y)
        return down, across

    def _transformer(self) -> Any:
        """This thread's transformation from the scene's CRS to the mask's."""
        from pyproj import Transformer

        if not hasattr(self._local, "transformer"):
            self._local.transformer = Transformer.from_crs(self._from, self._to, always_xy=True)
        return self._local.transformer

    def _inside(self, line: Any, column: Any) -> Booleans:
        inside: Booleans = np.isfinite(line) & np.isfinite(column)
        inside &= (line >= 0) & (line < self._shape[0]) & (column >= 0) & (column < self._shape[1])
        return inside

    def read(self, window: Window) -> Booleans:
        """See `Mask`.

        Raises:
            OptionError: the file is truncated or damaged.
        """
        out = np.zeros(window.shape, bool)
        self._fill(window, out)
        return out

    def _fill(self, window: Window, out: Booleans) -> None:
        line, column = self._positions(np.arange(window.row, window.row_end), np.arange(window.col, window.col_end))
        inside = self._inside(line, column)
        if not inside.any():
            return
        rows, cols = line[inside].astype(np.intp), column[inside].astype(np.intp)
        needed = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        if needed.size > RASTER_SAMPLES and window.size > 1:
            for part in _halves(window):
                self._fill(part, out[part.slices((window.row, window.col))])
            return
        out[inside] = self._hidden(needed)[rows - needed.row, cols - needed.col]

    def _hidden(self, needed: Window) -> Booleans:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as RasterWindow

        try:
            with self._handles.lend() as data:
                values = data.read(1, window=RasterWindow(needed.col, needed.row, needed.cols, needed.rows))
        except RasterioError as error:
            raise OptionError(self._path, "the mask is truncated or damaged", str(error)) from error
        hidden: Booleans = values != 0
        if values.dtype.kind == "f":
            hidden &= ~np.isnan(values)
        if self._nodata is not None and not np.isnan(self._nodata):
            hidden &= values != self._nodata
        return hidden

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the file again."""
        self._handles.close()


def _close(data: Any) -> None:
    data.close()


def _apply(transform: Coefficients, x: Any, y: Any) -> tuple[Any, Any]:
    a, b, c, d, e, f = transform
    return a * x + b * y + c, d * x + e * y + f


def _halves(window: Window) -> tuple[Window, Window]:
    """The window cut across its longer side."""
    if window.rows >= window.cols:
        top = window.rows // 2
        return Window(window.row, window.col, top, window.cols), Window(window.row + top, window.col, window.rows - top, window.cols)
    left = window.cols // 2
    return Window(window.row, window.col, window.rows, left), Window(window.row, window.col + left, window.rows, window.cols - left)


def _same_crs(text: str | None, crs: Any) -> bool:
    from rasterio.crs import CRS

    return bool(CRS.from_user_input(text) == crs)


class PolygonMask:
    """Polygons of a vector file, burnt window by window; those that touch the scene are held in memory, no other."""

    def __init__(self, path: Path, grid: Grid, name: str = "--mask") -> None:
        from shapely import STRtree

        if not grid.georeferenced:
            raise GridError(path, "the scene has no georeference, so polygons cannot be placed in it", f"Give {name} a raster, pixel by pixel like the scene")
        self._grid, self.identity = grid, _identity(path)
        self._polygons = _polygons(path, grid, name)
        self._tree = STRtree(self._polygons)

    def read(self, window: Window) -> Booleans:
        """See `Mask`."""
        from rasterio.features import rasterize
        from shapely import Polygon

        part = self._grid.crop(window)
        a, b, c, d, e, f = part.transform
        rows, cols = window.shape
        outline = Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in ((0, 0), (cols, 0), (cols, rows), (0, rows))])
        near = self._tree.query(outline)
        if not len(near):
            return np.zeros(window.shape, bool)
        burnt = rasterize(self._polygons[np.sort(near)].tolist(), out_shape=window.shape, transform=part.affine, default_value=1, dtype="uint8")
        return np.asarray(burnt, bool)

    def close(self) -> None:
        """Nothing stays open."""


def _polygons(path: Path, grid: Grid, name: str) -> NDArray[Any]:
    """Polygons in the scene's CRS that touch its extent."""
    import shapely

    frame = _read_vector(path, grid, name)
    if not len(frame):
        raise GridError(path, "the mask does not overlap the scene", f"Give {name} a mask of the same area")
    shapes = np.asarray(_placed(frame.geometry, grid.crs, path).array, dtype=object)
    shapes = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    flat = shapely.make_valid(shapes[shapely.get_dimensions(shapes) == 2])
    if not len(flat):
        raise OptionError(path, f"the file given for {name} holds no polygon", "Give polygons, or a raster")
    touching = flat[shapely.intersects(flat, shapely.box(*grid.bounds))]
    if not len(touching):
        raise GridError(path, "the mask does not overlap the scene", f"Give {name} a mask of the same area")
    return np.asarray(touching, dtype=object)


def _placed(shapes: Any, crs: Any, path: Path) -> Any:
    """Geometries in another CRS."""
    try:
        return shapes.to_crs(crs)
    except Exception as error:  # PROJ raises several kinds
        raise GridError(path, f"the mask's CRS cannot be related to the scene's ({error})", "Reproject the mask") from error


def _read_vector(path: Path, grid: Grid, name: str) -> Any:
    """Features near the scene, geometry only."""
    import geopandas
    import pyogrio

    try:
        crs = pyogrio.read_info(path)["crs"]
    except Exception as error:  # GDAL and pyogrio raise each their own
        raise OptionError(path, f"the file given for {name} cannot be read as polygons", str(error)) from error
    if crs is None:
        raise GridError(path, "the mask has no coordinate reference system", "Assign its CRS before use")
    extent = _placed(_around(grid), crs, path).total_bounds
    try:
        return geopandas.read_file(path, bbox=tuple(extent) if np.isfinite(extent).all() else None, columns=[])
    except Exception as error:  # as above
        raise OptionError(path, "the mask is truncated or damaged", str(error)) from error


def _around(grid: Grid) -> Any:
    """The scene's extent with a margin, its sides cut into pieces short enough to follow the curves of another CRS."""
    import geopandas
    import shapely

    left, bottom, right, top = grid.bounds
    longest = max(right - left, top - bottom)
    box = shapely.box(left, bottom, right, top).buffer(0.01 * longest, join_style="mitre").segmentize(longest / 64)
    return geopandas.GeoSeries([box], crs=grid.crs)
