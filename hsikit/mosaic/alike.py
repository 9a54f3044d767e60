"""Whether maps can be joined: one legend, one type, one value for holes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hsikit.errors import MapError
from hsikit.layers import Layer, Legend
from hsikit.mosaic.maps import Map

MOST_SHOWN = 4


def common_layer(maps: Sequence[Map]) -> Layer:
    """The layer that all maps hold; names of classes and codes must agree, colours are the first map's.

    Raises:
        MapError: two maps differ; says how.
    """
    first = maps[0]
    for other in maps[1:]:
        _require_alike(first, other)
    return first.layer


def _require_alike(first: Map, other: Map) -> None:
    one, two = first.layer, other.layer
    if (one.legend is None) != (two.legend is None):
        classes, none = (first, other) if two.legend is None else (other, first)
        raise MapError(none.path, f"names no classes, and {classes.path} does", "Give maps of one kind; see --layer")
    if one.legend is not None and two.legend is not None and (difference := _difference(one.legend, two.legend)):
        raise MapError(other.path, f"its classes are not those of {first.path}: {difference}", "Map all scenes with models of one legend (see --crosswalk)")
    for what, a, b in (("type", one.dtype, two.dtype), ("number of bands", one.bands, two.bands), ("names of bands", one.band_names, two.band_names)):
        if a != b:
            raise MapError(other.path, f"its {what} is {_shown(b)}, and {_shown(a)} in {first.path}", "Give maps of one layer; see --layer")
    if one.nodata != two.nodata and not (math.isnan(one.nodata) and math.isnan(two.nodata)):
        raise MapError(other.path, f"its nodata value is {two.nodata:g}, and {one.nodata:g} in {first.path}", "Give maps of one nodata value")
    if one.name != two.name:
        raise MapError(other.path, f"holds the layer '{two.name}', and {first.path} '{one.name}'", "Give maps of one layer; see --layer")


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _difference(one: Legend, two: Legend) -> str:
    """What two legends do not share, in words; "" where codes and names are the same."""
    a, b = ({entry.code: entry.name for entry in legend.classes} for legend in (one, two))
    if a == b:
        return ""
    differing = [code for code in sorted(a.keys() | b.keys()) if a.get(code) != b.get(code)]
    parts = [f"{code} is {b.get(code, 'no class')} here and {a.get(code, 'no class')} there" for code in differing]
    more = f", and {len(parts) - MOST_SHOWN} more" if len(parts) > MOST_SHOWN else ""
    same = " (the same names under other codes)" if sorted(a.values()) == sorted(b.values()) else ""
    return ", ".join(parts[:MOST_SHOWN]) + more + same
