"""A STAC collection of a batch's outputs: where and when they are, and links to the items that lie beside the maps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hsikit.batch.status import Status
from hsikit.errors import OutputError
from hsikit.geo.remote import RemotePath, href_from, place_of
from hsikit.version import __version__
from hsikit.writers import check_target, commit
from hsikit.writers.provenance import write_json

SOFTWARE = "hsikit:batch"
"""Field that tells a collection of ours, which a later run replaces, from another."""


def check_collection(path: Path, *, overwrite: bool = False) -> None:
    """Refuses, before any work, a collection that cannot be written; one that a batch wrote is replaced.

    Raises:
        OutputError: the name does not end in .json, the folder is missing, or something else has that name.
    """
    if path.suffix.lower() != ".json":
        raise OutputError(path, "a STAC collection ends in .json", "Name it like collection.json")
    check_target(path, overwrite or SOFTWARE in _document(path))


def write_collection(path: str | Path, status: Status, *, overwrite: bool = False) -> int:
    """Writes the collection of all outputs that have a STAC item.

    Args:
        path: the file to make; links are relative to its folder.
        status: of the batch.
        overwrite: whether a file that no batch wrote may be replaced.

    Returns:
        The number of items; outputs without a place on the ground have none. Without any item no collection is written.

    Raises:
        OutputError: see `check_collection`.
    """
    import pystac

    target = Path(path).absolute()
    check_collection(target, overwrite=overwrite)
    items = [(file, document) for file in _item_files(status) if (document := _document(file)).get("type") == "Feature"]
    if not items:
        return 0
    documents = [document for _, document in items]
    collection = pystac.Collection(
        target.parent.name or "batch", f"{len(items)} maps of a batch of hsikit.", _extent(documents), title=target.parent.name or "batch",
        license="other", extra_fields={SOFTWARE: __version__},
    )  # fmt: skip
    for file, document in items:
        href = href_from(target.parent, file)
        link = pystac.Link("item", href if href.startswith("../") or isinstance(file, RemotePath) else f"./{href}", "application/geo+json", str(document["id"]))
        collection.add_link(link)
    facts = collection.to_dict(include_self_link=False, transform_hrefs=False)
    facts["links"] = [link for link in facts["links"] if link["rel"] == "item"]
    staged = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        write_json(staged, facts)
        commit([(staged, target)])
    finally:
        staged.unlink(missing_ok=True)
    return len(items)


def _item_files(status: Status) -> list[Path]:
    """The JSON files beside the outputs that are done."""
    return [path for row in status.done for path in (place_of(text) for text, _, _ in row.files) if path.suffix == ".json" and path.exists()]


def _document(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _extent(documents: Sequence[Mapping[str, Any]]) -> Any:
    """The space and time that items span."""
    import pystac

    boxes = [document["bbox"] for document in documents]
    whole = [min(box[0] for box in boxes), min(box[1] for box in boxes), max(box[2] for box in boxes), max(box[3] for box in boxes)]
    times = [_time(document) for document in documents]
    return pystac.Extent(pystac.SpatialExtent([whole]), pystac.TemporalExtent([[min(times), max(times)]]))


def _time(document: Mapping[str, Any]) -> datetime:
    found = datetime.fromisoformat(document["properties"]["datetime"])
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
