"""Where the centres of a scene's pixels lie: one question, which masks, labels and boxes ask of a map grid and of a swath alike."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.swath import Swath

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Coordinates = tuple[Floats, Floats]
"""x and y in some CRS (longitude and latitude in degrees), of one shape; NaN or infinite where unknown."""
Bounds = tuple[float, float, float, float]
"""left, bottom, right, top."""

LONGITUDE_LATITUDE = "EPSG:4326"
STRIP_PIXELS = 1 << 18
"""The most pixels whose places are held at once."""
SAMPLED = 65
"""Rows, and on a map grid columns, of the sample that tells where a scene lies."""


class Places(Protocol):
    """Where the centres of pixels lie. May be used by several threads at once.

    Attributes:
        shape: (rows, cols) of the scene.
        crs: of the coordinates that it gives.
    """

    crs: str

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the scene."""
        ...

    @property
    def sample(self) -> Coordinates:
        """Coordinates of a thin sample of all pixels, the outermost ones among them."""
        ...

    @property
    def bounds(self) -> Bounds:
        """Of the scene; of a swath a little more than that."""
        ...

    def centres(self, window: Window) -> Coordinates:
        """Of a window that lies inside the scene; each array of the window's shape."""
        ...

    def at(self, rows: Indices, cols: Indices) -> Coordinates:
        """Of single pixels, shape (n,) each."""
        ...


def places_of(grid: Grid, swath: Swath | None) -> Places | None:
    """Where a scene's pixels lie; None where nobody knows."""
    if swath is not None:
        return SwathPlaces(swath)
    return GridPlaces(grid) if grid.georeferenced else None


class GridPlaces:
    """The centres of a map grid's pixels."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.crs = grid, str(grid.crs)

    @property
    def shape(self) -> tuple[int, int]:
        """See `Places`."""
        return self.grid.shape

    @property
    def bounds(self) -> Bounds:
        """See `Places`."""
        return self.grid.bounds

    @property
    def sample(self) -> Coordinates:
        """See `Places`."""
        rows, cols = (_spread(size) for size in self.shape)
        return self.at(*np.meshgrid(rows, cols, indexing="ij"))

    def centres(self, window: Window) -> Coordinates:
        """See `Places`."""
        return self.at(*np.mgrid[window.row : window.row_end, window.col : window.col_end])

    def at(self, rows: Indices, cols: Indices) -> Coordinates:
        """See `Places`."""
        x, y = self.grid.centres(np.asarray(rows, float), np.asarray(cols, float))
        return x, y


class SwathPlaces:
    """The centres of a swath's pixels, in degrees."""

    crs = LONGITUDE_LATITUDE

    def __init__(self, swath: Swath) -> None:
        self.swath = swath

    @property
    def shape(self) -> tuple[int, int]:
        """See `Places`."""
        return self.swath.shape

    @cached_property
    def sample(self) -> Coordinates:
        """See `Places`: whole rows."""
        rows, cols = self.shape
        found = [self.swath.locate(Window(int(row), 0, 1, cols)) for row in _spread(rows)]
        return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])

    @property
    def bounds(self) -> Bounds:
        """See `Places`; wider by the step from one sampled row to the next, since rows bend between them.

        Raises:
            GridError: no pixel has a place.
        """
        edges = []
        for values in self.sample:
            known = np.isfinite(values)
            if not known.any():
                raise GridError("the scene", "the positions of its pixels are missing", "Take another copy of the product")
            steps = np.abs(np.diff(values, axis=0))
            margin = float(np.max(steps, initial=0.0, where=np.isfinite(steps)))
            edges.append((float(values[known].min()) - margin, float(values[known].max()) + margin))
        return edges[0][0], max(edges[1][0], -90.0), edges[0][1], min(edges[1][1], 90.0)

    def centres(self, window: Window) -> Coordinates:
        """See `Places`."""
        return self.swath.locate(window)

    def at(self, rows: Indices, cols: Indices) -> Coordinates:
        """See `Places`."""
        x, y = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        for part, window in windows_around(rows, cols, self.shape):
            lon, lat = self.swath.locate(window)
            x[part], y[part] = (values[rows[part] - window.row, cols[part] - window.col] for values in (lon, lat))
        return x, y


def windows_around(rows: Indices, cols: Indices, shape: tuple[int, int]) -> list[tuple[Indices, Window]]:
    """Pixels by strips of the scene: positions of those in one strip, and the smallest window that holds them."""
    height = strip_rows(shape)
    strip = np.asarray(rows) // height
    order = np.argsort(strip, kind="stable")
    found = []
    for part in np.split(order, np.flatnonzero(np.diff(strip[order])) + 1):
        if part.size:
            row, col = int(rows[part].min()), int(cols[part].min())
            found.append((part, Window(row, col, int(rows[part].max()) - row + 1, int(cols[part].max()) - col + 1)))
    return found


def strip_rows(shape: tuple[int, int]) -> int:
    """Rows of a full-width strip of at most `STRIP_PIXELS` pixels."""
    return max(1, STRIP_PIXELS // shape[1])


def strips(shape: tuple[int, int]) -> list[Window]:
    """Full-width strips over a scene, from the top."""
    return list(tile_windows(Window.whole(shape), (strip_rows(shape), shape[1])))


def _spread(size: int) -> Indices:
    return np.unique(np.linspace(0, size - 1, SAMPLED).astype(np.intp))


class CentresIn:
    """Centres of a scene's pixels in the CRS of another file, with one transformer for each thread.

    Args:
        places: of the scene.
        crs: the other CRS: text, or whatever pyproj takes.

    Raises:
        GridError: a CRS that PROJ does not know, or two that it cannot relate.
    """

    def __init__(self, places: Places, crs: Any) -> None:
        from pyproj import CRS
        from pyproj.exceptions import ProjError

        self.places = places
        try:
            self.crs, own = CRS.from_user_input(crs), CRS.from_user_input(places.crs)
            self._same = bool(own.equals(self.crs, ignore_axis_order=True))
            self._local = threading.local()
            self._moved((np.zeros(0), np.zeros(0)))
        except ProjError as error:
            raise GridError(str(crs), f"cannot be related to the CRS of the scene, {places.crs} ({error})", "Give the file its CRS, or reproject it") from error

    def _moved(self, coordinates: Coordinates) -> Coordinates:
        from pyproj import Transformer

        if self._same:
            return coordinates
        if not hasattr(self._local, "transformer"):
            self._local.transformer = Transformer.from_crs(self.places.crs, self.crs, always_xy=True)
        x, y = self._local.transformer.transform(*coordinates)
        return np.asarray(x, float), np.asarray(y, float)

    @property
    def sample(self) -> Coordinates:
        """See `Places`."""
        return self._moved(self.places.sample)

    def centres(self, window: Window) -> Coordinates:
        """See `Places`."""
        return self._moved(self.places.centres(window))

    def at(self, rows: Indices, cols: Indices) -> Coordinates:
        """See `Places`."""
        return self._moved(self.places.at(rows, cols))
