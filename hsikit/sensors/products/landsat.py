"""Landsat 4 to 9, Collection 2: Level 1 (top-of-atmosphere reflectance) and Level 2 (surface reflectance).

A folder, a `.tar` or `.zip`, or its MTL file. The reflective bands of 30 m are the scene; with the role "pan", band 8 is.
Source: USGS, Landsat 8-9 Collection 2 Level 1 and Level 2 Data Format Control Books (LSDS-1822, LSDS-1619, LSDS-1328).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.rasters import RasterBand, RasterReads, RasterStack, factors, raster_facts

MTL = r".*_MTL\.(txt|xml|json)"
MTL_ENDING = re.compile(r"_MTL\.\w+$", re.IGNORECASE)
BAND_FILE = re.compile(r"(L[COTEM]0\d_L.*?)_(?:(?:SR|ST)_)?B\d+\.TIF", re.IGNORECASE)
FILL = 0
CIRRUS = (1373.43, 20.39)
"""Centre and width (nm) of OLI's band 9, which surface reflectance products lack (NASA, band-average responses)."""
PAN = {"OLI": (589.50, 172.40), "ETM+": (706.0, 376.0)}
"""Centre and width (nm) of band 8 (NASA, band-average responses; for ETM+ the range that USGS names)."""
PIXEL_BITS = {"cloud": (1, 3), "cirrus": (2,), "shadow": (4,), "snow": (5,), "water": (7,), "no-data": (0,)}
"""Bits of QA_PIXEL for each flag; bit 1 is the dilated cloud. (A bit 2 is never set for Landsat 4 to 7.)"""
FAMILIES = {"4": "TM", "5": "TM", "7": "ETM+", "8": "OLI", "9": "OLI"}

Fields = Mapping[str, str]


class Reader:
    """Opens Landsat products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether an MTL file of Landsat is there, or is the path."""
        if probe.container in ("text", "xml", "json"):
            return b"LANDSAT_METADATA_FILE" in probe.head
        if probe.container == "tiff":
            found = BAND_FILE.fullmatch(probe.path.name)
            return found is not None and probe.path.with_name(f"{found[1]}_MTL.txt").exists()
        return probe.delivery.find(MTL) is not None

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or it is of an older collection.
        """
        if BAND_FILE.fullmatch(path.name):
            return _one_band(path, options)
        delivery = Delivery(path)
        several = sorted({re.sub(MTL_ENDING, "", name) for name in delivery.all(MTL)})
        if delivery.kind != "file" and len(several) > 1:
            raise SceneError(path, f"holds {len(several)} products", f"Give one of them, such as {Path(several[0]).parent}")
        name = path.name if delivery.kind == "file" else delivery.need(MTL, "its metadata")
        fields = read_fields(delivery, name)
        return _open(delivery, fields, options)


def _one_band(path: Path, options: Options) -> Source:
    """One of the product's files, as it is, where that is enough: a panchromatic image, or a band whose wavelength the user names.

    Raises:
        SceneError: it is not enough.
    """
    from hsikit.sensors.geotiff import Reader as GeoTiffReader

    if options.role == "pan" or options.wavelengths is not None:
        return GeoTiffReader.open(path, options)
    raise SceneError(path, "is one band of a Landsat product, without its wavelength and scale", "Give the product's folder, or its MTL file")


def read_fields(delivery: Delivery, name: str) -> Fields:
    """The metadata as "KEY" -> text; of a key that stands in several groups, the first, which is the delivered level's."""
    found: dict[str, str] = {}
    if name.lower().endswith(".xml"):
        _from_xml(delivery.xml(name), found)
    elif name.lower().endswith(".json"):
        _from_json(delivery.text(name), found, str(delivery.path))
    else:
        for line in delivery.text(name).splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip() not in ("GROUP", "END_GROUP"):
                found.setdefault(key.strip(), value.strip().strip('"'))
    if found.get("COLLECTION_NUMBER", "").lstrip("0") != "2":
        raise SceneError(
            delivery.path, f"is of Landsat collection {found.get('COLLECTION_NUMBER', 'unknown')}, and only 2 is read", "Fetch the Collection 2 product"
        )
    return found


def _from_xml(root: Element, found: dict[str, str]) -> None:
    for element in root.iter():
        if not len(element):
            found.setdefault(element.tag, (element.text or "").strip())


def _from_json(text: str, found: dict[str, str], name: str) -> None:
    import json

    try:
        pending = [json.loads(text)]
    except ValueError:
        raise SceneError(name, "its metadata is no JSON", "Fetch the product again") from None
    while pending:
        for key, value in pending.pop(0).items():
            if isinstance(value, dict):
                pending.append(value)
            else:
                found.setdefault(key, str(value))


