"""NetCDF-4 files as the netCDF library leaves them, written with h5py: text as bytes, numbers as arrays of one, fill values as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np


def add_array(file: h5py.File, name: str, values: np.ndarray, **attrs: Any) -> h5py.Dataset:
    """An array with attributes; a `_FillValue` takes the array's own type. Arrays of pixels are chunked and compressed."""
    options: dict[str, Any] = {"chunks": tuple(max(1, min(5, size)) for size in values.shape), "compression": "gzip"} if values.ndim > 1 else {}
    fill = attrs.get("_FillValue")
    item = file.create_dataset(name, data=values, fillvalue=None if fill is None else values.dtype.type(fill), **options)
    for key, value in attrs.items():
        item.attrs[key] = attribute(value, values.dtype if key in ("_FillValue", "valid_min", "valid_max") else None)
    return item


def add_texts(file: h5py.File, name: str, texts: list[str]) -> None:
    """An array of texts of any length."""
    file.create_dataset(name, data=np.array(texts, object), dtype=h5py.string_dtype())


def add_attributes(item: Any, attrs: Mapping[str, Any]) -> None:
    """Attributes of the root or of a group."""
    for key, value in attrs.items():
        item.attrs[key] = attribute(value)


def attribute(value: Any, dtype: Any = None) -> Any:
    """An attribute as the netCDF library stores it."""
    if isinstance(value, str):
        return np.bytes_(value.encode())
    return np.atleast_1d(np.asarray(value, dtype))
