"""Heights of the ground out of a raster, at points given by longitude and latitude: what sensor models are intersected with."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Window
from hsikit.geo.handles import HandlePool

Floats = NDArray[np.float64]
SAMPLES = 4 << 20
"""Samples of the raster that are read at once, at most, but for a single point's neighbours."""
MARGIN = 32
"""Samples around the points that are read too: the next points lie near."""


class HeightModel:
    """A raster of heights, in any CRS that PROJ relates to WGS 84. May be used by several threads at once.

    Heights are taken as metres above the ellipsoid: a vertical datum that the file may name is not applied.

    Args:
        path: any raster that GDAL reads, one band.
        name: the option that names it, for messages.

    Raises:
        OptionError: the file is missing or no raster.
        GridError: it has no CRS.
    """

    def __init__(self, path: str | Path, name: str = "--dem") -> None:
        self._path, self._name = Path(path), name
        self._handles: HandlePool[Any] = HandlePool(self._open, _close)
        self._local = threading.local()
        with self._handles.lend() as data:
            self._inverse, self._shape, self._nodata = (~data.transform)[:6], data.shape, data.nodata
            self._scale, self._offset, crs = data.scales[0], data.offsets[0], data.crs
        if crs is None:
            raise GridError(path, "the height model has no coordinate reference system", "Assign its CRS, for example with gdal_edit.py -a_srs")
        self._crs = crs.to_wkt()

    def heights(self, longitude: Floats, latitude: Floats) -> Floats:
        """Heights (m) by bilinear interpolation between the centres of the samples.

        Args:
            longitude: degrees, any shape.
            latitude: the same.

        Returns:
            The same shape; NaN outside the raster, and where no sample around a point is known.

        Raises:
            OptionError: the file is truncated or damaged.
        """
        x, y = self._transformer().transform(longitude.ravel(), latitude.ravel())
        a, b, c, d, e, f = self._inverse
        with np.errstate(invalid="ignore"):  # what PROJ cannot place is infinite
            col, row = a * x + b * y + c - 0.5, d * x + e * y + f - 0.5
            inside = (row >= -0.5) & (row <= self._shape[0] - 0.5) & (col >= -0.5) & (col <= self._shape[1] - 0.5)
        out = np.full(row.shape, np.nan)
        chosen = np.flatnonzero(inside)
        rows, cols = (np.clip(values[chosen], 0, size - 1) for values, size in ((row, self._shape[0]), (col, self._shape[1])))
        out[chosen] = self._interpolated(rows, cols)
        return out.reshape(longitude.shape)

    def _interpolated(self, rows: Floats, cols: Floats) -> Floats:
        """Heights at positions inside the raster, in samples; shape (n,)."""
        if not rows.size:
            return np.zeros(0)
        top, left = int(rows.min()), int(cols.min())
        needed = Window(top, left, min(int(rows.max()) + 2, self._shape[0]) - top, min(int(cols.max()) + 2, self._shape[1]) - left)
        if needed.size > SAMPLES and rows.size > 1:
            half = rows.size // 2
            return np.concatenate([self._interpolated(rows[:half], cols[:half]), self._interpolated(rows[half:], cols[half:])])
        values, origin = self._patch(needed)
        row, col = np.floor(rows).astype(np.intp), np.floor(cols).astype(np.intp)
        total, weights = np.zeros(rows.shape), np.zeros(rows.shape)
        for down in (0, 1):
            for across in (0, 1):
                weight = np.abs(1 - down - (rows - row)) * np.abs(1 - across - (cols - col))
                r, c = np.minimum(row + down, self._shape[0] - 1), np.minimum(col + across, self._shape[1] - 1)
                height = values[r - origin[0], c - origin[1]]
                known = np.isfinite(height) & (weight > 0)
                total += np.where(known, weight * height, 0.0)
                weights += np.where(known, weight, 0.0)
        found: Floats = np.divide(total, weights, out=np.full(rows.shape, np.nan), where=weights > 0)
        return found

    def _patch(self, needed: Window) -> tuple[Floats, tuple[int, int]]:
        """A part of the raster around a window, and its first row and column; this thread's last one where that suffices."""
        last = getattr(self._local, "patch", None)
        if last is not None and needed.intersect(last[1]) == needed:
            return last[0], (last[1].row, last[1].col)
        wide = needed.expand((MARGIN, MARGIN)).intersect(Window.whole(self._shape))
        self._local.patch = (self._read(wide), wide)
        return self._local.patch[0], (wide.row, wide.col)

    def _read(self, window: Window) -> Floats:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as RasterWindow

        try:
            with self._handles.lend() as data:
                stored = data.read(1, window=RasterWindow(window.col, window.row, window.cols, window.rows))
        except (RasterioError, OSError) as error:
            raise OptionError(self._path, "the height model is truncated or damaged", str(error)) from error
        values: Floats = np.asarray(stored, np.float64) * self._scale + self._offset
        if self._nodata is not None:
            values[stored == self._nodata] = np.nan
        return values

    def _open(self) -> Any:
        import rasterio
        from rasterio.errors import RasterioError

        try:
            return rasterio.open(self._path)
        except (RasterioError, OSError) as error:
            raise OptionError(self._path, f"the file given for {self._name} cannot be read as a raster", str(error)) from error

    def _transformer(self) -> Any:
        """This thread's transformation from longitude and latitude to the raster's CRS."""
        from pyproj import Transformer

        if not hasattr(self._local, "transformer"):
            self._local.transformer = Transformer.from_crs("EPSG:4326", self._crs, always_xy=True)
        return self._local.transformer

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the file again."""
        self._handles.close()


def _close(data: Any) -> None:
    data.close()
