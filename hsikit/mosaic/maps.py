"""A map of hsikit, open: what it holds, when and how its scene was seen, and the layers that lie beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import MapError
from hsikit.geo.remote import place_of
from hsikit.layers import MASKED, Layer, Legend
from hsikit.scene import Source
from hsikit.sensors import open_source
from hsikit.sensors.geotiff import open_dataset
from hsikit.writers.stac import DATA, DATA_MASK

SUFFIXES = (".tif", ".tiff")
LAYERS = (DATA, DATA_MASK)
"""Roles of assets that can be joined; only of the first one is an asset that nobody names."""


@dataclass(frozen=True)
class Seen:
    """When and how a scene was seen.

    Attributes:
        acquired: ISO 8601 time of acquisition, or "".
        cloud_cover: percent of the scene under clouds; NaN where unknown.
        view_zenith: degrees between the line of sight and the vertical, in the middle of the scene; NaN where unknown.
    """

    acquired: str = ""
    cloud_cover: float = math.nan
    view_zenith: float = math.nan


@dataclass(frozen=True, eq=False)
class Map:
    """One layer of a map, open.

    Attributes:
        path: of the layer's file, as the user named it.
        main: of the map's first file, after which the others are named.
        source: its pixels, read by windows.
        layer: what they are.
        seen: of its scene.
        assets: files by layer, as the STAC item beside the map names them.
    """

    path: Path
    main: Path
    source: Source
    layer: Layer
    seen: Seen
    assets: Mapping[str, Path]

    def beside(self, name: str) -> Path | None:
        """The file of another layer of this map: one that the item names, else STEM_name.tif; None where there is neither."""
        named = self.assets.get(name)
        candidates = [named] if named is not None else [self.main.with_name(f"{self.main.stem}_{name}{suffix}") for suffix in SUFFIXES]
        return next((path for path in candidates if path.exists()), None)


def open_map(path: str | Path, layer: str | None = None) -> Map:
    """Opens a map.

    Args:
        path: a GeoTIFF that hsikit wrote, on a disk or a server.
        layer: another layer of the map, such as "confidence"; the file itself unless told.

    Raises:
        MapError: it is missing, is no GeoTIFF, or has no nodata value; it has no such layer.
        SceneError: it is damaged, or its server cannot be reached.
    """
    place = place_of(path)
    if not place.exists():
        raise MapError(path, "does not exist", "Check the path")
    if place.suffix.lower() not in SUFFIXES:
        raise MapError(path, "is no GeoTIFF", "Mosaics are made of the .tif files that hsikit writes: give another --output when mapping, or `gdal_translate`")
    with open_dataset(place) as dataset:
        tags = {key.lower(): value for key, value in dataset.tags().items()}
        described = _layer(place, dataset, tags)
    main, item = _item(place, tags)
    found = Map(place, main, open_source(place, inspect=False), described, _seen(tags, item), _assets(main, item))
    if layer is None or layer in (described.name, tags.get("hsikit_layer")):
        return found
    found.source.close()
    other = found.beside(layer)
    if other is None:
        raise MapError(path, f"has no layer '{layer}'", f"Its STAC item names {', '.join(found.assets) or 'none'}; map again with it, or leave out --layer")
    return replace(open_map(other), main=main, seen=found.seen, assets=found.assets)


def _layer(path: Path, dataset: Any, tags: Mapping[str, str]) -> Layer:
    """What a file holds, as its tags say."""
    if dataset.nodata is None:
        raise MapError(path, "has no nodata value, so that holes cannot be told", "Give it one: gdal_edit.py -a_nodata 0")
    legend = _legend(path, tags)
    if legend is not None and (dataset.dtypes[0], dataset.count) != ("uint8", 1):
        raise MapError(path, f"names classes, and holds {dataset.count} bands of {dataset.dtypes[0]}", "A class map has one band of uint8")
    names = tuple(name or "" for name in dataset.descriptions)
    return Layer(
        tags.get("hsikit_layer") or tags.get("layer", "map"), dtype=dataset.dtypes[0], bands=dataset.count, nodata=float(dataset.nodata),
        masked=None if legend is None else MASKED, unit=tags.get("units", ""), description=tags.get("description", ""), legend=legend,
        band_names=names if all(names) else (), sensor=tags.get("sensor", ""), quantity=tags.get("quantity", ""),
    )  # fmt: skip


def _legend(path: Path, tags: Mapping[str, str]) -> Legend | None:
    """The classes that a file names; None where it names none."""
    if "classes" not in tags:
        return None
    try:
        return Legend.from_json(json.loads(tags["classes"]))
    except (ValueError, TypeError, KeyError, IndexError):
        raise MapError(path, "its tag 'classes' is no legend of hsikit", "Map the scene again") from None


def _item(path: Path, tags: Mapping[str, str]) -> tuple[Path, Mapping[str, Any]]:
    """The map's main file, and the STAC item or provenance beside it; an empty one where there is none."""
    ending = f"_{tags.get('hsikit_layer', '')}"
    stems = [path.stem, path.stem.removesuffix(ending)] if len(ending) > 1 and path.stem.endswith(ending) else [path.stem]
    for stem in reversed(stems):
        main = path.with_name(stem + path.suffix)
        document = read_json(main.with_suffix(".json"))
        if document.get("type") == "Feature":
            return main, document
    return path.with_name(stems[-1] + path.suffix), {}


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seen(tags: Mapping[str, str], item: Mapping[str, Any]) -> Seen:
    """What tags and item say of the scene: the item counts first. Its time counts where it is that of the scene."""
    found = item.get("properties")
    facts: Mapping[str, Any] = found if isinstance(found, dict) else {}
    time = facts.get("datetime") if facts.get("hsikit:datetime_source", "acquisition of the scene") == "acquisition of the scene" else None
    return Seen(
        str(time or tags.get("acquired", "")),
        number(facts.get("eo:cloud_cover", tags.get("cloud_cover"))),
        abs(number(facts.get("view:off_nadir", tags.get("view_zenith")))),
    )


def number(value: Any) -> float:
    """A finite number; NaN for what is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return math.nan
    return found if np.isfinite(found) else math.nan


def layers_in(item: Mapping[str, Any], roles: Sequence[str]) -> dict[str, str]:
    """Addresses of those assets of a STAC item, by name, that have one of some roles."""
    found = item.get("assets")
    named = [(str(key), asset) for key, asset in found.items() if isinstance(asset, dict)] if isinstance(found, dict) else []
    return {key: asset["href"] for key, asset in named if any(role in (asset.get("roles") or ()) for role in roles) and isinstance(asset.get("href"), str)}


def _assets(main: Path, item: Mapping[str, Any]) -> dict[str, Path]:
    """Files of the item's layers, by name."""
    return {key: place_of(href) if "://" in href else main.parent / href for key, href in layers_in(item, LAYERS).items()}
