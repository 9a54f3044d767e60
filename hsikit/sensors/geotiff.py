"""GeoTIFF scenes, and GDAL's virtual rasters and JPEG 2000, through rasterio."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import IDENTITY, Grid, Window
from hsikit.scene import QUANTITIES, Codes, Indices, Rgba, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.crs import crs_text
from hsikit.sensors.facts import LONGEST_TEXT, FileFacts, Layout, Options, OrderedSource, layout
from hsikit.sensors.geotiff_tags import band_claims
from hsikit.sensors.remote_rasters import RasterHandles, gdal_access, gdal_name
from hsikit.sensors.tiff_directory import refuse_short_directory

DRIVERS = {"GTiff": "geotiff", "VRT": "vrt", "JP2OpenJPEG": "jpeg2000"}
"""GDAL's name of a driver, and ours."""
KINDS = {"GTiff": "GeoTIFF", "VRT": "virtual raster", "JP2OpenJPEG": "JPEG 2000"}


class Reader:
    """Opens GeoTIFF scenes."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: it is no GeoTIFF, or it is damaged.
        """
        return _open(path, options, "GTiff")


class VrtReader:
    """Opens GDAL's virtual rasters."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: it is no virtual raster, or a file that it names is missing or damaged.
        """
        return _open(path, options, "VRT")


class Jpeg2000Reader:
    """Opens JPEG 2000."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: it is no JPEG 2000, or it is damaged.
        """
        return _open(path, options, "JP2OpenJPEG")


def _open(path: Path, options: Options, driver: str) -> Source:
    with gdal_access(path), open_dataset(path, driver) as dataset:
        if driver == "GTiff":
            refuse_short_directory(path)
        facts = geotiff_facts(dataset, path)
        block = _block(dataset)
    return GeoTiffSource(layout(facts, options), path, block, driver)


class GeoTiffSource(OrderedSource):
    """An open GeoTIFF. Each read borrows a file handle that no other thread holds."""

    def __init__(self, scene: Layout, path: Path, block: tuple[int, int], driver: str) -> None:
        super().__init__(scene)
        self.block = block
        self._handles = RasterHandles(path, partial(open_dataset, path, driver))

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as RasterWindow

        area = RasterWindow(window.col, window.row, window.cols, window.rows)
        try:
            with self._handles.lend() as dataset:
                return np.asarray(dataset.read((bands + 1).tolist(), window=area))
        except (RasterioError, OSError, ValueError):
            where = f"rows {window.row} to {window.row_end} cannot be read"
            raise SceneError(self.info.name, f"is truncated or damaged: {where}", "Fetch the file again") from None

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the file again."""
        self._handles.close()


def open_dataset(path: Path, driver: str = "GTiff") -> Any:
    """The file as a rasterio dataset of one of `DRIVERS`, silent about a missing georeference.

    Raises:
        SceneError: it is of another kind, or it is damaged.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with gdal_access(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(gdal_name(path), driver=driver)
    except (RasterioError, OSError):
        raise SceneError(path, f"is no {KINDS[driver]}, or it is truncated or damaged", "Check that it opens in QGIS") from None


def geotiff_facts(dataset: Any, path: Path) -> FileFacts:
    """What an open file says of itself."""
    dtypes = set(dataset.dtypes)
    if len(dtypes) > 1:
        raise SceneError(path, f"has bands of different types ({', '.join(sorted(dtypes))})", "Convert them to one")
    if next(iter(dtypes)).startswith("complex"):
        raise SceneError(path, f"holds values of type {next(iter(dtypes))}", "Only integers and real numbers are read; convert it first")
    notices: list[str] = []
    tags = {key.lower(): value for key, value in dataset.tags().items()}
    quantity = tags.get("quantity", "").lower()
    return FileFacts(
        name=str(path),
        driver=DRIVERS[dataset.driver],
        grid=_grid(dataset, notices),
        dtype=np.dtype(next(iter(dtypes))),
        claims=_claims(dataset, path, tags),
        scale=[float(scale) for scale in dataset.scales],
        offset=[float(offset) for offset in dataset.offsets],
        nodata=dataset.nodata,
        quantity=quantity if quantity in QUANTITIES else "",
        acquired=tags.get("acquired", tags.get("start_time", "")),
        files=(path, *(Path(file) for file in dataset.files if Path(file) != path and Path(file).is_file())) if dataset.driver == "VRT" else (path,),
        notices=notices,
        attrs={key: value for key, value in tags.items() if key not in ("wavelength", "wavelengths", "fwhm", "bbl") and len(value) < LONGEST_TEXT},
        codes=Codes(tags.get("classes", ""), _colours(dataset)),
    )


def _claims(dataset: Any, path: Path, tags: Mapping[str, str]) -> BandClaims:
    """What the bands are; what hsikit wrote without wavelengths are layers."""
    found = band_claims(dataset, path)
    if found.wavelength is None and "hsikit_version" in tags:
        found.spectral = False
    return found


def _colours(dataset: Any) -> dict[int, Rgba]:
    """The colour table of the only band; empty where there is none."""
    try:
        return {int(code): rgba for code, rgba in dataset.colormap(1).items()} if dataset.count == 1 else {}
    except ValueError:
        return {}


def _grid(dataset: Any, notices: list[str]) -> Grid:
    transform = tuple(float(value) for value in tuple(dataset.transform)[:6])
    crs = crs_text(dataset.crs)
    if crs is None and dataset.gcps[0]:
        notices.append("it is placed by ground control points alone, which are not used; the scene has no georeference")
    a, b, c, d, e, f = transform
    return Grid((dataset.height, dataset.width), (a, b, c, d, e, f) if transform != IDENTITY else IDENTITY, crs)


def _block(dataset: Any) -> tuple[int, int]:
    rows, cols = dataset.block_shapes[0]
    return min(int(rows), dataset.height), min(int(cols), dataset.width)
