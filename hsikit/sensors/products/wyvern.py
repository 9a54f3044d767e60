"""Wyvern's Dragonette: Level 1B (radiance, EPSG:4326 with pixels that are not square in degrees) and Level 2A (surface reflectance).

The TIFF, its STAC item beside, or the folder or zip of a delivery. Centres, widths, scale and fill are those of the item. Neither level
is orthorectified: expect errors of the terrain. Quality is that of the usable data mask, where it is delivered.

Source: Wyvern, Data Product Guide 1.5 and 2.0-beta. From the specification; not held against a real file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import QUALITY_FLAGS, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.angles import angle_texts
from hsikit.sensors.products.metadata_xml import same_pixels
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.radiance_units import radiance_factor
from hsikit.sensors.rasters import RasterBand, RasterFacts, RasterReads, RasterStack, raster_facts
from hsikit.sensors.times import utc_text

MAKER = "wyvern"
MOST = 4 << 20
MOST_ITEMS = 32
MASKS = {"QA_CLOUD_MASK": "cloud", "QA_HAZE_MASK": "haze", "QA_CLOUD_SHADOW_MASK": "shadow"}
ADVICE = "Fetch the delivery again"
USUAL_UNITS = {"L1B": "W/m2/sr/um"}


@dataclass(frozen=True)
class _Asset:
    """A file that an item names, what it says of its bands, and how they are stored."""

    file: str
    bands: Sequence[Mapping[str, Any]]
    rasters: Sequence[Mapping[str, Any]]


class Reader:
    """Opens Dragonette scenes."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether a STAC item of Wyvern is there, or is the path."""
        if probe.container == "json" and b"stac_version" not in probe.head:
            return False
        return _item_name(probe.delivery) is not None

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: a file of it is missing or damaged.
        """
        delivery = Delivery(path)
        name = _item_name(delivery)
        if name is None:
            raise SceneError(path, "has no STAC item of Wyvern", ADVICE)
        return _open(delivery, name, _item(delivery, name) or {}, options)


def _item_name(delivery: Delivery) -> str | None:
    """The STAC item: the path, the one that is named like the image, or the only one."""
    if delivery.kind == "file":
        own = delivery.path.with_suffix(".json")
        return own.name if own.is_file() and _item(delivery, own.name) is not None else None
    return next((name for name in delivery.all(r".*\.json")[:MOST_ITEMS] if _item(delivery, name) is not None), None)


def _item(delivery: Delivery, name: str) -> dict[str, Any] | None:
    """A file as a STAC item of Wyvern; None where it is none."""
    try:
        text = delivery.read(name, MOST)
    except SceneError:  # a neighbour that is none of ours may be of any size
        return None
    if b"stac_version" not in text or MAKER.encode() not in text.lower():
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise SceneError(delivery.path, f"{name} is no valid JSON", ADVICE) from None
    sane = isinstance(found, dict) and found.get("type") == "Feature" and isinstance(found.get("properties"), dict) and isinstance(found.get("assets"), dict)
    return found if sane else None


def _assets(item: Mapping[str, Any]) -> list[_Asset]:
    found = []
    for asset in item["assets"].values():
        if isinstance(asset, dict) and isinstance(asset.get("href"), str):
            bands, rasters = (asset.get(key) or asset.get("bands") or [] for key in ("eo:bands", "raster:bands"))
            if all(isinstance(each, dict) for each in (*bands, *rasters)):
                found.append(_Asset(PurePosixPath(asset["href"]).name, bands, rasters))
    return found


def _open(delivery: Delivery, name: str, item: Mapping[str, Any], options: Options) -> Source:
    assets = _assets(item)
    image = next((asset for asset in assets if asset.bands and _centre(asset.bands[0]) is not None), None)
    if image is None:
        raise SceneError(delivery.path, f"{name} names no image with band centres", ADVICE)
    own = delivery.path.name if delivery.kind == "file" and delivery.path.name != name else image.file
    file = next((each for each in delivery.names if PurePosixPath(each).name == own), None) or _beside(delivery, name)
    raster = raster_facts(delivery.gdal(file), f"{delivery.path}: {file}")
    if raster.count != len(image.bands) or (image.rasters and len(image.rasters) != raster.count):
        raise SceneError(delivery.path, f"has {raster.count} bands in its image, and its item describes {len(image.bands)}", ADVICE)
    facts = _facts(delivery, item, image, raster)
    facts.files = delivery.files([name, file])
    facts.quality = _quality(delivery, assets, raster.grid)
    if not raster.grid.georeferenced:
        place_by_rpc(facts, None, options.dem)
    return RasterStack(layout(facts, options), [RasterBand(delivery.gdal(file), number + 1) for number in range(raster.count)], raster.block)


def _beside(delivery: Delivery, name: str) -> str:
    """The image that is named like the item."""
    stem = PurePosixPath(name).with_suffix("")
    found = next((each for each in delivery.names if each in (f"{stem}.tiff", f"{stem}.tif")), None)
    if found is None:
        raise SceneError(delivery.path, f"lacks the image that {name} names", ADVICE)
    return found


def _facts(delivery: Delivery, item: Mapping[str, Any], image: _Asset, raster: RasterFacts) -> FileFacts:
    told = item["properties"]
    level = str(told.get("processing:level") or told.get("product_type") or ("L2A" if raster.dtype == "uint16" else "L1B")).upper()
    surface = "2A" in level
    scale, offset = (_numbers(delivery, image.rasters, key, usual) for key, usual in (("scale", 1e-4 if surface else 1.0), ("offset", 0.0)))
    factor = 1.0 if surface else _radiance(delivery, image)
    stated = next((each["nodata"] for each in image.rasters if isinstance(each.get("nodata"), int | float)), None)
    centres, widths = [_centre(band) for band in image.bands], [_width(band) for band in image.bands]
    names = [str(band.get("name", f"band {number}")) for number, band in enumerate(image.bands, start=1)]
    attrs = {"product": str(item.get("id", "")), "platform": str(told.get("platform", "")), "processing_level": "L2A" if surface else "L1B",
             **_processor(told), "correction": "atmosphere" if surface else "none", **_angles(told),
             **cloud_cover(told.get("eo:cloud_cover"))}  # fmt: skip
    return FileFacts(
        name=str(delivery.path), driver="wyvern", grid=raster.grid, dtype=np.dtype(raster.dtype),
        claims=BandClaims(raster.count, centres, "nm", widths, names=names), scale=[factor * each for each in scale],
        offset=[factor * each for each in offset], nodata=raster.nodata if stated is None else float(stated),
        quantity="surface_reflectance" if surface else "radiance", acquired=utc_text(str(told.get("datetime", ""))), attrs=attrs,
        notices=["it is not orthorectified: its pixels are off by what the terrain adds"],
    )  # fmt: skip


def _processor(told: Mapping[str, Any]) -> dict[str, str]:
    """Who made it, by what, in the fields of STAC's extension "processing", where the item has them."""
    software = told.get("processing:software")
    named = [f"{name} {version}".strip() for name, version in software.items()] if isinstance(software, dict) else []
    version = told.get("processing:version") or ", ".join(named)
    return {"processor": str(told.get("processing:facility") or "Wyvern"), **({"processor_version": str(version)} if version else {})}


