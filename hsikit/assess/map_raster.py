"""A finished map as a file that is read strip by strip, so that one of any size fits: what class maps and maps of scores share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hsikit.errors import MapError
from hsikit.geo.gdal_cache import bounded_gdal_cache
from hsikit.geo.grid import IDENTITY, Grid, Window
from hsikit.sensors.crs import crs_text
from hsikit.sensors.envi import find_data

STRIP_PIXELS, BLOCK_PIXELS = 1 << 22, 1 << 25
"""Numbers of a map that are held at once: at most so many, or those of one row of the file's blocks where they are not more than these."""


class MapRaster:
    """An open map; made by `open_map_raster`.

    Attributes:
        name: the path as the user gave it, for messages.
        dataset: of rasterio.
        grid: where its pixels lie.
    """

    def __init__(self, name: str, dataset: Any) -> None:
        self.name, self.dataset = name, dataset
        a, b, c, d, e, f = (float(value) for value in tuple(dataset.transform)[:6])
        transform = (a, b, c, d, e, f)
        self.grid = Grid((dataset.height, dataset.width), transform if transform != IDENTITY else IDENTITY, crs_text(dataset.crs))

    def windows(self, bands: int = 1) -> Iterator[Window]:
        """Full-width strips from the top, of whole blocks of the file where these are not too large.

        Args:
            bands: that are read at once.
        """
        rows, cols = self.grid.shape
        block = int(self.dataset.block_shapes[0][0])
        height = max(1, STRIP_PIXELS // (cols * bands))
        if height >= block or block * cols * bands <= BLOCK_PIXELS:  # whole blocks, so that none is decoded twice
            height = max(1, height // block) * block
        for row in range(0, rows, height):
            yield Window(row, 0, min(height, rows - row), cols)

    def stored(self, window: Window, band: int | None = 1) -> NDArray[Any]:
        """Stored numbers of a window.

        Args:
            window: inside the map.
            band: from 1; None: all of them.

        Returns:
            Shape (rows, cols), or (bands, rows, cols).

        Raises:
            MapError: the file is truncated or damaged.
        """
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as RasterWindow

        try:
            values: NDArray[Any] = self.dataset.read(band, window=RasterWindow(window.col, window.row, window.cols, window.rows))
        except (RasterioError, OSError):
            raise MapError(self.name, f"is truncated or damaged: rows {window.row} to {window.row_end} cannot be read", "Fetch the file again") from None
        return values


def raster_file(path: str | Path) -> Path:
    """The file that holds the pixels: of an ENVI header the image beside it."""
    return find_data(Path(path), 0) if Path(path).suffix.lower() == ".hdr" else Path(path)


@contextmanager
def open_map_raster(path: str | Path, kind: str = "map") -> Iterator[Any]:
    """Opens a map's dataset for the time of a `with` block.

    Args:
        path: a raster that GDAL reads, or an ENVI header.
        kind: what it should be, for messages.

    Raises:
        MapError: missing or unreadable.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(raster_file(path))
    except (RasterioError, OSError):
        raise MapError(path, "is missing, or is no raster that GDAL reads", f"Give a {kind} as GeoTIFF or ENVI") from None
    with dataset, bounded_gdal_cache():
        yield dataset
