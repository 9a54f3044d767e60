"""Masks that are rasters: sampled at the centres of the scene's pixels, whatever grid and CRS they have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.handles import HandlePool
from hsikit.geo.mask import file_identity
from hsikit.geo.places import CentresIn, Places

Booleans = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)

RASTER_SAMPLES = 4 << 20
"""Samples of a mask raster that are read at once, at most, however much finer than the scene it is."""


class Sampled(Generic[Kind]):
    """A raster on a map grid of its own, at the pixel centres of a scene (nearest neighbour).

    Args:
        places: of the scene's pixels.
        grid: of the raster; with a CRS.
        values: the raster's pixels in a window of its own grid.
        kind: their type.
    """

    def __init__(self, places: Places, grid: Grid, values: Callable[[Window], NDArray[Kind]], kind: type[Kind]) -> None:
        self._grid, self._inverse, self._values, self._kind = grid, ~grid.affine, values, kind
        self._places, self._centres = places, CentresIn(places, grid.crs)

    def overlaps(self) -> bool:
        """Whether one of a sample of the scene's pixels lies in the raster, or the extents of the two meet."""
        if self._inside(*self._on_raster(*self._centres.sample)).any():
            return True
        from rasterio.warp import transform_bounds

        try:
            left, bottom, right, top = transform_bounds(self._grid.crs, self._places.crs, *self._grid.bounds)
        except Exception:  # PROJ and GDAL raise several kinds where an extent has no image, and then it does not meet the scene
            return False
        mine = self._places.bounds
        return bool(max(left, mine[0]) < min(right, mine[2]) and max(bottom, mine[1]) < min(top, mine[3]))

    def _on_raster(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Row and column in the raster, as real numbers."""
        a, b, c, d, e, f = tuple(self._inverse)[:6]
        with np.errstate(invalid="ignore"):
            return d * x + e * y + f, a * x + b * y + c

    def _inside(self, line: Any, column: Any) -> Booleans:
        rows, cols = self._grid.shape
        inside: Booleans = np.isfinite(line) & np.isfinite(column)
        with np.errstate(invalid="ignore"):
            inside &= (line >= 0) & (line < rows) & (column >= 0) & (column < cols)
        return inside

    def read(self, window: Window) -> NDArray[Kind]:
        """The raster's value at each centre of a window, 0 outside of the raster; shape (window.rows, window.cols)."""
        out = np.zeros(window.shape, self._kind)
        self._fill(window, out)
        return out

    def _fill(self, window: Window, out: NDArray[Kind]) -> None:
        line, column = self._on_raster(*self._centres.centres(window))
        inside = self._inside(line, column)
        if not inside.any():
            return
        rows, cols = line[inside].astype(np.intp), column[inside].astype(np.intp)
        needed = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
        if needed.size > RASTER_SAMPLES and window.size > 1:
            for part in _halves(window):
                self._fill(part, out[part.slices((window.row, window.col))])
            return
        out[inside] = self._values(needed)[rows - needed.row, cols - needed.col]


def _halves(window: Window) -> tuple[Window, Window]:
    """The window cut across its longer side."""
    if window.rows >= window.cols:
        top = window.rows // 2
        return Window(window.row, window.col, top, window.cols), Window(window.row + top, window.col, window.rows - top, window.cols)
    left = window.cols // 2
    return Window(window.row, window.col, window.rows, left), Window(window.row, window.col + left, window.rows, window.cols - left)


class RasterMask:
    """A mask in a raster file: sampled where it has a CRS, else pixel by pixel like a scene that has none either.

    Args:
        path: the file.
        grid: of the scene.
        places: of its pixels; None where it has no georeference.
        name: the option, for messages.
    """

    def __init__(self, path: Path, grid: Grid, places: Places | None, name: str = "--mask") -> None:
        self._path, self._name = path, name
        self.identity = file_identity(path)
        self._handles: HandlePool[Any] = HandlePool(self._open, _close)
        with self._handles.lend() as data:
            self._nodata = data.nodata
            own = Grid(data.shape, tuple(data.transform)[:6], data.crs.to_wkt() if data.crs is not None else None)
        self._sampled = self._placed(own, grid, places)

    def _open(self) -> Any:
        import rasterio
        from rasterio.errors import RasterioError

        try:
            return rasterio.open(self._path)
        except RasterioError as error:
            raise OptionError(self._path, f"the file given for {self._name} is neither a raster nor a vector file that can be read", str(error)) from error

    def _placed(self, own: Grid, grid: Grid, places: Places | None) -> Sampled[np.bool_] | None:
        """How the scene's pixels find theirs in the mask; None: one by one."""
        if own.crs is not None:
            if places is None:
                raise GridError(self._path, "the mask is georeferenced but the scene is not", "Give a mask without CRS, pixel by pixel like the scene")
            sampled = Sampled(places, own, self._hidden, np.bool_)
            if not sampled.overlaps():
                raise GridError(self._path, "the mask does not overlap the scene", f"Give {self._name} a mask of the same area")
            return sampled
        if grid.georeferenced:
            raise GridError(self._path, "the mask has no coordinate reference system", "Assign its CRS, for example with gdal_edit.py -a_srs")
        if own.shape != grid.shape:
            wrong = f"neither mask nor scene is georeferenced, and their sizes differ: {own.shape} and {grid.shape} (rows, columns)"
            raise GridError(self._path, wrong, "Give a mask pixel by pixel like the scene")
        return None

    def read(self, window: Window) -> Booleans:
        """See `Mask`.

        Raises:
            OptionError: the file is truncated or damaged.
        """
        return self._hidden(window) if self._sampled is None else self._sampled.read(window)

    def _hidden(self, needed: Window) -> Booleans:
        """What the file hides in a window of its own grid."""
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
