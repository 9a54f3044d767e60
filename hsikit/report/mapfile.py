"""Reading a class map for a report: a decimated picture of it, areas by class, its legend, and how it was made."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import open_class_map
from hsikit.errors import MapError, ModelError
from hsikit.geo.grid import Coefficients, Grid
from hsikit.layers import RESERVED, Legend
from hsikit.sensors.envi import find_data
from hsikit.viz.maps import read_codes

MOST_SHOWN = 1024
"""Longest side of a picture (pixels)."""


@dataclass(frozen=True, eq=False)
class MapFile:
    """A class map, as far as a report needs it.

    Attributes:
        path: as the user named it.
        grid: its grid.
        shown: every n-th code, uint8 of shape (rows, cols), neither above `MOST_SHOWN`.
        shown_transform: of `shown`; None without a CRS.
        areas: code -> (pixels, hectares or None) of the classes.
        outside: pixels of the codes that are no class.
        stated: letters of the class names that the file states, run together; "" where it states none.
        tags: of the file.
        made: what lies beside it: the properties of the STAC item, or the plain provenance; empty where nothing does.
        written: ISO 8601 time of the file.
    """

    path: Path
    grid: Grid
    shown: NDArray[np.uint8]
    shown_transform: Coefficients | None
    areas: Mapping[int, tuple[int, float | None]]
    outside: Mapping[int, int]
    stated: str
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


def read_map(path: str | Path) -> MapFile:
    """Reads a class map, in bounded memory.

    Raises:
        MapError: it is missing, unreadable, damaged, or no class map.
        SceneError: its codes are of another type than those of our maps.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    path = Path(path)
    with open_class_map(path) as opened:
        census, grid, names = opened.census(), opened.grid, opened.names
    file = find_data(path, 0) if path.suffix.lower() == ".hdr" else path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shown, transform = read_codes(file, MOST_SHOWN)
        with rasterio.open(file) as data:
            tags = {**data.tags(ns="ENVI"), **data.tags()}
    stated = "".join(name for code, name in sorted(names.items()) if code not in RESERVED) or tags.get("classes", "")
    areas = {stratum.code: (stratum.pixels, stratum.hectares) for stratum in census.strata}
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return MapFile(path, grid, shown, transform, areas, dict(census.outside), _letters(stated), tags, _made(path), written)


def _letters(text: str) -> str:
    """Letters and digits alone: formats differ in the punctuation that they can hold."""
    return re.sub(r"[\W_]+", "", text)


def _made(path: Path) -> Mapping[str, Any]:
    """What the file beside the map says of its making."""
    try:
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    facts = document.get("properties", document)
    return facts if isinstance(facts, dict) else {}