def _angles(told: Mapping[str, Any]) -> dict[str, str]:
    """Angles at the scene's centre; of the view the one on the ground, where the item has it beside the one at the satellite."""
    known = {key.removeprefix("view:"): value for key, value in told.items() if key.startswith("view:") and isinstance(value, int | float)}
    sun = {"sun_zenith": 90 - known["sun_elevation"]} if "sun_elevation" in known else {}
    fields = {"sun_azimuth": "sun_azimuth", "view_azimuth": "azimuth", "view_zenith": "incidence_angle" if "incidence_angle" in known else "off_nadir"}
    return angle_texts({**sun, **{ours: known[field] for ours, field in fields.items() if field in known}})


def _centre(band: Mapping[str, Any]) -> float | None:
    """A band's centre in nm; items give micrometres."""
    return _micrometres(band.get("center_wavelength", band.get("eo:center_wavelength")))


def _width(band: Mapping[str, Any]) -> float:
    found = _micrometres(band.get("full_width_half_max", band.get("eo:full_width_half_max")))
    return np.nan if found is None else found


def _micrometres(value: Any) -> float | None:
    return round(1000 * float(value), 6) if isinstance(value, int | float) and np.isfinite(value) else None


def _numbers(delivery: Delivery, rasters: Sequence[Mapping[str, Any]], key: str, usual: float) -> list[float]:
    values = [each.get(key, usual) for each in rasters] or [usual]
    if not all(isinstance(value, int | float) and np.isfinite(value) and (key != "scale" or value > 0) for value in values):
        raise SceneError(delivery.path, f"its item has a {key} that is no number ({values[:3]})", ADVICE)
    return [float(value) for value in values]


def _radiance(delivery: Delivery, image: _Asset) -> float:
    unit = str(next((each["unit"] for each in image.rasters if each.get("unit")), USUAL_UNITS["L1B"]))
    factor = radiance_factor(unit)
    if factor is None:
        raise SceneError(delivery.path, f"its radiance is in {unit!r}, which is not understood", "Name the factor with --scale, and --quantity radiance")
    return factor


def _quality(delivery: Delivery, assets: Sequence[_Asset], grid: Grid) -> Quality | None:
    """Flags out of the usable data mask, where it is delivered."""
    asset = next((each for each in assets if any(band.get("name") in MASKS for band in each.bands)), None)
    file = next((each for each in delivery.names if asset is not None and PurePosixPath(each).name == asset.file), None)
    if asset is None or file is None:
        return None
    mask = raster_facts(delivery.gdal(file), f"{delivery.path}: {file}")
    same_pixels(grid, mask, f"{delivery.path}: {file}")
    layers = {MASKS[str(band["name"])]: number for number, band in enumerate(asset.bands, start=1) if band.get("name") in MASKS}
    if mask.count < max(layers.values()):
        raise SceneError(f"{delivery.path}: {file}", f"has {mask.count} layers, and its item names {len(asset.bands)}", ADVICE)
    reads, path = RasterReads(str(delivery.path)), delivery.gdal(file)

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        for flag, stored in zip(layers, reads.read(path, list(layers.values()), window), strict=True):
            out[stored == 1] |= QUALITY_FLAGS[flag]
        return out

    return Quality(tuple(layers), read)
