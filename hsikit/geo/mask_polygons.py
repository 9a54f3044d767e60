"""Masks that are polygons of a vector file: those that touch the scene are held in memory, no other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.inside import inside_each
from hsikit.geo.mask import file_identity
from hsikit.geo.places import CentresIn, GridPlaces, Places, SwathPlaces
from hsikit.geo.swath import Swath

Booleans = NDArray[np.bool_]


class PolygonMask:
    """Polygons on a map grid, burnt window by window."""

    def __init__(self, path: Path, grid: Grid, name: str = "--mask") -> None:
        from shapely import STRtree

        if not grid.georeferenced:
            raise GridError(path, "the scene has no georeference, so polygons cannot be placed in it", f"Give {name} a raster, pixel by pixel like the scene")
        self._grid, self.identity = grid, file_identity(path)
        frame = _read_vector(path, GridPlaces(grid), name)
        frame = frame.set_geometry(_placed(frame.geometry, grid.crs, path))
        self._polygons = _touching(frame, grid.bounds, path, name)
        self._tree = STRtree(self._polygons)

    def read(self, window: Window) -> Booleans:
        """See `Mask`."""
        from rasterio.features import rasterize
        from shapely import Polygon

        part = self._grid.crop(window)
        a, b, c, d, e, f = part.transform
        rows, cols = window.shape
        outline = Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in ((0, 0), (cols, 0), (cols, rows), (0, rows))])
        near = self._tree.query(outline)
        if not len(near):
            return np.zeros(window.shape, bool)
        burnt = rasterize(self._polygons[np.sort(near)].tolist(), out_shape=window.shape, transform=part.affine, default_value=1, dtype="uint8")
        return np.asarray(burnt, bool)

    def close(self) -> None:
        """Nothing stays open."""


class SwathPolygonMask:
    """Polygons over a swath: its pixels' centres are brought into their CRS, where their edges are straight."""

    def __init__(self, path: Path, swath: Swath, name: str = "--mask") -> None:
        from shapely import STRtree

        places = SwathPlaces(swath)
        frame = _read_vector(path, places, name)
        self.identity = file_identity(path)
        self._centres = CentresIn(places, frame.crs)
        extent = _placed(_around(places), frame.crs, path).total_bounds
        self._polygons = _touching(frame, tuple(extent) if np.isfinite(extent).all() else None, path, name)
        self._tree, self._lock = STRtree(self._polygons), threading.Lock()

    def read(self, window: Window) -> Booleans:
        """See `Mask`."""
        x, y = self._centres.centres(window)
        hidden = np.zeros(window.shape, bool)
        with self._lock:
            for _, block, found in inside_each(self._polygons, self._tree, x, y):
                hidden[block.slices()] |= found
        return hidden

    def close(self) -> None:
        """Nothing stays open."""


def _touching(frame: Any, bounds: tuple[float, ...] | None, path: Path, name: str) -> NDArray[Any]:
    """Valid polygons that touch an extent in their CRS; all where there is none."""
    import shapely

    apart = GridError(path, "the mask does not overlap the scene", f"Give {name} a mask of the same area")
    if not len(frame):
        raise apart
    shapes = np.asarray(frame.geometry.array, dtype=object)
    shapes = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    flat = shapely.make_valid(shapes[shapely.get_dimensions(shapes) == 2])
    if not len(flat):
        raise OptionError(path, f"the file given for {name} holds no polygon", "Give polygons, or a raster")
    touching = flat if bounds is None else flat[shapely.intersects(flat, shapely.box(*bounds))]
    if not len(touching):
        raise apart
    return np.asarray(touching, dtype=object)


def _placed(shapes: Any, crs: Any, path: Path) -> Any:
    """Geometries in another CRS."""
    try:
        return shapes.to_crs(crs)
    except Exception as error:  # PROJ raises several kinds
        raise GridError(path, f"the mask's CRS cannot be related to the scene's ({error})", "Reproject the mask") from error


def _read_vector(path: Path, places: Places, name: str) -> Any:
    """Features near the scene, geometry only."""
    import geopandas
    import pyogrio

    try:
        crs = pyogrio.read_info(path)["crs"]
    except Exception as error:  # GDAL and pyogrio raise each their own
        raise OptionError(path, f"the file given for {name} cannot be read as polygons", str(error)) from error
    if crs is None:
        raise GridError(path, "the mask has no coordinate reference system", "Assign its CRS before use")
    extent = _placed(_around(places), crs, path).total_bounds
    try:
        return geopandas.read_file(path, bbox=tuple(extent) if np.isfinite(extent).all() else None, columns=[])
    except Exception as error:  # as above
        raise OptionError(path, "the mask is truncated or damaged", str(error)) from error


def _around(places: Places) -> Any:
    """The scene's extent with a margin, its sides cut into pieces short enough to follow the curves of another CRS."""
    import geopandas
    import shapely

    left, bottom, right, top = places.bounds
    longest = max(right - left, top - bottom)
    box = shapely.box(left, bottom, right, top).buffer(0.01 * longest, join_style="mitre").segmentize(longest / 64)
    return geopandas.GeoSeries([box], crs=places.crs)
