"""Lookup tables from the positions of a swath's pixels: for each pixel of a map, the measurement that lies nearest.

One nearest-neighbour index on the unit sphere serves all bands and layers. Distances are straight lines through the Earth
(chords), so neither the date line nor a pole is a border; over a few pixels they are those on the ground to 0.5 %.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.swath import NOTHING, ArrayTable, Degrees, Swath
from hsikit.geo.swath_grid import map_grid, to_longitude_latitude

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

EARTH_RADIUS = 6_371_008.8
"""Mean radius (m) of the WGS 84 ellipsoid."""
READ_PIXELS = 1 << 20
"""Positions are read this many at once: a compressed file decodes them again for each piece."""
STRIP_PIXELS = 1 << 18
REACH = 0.55
"""Of a pixel's diagonal: how far from its centre a map pixel still belongs to it. Half would leave gaps where rows drift apart."""


def on_sphere(longitude: Degrees, latitude: Degrees) -> Floats:
    """Points on the unit sphere, shape (..., 3); NaN where unknown."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


@dataclass(frozen=True, eq=False)
class Positions:
    """The positions of a swath's pixels, in memory, and the index that finds the nearest one.

    Attributes:
        longitude: degrees, shape (rows, cols); NaN where unknown.
        latitude: the same.
    """

    longitude: Degrees
    latitude: Degrees

    @classmethod
    def read(cls, swath: Swath, name: str = "the swath") -> Positions:
        """Reads all positions of a swath, in strips.

        Raises:
            GridError: fewer than two pixels have a position.
        """
        lon, lat = np.empty(swath.shape), np.empty(swath.shape)
        height = max(1, READ_PIXELS // swath.shape[1])
        for window in tile_windows(Window.whole(swath.shape), (height, swath.shape[1])):
            lon[window.slices()], lat[window.slices()] = swath.locate(window)
        absent = ~(np.isfinite(lon) & (np.abs(lat) <= 90))
        lon[absent] = lat[absent] = np.nan
        if absent.size - np.count_nonzero(absent) < 2:
            raise GridError(name, "fewer than two of its pixels have a position", "Take another copy of the product")
        return cls(lon, lat)

    @cached_property
    def steps(self) -> tuple[Floats, Floats]:
        """Metres to the next pixel: down the track, shape (rows - 1, cols), and across it, shape (rows, cols - 1)."""
        points = on_sphere(self.longitude, self.latitude)
        return EARTH_RADIUS * np.linalg.norm(np.diff(points, axis=0), axis=-1), EARTH_RADIUS * np.linalg.norm(np.diff(points, axis=1), axis=-1)

    @property
    def spacing(self) -> float:
        """Median distance (m) of neighbours, down and across the track."""
        return float(np.nanmedian(np.concatenate([step.ravel() for step in self.steps])))

    @property
    def reach(self) -> float:
        """Metres from a pixel's centre within which the ground belongs to it, wide enough for all but the most stretched hundredth."""
        down, across = (float(np.nanpercentile(step, 99)) if np.isfinite(step).any() else self.spacing for step in self.steps)
        return REACH * math.hypot(down, across)

    @cached_property
    def _index(self) -> tuple[Any, Numbers]:
        from scipy.spatial import cKDTree

        known = np.flatnonzero(np.isfinite(self.longitude))
        points = on_sphere(self.longitude.ravel()[known], self.latitude.ravel()[known])
        # Pixels of a swath lie evenly, so that splitting in the middle is as good as at the median, and quicker.
        return cKDTree(points, balanced_tree=False, compact_nodes=False), known

    def nearest(self, longitude: Degrees, latitude: Degrees, radius: float) -> tuple[Numbers, Floats]:
        """The pixel nearest to each place.

        Args:
            longitude: degrees, shape (n,); not finite where there is no place.
            latitude: the same.
            radius: metres, within which it must lie.

        Returns:
            Its number (row * cols + col), `NOTHING` where none is near enough; and its distance (m), infinite there.
        """
        tree, known = self._index
        found, distance = np.full(len(longitude), NOTHING, np.int64), np.full(len(longitude), np.inf)
        places = np.flatnonzero(np.isfinite(longitude) & np.isfinite(latitude))
        chord = min(2.0, radius / EARTH_RADIUS)
        away, number = tree.query(on_sphere(longitude[places], latitude[places]), distance_upper_bound=chord, workers=os.cpu_count() or 1)
        near = np.isfinite(away)
        found[places[near]], distance[places[near]] = known[number[near]], away[near] * EARTH_RADIUS
        return found, distance


