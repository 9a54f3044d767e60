"""A swath put on a map and written as GeoTIFF in one sweep over the sensor's rows: each part of the scene is read, and decoded, once.

A ring of the sensor's rows goes down the track. A tile of the map is put together as soon as the last row that it needs is there,
from spectra that lie together in the ring, and is written to its place with all its bands by one call. The ring is as high as the
rows that one tile needs, which at an angle to the track is half as much again as its side; so the tile is as large as the memory allows.
Where a file decodes blocks of some bands only (chunks of HDF5), one such group of bands goes down the track after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.map_index import SIDES, MapIndex
from hsikit.convert.write import Progress
from hsikit.geo.grid import Window
from hsikit.layers import Layer
from hsikit.scene import Indices, Source
from hsikit.writers import check_space
from hsikit.writers.plain_tiff import PlainTiff

if TYPE_CHECKING:
    from hsikit.convert.orthorectify import OrthorectifiedSource

RING_BYTES = 136 << 20
"""The most that the ring, one piece of the scene while it is read, and a tile for each thread take."""
PIECE_BYTES = 6 << 20
"""Bytes of the scene that are read at once, where a file does not decode more."""
DECODED = 2
"""Times that a file's block is held while it is decoded, before a part of it is handed on: compressed, and inflated."""
PLACE_BYTES = 8
"""Of the place of a block, and of its size, in the file's directory."""
SPECTRA = 256
"""Spectra that are turned into bands at once: what a processor's cache holds."""
THREADS = 2


@dataclass(frozen=True)
class SweepPlan:
    """How a scene is swept.

    Attributes:
        side: of a map tile.
        strip: rows of the sensor that are read at once.
        rows: of the ring; as far as it holds more than a strip and the rows that a tile needs, reading runs ahead of the tiles.
        width: columns that are read at once.
        bands: that go down the track together.
    """

    side: int
    strip: int
    rows: int
    width: int
    bands: int


