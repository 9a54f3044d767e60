"""The rules by which one of several maps gives a pixel, and what each needs to know.

A rule ranks the maps once for all pixels (by time, by order), or pixel by pixel where every map has a layer that it can be read from.
A pixel takes the map of the highest rank that has a value there; of equal ones the first given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, MapError, OptionError
from hsikit.geo.grid import Window
from hsikit.mosaic.lattice import Place
from hsikit.mosaic.maps import Map, number, open_map
from hsikit.scene import Source

RULES = ("first", "latest", "most-confident", "least-cloud", "nearest-nadir")
Scores = Callable[[Window], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How maps are ranked; higher is better.

    Attributes:
        told: what they are ranked by, in words.
        of_maps: one score for each map; empty where pixels have their own.
        of_pixels: for each map, what reads the scores of a window of the mosaic, shape (rows, cols), NaN where unknown.
        sources: open files of the scores, one for each map.
    """

    told: str
    of_maps: tuple[float, ...] = ()
    of_pixels: tuple[Scores, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def order(self) -> list[int]:
        """The maps from the best to the last; as given where pixels have their own ranks."""
        return sorted(range(len(self.of_maps)), key=lambda i: -self.of_maps[i]) if self.of_maps else list(range(len(self.of_pixels)))


@dataclass(frozen=True)
class _Fact:
    """What a rule ranks by: a layer of each pixel, or one number of the scene; with sign -1 small ones are best."""

    layer: str
    of_scene: Callable[[Map], float]
    sign: int
    told: str
    column: str


_FACTS = {
    "most-confident": _Fact("confidence", lambda _: math.nan, 1, "confidence", ""),
    "least-cloud": _Fact("cloud", lambda one: one.seen.cloud_cover, -1, "cloud cover", "cloud_cover"),
    "nearest-nadir": _Fact("view_zenith", lambda one: one.seen.view_zenith, -1, "view zenith angle", "view_zenith"),
}


def ranking_of(rule: str, maps: Sequence[Map], places: Sequence[Place]) -> Ranking:
    """How a rule ranks these maps.

    Args:
        rule: one of `RULES`.
        maps: open maps.
        places: of each on the mosaic's grid.

    Raises:
        OptionError: no such rule.
        MapError: a map lacks what the rule needs; names it.
        GridError: a layer lies on another grid than its map.
    """
    if rule not in RULES:
        raise OptionError("rule", f"{rule!r} is not known", f"Known are {', '.join(RULES)}")
    if rule == "first":
        return Ranking("the order given", tuple(-float(i) for i in range(len(maps))))
    if rule == "latest":
        return Ranking("the scenes' times of acquisition", tuple(_time(one) for one in maps))
    fact = _FACTS[rule]
    files = [one.beside(fact.layer) for one in maps]
    if all(file is not None for file in files):
        sources = tuple(_opened(one, file) for one, file in zip(maps, files, strict=True) if file is not None)
        scores = tuple(_scores(source, place, fact.sign) for source, place in zip(sources, places, strict=True))
        return Ranking(f"the {fact.told} of each pixel (layer {fact.layer})", of_pixels=scores, sources=sources)
    numbers = [fact.of_scene(one) for one in maps]
    if not all(math.isfinite(found) for found in numbers):
        raise _lacking(rule, maps, files, numbers)
    return Ranking(f"the {fact.told} of each scene", tuple(fact.sign * found for found in numbers))


def _time(one: Map) -> float:
    """Seconds since 1970 (UTC)."""
    text = one.seen.acquired.strip()
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"'{text}' is no ISO 8601 time" if text else "does not say when its scene was acquired"
        advice = "Keep the STAC item beside it, give a table with map and acquired (--facts), or choose another --rule"
        raise MapError(one.path, f"{wrong}, which the rule latest needs", advice) from None
    return (when.replace(tzinfo=UTC) if when.tzinfo is None else when).timestamp()


def _lacking(rule: str, maps: Sequence[Map], files: Sequence[Path | None], numbers: Sequence[float]) -> MapError:
    """The error that names a map without what the rule needs."""
    fact = _FACTS[rule]
    without = [one for one, file in zip(maps, files, strict=True) if file is None]
    if not fact.column:
        return MapError(without[0].path, f"has no layer '{fact.layer}', which the rule {rule} needs of every map", f"Map again with --{fact.layer}")
    advice = f"Give a table with map and {fact.column} (--facts), or choose another --rule"
    unknown = [one for one, found in zip(maps, numbers, strict=True) if not math.isfinite(found)]
    bare = next((one for one in without if one in unknown), None)
    if bare is None:
        return MapError(
            without[0].path, f"has no layer '{fact.layer}', and {unknown[0].path} no {fact.told} of its scene: pixels and scenes do not compare", advice
        )
    return MapError(bare.path, f"has neither a layer '{fact.layer}' nor the {fact.told} of its scene, one of which the rule {rule} needs", advice)


def _opened(one: Map, file: Path) -> Source:
    """A layer that pixels are ranked by, on the grid of its map."""
    found = open_map(file)
    if found.layer.bands != 1:
        raise MapError(file, f"has {found.layer.bands} bands", "A layer that maps are ranked by has one")
    if found.source.info.grid != one.source.info.grid:
        raise GridError(file, f"does not lie on the grid of {one.path}", "Write both in one run")
    return found.source


def _scores(source: Source, place: Place, sign: int) -> Scores:
    """Reads scores; a missing one is NaN."""
    nodata = number(source.info.nodata)
    read = place.reader(source, nodata)

    def scores(window: Window) -> NDArray[np.float64]:
        values: NDArray[Any] = read(window)[0].astype(np.float64)
        return np.where(values == nodata, np.nan, sign * values)

    return scores
