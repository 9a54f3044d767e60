"""Tiny MATLAB and Zarr scenes in their true structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr


def write_matlab73(path: Path, **arrays: np.ndarray) -> Path:
    """MATLAB v7.3: HDF5 behind 512 bytes of header, each array with its axes in the opposite order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            kind = {"f8": "double", "f4": "single"}.get(values.dtype.str[1:], values.dtype.name)
            item = file.create_dataset(name, data=values.T, chunks=tuple(min(4, n) for n in values.T.shape), compression="gzip")
            item.attrs["MATLAB_class"] = np.bytes_(kind)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def write_zarr(path: Path, cube: np.ndarray, nm: np.ndarray, zarr_format: Any = 3, dims: tuple[str, str, str] = ("wavelength", "y", "x"), **attrs: Any) -> Path:
    """A store as xarray and rioxarray write it: CF coordinates of pixel centres, `spatial_ref` with its GeoTransform; `cube` has the axes of `dims`."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)

    def add(name: str, values: np.ndarray, names: tuple[str, ...], **told: Any) -> None:
        more = {"dimension_names": names} if zarr_format == 3 else {}
        told |= {} if zarr_format == 3 else {"_ARRAY_DIMENSIONS": list(names)}
        chunks = tuple(min(5, n) for n in values.shape)
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks or "auto", attributes=told, **more)[...] = values

    add("radiance", cube, dims, grid_mapping="spatial_ref", **attrs)
    sizes = dict(zip(dims, cube.shape, strict=True))
    add(dims[[d not in ("x", "y") for d in dims].index(True)], nm, (dims[[d not in ("x", "y") for d in dims].index(True)],), units="nm")
    add("x", 1000 + 10 * (np.arange(sizes["x"]) + 0.5), ("x",))
    add("y", 2000 - 10 * (np.arange(sizes["y"]) + 0.5), ("y",))
    add("spatial_ref", np.array(0), (), crs_wkt="EPSG:32633", GeoTransform="1000 10 0 2000 0 -10")
    return path
