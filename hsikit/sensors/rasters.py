"""Scenes whose bands lie in several rasters (one file for each band, or a stack): read by windows through GDAL.

The rasters share one outline; their pixels may be whole multiples or whole fractions of the scene's. A coarser raster is
repeated, a finer one averaged over what is measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, SceneError
from hsikit.geo.grid import IDENTITY, Coefficients, Grid, Window
from hsikit.geo.remote import place_of
from hsikit.scene import Indices
from hsikit.sensors.crs import crs_text
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import Layout, OrderedSource
from hsikit.sensors.remote_rasters import RasterHandles, gdal_access, gdal_name
from hsikit.sensors.tiff_directory import refuse_short_directory

TOLERANCE = 1e-3  # of a pixel
DRIVERS = {".jp2": "JP2OpenJPEG", ".ntf": "NITF", ".nitf": "NITF"}
"""GDAL's driver by the ending of a name; else GeoTIFF. No other is tried: a virtual raster could name any file of the machine."""


@dataclass(frozen=True)
class RasterFacts:
    """What a raster says of itself.

    Attributes:
        grid: shape, transform, CRS.
        count: number of bands.
        dtype: NumPy name of the stored type; that of the first band.
        nodata: the stored fill value, or None.
        block: (rows, cols) that are decoded at once.
        tags: its default metadata, names in lower case.
        descriptions: of its bands, "" where there is none.
        rpc: rational polynomial coefficients by GDAL's names, or None.
    """

    grid: Grid
    count: int
    dtype: str
    nodata: float | None
    block: tuple[int, int]
    tags: dict[str, str]
    descriptions: tuple[str, ...]
    rpc: dict[str, str] | None = None


@dataclass(frozen=True)
class RasterBand:
    """One band of a scene.

    Attributes:
        path: GDAL's name of the file.
        band: its number in the file, from 1.
        zoom: pixels of the scene along a side of this raster's pixel (3 for 60 m in a scene of 20 m).
        shrink: pixels of this raster along a side of the scene's (2 for 10 m in a scene of 20 m).
    """

    path: str
    band: int = 1
    zoom: int = 1
    shrink: int = 1


