"""NetCDF-4 after CF-1.8, through h5py alone: dimension scales and the few attributes by which the NetCDF library knows its own.

What makes an HDF5 file a NetCDF-4 file is said in the NetCDF user's guide, "NetCDF-4 file format": each dimension is a dimension
scale, with `_Netcdf4Dimid` where the order of creation matters; a dimension without a coordinate has a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.geo.grid import Grid
from hsikit.geo.swath import Swath
from hsikit.layers import Layer, Pixels
from hsikit.scene import Quality
from hsikit.writers.blocks import RowsDone, block_rows, pieces, read_pieces
from hsikit.writers.cf import Coordinate, Planes, array_name, attributes, coordinates, dims_of, map_coordinates, placed, planes
from hsikit.writers.failures import writing
from hsikit.writers.steady_file import SteadyFile
from hsikit.writers.tags import dataset_tags

CHUNK, CHUNK_BANDS = 64, 32
"""A chunk of float32 is half of HDF5's own cache, so that readers who do not enlarge it decode nothing twice."""
DEFLATE = 2
"""Behind the byte shuffle, higher levels cost much time and save little on measured spectra."""
_PLACEHOLDER = "This is a netCDF dimension but not a netCDF variable.{:10d}"
_LONGEST_TEXT = 32_000
"""Bytes of fixed-length text in an attribute: HDF5 holds 64 kB in all, and longer ones elsewhere."""


