"""DESIS (DLR and Teledyne, on the International Space Station), levels 1B, 1C and 2A: 235 bands, or 118, 79 or 60 binned ones.

A folder, an archive, the METADATA.xml, or the SPECTRAL_IMAGE.tif with its METADATA.xml beside. Every band has its own gain and
offset at the levels 1B and 1C. QL_QUALITY-2.tif of level 2A gives the flags. QL_QUALITY.tif has a code for each band and pixel, whose
meaning was not at hand: no flag is made of it, and `variable="quality"` opens it as stored.

Source: DLR, DESIS Product Guide, and Level 1 ATBD (PAV-DLR-TN-004); from the specification; not seen in a real file.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.rpc import rpc_from_mapping
from hsikit.scene import QUALITY_FLAGS, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.band_order import need_order
from hsikit.sensors.products.metadata_xml import Fields, bears_metadata, need_raster, open_metadata, raster_name, same_pixels
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.rasters import RasterBand, RasterReads, RasterStack, raster_facts
from hsikit.sensors.times import utc_text

METADATA = r".*METADATA\.XML"
IMAGE = "SPECTRAL_IMAGE"
MARKS = (b"DESIS", b"hsi_doc")
QUALITY = "quality"
BACKGROUND = -32768.0
RADIANCE_FACTOR = 10.0
"""Radiance is given in mW cm-2 sr-1 um-1."""
LAYERS: dict[str, tuple[int, ...]] = {"shadow": (1,), "snow": (3,), "haze": (4, 5), "cloud": (6, 7), "water": (8,)}
"""Flag -> bands of QL_QUALITY-2: shadow, land, snow, haze over land and over water, cloud over land and over water, water, and two retrievals."""


class Reader:
    """Opens DESIS products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the metadata of DESIS are there, or are the path."""
        return bears_metadata(probe, MARKS, METADATA, IMAGE)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or its metadata do not fit its image.
            OptionError: it has no such variable.
        """
        if options.variable is not None and options.variable.lower() != QUALITY:
            raise OptionError("variable", f"{options.variable!r} is nothing that DESIS has", f"Give {QUALITY}, or leave it out")
        delivery, name, fields = open_metadata(path, METADATA, IMAGE)
        return _open(delivery, name, fields, options)


def _open(delivery: Delivery, metadata: str, fields: Fields, options: Options) -> Source:
    level = _level(delivery, metadata, fields)
    # A table of the geometry has elements of the same name.
    columns = {
        key: fields.column(f"specific/bandCharacterisation/band/{key}")
        for key in ("wavelengthCenterOfBand", "wavelengthWidthOfBand", "gainOfBand", "offsetOfBand")
    }
    centres, widths, gains, offsets = columns.values()
    codes = options.variable is not None
    image, raster = need_raster(delivery, metadata, "QL_QUALITY" if codes else IMAGE)
    if len({raster.count, *(len(column) for column in columns.values())}) > 1:
        counts = ", ".join(f"{len(column)} of {key}" for key, column in columns.items())
        raise SceneError(delivery.path, f"has {raster.count} bands in its image, and {counts} in its metadata", "Fetch the product again")
    need_order(centres, delivery.path, "spectrometer")
    factor = 1.0 if level == "L2A" else RADIANCE_FACTOR
    facts = FileFacts(
        name=str(delivery.path), driver="desis", grid=raster.grid, dtype=np.dtype(raster.dtype),
        claims=BandClaims(raster.count, centres, "nm", widths, names=[f"band {number + 1}" for number in range(raster.count)], sensor="desis"),
        scale=[gain * factor for gain in gains], offset=[offset * factor for offset in offsets],
        nodata=BACKGROUND if raster.nodata is None else raster.nodata, quantity="surface_reflectance" if level == "L2A" else "radiance",
        acquired=utc_text(fields.text("base/temporalCoverage/startTime")), files=delivery.files([metadata, image]),
        attrs=_provenance(fields, metadata, level), quality=_quality(delivery, metadata, raster.grid) if level == "L2A" else None,
    )  # fmt: skip
    if codes:
        facts.scale, facts.offset, facts.nodata, facts.quantity = 1.0, 0.0, raster.nodata, "dn"
    if level == "L1B":
        place_by_rpc(facts, rpc_from_mapping(raster.rpc, facts.name) if raster.rpc else None, options.dem)
    return RasterStack(layout(facts, options), [RasterBand(delivery.gdal(image), number + 1) for number in range(raster.count)], raster.block)


def _level(delivery: Delivery, metadata: str, fields: Fields) -> str:
    for text in (*map(fields.text, ("base/level", "metadata/schema/processingLevel", "base/format", "metadata/name")), PurePosixPath(metadata).name):
        found = re.search(r"L(1B|1C|2A)(?![0-9A-Za-z])", text)
        if found:
            return found[0]
    raise SceneError(delivery.path, "does not say of which level it is", "Levels L1B, L1C and L2A are read")


def _provenance(fields: Fields, metadata: str, level: str) -> dict[str, str]:
    found = {
        "product": re.sub(r"-?METADATA.*", "", PurePosixPath(metadata).name, flags=re.IGNORECASE),
        "processing_level": level,
        "processor": "DESIS ground segment (DLR)",
        "processor_version": fields.text("base/revision"),
        "correction": "atmosphere" if level == "L2A" else "none",
    }
    # `sceneAzimuthAngle` is the direction of flight at one level, and that of the view at another.
    for name, path in (("sun_zenith", "sunZenithAngle"), ("sun_azimuth", "sunAzimuthAngle"), ("view_zenith", "sceneIncidenceAngle")):
        angle = fields.optional_number(f"specific/{path}")
        if angle is not None:
            found[name] = f"{angle:.4f}"
    return found


def _quality(delivery: Delivery, metadata: str, grid: Grid) -> Quality | None:
    name = raster_name(delivery, metadata, "QL_QUALITY-2")
    if name is None:
        return None
    raster = raster_facts(delivery.gdal(name), f"{delivery.path}: {name}")
    same_pixels(grid, raster, f"{delivery.path}: {name}")
    highest = max(band for bands in LAYERS.values() for band in bands)
    if raster.count < highest:
        raise SceneError(f"{delivery.path}: {name}", f"has {raster.count} layers, where DESIS has at least {highest}", "Fetch the product again")
    reads, path = RasterReads(str(delivery.path)), delivery.gdal(name)

    def read(window: Window) -> NDArray[np.uint8]:
        stored = reads.read(path, range(1, highest + 1), window)
        out = np.zeros(window.shape, np.uint8)
        for flag, bands in LAYERS.items():
            out[np.any([stored[band - 1] > 0 for band in bands], axis=0)] |= QUALITY_FLAGS[flag]
        return out

    return Quality(tuple(LAYERS), read)