def make_table(
    swath: Swath, grid: Grid | None = None, *, resolution: float | None = None, crs: str | None = None, radius: float | None = None, name: str = "the swath"
) -> ArrayTable:
    """A lookup table from the positions of a swath's pixels.

    Args:
        swath: where the pixels lie.
        grid: the map; by default one around the swath: see `hsikit.geo.swath_grid.map_grid`.
        resolution: side of a map pixel, in units of the CRS; by default the median distance of neighbours.
        crs: of the map; by default the UTM zone of the swath's centre, or what suits a wider or polar one.
        radius: metres within which a measurement must lie; by default 0.55 of the diagonal of all but the largest pixels.
        name: of the scene, for messages.

    Returns:
        The table. Where several map pixels hold one measurement, all but the nearest of them are `infill`.

    Raises:
        GridError: no positions, or a CRS that is not understood.
        OptionError: a resolution or radius that makes no sense.
    """
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise OptionError("radius", f"{radius} is no distance", "Give metres")
    positions = Positions.read(swath, name)
    if grid is None:
        grid = map_grid(positions.longitude, positions.latitude, positions.spacing, resolution=resolution, crs=crs, name=name)
    elif resolution is not None or crs is not None:
        raise OptionError("grid", "a grid has its own resolution and CRS", "Give either a grid, or resolution and crs")
    reach = positions.reach if radius is None else radius
    pixels = np.full(grid.shape, NOTHING, np.int32)
    first = _First(swath.shape)
    for window in tile_windows(grid.whole, (max(1, STRIP_PIXELS // grid.shape[1]), grid.shape[1])):
        lon, lat = to_longitude_latitude(grid, window)
        found, distance = positions.nearest(lon, lat, reach)
        pixels[window.slices()] = found.reshape(window.shape)
        first.add(found, distance, window.row * grid.shape[1])
    filled = pixels >= 0
    if not filled.any():
        wrong = f"no pixel of the map finds a measurement within {reach:.4g} m"
        raise GridError(name, wrong, f"Give a larger radius, or smaller pixels, in units of {grid.crs_name}")
    infill = filled.copy()
    infill.reshape(-1)[first.places] = False
    cols = np.int32(swath.shape[1])
    return ArrayTable(grid, np.where(filled, pixels // cols, np.int32(NOTHING)), np.where(filled, pixels % cols, np.int32(NOTHING)), infill)


class _First:
    """For each measurement, the map pixel that lies nearest to it, kept while strips of the map go by."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._distance, self._place = np.full(shape[0] * shape[1], np.inf, np.float32), np.full(shape[0] * shape[1], -1, np.int64)

    def add(self, found: Numbers, distance: Floats, start: int) -> None:
        """Takes the pixels of a strip, the first of which has the number `start` on the map."""
        order = np.argsort(distance, kind="stable")
        order = order[found[order] >= 0]
        number, at = np.unique(found[order], return_index=True)
        away, place = distance[order[at]].astype(np.float32), order[at] + start
        closer = away < self._distance[number]
        self._distance[number[closer]], self._place[number[closer]] = away[closer], place[closer]

    @property
    def places(self) -> Numbers:
        """Numbers of these map pixels, one for each measurement that is on the map."""
        return self._place[self._place >= 0]
