"""Small maps on one lattice, as hsikit writes them: with legends, items, confidences, clouds and angles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.geo.grid import Grid, Window
from hsikit.layers import Layer, Legend, class_layer
from hsikit.writers import Asset, Provenance, write_item, write_raster

CRS, STEP, LEFT, TOP = "EPSG:32633", 30.0, 500_000.0, 5_800_000.0
NAMES = {1: "water", 2: "forest", 3: "field"}


class Array:
    """Values as the writers take them."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values if values.ndim == 3 else values[None]

    def read(self, window: Window) -> np.ndarray:
        return self.values[(slice(None), *window.slices())]


def grid_at(row: float, col: float, shape: tuple[int, int], step: float = STEP, crs: str = CRS) -> Grid:
    """A grid whose corner is so many pixels below and right of the lattice's."""
    return Grid(shape, (step, 0.0, LEFT + col * STEP, 0.0, -step, TOP - row * STEP), crs)


def write_map(
    path: Path, codes: np.ndarray, at: tuple[float, float] = (0, 0), *, acquired: str = "", names: Mapping[int, str] = NAMES, grid: Grid | None = None,
    tags: Mapping[str, str] | None = None, item: bool = True, **layers: np.ndarray,
) -> Path:  # fmt: skip
    """A class map with its STAC item, and further layers (confidence, cloud, view_zenith) beside it."""
    place = grid or grid_at(*at, codes.shape)
    layer = class_layer(Legend.of(dict(names)))
    write_raster(layer, place, Array(codes.astype(np.uint8)), path, tags={"hsikit_layer": "map", "hsikit_version": "0", **(tags or {})})
    assets = [Asset("map", path, layer, True)]
    for name, values in layers.items():
        assets.append(write_numbers(path.with_name(f"{path.stem}_{name}{path.suffix}"), values, name, place))
    if item:
        write_item(path.with_suffix(".json"), place, assets, Provenance("toy"), acquired=acquired)
    return path


def write_numbers(path: Path, values: np.ndarray, name: str, grid: Grid) -> Asset:
    """A layer of float32."""
    layer = Layer(name, bands=1 if values.ndim == 2 else len(values))
    write_raster(layer, grid, Array(values.astype(np.float32)), path, tags={"hsikit_layer": name, "hsikit_version": "0"})
    return Asset(name, path, layer, True)


def read(path: Path, band: int = 1) -> np.ndarray:
    import rasterio

    with rasterio.open(path) as dataset:
        found: np.ndarray = dataset.read(band)
    return found


def on_whole(shape: tuple[int, int], values: np.ndarray, at: tuple[int, int], fill: Any) -> np.ndarray:
    """Values of a map on the whole of a mosaic, with a fill value around them."""
    out = np.full(shape, fill, values.dtype)
    out[at[0] : at[0] + values.shape[0], at[1] : at[1] + values.shape[1]] = values
    return out
