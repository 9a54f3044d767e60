"""A STAC item beside the products: where and when they are, what the files hold, how they were made.

STAC 1.1 with the extensions projection, processing, classification and electro-optical; the item names its files relative to itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hsikit.errors import OutputError
from hsikit.geo.footprint import footprint
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers.provenance import Provenance, legal, write_json, write_provenance
from hsikit.writers.tags import band_names, colours_by_code, has_wavelengths, names_by_code

__all__ = ["Asset", "Provenance", "write_item", "write_provenance"]

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
ELECTRO_OPTICAL = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_MEDIA = {
    ".tif": "image/tiff; application=geotiff", ".tiff": "image/tiff; application=geotiff", ".zarr": "application/vnd.zarr; version=3",
    ".nc": "application/netcdf",
    ".gpkg": "application/geopackage+sqlite3", ".geojson": "application/geo+json", ".parquet": "application/vnd.apache.parquet", ".csv": "text/csv",
    ".qml": "application/xml", ".xml": "application/xml", ".hdr": "text/plain", ".json": "application/json", ".html": "text/html",
}  # fmt: skip
DATA, DATA_MASK = "data", "data-mask"
"""Roles of an asset that holds a layer: what was asked for, and what of it is valid data or why it is none."""


@dataclass(frozen=True)
class Asset:
    """One file of the products.

    Attributes:
        key: its name in the item ("map", "confidence", "style", ...).
        path: where it finally lies, in the folder of the item or below it.
        layer: what it holds; None for style sheets and the like.
        cog: whether it is a cloud-optimised GeoTIFF.
        grid: its own grid, where it is not the item's.
        role: of a layer.
    """

    key: str
    path: Path
    layer: Layer | None = None
    cog: bool = False
    grid: Grid | None = None
    role: str = DATA


def write_item(
    path: Path, grid: Grid, assets: Sequence[Asset], provenance: Provenance, *, acquired: str = "", cloud_cover: float | None = None,
    final: Path | None = None, created: datetime | None = None,
) -> list[Path]:  # fmt: skip
    """Writes a STAC item.

    Args:
        path: the file to make.
        grid: a georeferenced grid; the footprint is its outline.
        assets: the products.
        provenance: how they came to be.
        acquired: ISO 8601 time of the scene. Where it is unknown or cannot be read, the item has its time of creation and says so.
        cloud_cover: percent of the scene under clouds; None where unknown.
        final: where the item will finally lie, if not at `path`; file names are relative to its folder.
        created: time of creation; now, unless told.

    Returns:
        The file.

    Raises:
        OutputError: the grid has no place on the ground, or the disk does not take the file.
    """
    import pystac

    if not grid.georeferenced:
        raise OutputError(path, "a STAC item needs a georeferenced scene", "Use write_provenance for scenes without georeference")
    home = final or path
    when, source = _time(acquired, created or datetime.now(UTC))
    geometry, bbox = footprint(grid)
    properties = {**_properties(grid, provenance), "hsikit:datetime_source": source}
    if cloud_cover is not None:
        properties["eo:cloud_cover"] = cloud_cover
    item = pystac.Item(_identifier(home.stem), geometry, bbox, when, legal(properties), stac_extensions=[PROJECTION, PROCESSING])
    if any(asset.layer is not None and asset.layer.legend is not None for asset in assets):
        item.stac_extensions.append(CLASSIFICATION)
    if cloud_cover is not None:
        item.stac_extensions.append(ELECTRO_OPTICAL)
    for asset in assets:
        item.add_asset(asset.key, _asset(asset, home.parent))
    write_json(path, item.to_dict(include_self_link=False, transform_hrefs=False))
    return [path]


def _time(acquired: str, created: datetime) -> tuple[datetime, str]:
    """The item's time, in UTC, and where it comes from."""
    try:
        when = datetime.fromisoformat(acquired.strip())
    except ValueError:
        return created.astimezone(UTC).replace(microsecond=0), "creation of this item; the scene's time of acquisition is unknown"
    return (when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)), "acquisition of the scene"


def _properties(grid: Grid, provenance: Provenance) -> dict[str, Any]:
    """Projection and processing."""
    from pyproj import CRS

    system = CRS.from_user_input(grid.crs)
    authority = system.to_authority()
    place: dict[str, Any] = {"proj:code": ":".join(authority) if authority else None}
    if not authority:
        place["proj:wkt2"] = system.to_wkt()
    made = {
        "processing:software": {"hsikit": provenance.version},
        "processing:lineage": f"{provenance.method} on {', '.join(provenance.inputs.values()) or 'an unnamed scene'}",
        "hsikit:method": provenance.method,
        "hsikit:inputs": dict(provenance.inputs),
        "hsikit:model": provenance.model,
        "hsikit:parameters": dict(provenance.parameters),
        "hsikit:version": provenance.version,
        "hsikit:notices": list(provenance.notices),
    }
    return {**place, **_extent(grid), **{key: value for key, value in made.items() if value}}


def _extent(grid: Grid) -> dict[str, Any]:
    return {"proj:shape": list(grid.shape), "proj:transform": [*grid.transform, 0.0, 0.0, 1.0], "proj:bbox": list(grid.bounds)}


def _asset(asset: Asset, home: Path) -> Any:
    """One asset, with its bands and classes."""
    import pystac

    extra: dict[str, Any] = {}
    layer = asset.layer
    if layer is not None and layer.kind == "raster":
        extra = {"data_type": layer.dtype, "nodata": layer.nodata, "bands": _bands(layer)}
        if layer.unit:
            extra["unit"] = layer.unit
        if layer.legend is not None:
            extra["classification:classes"] = _classes(layer)
    if asset.grid is not None:
        extra |= _extent(asset.grid)
    try:
        href = f"./{asset.path.relative_to(home).as_posix()}"
    except ValueError:
        href = asset.path.as_posix()
    media = _COG if asset.cog else _MEDIA.get(asset.path.suffix.lower(), "application/octet-stream")
    description = layer.description if layer is not None and layer.description else None
    return pystac.Asset(
        href, title=asset.key, description=description, media_type=media, roles=[asset.role if layer is not None else "metadata"], extra_fields=legal(extra)
    )


def _bands(layer: Layer) -> list[dict[str, Any]]:
    """Names of the bands, and their wavelengths (um) by the fields of the EO extension."""
    rows: list[dict[str, Any]] = [{"name": name} for name in band_names(layer)]
    if layer.wavelength is not None and has_wavelengths(layer):
        for row, nm in zip(rows, layer.wavelength, strict=True):
            row["eo:center_wavelength"] = round(float(nm) / 1000, 9)
    return rows


def _classes(layer: Layer) -> list[dict[str, Any]]:
    """Classes and reserved codes; the extension's `name` is for machines, its `title` for people."""
    if layer.legend is None:
        return []
    colours = colours_by_code(layer.legend)
    return [
        {
            "value": code,
            "name": _identifier(name) or f"class-{code}",
            "title": name,
            "description": name,
            "color_hint": "{:02X}{:02X}{:02X}".format(*colours[code]),
            "nodata": code == layer.nodata,
        }
        for code, name in names_by_code(layer.legend).items()
    ]


def _identifier(text: str) -> str:
    """Text of letters, digits, `-` and `_` alone."""
    return re.sub(r"[^0-9A-Za-z_-]+", "-", text).strip("-")
