"""Zarr, format 3: one array with CF coordinates, so that `xarray.open_zarr` and rioxarray find wavelengths and georeference.

A cube is (wavelength, y, x), other layers (band, y, x), a single band (y, x). Chunks keep 64 bands of 128 x 128 pixels together:
a compromise between reading spectra and reading images.
"""

from __future__ import annotations

import base64
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.geo.grid import Grid
from hsikit.geo.swath import Swath
from hsikit.layers import Layer, Pixels
from hsikit.scene import Quality
from hsikit.writers.blocks import RowsDone, block_rows, pieces, read_pieces
from hsikit.writers.cf import Coordinate, Planes, array_name, attributes, coordinates, dims_of, map_coordinates, planes
from hsikit.writers.failures import writing
from hsikit.writers.tags import dataset_tags

CHUNK = 128
CHUNK_BANDS = 64


def write_zarr(
    layer: Layer,
    grid: Grid,
    pixels: Pixels,
    path: Path,
    *,
    tags: Mapping[str, str],
    rows_done: RowsDone | None = None,
    swath: Swath | None = None,
    quality: Quality | None = None,
) -> list[Path]:
    """Writes a Zarr store (a folder) in bounded memory.

    Args:
        layer: what is written; the array has its name (with `_layer` behind it where a coordinate has that name).
        grid: its grid. A rotated one has no 1-D coordinates, only the `GeoTransform`.
        pixels: its values.
        path: the folder to make.
        tags: attributes of the store.
        rows_done: called with the number of rows that were finished.
        swath: where the pixels of a layer on the sensor's own grid lie.
        quality: flags of the pixels.

    Returns:
        The folder.

    Raises:
        OutputError: it cannot be written.
    """
    import zarr

    cols = grid.shape[1]
    rows = block_rows(layer, cols, CHUNK)
    with writing(path):
        group = zarr.open_group(path, mode="w", zarr_format=3)
        group.attrs.update({"Conventions": "CF-1.10", **dataset_tags(layer, tags)})
        array = _array(group, layer, grid, (rows, CHUNK), attributes(layer, grid, swath, quality))
        for coordinate in (*coordinates(layer, grid, swath), *map_coordinates(swath)):
            _add(group, coordinate)
        for beside in planes(swath, quality, grid.shape):
            _add_planes(group, beside)
        for window, values in read_pieces(pixels, layer, pieces(grid, layer, rows, CHUNK), cols, rows_done):
            place = window.slices()
            array[(slice(None), *place) if array.ndim == 3 else place] = values if array.ndim == 3 else values[0]
        with warnings.catch_warnings():  # xarray warns about stores without consolidated metadata, zarr about stores with them
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(path)
    return [path]


def _array(group: Any, layer: Layer, grid: Grid, chunk: tuple[int, int], attrs: Mapping[str, Any]) -> Any:
    """The array of the pixels, empty as yet."""
    dims = dims_of(layer)
    space = tuple(min(size, part) for size, part in zip(grid.shape, chunk, strict=True))
    return group.create_array(
        array_name(layer),
        shape=(layer.bands, *grid.shape) if len(dims) == 3 else grid.shape,
        chunks=(min(layer.bands, CHUNK_BANDS), *space) if len(dims) == 3 else space,
        dtype=layer.dtype,
        fill_value=np.dtype(layer.dtype).type(layer.nodata).item(),
        dimension_names=dims,
        attributes={**attrs, "_FillValue": _fill(layer)},
    )


def _fill(layer: Layer) -> int | str:
    """`_FillValue` as xarray keeps it in format 3: an integer, or the base64 of a little-endian double."""
    if np.dtype(layer.dtype).kind == "f":
        return base64.standard_b64encode(struct.pack("<d", layer.nodata)).decode()
    return int(layer.nodata)


def _add(group: Any, coordinate: Coordinate) -> None:
    """One coordinate array."""
    values = coordinate.values
    kind = str if values.dtype == object else values.dtype
    array = group.create_array(
        coordinate.name, shape=values.shape, dtype=kind, chunks=values.shape, dimension_names=coordinate.dims, attributes=coordinate.attrs
    )
    array[...] = values


def _add_planes(group: Any, beside: Planes) -> None:
    """Arrays of rows and columns beside the pixels."""
    told: dict[str, Any] = {
        "shape": beside.shape,
        "chunks": tuple(min(size, 4 * CHUNK) for size in beside.shape),
        "dtype": beside.dtype,
        "dimension_names": beside.dims,
        "fill_value": 0 if beside.fill is None else beside.fill,
    }
    arrays = [group.create_array(name, attributes=attrs, **told) for name, attrs in beside.attrs.items()]
    for window, values in beside.strips():
        for array, part in zip(arrays, values, strict=True):
            array[window.slices()] = part
