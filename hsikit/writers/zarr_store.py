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
from numpy.typing import NDArray

from hsikit.geo.grid import IDENTITY, Grid
from hsikit.layers import Layer, Pixels
from hsikit.writers.blocks import RowsDone, block_rows, pieces, read_pieces
from hsikit.writers.failures import writing
from hsikit.writers.tags import band_names, dataset_tags, has_wavelengths, names_by_code

CHUNK = 128
CHUNK_BANDS = 64
_TAKEN = {"wavelength", "band", "fwhm", "good_band", "x", "y", "spatial_ref"}
"""Names of the coordinates; a layer of such a name gets `_layer` behind it."""


def write_zarr(layer: Layer, grid: Grid, pixels: Pixels, path: Path, *, tags: Mapping[str, str], rows_done: RowsDone | None = None) -> list[Path]:
    """Writes a Zarr store (a folder) in bounded memory.

    Args:
        layer: what is written; the array has its name (with `_layer` behind it where a coordinate has that name).
        grid: its grid. A rotated one has no 1-D coordinates, only the `GeoTransform`.
        pixels: its values.
        path: the folder to make.
        tags: attributes of the store.
        rows_done: called with the number of rows that were finished.

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
        array = _array(group, layer, grid, (rows, CHUNK))
        _coordinates(group, layer, grid)
        for window, values in read_pieces(pixels, layer, pieces(grid, layer, rows, CHUNK), cols, rows_done):
            place = window.slices()
            array[(slice(None), *place) if array.ndim == 3 else place] = values if array.ndim == 3 else values[0]
        with warnings.catch_warnings():  # xarray warns about stores without consolidated metadata, zarr about stores with them
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(path)
    return [path]


def _spectral_axis(layer: Layer) -> str:
    """Name of the first dimension, or "" for a single band that is no cube."""
    if has_wavelengths(layer):
        return "wavelength"
    return "band" if layer.bands > 1 else ""


def _array(group: Any, layer: Layer, grid: Grid, chunk: tuple[int, int]) -> Any:
    """The array of the pixels, empty as yet."""
    axis = _spectral_axis(layer)
    space = tuple(min(size, part) for size, part in zip(grid.shape, chunk, strict=True))
    return group.create_array(
        layer.name if layer.name not in _TAKEN else f"{layer.name}_layer",
        shape=(layer.bands, *grid.shape) if axis else grid.shape,
        chunks=(min(layer.bands, CHUNK_BANDS), *space) if axis else space,
        dtype=layer.dtype,
        fill_value=np.dtype(layer.dtype).type(layer.nodata).item(),
        dimension_names=(axis, "y", "x") if axis else ("y", "x"),
        attributes=_attributes(layer, grid, axis),
    )


def _attributes(layer: Layer, grid: Grid, axis: str) -> dict[str, Any]:
    """CF attributes of the pixels."""
    attrs: dict[str, Any] = {"long_name": layer.description or layer.name, "_FillValue": _fill(layer)}
    attrs |= {key: value for key, value in {"units": layer.unit, "sensor": layer.sensor, "quantity": layer.quantity}.items() if value}
    if axis and axis != "wavelength":
        attrs["band_names"] = list(band_names(layer))
    if layer.legend is not None:
        names = names_by_code(layer.legend)
        attrs["flag_values"] = list(names)
        attrs["flag_meanings"] = " ".join("_".join(name.split()) for name in names.values())
    beside = ["spatial_ref"] if _placed(grid) else []
    if axis == "wavelength":
        beside += ["band", *(["fwhm"] if layer.fwhm is not None else []), *(["good_band"] if layer.good is not None else [])]
    if _placed(grid):
        attrs["grid_mapping"] = "spatial_ref"
    if beside:
        attrs["coordinates"] = " ".join(beside)
    return attrs


def _fill(layer: Layer) -> int | str:
    """`_FillValue` as xarray keeps it in format 3: an integer, or the base64 of a little-endian double."""
    if np.dtype(layer.dtype).kind == "f":
        return base64.standard_b64encode(struct.pack("<d", layer.nodata)).decode()
    return int(layer.nodata)


def _placed(grid: Grid) -> bool:
    return grid.crs is not None or grid.transform != IDENTITY


def _coordinates(group: Any, layer: Layer, grid: Grid) -> None:
    """The coordinates along the spectral axis and along rows and columns, and the georeference."""
    axis = _spectral_axis(layer)
    if axis == "wavelength" and layer.wavelength is not None:
        _add(group, "wavelength", layer.wavelength, ("wavelength",), {"standard_name": "radiation_wavelength", "units": "nm"})
        _add(group, "band", np.array(band_names(layer), object), ("wavelength",), {"long_name": "the product's name of the band"})
        if layer.fwhm is not None:
            _add(group, "fwhm", layer.fwhm, ("wavelength",), {"long_name": "full width at half maximum", "units": "nm"})
        if layer.good is not None:
            _add(group, "good_band", layer.good, ("wavelength",), {"long_name": "whether the band should be used"})
    elif axis:
        _add(group, "band", np.arange(1, layer.bands + 1), ("band",), {"long_name": "number of the band"})
    a, b, c, d, e, f = grid.transform
    if b == 0 and d == 0:
        _add(group, "x", c + a * (np.arange(grid.shape[1]) + 0.5), ("x",), _axis_attributes(grid, "x"))
        _add(group, "y", f + e * (np.arange(grid.shape[0]) + 0.5), ("y",), _axis_attributes(grid, "y"))
    if _placed(grid):
        _add(group, "spatial_ref", np.array(0), (), _georeference(grid))


def _add(group: Any, name: str, values: NDArray[Any], dims: tuple[str, ...], attrs: Mapping[str, Any]) -> None:
    """One coordinate array."""
    kind = str if values.dtype == object else values.dtype
    array = group.create_array(name, shape=values.shape, dtype=kind, chunks=values.shape, dimension_names=dims, attributes=dict(attrs))
    array[...] = values


def _axis_attributes(grid: Grid, axis: str) -> dict[str, str]:
    """CF attributes of x or y: CF tells longitudes from metres by the standard name."""
    attrs = {"axis": axis.upper()}
    if grid.crs is None:
        return attrs
    from pyproj import CRS

    system = CRS.from_user_input(grid.crs)
    if system.is_geographic:
        name = "longitude" if axis == "x" else "latitude"
        return attrs | {"standard_name": name, "units": "degrees_east" if axis == "x" else "degrees_north"}
    unit = system.axis_info[0].unit_name if system.axis_info else "metre"
    return attrs | {"standard_name": f"projection_{axis}_coordinate", "units": "m" if unit == "metre" else unit}


def _georeference(grid: Grid) -> dict[str, Any]:
    """Attributes of `spatial_ref`: the CRS as CF parameters and WKT, and the transform in GDAL's order."""
    a, b, c, d, e, f = grid.transform
    attrs: dict[str, Any] = {"GeoTransform": " ".join(repr(float(n)) for n in (c, a, b, f, d, e))}
    if grid.crs is None:
        return attrs
    from pyproj import CRS

    system = CRS.from_user_input(grid.crs)
    return {**system.to_cf(), "crs_wkt": system.to_wkt(), "spatial_ref": system.to_wkt(), **attrs}