def open_raster(path: str, name: str | Path) -> Any:
    """A raster as a rasterio dataset, silent about a missing georeference.

    Args:
        path: GDAL's name, or an address.
        name: what messages call it.

    Raises:
        SceneError: it cannot be opened.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    place = place_of(path)
    with damage_named(name, "a raster"), gdal_access(place), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(gdal_name(place), driver=DRIVERS.get(place.suffix.lower(), "GTiff"))


def raster_facts(path: str, name: str | Path | None = None) -> RasterFacts:
    """What a raster says of itself.

    Args:
        path: GDAL's name.
        name: what messages call it; the path unless told.

    Raises:
        SceneError: it cannot be opened.
    """
    with damage_named(name or path, "a raster"), gdal_access(place_of(path)), open_raster(path, name or path) as dataset:
        if dataset.driver == "GTiff" and not path.startswith("/vsi"):
            refuse_short_directory(place_of(path))
        a, b, c, d, e, f = (float(value) for value in tuple(dataset.transform)[:6])
        transform: Coefficients = (a, b, c, d, e, f)
        grid = Grid((dataset.height, dataset.width), IDENTITY if dataset.transform.is_identity else transform, crs_text(dataset.crs))
        rows, cols = dataset.block_shapes[0]
        return RasterFacts(
            grid, dataset.count, dataset.dtypes[0], dataset.nodata, (min(rows, dataset.height), min(cols, dataset.width)),
            {key.lower(): value for key, value in dataset.tags().items()}, tuple(text or "" for text in dataset.descriptions),
            dict(dataset.tags(ns="RPC")) or None,
        )  # fmt: skip


def factors(scene: Grid, raster: Grid, name: str | Path) -> tuple[int, int]:
    """(zoom, shrink) of a raster in a scene: see `RasterBand`.

    Raises:
        GridError: their pixels are no whole multiples of each other, or their corners differ.
    """
    ratio = raster.pixel_size[0] / scene.pixel_size[0]
    zoom, shrink = (round(ratio), 1) if ratio >= 1 else (1, round(1 / ratio))
    expected = scene.pixel_size[0] * zoom / shrink
    corner = max(abs(raster.transform[2] - scene.transform[2]), abs(raster.transform[5] - scene.transform[5]))
    if abs(raster.pixel_size[0] - expected) > TOLERANCE * expected or corner > TOLERANCE * scene.pixel_size[0] or raster.crs != scene.crs:
        sizes = f"{raster.pixel_size[0]:g} and {scene.pixel_size[0]:g}"
        raise GridError(name, f"its grid does not fit the scene's (pixels of {sizes}, corners {corner:g} apart)", "Fetch the product again")
    enough = tuple(-(-size * shrink // zoom) for size in scene.shape)
    if raster.shape[0] < enough[0] or raster.shape[1] < enough[1]:
        raise GridError(name, f"it has {raster.shape} pixels where the scene needs {enough} (rows, columns)", "Fetch the product again")
    return zoom, shrink


class RasterReads:
    """Windows of rasters on the grid of a scene. Each read borrows a handle that no other thread holds."""

    def __init__(self, name: str, nodata: float | None = None) -> None:
        self._name, self._nodata = name, nodata
        self._handles: dict[str, RasterHandles] = {}

    def read(self, path: str, bands: Sequence[int], window: Window, zoom: int = 1, shrink: int = 1) -> NDArray[Any]:
        """Stored numbers of bands (from 1) of a window of the scene, shape (len(bands), rows, cols).

        Raises:
            SceneError: the raster is damaged.
        """
        if zoom == 1 and shrink == 1:
            return self._plain(path, bands, window)
        if shrink > 1:
            fine = self._plain(path, bands, Window(*(value * shrink for value in window)))
            return _averaged(fine, shrink, self._nodata)
        row, col = window.row // zoom, window.col // zoom
        coarse = self._plain(path, bands, Window(row, col, -(-window.row_end // zoom) - row, -(-window.col_end // zoom) - col))
        down, across = np.arange(window.row, window.row_end) // zoom - row, np.arange(window.col, window.col_end) // zoom - col
        return coarse[:, down[:, None], across]

    def _plain(self, path: str, bands: Sequence[int], window: Window) -> NDArray[Any]:
        from rasterio.windows import Window as RasterWindow

        handles = self._handles.setdefault(path, RasterHandles(place_of(path), partial(open_raster, path, self._name)))
        with damage_named(self._name, f"a product with {Path(path).name}"), handles.lend() as dataset:
            values = np.asarray(dataset.read(list(bands), window=RasterWindow(window.col, window.row, window.cols, window.rows)))
        if values.shape != (len(bands), *window.shape):
            raise SceneError(self._name, f"{Path(path).name} in it is smaller than the scene", "Fetch the product again")
        return values

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the files again."""
        for handles in list(self._handles.values()):
            handles.close()


class RasterStack(OrderedSource):
    """A scene whose bands lie in several rasters.

    Args:
        scene: what `layout` made of the product's facts.
        bands: where each band lies, in the order of the claims.
        block: (rows, cols) of the scene that are decoded at once.
    """

    def __init__(self, scene: Layout, bands: Sequence[RasterBand], block: tuple[int, int]) -> None:
        super().__init__(scene)
        self._bands, self.block = tuple(bands), block
        self._reads = RasterReads(self.info.name, self.info.nodata)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        out: NDArray[Any] = np.empty((len(bands), *window.shape), self.info.dtype)
        chosen = [self._bands[i] for i in bands]
        for key in dict.fromkeys((band.path, band.zoom, band.shrink) for band in chosen):
            places = [i for i, band in enumerate(chosen) if (band.path, band.zoom, band.shrink) == key]
            out[places] = self._reads.read(key[0], [chosen[i].band for i in places], window, key[1], key[2])
        return out

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the files again."""
        self._reads.close()


def _averaged(fine: NDArray[Any], shrink: int, nodata: float | None) -> NDArray[Any]:
    """Means of squares of `shrink` x `shrink` pixels over those that are measured, in the stored type; nodata where none is."""
    bands, rows, cols = fine.shape
    squares = fine.reshape(bands, rows // shrink, shrink, cols // shrink, shrink).astype(np.float64)
    missing = ~np.isfinite(squares) if nodata is None or np.isnan(nodata) else (squares == nodata) | ~np.isfinite(squares)
    count = (~missing).sum(axis=(2, 4))
    mean = np.where(missing, 0.0, squares).sum(axis=(2, 4)) / np.maximum(count, 1)
    if fine.dtype.kind in "iu":
        mean = np.rint(mean)
    return np.where(count > 0, mean, np.nan if nodata is None else nodata).astype(fine.dtype)