def _open(delivery: Delivery, fields: Fields, options: Options) -> Source:
    satellite = fields["SPACECRAFT_ID"].rpartition("_")[2]
    if satellite not in FAMILIES or fields.get("SENSOR_ID") == "MSS":
        raise SceneError(delivery.path, f"is of {fields['SPACECRAFT_ID']}'s multispectral scanner, which is not read", "TM, ETM+ and OLI of Landsat 4 to 9 are")
    surface = fields["PROCESSING_LEVEL"].startswith("L2")
    centres = _centres(satellite, surface)
    if options.role == "pan":
        if surface:
            raise SceneError(delivery.path, "is of Level 2, which has no panchromatic band", "Fetch the Level 1 product")
        centres = {"8": PAN[FAMILIES[satellite]]} if FAMILIES[satellite] in PAN else {}
    wanted = sorted(centres, key=centres.__getitem__)
    names = {band: _file(delivery, fields, f"FILE_NAME_BAND_{band}", f"band {band}") for band in wanted}
    if not names:
        what = "panchromatic band" if options.role == "pan" else "reflective bands"
        raise SceneError(delivery.path, f"has no {what}", "Fetch the whole Level 1 product" if options.role == "pan" else "Fetch the whole product")
    rasters = {band: raster_facts(delivery.gdal(name), f"{delivery.path}: {name}") for band, name in names.items()}
    first = rasters[wanted[0]]
    for band in wanted:
        if factors(first.grid, rasters[band].grid, names[band]) != (1, 1):
            raise SceneError(delivery.path, f"band {band} is on another grid than band {wanted[0]}", "Fetch the product again")
    scale, offset = _scaling(fields, wanted, surface)
    spectral = [centres[band] for band in wanted]
    claims = BandClaims(
        len(wanted), [c for c, _ in spectral], "nm", [w for _, w in spectral], names=[f"B{band}" for band in wanted], sensor=f"landsat-{satellite}"
    )
    facts = FileFacts(
        name=str(delivery.path), driver="landsat", grid=first.grid, dtype=np.dtype(first.dtype), claims=claims, scale=scale, offset=offset, nodata=FILL,
        quantity="surface_reflectance" if surface else "toa_reflectance", acquired=f"{fields['DATE_ACQUIRED']}T{fields['SCENE_CENTER_TIME'][:15].rstrip('Z')}Z",
        files=delivery.files(list(names.values())), attrs=_attrs(fields), quality=_quality(delivery, fields, wanted, satellite),
    )  # fmt: skip
    return RasterStack(layout(facts, options), [RasterBand(delivery.gdal(names[band])) for band in wanted], first.block)


def _centres(satellite: str, surface: bool) -> dict[str, tuple[float, float]]:
    """Band number -> (centre, width) in nm."""
    table = sensor_bands(f"landsat-{satellite}")
    found = {name.removeprefix("B"): (float(c), float(w)) for name, c, w in zip(table.names, table.wavelength, table.fwhm, strict=True)}
    if FAMILIES[satellite] == "OLI" and not surface:
        found["9"] = CIRRUS
    return found


def _file(delivery: Delivery, fields: Fields, key: str, what: str) -> str:
    named = fields.get(key, "")
    found = next((name for name in delivery.names if name.rpartition("/")[2] == named), None)
    if found is None:
        raise SceneError(delivery.path, f"lacks {what} ({named or key})", "Fetch the whole product again")
    return found


def _scaling(fields: Fields, bands: list[str], surface: bool) -> tuple[list[float], list[float]]:
    """Factor and offset of each band; of Level 1 divided by the sine of the sun's elevation, as USGS prescribes."""
    sun = 1.0 if surface else math.sin(math.radians(float(fields["SUN_ELEVATION"])))
    scale, offset = ([float(fields[f"REFLECTANCE_{kind}_BAND_{band}"]) / sun for band in bands] for kind in ("MULT", "ADD"))
    return scale, offset


def _attrs(fields: Fields) -> dict[str, str]:
    return {
        "product": fields.get("LANDSAT_PRODUCT_ID", ""),
        "processing_level": fields["PROCESSING_LEVEL"],
        "processor": "LPGS",
        "processor_version": fields.get("PROCESSING_SOFTWARE_VERSION", ""),
        "correction": fields.get("ALGORITHM_SOURCE_SURFACE_REFLECTANCE", "atmosphere" if fields["PROCESSING_LEVEL"].startswith("L2") else "none"),
        "sun_zenith": f"{90 - float(fields['SUN_ELEVATION']):.4f}",
        "sun_azimuth": fields.get("SUN_AZIMUTH", ""),
        **cloud_cover(fields.get("CLOUD_COVER")),
    }


def _quality(delivery: Delivery, fields: Fields, bands: list[str], satellite: str) -> Quality | None:
    """Flags out of QA_PIXEL and QA_RADSAT, where the product has them on the scene's own grid."""
    pixel, radiometric = (
        next((name for name in delivery.names if fields.get(key) and name.rpartition("/")[2] == fields[key]), None)
        for key in ("FILE_NAME_QUALITY_L1_PIXEL", "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION")
    )
    if pixel is None or bands == ["8"]:
        return None
    reads = RasterReads(str(delivery.path))
    known = [flag for flag in PIXEL_BITS if flag != "cirrus" or FAMILIES[satellite] == "OLI"]
    saturated = sum(1 << (int(band) - 1) for band in bands)

    def read(window: Window) -> NDArray[np.uint8]:
        stored = reads.read(delivery.gdal(pixel), [1], window)[0].astype(np.int64)
        out = np.zeros(window.shape, np.uint8)
        for flag in known:
            bits = sum(1 << bit for bit in PIXEL_BITS[flag])
            out[stored & bits != 0] |= QUALITY_FLAGS[flag]
        if radiometric is not None:
            out[reads.read(delivery.gdal(radiometric), [1], window)[0].astype(np.int64) & saturated != 0] |= QUALITY_FLAGS["saturated"]
        return out

    return Quality((*known, *(["saturated"] if radiometric is not None else [])), read)
