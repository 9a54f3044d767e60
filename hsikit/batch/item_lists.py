"""Scenes of a STAC item collection: one asset of each item, by its name or by its role."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hsikit.errors import OptionError
from hsikit.geo.remote import set_aside

ROLES = ("data", "reflectance")
"""Roles of an asset that is the scene."""


def scenes_in(path: Path, asset: str | None = None) -> list[str]:
    """The scenes of a collection of items, or of a single item, in their order.

    Args:
        path: GeoJSON of STAC items, on this machine.
        asset: name of the asset that is the scene; None: the one that has a role of `ROLES`, or the only one.

    Returns:
        Paths, or addresses where an asset lies elsewhere; a relative one is resolved against the file.

    Raises:
        OptionError: the file cannot be read or holds no items, or an item has no such asset.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(path, f"the list of scenes cannot be read ({error.strerror})", "Check the path") from None
    except (ValueError, RecursionError) as error:
        raise OptionError(path, f"it is not JSON ({error})", "Give a STAC item collection") from None
    kind = document.get("type") if isinstance(document, dict) else None
    items = document.get("features") if kind == "FeatureCollection" else [document] if kind == "Feature" else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        advice = "Its type is FeatureCollection; a STAC collection or catalogue only links to its items: save what a search gives"
        raise OptionError(path, "it is no collection of STAC items", advice)
    return [_scene(path, f"{path}, item {item.get('id', number)!r}", item, asset) for number, item in enumerate(items, 1)]


def _scene(path: Path, where: str, item: Mapping[str, Any], asset: str | None) -> str:
    """The scene of one item.

    Raises:
        OptionError: there is none, or more than one.
    """
    found = item.get("assets")
    assets = {name: value for name, value in found.items() if isinstance(value, dict) and isinstance(value.get("href"), str)} if isinstance(found, dict) else {}
    names = ", ".join(assets) or "none"
    if asset is not None:
        if asset not in assets:
            raise OptionError(where, f"it has no asset '{asset}'", f"Its assets are: {names}")
        return _resolved(path, assets[asset]["href"])
    chosen = [name for name, value in assets.items() if set(ROLES) & set(_roles(value))] or list(assets)
    if len(chosen) != 1:
        fault = "has no asset" if not chosen else f"does not say which asset is the scene: {', '.join(chosen)}"
        raise OptionError(where, f"it {fault}", "Choose one by its name with --asset" if chosen else "Remove the item")
    return _resolved(path, assets[chosen[0]]["href"])


def _roles(asset: Mapping[str, Any]) -> list[str]:
    roles = asset.get("roles")
    return [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []


def _resolved(path: Path, href: str) -> str:
    """An asset's path; an address as it is. Many write names of files into relative addresses as they are: one that is there is meant."""
    parts = urlsplit(href)
    if parts.scheme == "file":
        return unquote(parts.path)
    if "://" in href:
        return set_aside(href)
    plain = path.parent / href
    return str(plain if os.path.lexists(plain) else path.parent / unquote(href))
