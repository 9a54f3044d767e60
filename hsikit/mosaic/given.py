"""Which maps a user means: files, the STAC items or collection of a run, a batch's ledger."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hsikit.errors import OptionError
from hsikit.geo.remote import place_of
from hsikit.mosaic.maps import LAYERS, Map, Seen, layers_in, number, read_json
from hsikit.writers.stac import DATA

LEDGERS = (".sqlite", ".db")
COLUMNS = ("map", "acquired", "cloud_cover", "view_zenith")


def maps_in(given: Sequence[str | Path], layer: str | None = None) -> list[Path]:
    """The files of maps.

    Args:
        given: GeoTIFFs, STAC items, collections of items or of links to items, ledgers of `hsikit batch`, or folders that hold one.
        layer: whose assets are taken of items that have no "map".

    Returns:
        Paths in the order given, each once.

    Raises:
        OptionError: nothing is given, or a document names no map.
        RunError: a folder without a ledger.
    """
    found = list(dict.fromkeys(path for one in given for path in _maps_of(place_of(one), layer)))
    if not found:
        raise OptionError("maps", "none is given", "Name maps, a STAC collection of them, or the ledger of a batch")
    return found


def _maps_of(path: Path, layer: str | None) -> Iterator[Path]:
    if path.suffix.lower() == ".json":
        yield from _maps_of_document(path, layer)
    elif path.suffix.lower() in LEDGERS or path.is_dir():
        from hsikit.batch.status import read_status

        yield from (row.output for row in read_status(path).done)
    else:
        yield path


def _maps_of_document(path: Path, layer: str | None) -> Iterator[Path]:
    """The maps of a STAC item, of a collection of items, or of one that links to items."""
    document = read_json(path)
    if document.get("type") == "Collection":
        links = [link.get("href") for link in document.get("links") or () if isinstance(link, dict) and link.get("rel") == "item"]
        items = [(_resolved(path, href), read_json(_resolved(path, href))) for href in links if isinstance(href, str)]
    else:
        features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
        items = [(path, item) for item in features or () if isinstance(item, dict)]
    if not items:
        raise OptionError(path, "it names no STAC item", "Give the collection that `hsikit batch` writes, or the maps themselves")
    for file, item in items:
        yield _main(file, item, layer)


def _main(file: Path, item: Mapping[str, Any], layer: str | None) -> Path:
    """The map that an item describes: its asset "map", else the layer that is asked for, else its only data."""
    layers, data = layers_in(item, LAYERS), layers_in(item, (DATA,))
    key = next((name for name in ("map", layer) if name in layers), next(iter(data), None) if len(data) == 1 else None)
    if key is None:
        raise OptionError(file, f"the item does not say which layer is the map: {', '.join(data) or 'it has no data'}", "Choose one by --layer")
    return _resolved(file, layers[key])


def _resolved(file: Path, href: str) -> Path:
    return place_of(href) if "://" in href else file.parent / href


def with_facts(maps: Sequence[Map], path: Path) -> list[Map]:
    """Maps with what a table says of their scenes.

    Args:
        maps: open maps.
        path: a CSV file with a column `map` (path or file name) and some of `acquired`, `cloud_cover` (percent) and `view_zenith` (degrees);
            an empty cell leaves what the map itself says.

    Raises:
        OptionError: the file cannot be read, has no such columns, or names a map that is not given.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(path, f"the table cannot be read ({error})", "Give a CSV file") from None
    columns = set(rows[0]) if rows else set()
    if "map" not in columns or not columns & set(COLUMNS[1:]):
        raise OptionError(path, f"has the columns {', '.join(map(str, columns)) or 'none'}", f"It needs map, and one of {', '.join(COLUMNS[1:])}")
    told: dict[int, Seen] = {}
    for row in rows:
        named = [i for i, one in enumerate(maps) if row["map"] in (str(one.path), one.path.name, str(one.main), one.main.name)]
        if len(named) != 1:
            raise OptionError(path, f"'{row['map']}' names {len(named)} of the maps", "Name a map by its path, or by a file name that no other map has")
        told[named[0]] = _told(path, maps[named[0]].seen, row)
    return [replace(one, seen=told.get(i, one.seen)) for i, one in enumerate(maps)]


def _told(path: Path, seen: Seen, row: Mapping[str, str | None]) -> Seen:
    """What a row says, over what the map says."""
    acquired = (row.get("acquired") or "").strip()
    values: dict[str, Any] = {"acquired": acquired} if acquired else {}
    for name in COLUMNS[2:]:
        text = row.get(name)
        if text:
            values[name] = number(text)
            if values[name] != values[name]:
                raise OptionError(path, f"{name} of '{row['map']}' is '{text}'", "Give a number")
    return replace(seen, **values)
