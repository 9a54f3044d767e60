"""WorldView-2 and WorldView-3: a TIFF with its `.IMD` or `.XML` beside, as radiance.

The TIFF, its metadata, or a folder or archive with one multispectral (or SWIR) image; with the role "pan", the panchromatic one.
Radiance is the stored number times absCalFactor / effectiveBandwidth; the maker's later adjustments of gain and offset, published
year by year, are not applied. A number of 0 is no data. Map products (LV2A, LV3) keep their grid; basic ones (LV1B) are placed by
their rational polynomials (`.RPB`, `_RPC.TXT`, or in the TIFF), with heights from `dem` where given.

Source: DigitalGlobe, Radiometric Use of WorldView-2 (and -3) Imagery; Imagery Support Data Documentation. From the specification; not
held against a real file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from hsikit.errors import SceneError
from hsikit.geo.rpc import rpc_from_mapping
from hsikit.scene import Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.angles import angle_texts
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.rasters import RasterBand, RasterStack, raster_facts
from hsikit.sensors.times import utc_text

SENSORS = {"WV02": "worldview-2", "WV03": "worldview-3"}
BANDS = {
    "C": "COASTAL", "B": "BLUE", "G": "GREEN", "Y": "YELLOW", "R": "RED", "RE": "REDEDGE", "N": "NIR1", "N2": "NIR2",
    **{f"S{number}": f"SWIR{number}" for number in range(1, 9)},
}  # fmt: skip
"""Names of the sensor tables by those of the metadata's groups."""
PAN = {"worldview-2": (644.64, 336.0), "worldview-3": (643.47, 341.0)}
"""Centre and width (nm) of the panchromatic band: response-weighted mean, span at half of the maximum (Maxar's responses)."""
METADATA = r".*\.(IMD|XML)"
RASTER = r".*\.TIFF?"
TILE = re.compile(r"_R\d+C\d+", re.IGNORECASE)
FILL = 0
UNCORRECTED = ("", "off", "none")
MOST = 8 << 20
MOST_FILES = 64

Facts = Mapping[str, str]


class Reader:
    """Opens WorldView scenes."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the metadata of WorldView-2 or -3 is there, or is the path."""
        if probe.container == "xml":
            return b"<isd" in probe.head
        if probe.container == "other":
            return probe.head.lstrip().startswith(b"version =") and b"productLevel" in probe.head
        return bool(_candidates(probe.delivery))

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: a file of it is missing or damaged, or the path holds several.
        """
        delivery = Delivery(path)
        image, metadata = _pair(delivery, options.role == "pan")
        return _open(delivery, image, metadata, read_facts(delivery, metadata), options)


def _candidates(delivery: Delivery) -> list[str]:
    """Metadata of WorldView in a delivery: of a TIFF, the one that is named alike."""
    if delivery.kind == "file" and re.fullmatch(RASTER, delivery.path.name, re.IGNORECASE):
        # Not by a list of the folder: that would be made anew for each of a thousand tiles.
        beside = [delivery.path.with_name(TILE.sub("", delivery.path.stem) + ending) for ending in (".IMD", ".imd", ".XML", ".xml")]
        found = sorted({path.name.lower(): path.name for path in beside if path.is_file()}.values())
    else:
        found = delivery.all(METADATA)
    known = [name for name in found[:MOST_FILES] if _is_ours(delivery, name)]
    # An IMD and an XML of one image say the same.
    return [name for name in known if not (name.upper().endswith(".XML") and any(other != name and _stem(other) == _stem(name) for other in known))]


def _is_ours(delivery: Delivery, name: str) -> bool:
    try:
        text = delivery.read(name, MOST)
    except SceneError:  # a neighbour that is none of ours may be of any size
        return False
    return (b"absCalFactor" in text or b"<ABSCALFACTOR>" in text) and any(satellite.encode() in text for satellite in SENSORS)


def _stem(name: str) -> str:
    """A file's name without its ending, nor the number of a tile."""
    return TILE.sub("", PurePosixPath(name).stem.upper())


def _pair(delivery: Delivery, pan: bool) -> tuple[str, str]:
    """(image, metadata) of the scene that is meant."""
    if delivery.kind == "file" and re.fullmatch(RASTER, delivery.path.name, re.IGNORECASE):
        return delivery.path.name, _only(delivery, _candidates(delivery), "metadata")
    found = [delivery.path.name] if delivery.kind == "file" else [name for name in _candidates(delivery) if _is_pan(read_facts(delivery, name)) == pan]
    metadata = _only(delivery, found, "panchromatic images" if pan else "multispectral images")
    return _only(delivery, [name for name in delivery.all(RASTER) if _stem(name) == _stem(metadata)], "tiles"), metadata


def _only(delivery: Delivery, found: list[str], what: str) -> str:
    if len(found) != 1:
        advice = "Open one of them by the name of its TIFF" if found else "Fetch the whole product again, as GeoTIFF"
        raise SceneError(delivery.path, f"holds {len(found)} {what} of WorldView" + (f" ({', '.join(found[:4])})" if found else ""), advice)
    return found[0]


