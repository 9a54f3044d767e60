"""Masks: what a user wants hidden in a map (cloud, water, built-up land), as a raster or as polygons, read window by window.

A raster may lie on any grid in any CRS: a pixel of the scene is hidden where the mask's pixel under its centre is neither
zero nor nodata. Polygons come from any vector file in any CRS: a pixel is hidden where its centre lies inside one. The scene
lies on a map grid, or is a swath whose pixels each have a place of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.places import places_of
from hsikit.geo.swath import Swath

Booleans = NDArray[np.bool_]

VECTOR_SUFFIXES = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".gdb", ".sqlite", ".zip"})


class Mask(Protocol):
    """What is hidden, on the grid that it was opened for. May be used by several threads at once.

    Attributes:
        identity: path, size and time of the file, which tell whether it is still the same.
    """

    identity: tuple[Any, ...]

    def read(self, window: Window) -> Booleans:
        """True where a pixel is hidden, shape (window.rows, window.cols); False outside the mask's extent."""
        ...

    def close(self) -> None:
        """Closes its files."""
        ...


def open_mask(path: str | Path, grid: Grid, name: str = "--mask", swath: Swath | None = None) -> Mask:
    """Opens a mask for a scene's grid.

    Args:
        path: a raster that GDAL reads, or a vector file of polygons.
        grid: the grid of the scene.
        name: the option, for messages.
        swath: where the scene's pixels lie, if it is on the sensor's grid.

    Raises:
        OptionError: the file is missing, cannot be read, or holds no polygon.
        GridError: it has no CRS (or the scene has none), or does not overlap the scene.
    """
    from hsikit.geo.mask_rasters import RasterMask

    file = existing(path, name)
    if file.suffix.lower() in VECTOR_SUFFIXES:
        return open_polygons(file, grid, name, swath)
    return RasterMask(file, grid, places_of(grid, swath), name)


def open_polygons(path: str | Path, grid: Grid, name: str, swath: Swath | None = None) -> Mask:
    """Opens a vector file of polygons for a scene's grid: True inside them. Arguments and errors are those of `open_mask`."""
    from hsikit.geo.mask_polygons import PolygonMask, SwathPolygonMask

    file = existing(path, name)
    return PolygonMask(file, grid, name) if swath is None else SwathPolygonMask(file, swath, name)


def existing(path: str | Path, name: str) -> Path:
    """The path of a file that is there.

    Raises:
        OptionError: it is not.
    """
    file = Path(path)
    if not file.exists():
        raise OptionError(file, f"the file given for {name} does not exist", "Check the path")
    return file


def file_identity(path: Path) -> tuple[Any, ...]:
    """(absolute path, size in bytes, time of change in ns)."""
    facts = path.stat()
    return str(path.absolute()), facts.st_size, facts.st_mtime_ns


class Grown:
    """All that several masks hide, and the pixels around.

    A pixel is hidden where the centre of one that a mask hides lies no further away than `reach`. A window's surroundings are
    read with it, so that the result does not depend on how a scene is cut.

    Args:
        masks: what is joined.
        whole: the scene.
        reach: pixels; 0 grows nothing.
    """

    def __init__(self, masks: Sequence[Mask], whole: Window, reach: int = 0) -> None:
        self._masks, self._whole, self._reach = masks, whole, reach
        self.identity = (*(mask.identity for mask in masks), reach)

    def read(self, window: Window) -> Booleans:
        """See `Mask`."""
        around = window.expand((self._reach, self._reach)).intersect(self._whole)
        hidden = np.zeros(around.shape, bool)
        for mask in self._masks:
            hidden |= mask.read(around)
        if self._reach and hidden.any() and not hidden.all():
            from scipy.ndimage import distance_transform_edt

            hidden = np.asarray(distance_transform_edt(~hidden) <= self._reach)
        return hidden[window.slices((around.row, around.col))]

    def close(self) -> None:
        """See `Mask`."""
        for mask in self._masks:
            mask.close()


class Outside:
    """Hides what lies outside of an area.

    Args:
        area: True inside it.
    """

    def __init__(self, area: Mask) -> None:
        self._area, self.identity = area, ("outside", *area.identity)

    def read(self, window: Window) -> Booleans:
        """See `Mask`."""
        return ~self._area.read(window)

    def close(self) -> None:
        """See `Mask`."""
        self._area.close()
