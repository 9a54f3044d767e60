"""What every kind of label file becomes first: pixels on the scene's grid with the values that the file has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.layers import Colour
from hsikit.train.crosswalk import Value

if TYPE_CHECKING:
    from affine import Affine


@dataclass(frozen=True, eq=False)
class LabelPixels:
    """Label pixels before they have class codes.

    Attributes:
        rows: shape (n,); pixels are unique and sorted by (row, col).
        cols: shape (n,).
        value: positions in `values`, shape (n,).
        values: the different values, codes or names.
        groups: shape (n,), or None where connected components are to be used.
        group_names: with a group field, its values; `groups` are positions in them.
        names: names of codes that the file brings.
        colours: colours that the file brings, by code or name.
        notes: what the user should know.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    value: NDArray[np.intp]
    values: Sequence[Value]
    groups: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[Value, Colour] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def place_on(affine: Affine, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An affine transform of coordinates, any shape."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def extent_text(bounds: Sequence[float], crs: str | None) -> str:
    """An extent for messages: left, bottom, right, top and the CRS by its short name."""
    digits = 5 if max(abs(b) for b in bounds) <= 360 else 0
    name = "no CRS" if crs is None else crs if len(crs) < 40 else "a CRS of its own"
    return f"left {bounds[0]:.{digits}f}, bottom {bounds[1]:.{digits}f}, right {bounds[2]:.{digits}f}, top {bounds[3]:.{digits}f} ({name})"