def plan_sweep(source: Source, dtype: np.dtype[Any], index: MapIndex, budget: int = RING_BYTES) -> SweepPlan:
    """The largest tile whose ring fits the memory; with more bands at once before larger tiles, since a file may decode them together.

    Args:
        source: the scene on the sensor's grid; it may say in `band_block` how many bands its file decodes at once.
        dtype: of the numbers that are kept.
        index: which rows the tiles need.
        budget: bytes.
    """
    (rows, cols), bands = source.info.grid.shape, len(source.info.bands)
    block_rows, block_cols = source.block
    decodes = getattr(source, "band_block", None)
    group, piece = min(bands, decodes or bands), min(PIECE_BYTES, budget // 16)
    spans = {side: _span(*index.rows_needed(side)) for side in SIDES}
    while True:
        pixel = group * dtype.itemsize
        fitting = max(1, piece // (pixel * cols))
        strip = min(rows, block_rows if block_rows > 1 else fitting)
        width = min(cols, max(block_cols, piece // (pixel * strip) // block_cols * block_cols))
        # A file decodes all bands of its blocks, also where only some of them are asked for.
        decoding = strip * width * (pixel if decodes is None else pixel + DECODED * max(group, decodes) * dtype.itemsize)
        # The groups of bands follow each other in whole strips.
        track = rows if group == bands else -(-rows // strip) * strip
        for side, ahead in ((128, strip), (64, strip), (64, 0), (32, strip), (32, 0), (16, 0)):
            needed = min(track, strip + spans[side] - 1)
            places = 2 * int(np.prod(index.tiles(side))) * bands * PLACE_BYTES
            height = min(track, needed + strip, (budget - decoding - places - THREADS * side * side * pixel) // (cols * pixel))
            if height >= min(track, needed + ahead):
                return SweepPlan(side, strip, height, width, group)
        if group == 1:
            return SweepPlan(SIDES[-1], strip, min(track, strip + spans[SIDES[-1]] - 1), width, 1)
        group = -(-group // 2)


def _span(first: NDArray[np.int64], last: NDArray[np.int64]) -> int:
    """The most rows that one tile needs."""
    return max(1, int((last - first).max()) + 1)


def sweep_to_geotiff(mapped: OrthorectifiedSource, layer: Layer, path: Path, tags: Mapping[str, str], progress: Progress | None = None,
                     budget: int = RING_BYTES) -> list[Path]:  # fmt: skip
    """Writes an orthorectified scene as an uncompressed GeoTIFF, tiled and band-interleaved, in stored numbers.

    Args:
        mapped: the scene, and its table.
        layer: names, wavelengths and units of its bands.
        path: the file to make.
        tags: facts to keep in it.
        progress: told of tiles.
        budget: bytes of memory: see `plan_sweep`.

    Returns:
        The file.

    Raises:
        OutputError: the disk does not take it.
        SceneError: the scene is truncated or damaged, or its table points outside it.
    """
    info, dtype = mapped.swath.info, mapped.dtype
    with MapIndex(mapped.table, info.grid.shape, path.parent, info.name) as index:
        plan = plan_sweep(mapped.swath, dtype, index, budget)
        tiles = int(np.prod(index.tiles(plan.side)))
        check_space(path.parent, tiles * plan.side**2 * dtype.itemsize * layer.bands)
        index.arrange(plan.side)
        decoding = mapped.decoding(np.arange(layer.bands))
        factors = [np.broadcast_to(np.asarray(factor, float), (layer.bands,)).tolist() for factor in (decoding.scale, decoding.offset)]
        stored = replace(layer, dtype=dtype.name, nodata=mapped.fill)
        with PlainTiff(path, stored, mapped.info.grid, plan.side, tags, factors[0], factors[1]) as tiff:
            sweep = _Sweep(mapped, plan, index, tiff)
            if progress is not None:
                progress.begin("", tiles * len(sweep.groups), 0)
            told = (lambda count: None) if progress is None else partial(progress.advance, "writing")
            sweep.run(told)
            tiff.finish(sweep.positions(), plan.side**2 * dtype.itemsize)
    return [path]


class _Sweep:
    """The tiles of one scene in the order in which they are finished, and the passes over it."""

    def __init__(self, mapped: OrthorectifiedSource, plan: SweepPlan, index: MapIndex, tiff: PlainTiff) -> None:
        self.mapped, self.plan, self.index, self.tiff = mapped, plan, index, tiff
        self.rows, self.cols = mapped.swath.info.grid.shape
        self.bands = len(mapped.info.bands)
        self.first, last = index.rows_needed(plan.side)
        self.order = np.argsort(np.where(last < 0, self.rows, last), kind="stable")
        self.ready = np.searchsorted(np.where(last < 0, self.rows, last)[self.order], np.arange(0, self.rows + 1, plan.strip))
        self.groups = [np.arange(band, min(band + plan.bands, self.bands)) for band in range(0, self.bands, plan.bands)]
        self.block = plan.side**2 * mapped.dtype.itemsize

    def positions(self) -> NDArray[np.uint64]:
        """Where each block lies, shape (bands, tiles)."""
        tiles, rank = len(self.order), np.empty(len(self.order), np.int64)
        rank[self.order] = np.arange(tiles)
        band = np.arange(self.bands)[:, np.newaxis]
        first = band // self.plan.bands * self.plan.bands
        count = np.minimum(self.plan.bands, self.bands - first)
        return (self.tiff.start + self.block * (first * tiles + rank * count + band - first)).astype(np.uint64)

    def run(self, told: Callable[[int], None]) -> None:
        """Sweeps the groups of bands down the track, one behind the other in one ring.

        While the last tiles of one group are put together, the first rows of the next are read.
        """
        plan, ring, local = self.plan, _Ring(self.mapped, self.plan), threading.local()
        track = -(-self.rows // plan.strip) * plan.strip

        def finish(rank: int, bands: Indices, start: int) -> None:
            if not hasattr(local, "tile"):
                local.tile = np.empty((plan.bands, plan.side**2), self.mapped.dtype)
            tile = local.tile[: len(bands)]
            ring.gather(self.index.tile(int(self.order[rank])), tile, start)
            self.tiff.write(tile, self.tiff.start + self.block * (int(bands[0]) * len(self.order) + rank * len(bands)))

        waiting: list[tuple[int, Future[None]]] = []
        with ThreadPoolExecutor(THREADS) as pool:
            for group, (number, row) in product(range(len(self.groups)), enumerate(range(0, self.rows, plan.strip))):
                # Tiles that need rows whose place the strip takes are finished first.
                start, bands = group * track, self.groups[group]
                lost = start + row + plan.strip - plan.rows
                for first, tile in waiting:
                    if first < lost:
                        tile.result()
                ring.load(row, bands, start)
                waiting = [(first, tile) for first, tile in waiting if first >= lost]
                ranks = range(int(self.ready[number]), len(self.order) if row + plan.strip >= self.rows else int(self.ready[number + 1]))
                waiting += [(start + int(self.first[self.order[rank]]), pool.submit(finish, rank, bands, start)) for rank in ranks]
                told(len(ranks))
            for _, tile in waiting:
                tile.result()


class _Ring:
    """The latest rows of a scene, in the order of axes in which its source gives them, and one more row of the fill value.

    Rows are counted on from one group of bands to the next: `start` is the count at which a group begins.
    """

    def __init__(self, mapped: OrthorectifiedSource, plan: SweepPlan) -> None:
        self._source, self._plan = mapped.swath, plan
        self._shape = mapped.swath.info.grid.shape
        sample = mapped.swath.read(Window(0, 0, min(2, self._shape[0]), min(2, self._shape[1])), np.arange(plan.bands)).values
        order = sorted(range(3), key=lambda axis: (-sample.strides[axis], axis))
        shape = (plan.bands, plan.rows + 1, self._shape[1])
        stored = np.empty([shape[axis] for axis in order], mapped.dtype)
        self._flat = stored.reshape(-1)
        self._view = stored.transpose(np.argsort(order))
        self._view[:, plan.rows] = mapped.fill
        self._steps = [stride // stored.itemsize for stride in self._view.strides]

    def load(self, row: int, bands: Indices, start: int = 0) -> None:
        """Reads the strip that begins at a row."""
        rows = min(self._plan.strip, self._shape[0] - row)
        slot = (start + row) % self._plan.rows
        before, count = min(rows, self._plan.rows - slot), len(bands)
        for col in range(0, self._shape[1], self._plan.width):
            window = Window(row, col, rows, min(self._plan.width, self._shape[1] - col))
            values = self._source.read(window, bands).values
            self._view[:count, slot : slot + before, col : window.col_end] = values[:, :before]
            if before < rows:
                self._view[:count, : rows - before, col : window.col_end] = values[:, before:]

    def gather(self, numbers: NDArray[np.int32], out: NDArray[Any], start: int = 0) -> None:
        """Puts the spectra of a tile together: shape (bands, n)."""
        row, col = np.divmod(numbers.astype(np.int64), self._shape[1])
        nothing = numbers < 0
        row, col = np.where(nothing, self._plan.rows, (start + row) % self._plan.rows), np.where(nothing, 0, col)
        bands = self._plan.bands
        if self._steps[0] != 1 or bands == 1:
            places = row * self._steps[1] + col * self._steps[2]
            for band in range(len(out)):
                np.take(self._flat[band * self._steps[0] :], places, out=out[band], mode="clip")
            return
        spectra = self._flat.reshape(-1, bands)
        places = row * self._shape[1] + col if self._steps[1] > self._steps[2] else col * (self._plan.rows + 1) + row
        buffer = np.empty((SPECTRA, bands), self._flat.dtype)
        for first in range(0, len(places), SPECTRA):
            part = places[first : first + SPECTRA]
            np.take(spectra, part, axis=0, out=buffer[: len(part)], mode="clip")
            out[:, first : first + len(part)] = buffer[: len(part), : len(out)].T
