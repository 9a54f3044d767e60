"""The variables of a NetCDF-4 file: names, shapes, dimensions and attributes, without a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import SceneError
from hsikit.geo.remote_files import openable
from hsikit.sensors.damage import damage_named
from hsikit.sensors.probe import attributes_of, holds_lists

MOST_VARIABLES = 4096
_USERS = "REFERENCE_LIST"
"""The attribute of a dimension scale that lists the arrays which have it."""
_PLACEHOLDER = "This is a netCDF dimension but not a netCDF variable"


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable.

    Attributes:
        name: "group/name", without a slash in front.
        shape: of the array.
        dtype: as stored.
        dims: of each axis, the path of its dimension; "" where the file does not say.
        attrs: text as `str`, single numbers as numbers, several as arrays.
        chunks: of the array; None where it is not chunked.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dims: tuple[str, ...]
    attrs: Mapping[str, Any]
    chunks: tuple[int, ...] | None = None

    @property
    def short(self) -> str:
        """The name without its groups, in lower case."""
        return self.name.rpartition("/")[2].lower()

    @property
    def numeric(self) -> bool:
        """Whether it holds integers or real numbers."""
        return self.dtype.kind in "iuf"

    def text(self, key: str) -> str:
        """A text attribute, "" where there is none."""
        value = self.attrs.get(key, "")
        return value.strip() if isinstance(value, str) else ""

    def number(self, key: str, default: float) -> float:
        """An attribute that is one number.

        Raises:
            SceneError: it is none.
        """
        value = self.attrs.get(key, default)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise SceneError(self.name, f"its attribute {key} is no number ({value!r})", "Repair the file") from None


def variables_of(path: Path) -> dict[str, Variable]:
    """All variables of a file and its groups by name; placeholders of dimensions, and arrays kept in other files, are none.

    Raises:
        SceneError: there are too many, or the file is damaged.
    """
    import h5py

    found: dict[str, Variable] = {}
    scales: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if len(found) > MOST_VARIABLES:
            raise SceneError(path, f"has more than {MOST_VARIABLES} variables", "Copy those that you need into a file of their own")
        if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
            return
        attrs = {key: value for key, value in attributes_of(item).items() if key != _USERS}
        if attrs.get("CLASS") == "DIMENSION_SCALE":
            scales[name] = item
        shape = tuple(int(size) for size in item.shape or ())
        own = (name,) if name in scales and len(shape) == 1 else ("",) * len(shape)
        found[name] = Variable(name, shape, item.dtype, own, attrs, item.chunks)

    with damage_named(path, "a NetCDF-4 file"), h5py.File(openable(path), "r") as file:
        file.visititems(visit)
        dims = {name: list(variable.dims) for name, variable in found.items()}
        for scale, item in scales.items():
            for user, axis in _users(file, item):
                if user in dims and axis < len(dims[user]) and user not in scales:
                    dims[user][axis] = scale
    _by_number(found, dims)
    return {name: replace(variable, dims=tuple(dims[name])) for name, variable in found.items() if not variable.text("NAME").startswith(_PLACEHOLDER)}


def _users(file: Any, scale: Any) -> list[tuple[str, int]]:
    """Which arrays have a dimension scale on which axis.

    The arrays list their scales too, but in a list of variable length.
    """
    if _USERS not in scale.attrs or holds_lists(scale.attrs.get_id(_USERS).dtype):
        return []
    return [(str(file[reference].name).lstrip("/"), int(axis)) for reference, axis in scale.attrs[_USERS]]


def _by_number(found: Mapping[str, Variable], dims: dict[str, list[str]]) -> None:
    """The dimensions of coordinates of several axes, which list their numbers instead."""
    numbered = {variable.attrs["_Netcdf4Dimid"]: name for name, variable in found.items() if isinstance(variable.attrs.get("_Netcdf4Dimid"), int)}
    for name, variable in found.items():
        listed: list[Any] = np.ravel(np.asarray(variable.attrs.get("_Netcdf4Coordinates", []))).tolist()
        if len(listed) == len(variable.shape) > 1 and not any(dims[name]):
            dims[name] = [numbered.get(number, "") for number in listed]


def related(variables: Mapping[str, Variable], to: Variable, name: str) -> Variable | None:
    """The variable that another one names: in its own group, or in one of those around it."""
    group = to.name.rpartition("/")[0]
    wanted = name.strip().lstrip("/")
    while True:
        path = f"{group}/{wanted}" if group else wanted
        if path in variables:
            return variables[path]
        if not group:
            return None
        group = group.rpartition("/")[0]


def axes_in(variable: Variable, image: Variable, axes: tuple[int, int]) -> bool | None:
    """Whether a variable of two axes lies on an image's rows and columns: False as (rows, cols), True as (cols, rows), None if not."""
    dims, shape = [image.dims[axis] for axis in axes], tuple(image.shape[axis] for axis in axes)
    known = all(dims) and all(variable.dims)
    if variable.shape == shape and (not known or list(variable.dims) == dims):
        return False
    if variable.shape == shape[::-1] and (not known or list(variable.dims) == dims[::-1]):
        return True
    return None
