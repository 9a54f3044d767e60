"""A scene on another grid, lazily: another CRS, another pixel size, the grid of another scene.

"nearest" gives the stored numbers of the pixel that holds each centre. "bilinear", "cubic" and "average" mix physical values; a missing
pixel takes no part, and where half of the weight is missing so is the result. Every pixel's place is computed by PROJ, none is
approximated, and none depends on the window that is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.interpolate import KERNELS, Floats, interpolate
from hsikit.convert.map_codes import as_meant
from hsikit.convert.orthorectify import OrthorectifiedSource, orthorectified
from hsikit.convert.warp_grid import GridTable, grid_for, require_map, require_overlap
from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.scene import Decoding, Indices, Raw, Source, read_window

__all__ = ["RESAMPLINGS", "grid_for", "warped"]

RESAMPLINGS = ("nearest", *KERNELS)
READ_PIXELS = 1 << 16
"""The most pixels of the scene that are held at once; one pixel of a much coarser grid may need more."""
BLOCK = 128


def warped(source: Source, grid: Grid, resampling: str = "nearest", *, look: bool = True) -> Source:
    """A scene on another grid; but for a look at what whole numbers are, nothing is read before a window of it is asked for.

    Example:
        >>> on_other = warped(scene, other.info.grid, "bilinear")

    Args:
        source: an open scene, or layers without wavelengths (`open_source(path, role="layer")`); closing it is left to whoever opened it.
        grid: where its pixels shall lie: of `grid_for`, or of `grid_like`.
        resampling: how values come about between pixels: one of `RESAMPLINGS`.
        look: whether whole numbers of a single band are looked at (`hsikit.convert.map_codes`); else they are codes by their type.

    Returns:
        A scene of the same bands: stored numbers for "nearest", else float32, NaN where missing.

    Raises:
        GridError: the scene or the grid has no georeference; a CRS that is not understood.
        OptionError: no such resampling, or one that a swath or a map of codes does not have.
    """
    if resampling not in RESAMPLINGS:
        raise OptionError("resampling", f"{resampling!r} is not known", f"Known are {', '.join(RESAMPLINGS)}")
    if not grid.georeferenced:
        raise GridError("the grid", "has no georeference", "Give a grid with a CRS")
    source = as_meant(source, resampling) if look else source
    info = source.info
    if info.codes is not None and resampling != "nearest":
        raise OptionError("resampling", f"{info.name} is a map of codes, which are not mixed", "Choose nearest")
    if info.swath is not None:
        if resampling != "nearest":
            raise OptionError("resampling", f"{info.name} is a swath, whose measurements are not mixed", "Choose nearest")
        return orthorectified(source, grid=grid)
    require_overlap(require_map(info.grid, info.name), grid, info.name)
    table = GridTable(grid, info.grid)
    return NearestSource(source, table) if resampling == "nearest" else WarpedSource(source, table, resampling)


class NearestSource(OrthorectifiedSource):
    """A scene on another grid, each pixel with the stored numbers of the pixel that holds its centre."""

    def __init__(self, source: Source, table: GridTable) -> None:
        super().__init__(source, table, "nearest")
        told = (*source.info.notices, "it is warped to another grid by its nearest pixels, some of which stand twice or not at all")
        self.info = self.info.with_(driver=f"{source.info.driver}, warped", notices=told)


class WarpedSource:
    """A scene on another grid, interpolated; float32, NaN where missing.

    Args:
        source: an open scene on a map grid.
        table: where the pixels lie on it.
        resampling: "bilinear", "cubic" or "average".
    """

    def __init__(self, source: Source, table: GridTable, resampling: str) -> None:
        self._base, self._table, self._resampling = source, table, resampling
        info, grid = source.info, table.grid
        self.info = info.with_(
            grid=grid,
            dtype="float32",
            driver=f"{info.driver}, warped",
            nodata=None,
            identity=(*info.identity, ("warped", list(grid.shape), list(grid.transform), str(grid.crs), resampling)),
            notices=(*info.notices, f"it is warped to another grid ({resampling}): values are mixed, which lowers the noise and ties neighbours"),
            quality=None if info.quality is None else OrthorectifiedSource(source, table).info.quality,
        )
        self.block = (min(BLOCK, grid.shape[0]), min(BLOCK, grid.shape[1]))
        self._kernel, self._steps = KERNELS[resampling], steps_of(table)

    def read(self, window: Window, bands: Indices) -> Raw:
        """Values of a window; see `Source`."""
        rows, cols = self._table.positions(window)
        shape = self._base.info.grid.shape
        inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
        out = np.full((len(bands), *window.shape), np.nan, np.float32)
        for part, needed in self._parts(rows, cols, inside, Window(0, 0, *window.shape)):
            values = np.ascontiguousarray(np.moveaxis(read_window(self._base, needed, bands), 0, -1))
            here = inside[part]
            # A pixel's centre has the position 0.5 on the grid, and 0 among centres.
            places = [at[part][here] - first - 0.5 for at, first in zip((rows, cols), (needed.row, needed.col), strict=True)]
            found = interpolate(values, places[0], places[1], self._kernel, self._steps)
            out[(slice(None), *part)][:, here] = found.T
        return Raw(out, window, Decoding())

    def _parts(self, rows: Floats, cols: Floats, inside: NDArray[np.bool_], window: Window) -> Iterator[tuple[tuple[slice, slice], Window]]:
        """Parts of a window of positions, each with the part of the scene that it needs."""
        cut = window.slices()
        here = inside[cut]
        if not here.any():
            return
        found = []
        for at, size, step in zip((rows[cut][here], cols[cut][here]), self._base.info.grid.shape, self._steps, strict=True):
            reach = self._kernel.taps(step) + 1
            first = max(0, math.floor(at.min()) - reach)
            found.append((first, min(size, math.ceil(at.max()) + reach) - first))
        needed = Window(found[0][0], found[1][0], found[0][1], found[1][1])
        if needed.size <= READ_PIXELS or window.size == 1:
            yield cut, needed
            return
        half = (-(-window.rows // 2), window.cols) if window.rows >= window.cols else (window.rows, -(-window.cols // 2))
        for part in tile_windows(window, half):
            yield from self._parts(rows, cols, inside, part)

    def close(self) -> None:
        """Does nothing."""


def steps_of(table: GridTable) -> tuple[float, float]:
    """The size of a new pixel in the scene's, along its rows and along its columns, in the middle of the new grid."""
    rows, cols = table.grid.shape
    row, col = table.positions(Window(rows // 2, cols // 2, 2, 2))
    steps = [float(np.hypot(at[1, 0] - at[0, 0], at[0, 1] - at[0, 0])) for at in (row, col)]
    return (steps[0], steps[1]) if np.isfinite(steps).all() else (1.0, 1.0)
