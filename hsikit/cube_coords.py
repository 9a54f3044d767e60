"""Coordinates of a cube that lie on its pixels: longitude and latitude of a swath, and quality flags; read when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from hsikit.geo.grid import Window
from hsikit.geo.swath import Swath
from hsikit.scene import QUALITY_FLAGS, Quality, SceneInfo

SWATH_DIMS = ("wavelength", "downtrack", "crosstrack")
FLAGS = "quality"


class PixelArray(BackendArray):
    """Something that is read by windows of pixels, as xarray sees it: shape (rows, cols)."""

    def __init__(self, shape: tuple[int, int], dtype: Any, read: Callable[[Window], NDArray[Any]]) -> None:
        self.shape, self.dtype, self.read = shape, np.dtype(dtype), read

    def __deepcopy__(self, memo: dict[int, Any]) -> PixelArray:
        return self  # nothing of it can be written

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._outer)

    def _outer(self, key: tuple[Any, ...]) -> NDArray[Any]:
        rows, cols = (np.atleast_1d(np.arange(size)[k]) for k, size in zip(key, self.shape, strict=True))
        scalars = tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)
        if not rows.size or not cols.size:
            return np.empty((len(rows), len(cols)), self.dtype)[scalars]
        row, col = int(rows.min()), int(cols.min())
        values = self.read(Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1))
        return np.asarray(values[np.ix_(rows - row, cols - col)], self.dtype)[scalars]


def _lazy(shape: tuple[int, int], dtype: Any, read: Callable[[Window], NDArray[Any]]) -> Any:
    return indexing.LazilyIndexedArray(PixelArray(shape, dtype, read))


def pixel_coords(info: SceneInfo, dims: tuple[str, str]) -> dict[str, Any]:
    """The coordinates on a scene's pixels that it has, unread."""
    found: dict[str, Any] = {}
    shape = info.grid.shape
    swath, quality = info.swath, info.quality
    if swath is not None:
        east = {"standard_name": "longitude", "units": "degrees_east"}
        north = {"standard_name": "latitude", "units": "degrees_north"}
        found["longitude"] = (dims, _lazy(shape, float, lambda window: swath.locate(window)[0]), east)
        found["latitude"] = (dims, _lazy(shape, float, lambda window: swath.locate(window)[1]), north)
    if quality is not None:
        bits = [QUALITY_FLAGS[flag] for flag in quality.flags]
        attrs = {"long_name": "quality of the pixel", "flag_masks": np.array(bits, np.uint8), "flag_meanings": " ".join(quality.flags)}
        found[FLAGS] = (dims, _lazy(shape, np.uint8, quality.read), attrs)
    return found


def swath_of(cube: xr.DataArray) -> Swath | None:
    """The swath that a cube's own longitude and latitude make; None where it has none."""
    if cube.dims != SWATH_DIMS or "longitude" not in cube.coords or "latitude" not in cube.coords:
        return None
    longitude, latitude = cube.coords["longitude"].variable, cube.coords["latitude"].variable

    def locate(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        part = window.slices()
        return np.asarray(longitude[part].values, float), np.asarray(latitude[part].values, float)

    return Swath((cube.shape[1], cube.shape[2]), locate)


def quality_of(cube: xr.DataArray) -> Quality | None:
    """The quality that a cube's own coordinate tells; None where it has none."""
    if FLAGS not in cube.coords or "flag_meanings" not in cube.coords[FLAGS].attrs:
        return None
    stored = cube.coords[FLAGS].variable
    flags = tuple(flag for flag in str(stored.attrs["flag_meanings"]).split() if flag in QUALITY_FLAGS)
    return Quality(flags, lambda window: np.asarray(stored[window.slices()].values, np.uint8))
