"""Uncompressed, tiled, band-interleaved GeoTIFFs whose blocks are written straight to their places, in any order, by several threads.

GDAL describes the file; the blocks then go past its cache, which holds and copies each of them twice. A block's place is the
writer's to choose: those that are made together lie together, so that one positioned write takes all bands of a tile.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers.failures import writing
from hsikit.writers.geotiff import describe_dataset as describe
from hsikit.writers.geotiff import quiet_and_bounded as quiet_and_bounded

TILE_OFFSETS, TILE_BYTE_COUNTS, LONG8 = 324, 325, 16
PAGE = 4096


class PlainTiff:
    """A BigTIFF that takes blocks.

    Args:
        path: the file to make.
        layer: what is written: type, bands, nodata, wavelengths.
        grid: its grid.
        side: rows and columns of a tile, a multiple of 16.
        tags: further tags.
        scales: factor from stored to physical values of each band.
        offsets: added after the factor.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, layer: Layer, grid: Grid, side: int, tags: Mapping[str, str], scales: Sequence[float], offsets: Sequence[float]) -> None:
        self.path, self._dtype = path, np.dtype(layer.dtype)
        with writing(path), quiet_and_bounded():
            self._make(layer, grid, side, tags, scales, offsets)
            self._file = os.open(path, os.O_RDWR)
        self.start = -(-path.stat().st_size // PAGE) * PAGE

    def _make(self, layer: Layer, grid: Grid, side: int, tags: Mapping[str, str], scales: Sequence[float], offsets: Sequence[float]) -> None:
        import rasterio

        profile = {
            "driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": layer.bands, "dtype": layer.dtype, "crs": grid.crs,
            "transform": grid.affine, "nodata": layer.nodata, "tiled": True, "blockxsize": side, "blockysize": side, "interleave": "band",
            "bigtiff": "YES", "sparse_ok": "TRUE", "endianness": "LITTLE",
        }  # fmt: skip
        self.path.unlink(missing_ok=True)
        with rasterio.open(self.path, "w", **profile) as dataset:
            describe(dataset, layer, tags)
            if any(scale != 1 for scale in scales) or any(offset != 0 for offset in offsets):
                dataset.scales, dataset.offsets = tuple(scales), tuple(offsets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    def write(self, values: NDArray[Any], position: int) -> None:
        """Writes blocks of the layer's type that lie together, contiguous, at a place from `start` on.

        Raises:
            OutputError: the disk does not take them.
        """
        self._put(values.astype(self._dtype.newbyteorder("<"), copy=False).data.cast("B"), position)

    def _put(self, data: memoryview, position: int) -> None:
        with writing(self.path):
            while data:
                done = os.pwrite(self._file, data, position)
                data, position = data[done:], position + done

    def finish(self, positions: NDArray[np.uint64], block_bytes: int) -> None:
        """Tells the file where its blocks lie.

        Args:
            positions: of each block, shape (bands, tiles down * tiles across).
            block_bytes: of one block.

        Raises:
            OutputError: the disk does not take it, or GDAL has made another kind of file.
        """
        counts = np.full(positions.size, block_bytes, "<u8")
        end = os.fstat(self._file).st_size
        places = {TILE_OFFSETS: (end, np.ascontiguousarray(positions, "<u8")), TILE_BYTE_COUNTS: (end + counts.nbytes, counts)}
        for tag, (place, numbers) in places.items():
            entry = self._entry(tag)
            if positions.size == 1:  # a single number stands in the entry itself
                place = int(numbers.ravel()[0])
            else:
                self._put(memoryview(numbers.tobytes()), place)
            self._put(memoryview(struct.pack("<HHQQ", tag, LONG8, positions.size, place)), entry)

    def _entry(self, tag: int) -> int:
        """Where the file's directory has its entry for a tag."""
        mark, version, _, _, first = struct.unpack("<2sHHHQ", os.pread(self._file, 16, 0))
        count = struct.unpack("<Q", os.pread(self._file, 8, first))[0] if (mark, version) == (b"II", 43) else 0
        for number in range(count):
            place = first + 8 + 20 * number
            if struct.unpack("<H", os.pread(self._file, 2, place))[0] == tag:
                return int(place)
        raise OutputError(self.path, "GDAL has not made a BigTIFF with tiles", "Report this with the version of GDAL")