def write_netcdf(
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
    """Writes a NetCDF-4 file in bounded memory.

    Args:
        layer: what is written; the variable has its name (with `_layer` behind it where a coordinate has that name).
        grid: its grid. A rotated one has no 1-D coordinates, only the `GeoTransform`.
        pixels: its values.
        path: the file to make.
        tags: global attributes.
        rows_done: called with the number of rows that were finished.
        swath: where the pixels of a layer on the sensor's own grid lie.
        quality: flags of the pixels.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written.
    """
    import h5py

    cols = grid.shape[1]
    rows = block_rows(layer, cols, CHUNK)
    with writing(path), closing(SteadyFile(path)) as target:
        with h5py.File(target, "w") as file:
            _set(file, {"Conventions": "CF-1.8", **_global(dataset_tags(layer, tags))})
            array = _describe(file, layer, grid, rows, swath, quality)
            for window, values in read_pieces(pixels, layer, pieces(grid, layer, rows, CHUNK), cols, rows_done):
                place = window.slices()
                array[(slice(None), *place) if array.ndim == 3 else place] = values if array.ndim == 3 else values[0]
                target.check()
        target.check()
    return [path]


def _global(tags: Mapping[str, str]) -> dict[str, str]:
    """Global attributes by names that NetCDF allows; the time also as ACDD calls it."""
    time = {"time_coverage_start": tags["acquired"]} if "acquired" in tags else {}
    return {re.sub(r"[^\w.@+-]", "_", key).lstrip("_") or "tag": text for key, text in {**tags, **time}.items()}


def _describe(file: Any, layer: Layer, grid: Grid, rows: int, swath: Swath | None, quality: Quality | None) -> Any:
    """Dimensions, coordinates and the variable of the pixels, empty as yet; returns the variable."""
    dims = dims_of(layer)
    told = [*coordinates(layer, grid, swath), *map_coordinates(swath)]
    if not placed(grid):  # numbers of rows would tell other programs that the image stands on its head
        told = [coordinate for coordinate in told if coordinate.name not in ("x", "y")]
    with_values = {coordinate.name: coordinate for coordinate in told}
    scales: dict[str, Any] = {}
    for number, (name, size) in enumerate(zip(dims, (layer.bands, *grid.shape)[-len(dims) :], strict=True)):
        scales[name] = _scale(file, name, size, with_values.pop(name, None), number)
    for coordinate in with_values.values():
        variable, names = _variable(file, coordinate), coordinate.dims
        if coordinate.values.dtype == object:
            names = (*names, f"{coordinate.name}_characters")
            scales[names[-1]] = _scale(file, names[-1], variable.shape[-1], None, len(scales))
        _attach(variable, names, scales)
    for beside in planes(swath, quality, grid.shape):
        _write_planes(file, beside, scales)
    array = _pixels(file, layer, grid, rows)
    _set(array, attributes(layer, grid, swath, quality))
    _attach(array, dims, scales)
    return array


def _scale(file: Any, name: str, size: int, coordinate: Coordinate | None, number: int) -> Any:
    """A dimension: its coordinate, or a placeholder."""
    scale = file.create_dataset(name, shape=(size,), dtype=">f4") if coordinate is None else _variable(file, coordinate)
    scale.make_scale(name if coordinate is not None else _PLACEHOLDER.format(size))
    scale.attrs.create("_Netcdf4Dimid", np.int32(number))
    return scale


def _variable(file: Any, coordinate: Coordinate) -> Any:
    """A small array with its attributes; text as an array of characters, flags as bytes that xarray reads as bool."""
    values, attrs = coordinate.values, dict(coordinate.attrs)
    if values.dtype == object:
        # Not strings of the library's own: on a damaged file it hangs in them, or ends the process.
        packed = np.array([text.encode("utf-8") for text in values])
        values, attrs = packed.view("S1").reshape(len(packed), -1), {**attrs, "_Encoding": "utf-8"}
    elif values.dtype == bool:
        values, attrs = values.astype(np.int8), {**attrs, "dtype": "bool"}
    variable = file.create_dataset(coordinate.name, data=values)
    _set(variable, attrs)
    return variable


def _pixels(file: Any, layer: Layer, grid: Grid, rows: int) -> Any:
    """The empty variable of the pixels."""
    space = tuple(min(size, part) for size, part in zip(grid.shape, (rows, CHUNK), strict=True))
    deep = len(dims_of(layer)) == 3
    fill = np.dtype(layer.dtype).type(layer.nodata)
    array = file.create_dataset(
        array_name(layer),
        shape=(layer.bands, *grid.shape) if deep else grid.shape,
        dtype=layer.dtype,
        chunks=(min(layer.bands, CHUNK_BANDS), *space) if deep else space,
        compression="gzip",
        compression_opts=DEFLATE,
        shuffle=True,
        fillvalue=fill,
    )
    array.attrs.create("_FillValue", np.array([fill]))
    return array


def _write_planes(file: Any, beside: Planes, scales: dict[str, Any]) -> None:
    """Arrays of rows and columns beside the pixels; their dimensions are made where they are new."""
    for name, size in zip(beside.dims, beside.shape, strict=True):
        if name not in scales:
            scales[name] = _scale(file, name, size, None, len(scales))
    arrays = []
    for name, attrs in beside.attrs.items():
        chunks = tuple(min(size, 4 * CHUNK) for size in beside.shape)
        array = file.create_dataset(name, shape=beside.shape, dtype=beside.dtype, chunks=chunks, compression="gzip", compression_opts=DEFLATE, shuffle=True)
        _set(array, attrs)
        if beside.fill is not None:
            array.attrs.create("_FillValue", np.array([beside.fill], beside.dtype))
        _attach(array, beside.dims, scales)
        arrays.append(array)
    for window, values in beside.strips():
        for array, part in zip(arrays, values, strict=True):
            array[window.slices()] = part


def _attach(array: Any, dims: tuple[str, ...], scales: Mapping[str, Any]) -> None:
    """Says which dimensions an array has."""
    for axis, name in enumerate(dims):
        array.dims[axis].attach_scale(scales[name])


def _set(item: Any, attrs: Mapping[str, Any]) -> None:
    """Attributes as the NetCDF library writes them: text of fixed length, numbers in the type of the array that they describe."""
    for name, value in attrs.items():
        if isinstance(value, str):
            _set_text(item, name, value)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            import h5py

            item.attrs.create(name, np.array(value, object), dtype=h5py.string_dtype("utf-8"))
        else:
            numbers = np.atleast_1d(np.asarray(value))
            item.attrs.create(name, numbers.astype(item.dtype) if name.startswith("flag_") else numbers)


def _set_text(item: Any, name: str, text: str) -> None:
    import h5py

    packed = text.encode("utf-8")
    if not packed or len(packed) > _LONGEST_TEXT:
        item.attrs.create(name, text, dtype=h5py.string_dtype("utf-8"))
    else:
        item.attrs.create(name, np.array(packed, h5py.string_dtype("utf-8", len(packed))))