def read_facts(delivery: Delivery, name: str) -> Facts:
    """The metadata as "KEY" or "GROUP/KEY" -> text, in capitals, in its own order.

    Raises:
        SceneError: it is damaged.
    """
    found: dict[str, str] = {}
    if name.upper().endswith(".XML"):
        root = delivery.xml(name)
        imd = root if root.tag == "IMD" else root.find("IMD")
        if imd is None:
            raise SceneError(delivery.path, f"{name} in it has no element IMD", "Fetch the product again")
        _from_xml(imd, found)
        return found
    group = ""
    for line in delivery.text(name).splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if key == "BEGIN_GROUP":
            group = re.sub(r"^IMAGE_\d+$", "IMAGE", value.upper()) + "/"
        elif key == "END_GROUP":
            group = ""
        elif equals:
            found.setdefault(f"{group}{key.upper()}", value.rstrip(";").strip().strip('"'))
    return found


def _from_xml(imd: Element, found: dict[str, str]) -> None:
    for element in imd:
        for child in element if len(element) else (element,):
            key = element.tag if child is element else f"{element.tag}/{child.tag}"
            found.setdefault(key.upper(), (child.text or "").strip())


def _groups(told: Facts) -> list[str]:
    """Names of the bands in the order of the image."""
    return list(dict.fromkeys(key.split("/")[0].removeprefix("BAND_") for key in told if key.startswith("BAND_") and "/" in key))


def _is_pan(told: Facts) -> bool:
    return _groups(told) == ["P"]


def _open(delivery: Delivery, image: str, metadata: str, told: Facts, options: Options) -> Source:
    sensor = SENSORS.get(told.get("IMAGE/SATID", ""))
    if sensor is None:
        raise SceneError(delivery.path, f"is of the satellite {told.get('IMAGE/SATID', 'unknown')}", "WorldView-2 and WorldView-3 are read")
    groups = _groups(told)
    raster = raster_facts(delivery.gdal(image), f"{delivery.path}: {image}")
    if raster.count != len(groups) or not groups:
        raise SceneError(
            delivery.path, f"has {raster.count} bands in its image, and its metadata describes {', '.join(groups) or 'none'}", "Fetch the product again"
        )
    facts = FileFacts(
        name=str(delivery.path), driver="worldview", grid=raster.grid, dtype=np.dtype(raster.dtype), claims=_claims(groups, sensor, delivery.path),
        nodata=FILL, acquired=utc_text(told.get("IMAGE/FIRSTLINETIME", "")), files=delivery.files([metadata, image]), attrs=_attrs(told),
    )  # fmt: skip
    enhanced = told.get("RADIOMETRICENHANCEMENT", "")
    if enhanced.lower() in UNCORRECTED:
        facts.quantity, facts.scale = "radiance", [_factor(delivery.path, told, group) for group in groups]
    else:
        facts.quantity = "dn"
        facts.notices.append(f"it was made with the radiometric enhancement {enhanced!r}, so that its numbers are no radiance; they stay as stored")
    if not raster.grid.georeferenced:
        place_by_rpc(facts, rpc_from_mapping(raster.rpc, facts.name) if raster.rpc else None, options.dem)
    return RasterStack(layout(facts, options), [RasterBand(delivery.gdal(image), number + 1) for number in range(raster.count)], raster.block)


def _claims(groups: list[str], sensor: str, path: Path) -> BandClaims:
    table = sensor_bands(sensor)
    known = {name: (float(c), float(w)) for name, c, w in zip(table.names, table.wavelength, table.fwhm, strict=True)} | {"PAN": PAN[sensor]}
    names = [BANDS.get(group, "PAN" if group == "P" else group) for group in groups]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SceneError(path, f"has bands that {sensor} has not: {', '.join(unknown)}", "Fetch the product again")
    return BandClaims(len(names), [known[name][0] for name in names], "nm", [known[name][1] for name in names], names=names, sensor=sensor)


def _factor(path: Path, told: Facts, group: str) -> float:
    """What makes stored numbers of a band W m-2 sr-1 um-1."""
    try:
        calibration, width = (float(told[f"BAND_{group}/{key}"]) for key in ("ABSCALFACTOR", "EFFECTIVEBANDWIDTH"))
    except (KeyError, ValueError):
        calibration = width = 0.0
    if not (np.isfinite([calibration, width]).all() and calibration > 0 and width > 0):
        raise SceneError(path, f"its metadata has no calibration of the band {group}", "Fetch the product again, or give --scale and --quantity")
    return calibration / width


def _attrs(told: Facts) -> dict[str, str]:
    found = {"product": told.get("PRODUCTORDERID", ""), "processing_level": told.get("PRODUCTLEVEL", ""), "processor": "Maxar",
             "processor_version": told.get("VERSION", ""), "correction": "none"}  # fmt: skip
    return {**found, **_angles(told), **cloud_cover(told.get("IMAGE/CLOUDCOVER"), whole=1)}


def _angles(told: Facts) -> dict[str, str]:
    """Angles on the ground; of the view the one at the satellite, which is some degrees less, where the elevation is not told."""
    text = {key: told.get(f"IMAGE/MEAN{key}", "") for key in ("SUNEL", "SUNAZ", "SATEL", "SATAZ", "OFFNADIRVIEWANGLE")}
    known = {key: float(value) for key, value in text.items() if re.fullmatch(r"-?\d+(\.\d+)?", value)}
    zeniths = {ours: 90 - known[key] for ours, key in (("sun_zenith", "SUNEL"), ("view_zenith", "SATEL")) if key in known}
    others = {"sun_azimuth": "SUNAZ", "view_azimuth": "SATAZ", "view_zenith": "OFFNADIRVIEWANGLE"}
    return angle_texts({**{ours: known[key] for ours, key in others.items() if key in known}, **zeniths})
