"""A list or folder of tiles on one grid, opened as one scene; where no tile lies, values are missing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Decoding, Indices, Raw, SceneInfo, Source
from hsikit.sensors.facts import Options, OrderedSource
from hsikit.sensors.formats import FORMATS, reader_for, refuse_product

TOLERANCE = 1e-3  # of a pixel
OPEN_TILES = 64
NO_TILES = (".mat", ".npy", ".npz", ".vrt")  # arrays have no place on the ground; a virtual raster beside tiles usually holds them all
TILE_SUFFIXES = tuple(suffix for form in FORMATS.values() for suffix in form.suffixes if suffix not in NO_TILES)


class Reader:
    """Opens a folder whose rasters are tiles of one scene."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a folder of tiles.

        Raises:
            SceneError: it holds no raster, or tiles that do not agree.
            GridError: the tiles lie on different grids.
        """
        tiles = sorted(tile for tile in path.iterdir() if tile.suffix.lower() in TILE_SUFFIXES and not tile.name.startswith("."))
        refuse_product(path)
        if not tiles:
            raise SceneError(path, "is a folder without a raster in it", "Name a scene, or a folder of tiles (.tif or .hdr)")
        return open_tiles(tiles, options, str(path))


@dataclass(frozen=True)
class Tile:
    """One tile, and where it lies in the mosaic."""

    source: Source
    window: Window


def open_tiles(paths: Sequence[Path], options: Options, name: str) -> Source:
    """Tiles as one scene; where two overlap, the first that has a value wins.

    Args:
        paths: the tiles.
        options: what the user names, for each of them.
        name: what messages call the whole.

    Raises:
        SceneError: a tile cannot be opened, or its bands, type, scale or fill value are not those of the first.
        GridError: a tile lies on another grid.
    """
    sources: list[Source] = []
    reader = reader_for(paths[0])
    for path in paths:
        # What kind a file is takes a look at its neighbours: of thousands of tiles, one is looked at.
        like_first = path.suffix == paths[0].suffix and path.is_file() and path.stat().st_size > 0
        source = (reader if like_first else reader_for(path)).open(path, options)
        source.close()
        if sources:
            _check_alike(sources[0], source)
        sources.append(source)
    windows = _place(sources)
    first = sources[0].info
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    shape = (max(w.row_end for w in windows) - row, max(w.col_end for w in windows) - col)
    if shape[0] * shape[1] > 1000 * sum(w.size for w in windows):
        raise SceneError(name, f"its {len(paths)} tiles lie so far apart that they fill less than a thousandth of their extent", "Open them as separate scenes")
    tiles = [Tile(source, Window(w.row - row, w.col - col, w.rows, w.cols)) for source, w in zip(sources, windows, strict=True)]
    grid = Grid(shape, first.grid.crop(Window(row, col, *shape)).transform, first.grid.crs)
    # The clouds over one tile say nothing of the whole.
    attrs = {**{key: text for key, text in first.attrs.items() if key != "cloud_cover"}, "tiles": str(len(tiles))}
    identity = tuple(dict.fromkeys(part for source in sources for part in source.info.identity))  # how they are read is one for all
    return MosaicSource(first.with_(name=name, grid=grid, driver="mosaic", identity=identity, attrs=attrs, quality=None), tiles)


class FewOpen:
    """Keeps at most `most` of many sources open: that which was used longest ago is closed, and opens again when it is read.

    Args:
        sources: all of them.
        most: that are open at once.
    """

    def __init__(self, sources: Sequence[Source], most: int = OPEN_TILES) -> None:
        self._sources, self._most = list(sources), most
        self._opened: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, index: int) -> None:
        """Notes that a source was read."""
        with self._lock:
            self._opened[index] = None
            self._opened.move_to_end(index)
            oldest = self._opened.popitem(last=False)[0] if len(self._opened) > self._most else None
        if oldest is not None:
            self._sources[oldest].close()


class MosaicSource:
    """Tiles on one grid as one scene. At most 64 of them are held open."""

    def __init__(self, info: SceneInfo, tiles: Sequence[Tile]) -> None:
        self._tiles, self._nodata = list(tiles), info.nodata
        self._bounds = np.array([(t.window.row, t.window.col, t.window.row_end, t.window.col_end) for t in tiles])
        stored = np.dtype(info.dtype)
        if info.nodata is None and stored.kind != "f" and not self._full(info.grid.shape):
            # Integers without a fill value cannot say "missing": the holes need a type that can.
            stored = np.dtype("f4" if stored.itemsize <= 2 else "f8")
        self._dtype = stored
        self.info = info.with_(dtype=stored.name)
        self.block = tiles[0].source.block
        self._held = FewOpen([tile.source for tile in tiles])

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window; see `hsikit.scene.Source`."""
        fill = np.nan if self._nodata is None else self._nodata
        values: NDArray[Any] = np.empty((len(bands), *window.shape), self._dtype)
        hits = self._hits(window)
        if not any(self._tiles[i].window.intersect(window) == window for i in hits):
            values.fill(fill if self._dtype.kind == "f" or self._nodata is not None else 0)
        decoding = self._decoding(bands)
        painted: list[Window] = []
        for i in reversed(hits):  # so that the first of two that overlap lies on top
            tile = self._tiles[i]
            part = tile.window.intersect(window)
            stored = tile.source.read(Window(part.row - tile.window.row, part.col - tile.window.col, part.rows, part.cols), bands).values
            self._held.used(i)
            overlaps = any(part.intersect(other).size for other in painted)
            np.copyto(values[(slice(None), *part.slices((window.row, window.col)))], stored, where=~self._absent(stored) if overlaps else True)
            painted.append(part)
        return Raw(values, window, decoding)

    def _decoding(self, bands: Indices) -> Decoding:
        return decoding_of(self._tiles[0].source, bands)

    def close(self) -> None:
        """Closes all tiles; a later read opens them again where their format can."""
        for tile in self._tiles:
            tile.source.close()

    def _hits(self, window: Window) -> list[int]:
        top, left, bottom, right = self._bounds.T
        hit = (top < window.row_end) & (bottom > window.row) & (left < window.col_end) & (right > window.col)
        return [int(i) for i in np.flatnonzero(hit)]

    def _absent(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        missing = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
        if self._nodata is not None:
            missing |= stored == self._nodata
        return missing

    def _full(self, shape: tuple[int, int]) -> bool:
        covered = np.zeros(shape, bool)
        for tile in self._tiles:
            covered[tile.window.slices()] = True
        return bool(covered.all())


def _check_alike(first: Source, other: Source) -> None:
    """One mosaic has one spectral axis, type, scale and fill value."""
    a, b = first.info, other.info
    index = np.arange(len(a.bands))
    if len(a.bands) != len(b.bands) or not np.allclose(a.bands.wavelength, b.bands.wavelength, rtol=0, atol=0.01):
        raise SceneError(b.name, f"its bands are not those of {a.name}", "Tiles of one scene have the same bands")
    if a.dtype != b.dtype or not _same_fill(a.nodata, b.nodata):
        raise SceneError(b.name, f"holds {b.dtype} with fill {b.nodata}, and {a.name} {a.dtype} with fill {a.nodata}", "Convert the tiles to one type")
    one, two = (decoding_of(source, index) for source in (first, other))
    if not (np.array_equal(one.scale, two.scale) and np.array_equal(one.offset, two.offset)):
        raise SceneError(b.name, f"its scale or offset is not that of {a.name}", "Name them with --scale and --offset, or convert the tiles")


def decoding_of(source: Source, bands: Indices) -> Decoding:
    """How a source's bands are decoded; asked of one pixel where it is another package's."""
    return source.decoding(bands) if isinstance(source, OrderedSource) else source.read(Window(0, 0, 1, 1), bands).decoding


def _same_fill(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and np.isnan(a) and np.isnan(b))


def _place(sources: Sequence[Source]) -> list[Window]:
    """Where each tile lies on the first one's grid."""
    first = sources[0].info
    if first.grid.crs is None and len(sources) > 1:
        raise GridError(first.name, "has no CRS, so tiles cannot be placed beside it", "Give the tiles a georeference")
    return [window_on(first, source.info) for source in sources]


def window_on(first: SceneInfo, other: SceneInfo) -> Window:
    """The window of one scene's grid that another scene fills; it may reach outside.

    Raises:
        GridError: the other is in another CRS, or its pixels are none of the grid's.
    """
    from hsikit.sensors.crs import same_crs

    if not same_crs(first.grid.crs, other.grid.crs):
        raise GridError(other.name, f"is in another CRS than {first.name}", "Warp the tiles to one grid first")
    rows, cols = other.grid.shape
    corners = _pixels(first.grid, other.grid, ((0, 0), (cols, 0), (0, rows)))
    col, row = round(corners[0][0]), round(corners[0][1])
    wanted = [(col, row), (col + cols, row), (col, row + rows)]
    if max(abs(have - want) for pair in zip(corners, wanted, strict=True) for have, want in zip(*pair, strict=True)) > TOLERANCE:
        raise GridError(other.name, f"does not lie on the pixels of {first.name}", "Warp the tiles to one grid first")
    return Window(row, col, rows, cols)


def _pixels(grid: Grid, other: Grid, corners: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Corners (col, row) of another grid in the pixels of this one."""
    a, b, c, d, e, f = grid.transform
    a2, b2, c2, d2, e2, f2 = other.transform
    maps = np.array([(a2 * col + b2 * row + (c2 - c), d2 * col + e2 * row + (f2 - f)) for col, row in corners])
    return [(float(col), float(row)) for col, row in np.linalg.solve(np.array([[a, b], [d, e]]), maps.T).T]
