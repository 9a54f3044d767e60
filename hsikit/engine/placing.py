"""Finished layers of a swath put on the map: rasters through the lookup table, points by the positions of their pixels.

Methods run on the sensor's grid, where each measurement counts once; only what they deliver is repeated and dropped by the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.nearest import make_table
from hsikit.geo.places import SwathPlaces
from hsikit.geo.swath import LookupTable, Swath
from hsikit.geo.table import gather, held, pieces, trimmed
from hsikit.layers import Features, Layer, Pixels
from hsikit.scene import SceneInfo

LAYER_BYTES = 32 << 20
"""The most of a layer on the sensor's grid that is read at once."""
STRIP_PIXELS = 1 << 19
SENSOR = "the sensor's own grid"
ADVICE = "Give --grid sensor: the results then stay on the sensor's grid"


@dataclass(frozen=True, eq=False)
class Placement:
    """How the results of a run get their place.

    Attributes:
        swath: of the part that was run.
        table: its lookup table, without empty margins.
        told: where the table comes from.
    """

    swath: Swath
    table: LookupTable
    told: str

    @property
    def grid(self) -> Grid:
        """Of the map."""
        return self.table.grid

    def tags(self) -> dict[str, str]:
        """What a raster says of its place."""
        return {"hsikit_grid": self.told}


def check_places(info: SceneInfo) -> None:
    """Refuses, before any work, a swath whose results cannot be put on a map.

    Raises:
        GridError: its positions are missing.
    """
    if info.swath is not None and info.swath.table is None:
        try:
            _ = SwathPlaces(info.swath).bounds
        except GridError as error:
            raise GridError(info.name, error.wrong, ADVICE) from None


def placement_of(info: SceneInfo, area: Window) -> Placement | None:
    """The placement of a part of a scene; None for a scene on a map grid.

    Raises:
        GridError: the scene's positions are missing.
        SceneError: its table is damaged.
    """
    if info.swath is None:
        return None
    swath = info.swath.crop(area)
    if swath.table is not None:
        return Placement(swath, trimmed(held(swath.table)), "map, through the product's lookup table")
    try:
        table = make_table(swath, name=info.name)
    except GridError as error:
        raise GridError(error.where, error.wrong, ADVICE) from None
    return Placement(swath, table, "map, through a lookup table made from the positions of the pixels")


class MappedLayer:
    """A layer of the sensor's grid as writers read it on the map (`hsikit.layers.Pixels`).

    Args:
        pixels: the layer on the sensor's grid, counted from the corner of the table's sensor grid.
        layer: its type and fill value.
        table: the lookup table.
    """

    def __init__(self, pixels: Pixels, layer: Layer, table: LookupTable) -> None:
        self.pixels, self.layer, self.table = pixels, layer, table
        self._most = max(1, LAYER_BYTES // (layer.bands * np.dtype(layer.dtype).itemsize))

    def read(self, window: Window) -> NDArray[np.generic]:
        """Values of a window of the map, shape (bands, rows, cols); nodata where there is no measurement."""
        lookup = self.table.read(window)
        out = np.empty((self.layer.bands, *window.shape), self.layer.dtype)
        for part, pointed, needed in pieces(lookup, self._most):
            gather(self.pixels.read(needed), pointed, (needed.row, needed.col), out[(slice(None), *part)])
        np.copyto(out, np.asarray(self.layer.nodata, self.layer.dtype), where=~lookup.filled)
        return out


def areas_of(codes: Pixels, grid: Grid) -> Mapping[int, tuple[int, float | None]]:
    """Pixels and hectares of each code of a class map on its own grid.

    Raises:
        GridError: a CRS in which areas cannot be computed.
    """
    windows = tile_windows(grid.whole, (max(1, STRIP_PIXELS // grid.shape[1]), grid.shape[1]))
    return class_areas(((window, codes.read(window)[0]) for window in windows), grid)


def place_features(features: Features, placement: Placement) -> tuple[Features, int]:
    """Points of the sensor's grid (columns and rows, from the corner of the part that was run) in the map's CRS.

    Returns:
        The features, and how many were left out because their pixels have no position.

    Raises:
        GridError: the map's CRS is not understood.
    """
    if features.points is None:
        return features, 0
    height, width = placement.swath.shape
    cols = np.clip(np.floor(features.points[:, 0]).astype(np.intp), 0, width - 1)
    rows = np.clip(np.floor(features.points[:, 1]).astype(np.intp), 0, height - 1)
    x, y = _to_map(*SwathPlaces(placement.swath).at(rows, cols), placement.grid)
    known = np.isfinite(x) & np.isfinite(y)
    columns = {name: values[known] for name, values in features.columns.items()}
    return replace(features, columns=columns, points=np.column_stack([x[known], y[known]]), crs=placement.grid.crs), int((~known).sum())


def _to_map(longitude: NDArray[np.float64], latitude: NDArray[np.float64], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(longitude, latitude)
    except ProjError as error:
        raise GridError(str(grid.crs), f"is not understood ({error})", ADVICE) from None
    return np.asarray(x, float), np.asarray(y, float)
