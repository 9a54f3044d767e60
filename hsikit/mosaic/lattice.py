"""The grid of a mosaic, and each map's place on it: whole pixels where the maps share a lattice, else warped by choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.warp import RESAMPLINGS, grid_for, warped
from hsikit.convert.warp_grid import moved, require_map
from hsikit.errors import GridError, OptionError
from hsikit.geo.footprint import edge_points
from hsikit.geo.grid import Grid, Window
from hsikit.layers import Layer
from hsikit.mosaic.maps import Map
from hsikit.scene import SceneInfo, Source
from hsikit.sensors.mosaic import window_on

MOST_PIXELS = 1 << 40


@dataclass(frozen=True, eq=False)
class Place:
    """Where a map lies on a mosaic's grid.

    Attributes:
        window: the pixels that it may fill; inside the grid.
        offset: row and column of the grid where a source of `seen_by` begins.
        aligned: whether its pixels are pixels of the grid.
        seen_by: turns a source on the map's own grid into one on the mosaic's lattice.
    """

    window: Window
    offset: tuple[int, int]
    aligned: bool
    seen_by: Callable[[Source], Source]

    def reader(self, source: Source, nodata: float) -> Callable[[Window], NDArray[Any]]:
        """Reads a layer of the map by windows of the mosaic's grid, which must lie in `window`: shape (bands, rows, cols)."""
        laid = self.seen_by(source)
        bands = np.arange(len(source.info.bands))

        def read(window: Window) -> NDArray[Any]:
            part = Window(window.row - self.offset[0], window.col - self.offset[1], *window.shape)
            values = laid.read(part, bands).values
            if values.dtype.kind == "f" and not math.isnan(nodata):  # what is warped says NaN where there is nothing
                values = np.where(np.isnan(values), values.dtype.type(nodata), values)
            return values

        return read


def lay_out(maps: Sequence[Map], layer: Layer, grid: Grid | None = None, resampling: str | None = None) -> tuple[Grid, list[Place]]:
    """The mosaic's grid and the place of each map on it.

    Args:
        maps: open maps.
        layer: that they hold.
        grid: the grid; None: the smallest one that holds all maps on the first one's lattice.
        resampling: how maps of other lattices get there, one of `RESAMPLINGS`; None: the nearest pixel where a `grid` is named, else they
            are refused.

    Raises:
        GridError: a map has no georeference, or lies on another lattice and neither grid nor resampling is named; no map lies on the grid.
        OptionError: no such resampling, or one that would mix class codes.
    """
    if resampling is not None and resampling not in RESAMPLINGS:
        raise OptionError("resampling", f"{resampling!r} is not known", f"Known are {', '.join(RESAMPLINGS)}")
    if resampling not in (None, "nearest") and np.dtype(layer.dtype).kind != "f":
        raise OptionError("resampling", f"{resampling} would mix the codes of {layer.name}", "Choose nearest")
    for one in maps:
        require_map(one.source.info.grid, str(one.path))
    chosen = resampling or (None if grid is None else "nearest")
    first = maps[0].source.info
    target = grid or _union(first, maps, chosen)
    lattice = first.with_(grid=target, name="the mosaic")
    places = [_place(_window(lattice, one, chosen), one, target, chosen or "nearest") for one in maps]
    if not any(place.window.size for place in places):
        raise GridError("the mosaic", "no map lies on its grid", "Check its CRS and --like")
    return target, places


def target_grid(maps: Sequence[Map], crs: str | None = None, resolution: float | None = None) -> Grid:
    """A grid without rotation around all maps.

    Args:
        maps: open maps.
        crs: "EPSG:n"; the first map's unless told.
        resolution: side of a pixel in its units; the first map's unless told.

    Raises:
        GridError, OptionError: as `hsikit.convert.warp.grid_for`.
    """
    target = crs or str(require_map(maps[0].source.info.grid, str(maps[0].path)).crs)
    boxes = np.array([grid_for(one.source, crs=target, resolution=resolution).bounds for one in maps])
    left, bottom, right, top = (float(edge) for edge in (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)))
    return grid_for(maps[0].source, crs=target, resolution=resolution, bounds=(left, bottom, right, top))


def _window(lattice: SceneInfo, one: Map, resampling: str | None) -> Window | None:
    """Where a map lies on a lattice; None where it lies on another one and may be resampled.

    Raises:
        GridError: it lies on another one, and may not.
    """
    try:
        return window_on(lattice, one.source.info)
    except GridError as error:
        if resampling is not None:
            return None
        raise GridError(one.path, error.wrong, "Name how it gets there: --resampling nearest, on a grid of --dst-crs, --res or --like if you like") from None


def _union(first: SceneInfo, maps: Sequence[Map], resampling: str | None) -> Grid:
    """The smallest part of the first map's lattice that holds all maps."""
    found = [_window(first, one, resampling) or _around(one.source.info.grid, first.grid) for one in maps]
    row, col = min(w.row for w in found), min(w.col for w in found)
    whole = Window(row, col, max(w.row_end for w in found) - row, max(w.col_end for w in found) - col)
    if whole.size > MOST_PIXELS:
        raise GridError(maps[0].path, f"the mosaic would have {whole.rows} x {whole.cols} pixels", "Give maps nearer to each other, or a coarser --res")
    return first.grid.crop(whole)


def _around(own: Grid, target: Grid) -> Window:
    """The pixels of a lattice around a grid; reaches outside of the lattice's own grid."""
    x, y = moved(own.crs, target.crs, *edge_points(own))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return Window(0, 0, 0, 0)
    a, b, c, d, e, f = target.transform
    scale = a * e - b * d
    rows, cols = (a * (y[known] - f) - d * (x[known] - c)) / scale, (e * (x[known] - c) - b * (y[known] - f)) / scale
    row, col = math.floor(rows.min()) - 1, math.floor(cols.min()) - 1
    return Window(row, col, math.ceil(rows.max()) + 1 - row, math.ceil(cols.max()) + 1 - col)


def _place(window: Window | None, one: Map, target: Grid, resampling: str) -> Place:
    """A map's place: by whole pixels, or warped to the part of the grid around it."""
    if window is not None:
        return Place(target.whole.intersect(window), (window.row, window.col), True, lambda source: source)
    part = target.whole.intersect(_around(one.source.info.grid, target))
    if not part.size:
        return Place(part, (part.row, part.col), False, lambda source: source)
    return Place(part, (part.row, part.col), False, lambda source: warped(source, target.crop(part), resampling, look=False))
