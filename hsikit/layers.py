"""Layers: the named outputs of a Job, and what a map's codes mean.

A class map is uint8: 0 is nodata, 1 to 250 are classes, 254 is unknown, 255 is masked. The reserved codes stand in the
legend and the attribute table, and count in no score and no area.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.geo.grid import Window

NODATA, UNKNOWN, MASKED, LAST_CLASS = 0, 254, 255, 250
Colour = tuple[int, int, int]
Rgba = tuple[int, int, int, int]

RESERVED: dict[int, tuple[str, Colour]] = {
    NODATA: ("no data", (0, 0, 0)),
    UNKNOWN: ("unknown", (160, 160, 160)),
    MASKED: ("masked", (255, 255, 255)),
}

PALETTE: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
    (102, 60, 20), (140, 200, 60), (120, 80, 180), (20, 220, 200), (250, 120, 120), (60, 100, 60), (170, 170, 250),
    (130, 130, 0), (255, 190, 150), (90, 20, 70), (0, 70, 90), (200, 30, 60), (110, 110, 110),
)  # fmt: skip
"""Okabe and Ito's seven colours that the colour-blind tell apart, then thirteen more that keep their distance from them."""


@dataclass(frozen=True)
class ClassEntry:
    """One class of a legend: its code in the map (1 to 250), its name, its colour (red, green, blue; 0 to 255)."""

    code: int
    name: str
    colour: Colour


@dataclass(frozen=True)
class Legend:
    """The classes of a map, in ascending order of their codes."""

    classes: tuple[ClassEntry, ...]

    @classmethod
    def of(cls, names: Mapping[int, str], colours: Mapping[int, Colour] | None = None) -> Legend:
        """A legend from code -> name; colours not given are taken from `PALETTE` in turn.

        Raises:
            LabelError: a code outside 1 to 250.
        """
        given = colours or {}
        for code in names:
            if not 1 <= code <= LAST_CLASS:
                raise LabelError(f"class {code}", f"class codes run from 1 to {LAST_CLASS}", "Give a crosswalk to smaller codes")
        return cls(tuple(ClassEntry(code, names[code], given.get(code, PALETTE[i % len(PALETTE)])) for i, code in enumerate(sorted(names))))

    @classmethod
    def from_names(cls, names: Sequence[str]) -> Legend:
        """A legend of these names, numbered from 1 in alphabetical order."""
        return cls.of(dict(enumerate(sorted(set(names)), start=1)))

    @property
    def codes(self) -> tuple[int, ...]:
        """The class codes, ascending."""
        return tuple(c.code for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in the order of `codes`."""
        return tuple(c.name for c in self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def to_json(self) -> list[dict[str, Any]]:
        """JSON-able form."""
        return [{"code": c.code, "name": c.name, "colour": list(c.colour)} for c in self.classes]

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]]) -> Legend:
        """The inverse of `to_json`."""
        return cls(tuple(ClassEntry(int(r["code"]), str(r["name"]), (int(r["colour"][0]), int(r["colour"][1]), int(r["colour"][2]))) for r in rows))


def legend_in(text: str) -> Legend | None:
    """A legend out of JSON, as files keep it in their tag `classes`; None where there is none that can be read."""
    try:
        return Legend.from_json(json.loads(text))
    except (ValueError, TypeError, LookupError):
        return None


@dataclass(frozen=True, eq=False)
class Layer:
    """One named output of a Job.

    Attributes:
        name: "map", "confidence", "scores", ...; the file's suffix for all but the first delivered layer.
        kind: "raster", "vector" or "table".
        dtype: NumPy name of a raster's type.
        bands: number of raster bands.
        nodata: value of pixels that are not valid (NaN for floats).
        masked: value of pixels that a mask hides; None: as nodata.
        unit: physical unit, "" where there is none.
        description: one line for people.
        legend: of a class map.
        colours: a colour table that is kept as it is; empty: the legend's.
        band_names: one for each band, or none.
        wavelength, fwhm, good: spectral axis (nm, nm, bool) of a layer that is itself a cube; None for others.
        sensor, quantity: of a layer that is itself a cube.
        zoom: fine pixels per reference pixel, along rows and along columns.
        delivered: False for scratch between stages.
    """

    name: str
    kind: Literal["raster", "vector", "table"] = "raster"
    dtype: str = "float32"
    bands: int = 1
    nodata: float = float("nan")
    masked: float | None = None
    unit: str = ""
    description: str = ""
    legend: Legend | None = None
    colours: Mapping[int, Rgba] = field(default_factory=dict)
    band_names: tuple[str, ...] = ()
    wavelength: NDArray[np.float64] | None = None
    fwhm: NDArray[np.float64] | None = None
    good: NDArray[np.bool_] | None = None
    sensor: str = ""
    quantity: str = ""
    zoom: Fraction = Fraction(1)
    delivered: bool = True


def class_layer(legend: Legend, name: str = "map", description: str = "class codes") -> Layer:
    """A uint8 class map with the reserved codes."""
    return Layer(name, dtype="uint8", nodata=NODATA, masked=MASKED, legend=legend, description=description)


@dataclass(frozen=True)
class Features:
    """What a Finish stage delivers for a vector or table layer.

    Attributes:
        columns: name -> values, all of one length.
        points: map coordinates (x, y) of shape (n, 2), at pixel centres; None for a table.
        crs: their CRS, as in `Grid.crs`.
    """

    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    points: NDArray[np.float64] | None = None
    crs: str | None = None

    def __len__(self) -> int:
        return len(self.points) if self.points is not None else len(next(iter(self.columns.values()), ()))


class Pixels(Protocol):
    """A finished raster layer that can be read by windows, of whatever size: what writers copy from."""

    def read(self, window: Window) -> NDArray[Any]:
        """Values of shape (bands, rows, cols) in the layer's dtype."""
        ...
