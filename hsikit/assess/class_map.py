"""A class map as a population of pixels: counted and looked up strip by strip, so that a map of any size fits.

The map may be ours or anyone's: one band of whole numbers in whatever raster format GDAL reads. Its codes 0, 254 and 255 (no data,
unknown, masked in our maps) and its nodata are outside the population, unless the user says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.map_raster import MapRaster, open_map_raster
from hsikit.errors import MapError, OptionError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Window
from hsikit.layers import RESERVED, Legend
from hsikit.train.crosswalk import generic_name
from hsikit.train.label_rasters import names_in_raster

MOST_CODES = 1000
"""A raster of more different values is no class map."""

Codes = NDArray[Any]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Stratum:
    """Pixels among which points are drawn alike: those of one class of a map.

    Attributes:
        code: the class's code in the map.
        name: its name.
        pixels: how many pixels there are.
        hectares: their area (ha, geodesic); None where the map has no place on the ground.
        points: how many points were drawn there.
    """

    code: int
    name: str
    pixels: int
    hectares: float | None = None
    points: int = 0


@dataclass(frozen=True)
class Census:
    """What a map holds: the strata of its population by ascending code, and the pixels outside of it by code."""

    strata: tuple[Stratum, ...]
    outside: Mapping[int, int]

    @property
    def pixels(self) -> int:
        """Size of the population."""
        return sum(stratum.pixels for stratum in self.strata)


class ClassMap(MapRaster):
    """An open class map; made by `open_class_map`.

    Attributes:
        name: the path as the user gave it, for messages.
        grid: where its pixels lie.
        names: class names by code, as far as the file brings any.
        outside: codes outside the population, the file's nodata among them.
    """

    def __init__(self, name: str, dataset: Any, outside: frozenset[int]) -> None:
        super().__init__(name, dataset)
        self.names: Mapping[int, str] = _class_names(Path(dataset.name), dataset)
        self.outside = outside

    def name_of(self, code: int) -> str:
        """The class's name, or "class N"."""
        return self.names.get(code, generic_name(code))

    def read(self, window: Window) -> Codes:
        """Codes of a window, shape (rows, cols).

        Raises:
            MapError: the file is truncated or damaged.
        """
        return self.stored(window)

    def census(self) -> Census:
        """Counts the map.

        Raises:
            MapError: it holds no class, or too many different values for a class map.
            GridError: it has a CRS in which areas cannot be computed.
        """
        found = class_areas(self._strips(), self.grid)
        inside = {code: of for code, of in found.items() if code not in self.outside}
        if not inside:
            codes = ", ".join(map(str, found))
            raise MapError(self.name, f"holds no class: every pixel is outside the population (codes {codes})", "Give the class map, or see --inside")
        strata = tuple(Stratum(code, self.name_of(code), pixels, hectares) for code, (pixels, hectares) in inside.items())
        return Census(strata, {code: pixels for code, (pixels, _) in found.items() if code in self.outside})

    def _strips(self) -> Iterator[tuple[Window, Codes]]:
        """All strips, as long as few different values have been seen."""
        seen: set[int] = set()
        for window in self.windows():
            codes = self.read(window)
            if int(codes.max()) - int(codes.min()) >= MOST_CODES:
                seen.update(np.unique(codes).tolist())
            if len(seen) > MOST_CODES:
                raise MapError(self.name, f"has more than {MOST_CODES} different values", "Give a class map: one band, one code for each class")
            yield window, codes

    def codes_at(self, rows: Indices, cols: Indices) -> NDArray[np.int64]:
        """Codes of single pixels, shape (n,)."""
        found = np.zeros(len(rows), np.int64)
        for window in self.windows():
            here = np.flatnonzero((rows >= window.row) & (rows < window.row_end))
            if here.size:
                found[here] = self.read(window)[rows[here] - window.row, cols[here]]
        return found


@contextmanager
def open_class_map(path: str | Path, *, outside: Iterable[int] = (), inside: Iterable[int] = ()) -> Iterator[ClassMap]:
    """Opens a class map for the time of a `with` block.

    Args:
        path: a raster that GDAL reads, or an ENVI header.
        outside: further codes outside the population.
        inside: codes of 0, 254 and 255 that are classes in this map.

    Raises:
        MapError: missing, unreadable, of several bands, or not of whole numbers.
        OptionError: a code is given as both, or `inside` names the file's nodata.
    """
    with open_map_raster(path, "class map") as dataset:
        _check_kind(str(path), dataset)
        yield ClassMap(str(path), dataset, _outside(dataset.nodata, frozenset(outside), frozenset(inside)))


def _check_kind(name: str, dataset: Any) -> None:
    """A class map has one band of whole numbers."""
    if dataset.count != 1:
        raise MapError(name, f"has {dataset.count} bands", "A class map has one: give that of `hsikit classify`, or extract a band (gdal_translate -b 1)")
    if np.dtype(dataset.dtypes[0]).kind not in "iu":
        raise MapError(name, f"holds {dataset.dtypes[0]}, not class codes", "Give whole numbers: gdal_translate -ot Byte (or Int16) turns codes into such")


def _outside(nodata: float | None, outside: frozenset[int], inside: frozenset[int]) -> frozenset[int]:
    """All codes outside the population."""
    if both := sorted(outside & inside):
        raise OptionError("inside", f"code {both[0]} is also given as --outside", "Give it once")
    if strange := sorted(inside - set(RESERVED)):
        raise OptionError("inside", f"code {strange[0]} is inside the population anyway", f"It is for the codes {', '.join(map(str, RESERVED))}")
    fill = {int(nodata)} if nodata is not None and float(nodata).is_integer() else set()
    if fill & inside:
        raise OptionError("inside", f"code {min(fill)} is the map's nodata", "Remove that mark first: gdal_edit.py -unsetnodata")
    return (frozenset(RESERVED) - inside) | outside | fill


def _class_names(path: Path, dataset: Any) -> Mapping[int, str]:
    """Names that the file brings: our legend, else ENVI's or GDAL's lists."""
    try:
        return {entry.code: entry.name for entry in Legend.from_json(json.loads(dataset.tags().get("classes", "")))
                .classes}  # fmt: skip
    except (ValueError, TypeError, KeyError, IndexError):
        return {code: text for code, text in names_in_raster(path, dataset).items() if text != f"unused {code}"}
