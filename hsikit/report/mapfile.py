"""Reading a map for a report: how it was made; of a class map also a decimated picture of it, areas by class, and its legend."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import open_class_map
from hsikit.assess.map_raster import MapRaster, open_map_raster, raster_file
from hsikit.errors import MapError, ModelError
from hsikit.geo.grid import Coefficients, Grid
from hsikit.layers import RESERVED, Legend
from hsikit.report.content import MapFacts
from hsikit.viz.maps import read_codes

MOST_SHOWN = 1024
"""Longest side of a picture (pixels)."""


@dataclass(frozen=True, eq=False)
class MadeFile:
    """A map's file, and what is known of its making.

    Attributes:
        path: as the user named it.
        grid: its grid.
        tags: of the file.
        made: what lies beside it: the properties of the STAC item, or the plain provenance; empty where nothing does.
        written: ISO 8601 time of the file.
    """

    path: Path
    grid: Grid
    tags: Mapping[str, str]
    made: Mapping[str, Any]
    written: str

    def fact(self, name: str) -> Any:
        """A fact of its making: of the STAC item ("hsikit:NAME") or the plain provenance ("NAME"); None where it is not there."""
        return self.made.get(f"hsikit:{name}", self.made.get(name))

    def table(self, name: str) -> Mapping[str, Any]:
        """The same where it is a table of facts; empty where it is none."""
        found = self.fact(name)
        return found if isinstance(found, Mapping) else {}

    def holds(self, layer: str) -> bool:
        """Whether the file says that it holds a layer of that name."""
        return layer in (self.tags.get("hsikit_layer"), self.tags.get("layer"))

    @property
    def method(self) -> str:
        """The method's name, or ""."""
        return str(self.fact("method") or self.tags.get("hsikit_method", ""))

    @property
    def made_from(self) -> str:
        """The scene that it was made from, as its metadata name it, or ""."""
        return str(next(iter(self.table("inputs").values()), self.tags.get("hsikit_input_cube", "")))

    def facts(self, leave_out: frozenset[str] = frozenset({"areas"})) -> MapFacts:
        """As a report says it.

        Args:
            leave_out: names of parameters that no reader wants.
        """
        grid, tags = self.grid, self.tags
        return MapFacts(
            name=str(self.path),
            rows=grid.shape[0],
            cols=grid.shape[1],
            crs=grid.crs_name,
            georeferenced=grid.georeferenced,
            pixel_size=grid.pixel_size if grid.georeferenced else None,
            unit=_unit(grid),
            bounds=grid.bounds if grid.georeferenced else None,
            method=self.method,
            smooth=tags.get("smooth", ""),
            sieve=tags.get("sieve", ""),
            inputs={role: str(name) for role, name in self.table("inputs").items()},
            parameters={name: value for name, value in self.table("parameters").items() if name not in leave_out},
            version=str(self.fact("version") or tags.get("hsikit_version", "")),
            acquired=str(self.made.get("datetime", "")) if self.fact("datetime_source") == "acquisition of the scene" else "",
            written=self.written,
        )


@dataclass(frozen=True, eq=False)
class MapFile(MadeFile):
    """A class map, as far as a report needs it.

    Attributes:
        shown: every n-th code, uint8 of shape (rows, cols), neither above `MOST_SHOWN`.
        shown_transform: of `shown`; None without a CRS.
        areas: code -> (pixels, hectares or None) of the classes.
        outside: pixels of the codes that are no class.
        stated: letters of the class names that the file states, run together; "" where it states none.
    """

    shown: NDArray[np.uint8]
    shown_transform: Coefficients | None
    areas: Mapping[int, tuple[int, float | None]]
    outside: Mapping[int, int]
    stated: str

    def require_legend(self, legend: Legend, model: str | Path) -> None:
        """Checks that the map is one of these classes.

        Raises:
            MapError: the map names no classes.
            ModelError: it names others, or holds codes that these classes do not have.
        """
        if not self.stated:
            raise MapError(self.path, "it names no classes, so it is no class map of hsikit", "Give the map that `hsikit classify` wrote")
        advice = "Give the folder of the model that made the map"
        if self.stated != _letters("".join(legend.names)):
            raise ModelError(model, f"its classes ({', '.join(legend.names)}) are not those of the map {self.path}", advice)
        stray = sorted(set(self.areas) - set(legend.codes))
        if stray:
            raise ModelError(model, f"the map {self.path} holds the code {stray[0]}, which is none of its classes", advice)


def read_made(path: str | Path) -> MadeFile:
    """What a map's file, and the one beside it, say of its making.

    Raises:
        MapError: it is missing or unreadable.
    """
    path = Path(path)
    with open_map_raster(path) as dataset:
        tags = {**dataset.tags(ns="ENVI"), **dataset.tags()}
        grid = MapRaster(str(path), dataset).grid
    written = datetime.fromtimestamp(raster_file(path).stat().st_mtime, UTC).isoformat(timespec="seconds")
    return MadeFile(path, grid, tags, _beside(path), written)


def read_map(path: str | Path) -> MapFile:
    """Reads a class map, in bounded memory.

    Raises:
        MapError: it is missing, unreadable, damaged, or no class map.
        SceneError: its codes are of another type than those of our maps.
    """
    path = Path(path)
    with open_class_map(path) as opened:
        census, names = opened.census(), opened.names
        shown, transform = read_codes(raster_file(path), MOST_SHOWN)
    made = read_made(path)
    stated = "".join(name for code, name in sorted(names.items()) if code not in RESERVED) or made.tags.get("classes", "")
    areas = {stratum.code: (stratum.pixels, stratum.hectares) for stratum in census.strata}
    return MapFile(made.path, made.grid, made.tags, made.made, made.written, shown, transform, areas, dict(census.outside), _letters(stated))


def _letters(text: str) -> str:
    """Letters and digits alone: formats differ in the punctuation that they can hold."""
    return re.sub(r"[\W_]+", "", text)


def _beside(path: Path) -> Mapping[str, Any]:
    """What the file beside the map says of its making."""
    try:
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    facts = document.get("properties", document)
    return facts if isinstance(facts, dict) else {}


def _unit(grid: Grid) -> str:
    """The unit of a grid's coordinates."""
    if not grid.georeferenced:
        return ""
    from pyproj import CRS

    axes = CRS.from_user_input(grid.crs).axis_info
    name = str(axes[0].unit_name) if axes else "map units"
    return {"metre": "m", "degree": "degrees"}.get(name, name)
