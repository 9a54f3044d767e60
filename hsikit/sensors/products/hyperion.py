"""EO-1 Hyperion, levels 1T and 1Gst: one GeoTIFF for each band and an MTL file, as a folder, an archive, or the MTL file.

Of its 242 bands 198 are calibrated (8 to 57 and 77 to 224); the others are bad. Centres and widths are those of USGS, which the
product does not repeat. Level 1R is HDF4, which is refused with advice.

Source: USGS, EO-1 User Guide (2.3, 2003), and the Hyperion band characteristics; from the specification; not seen in a real file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import numpy as np

from hsikit.errors import SceneError
from hsikit.scene import Handled, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.metadata_xml import same_pixels
from hsikit.sensors.rasters import RasterBand, RasterStack, raster_facts
from hsikit.sensors.water_vapour import WATER_VAPOUR

HDF4 = b"\x0e\x03\x13\x01"
MTL = r".*_MTL_L1(T|GST)\.TXT"
BAND = re.compile(r".*_B(\d{3})_L1(T|GST)\.TIF", re.IGNORECASE)
BANDS = 242
CALIBRATED = frozenset((*range(8, 58), *range(77, 225)))
LAST_OF_VNIR = 70
SCALING = {"VNIR": 40.0, "SWIR": 80.0}
"""Stored numbers for one W m-2 sr-1 um-1, where the MTL file does not say."""
FILL = 0


class Reader:
    """Opens Hyperion products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether an MTL file of EO-1 is there, or is the path, or the path is an HDF4 file."""
        if probe.container == "other":
            return probe.head.startswith(HDF4)
        if probe.container == "text":
            return b"L1_METADATA_FILE" in probe.head and b"LANDSAT" not in probe.head
        return probe.delivery.find(MTL) is not None

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or it is of level 1R.
        """
        if not path.is_dir():
            with path.open("rb") as stream:
                if stream.read(4) == HDF4:
                    raise SceneError(
                        path, "is an HDF4 file, as Hyperion's level 1R is, which is not read",
                        "Fetch level 1T (GeoTIFF) of the scene, or convert it with gdal_translate -of ENVI, then name --sensor hyperion --scale 0.025",
                    )  # fmt: skip
        delivery = Delivery(path)
        name = path.name if delivery.kind == "file" else delivery.need(MTL, "its metadata")
        return _open(delivery, name, read_fields(delivery.text(name)), options)


def read_fields(text: str) -> Mapping[str, str]:
    """The metadata as "KEY" -> text, the first of each key."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() not in ("GROUP", "END_GROUP"):
            found.setdefault(key.strip(), value.strip().strip('"'))
    return found


def _open(delivery: Delivery, metadata: str, fields: Mapping[str, str], options: Options) -> Source:
    if fields.get("SENSOR_ID", "HYPERION").upper() != "HYPERION":
        raise SceneError(delivery.path, f"is of EO-1's {fields['SENSOR_ID']}, which is not read", "Hyperion is; stack the bands of ALI into one GeoTIFF")
    divisors = {detector: _divisor(delivery, fields, detector) for detector in SCALING}
    files = _band_files(delivery, metadata)
    rasters = {band: raster_facts(delivery.gdal(name), f"{delivery.path}: {name}") for band, name in files.items()}
    first = next(iter(rasters.values()))
    for band, raster in rasters.items():
        same_pixels(first.grid, raster, f"{delivery.path}: {files[band]}")
    table = sensor_bands("hyperion")
    numbers = list(files)
    bad = len(numbers) - len(CALIBRATED)
    facts = FileFacts(
        name=str(delivery.path), driver="hyperion", grid=first.grid, dtype=np.dtype(first.dtype),
        claims=BandClaims(
            len(numbers), [float(table.wavelength[band - 1]) for band in numbers], "nm", [float(table.fwhm[band - 1]) for band in numbers],
            good=[band in CALIBRATED for band in numbers], names=[f"B{band}" for band in numbers], sensor="hyperion", absorbed=WATER_VAPOUR,
        ),
        scale=[1 / divisors["VNIR" if band <= LAST_OF_VNIR else "SWIR"] for band in numbers], nodata=FILL, quantity="radiance",
        acquired=_acquired(fields), files=delivery.files([metadata, *files.values()]), attrs=_provenance(fields, metadata),
        notices=[Handled(f"{bad} bands are not calibrated and will not be used")] if bad else [],
    )  # fmt: skip
    scene = layout(facts, options)
    source = RasterStack(scene, [RasterBand(delivery.gdal(name)) for name in files.values()], first.block)
    return join_detectors(source, [numbers[place] <= LAST_OF_VNIR for place in scene.order], options.detector_overlap)


def _band_files(delivery: Delivery, metadata: str) -> dict[int, str]:
    """Band -> its file, in the order of the product.

    Raises:
        SceneError: a calibrated band is missing.
    """
    scene = PurePosixPath(metadata).name.upper().partition("_MTL_")[0]
    found: dict[int, str] = {}
    for name in delivery.names:
        match = BAND.fullmatch(PurePosixPath(name).name)
        if match and PurePosixPath(name).name.upper().startswith(scene) and 1 <= int(match[1]) <= BANDS:
            found.setdefault(int(match[1]), name)
    lacking = sorted(CALIBRATED - set(found))
    if lacking:
        shown = ", ".join(f"B{band:03d}" for band in lacking[:4]) + (", ..." if len(lacking) > 4 else "")
        raise SceneError(delivery.path, f"lacks {len(lacking)} of its calibrated bands ({shown})", "Fetch the whole product again")
    return dict(sorted(found.items()))


def _divisor(delivery: Delivery, fields: Mapping[str, str], detector: str) -> float:
    text = fields.get(f"SCALING_FACTOR_{detector}", str(SCALING[detector]))
    try:
        divisor = float(text)
    except ValueError:
        divisor = 0.0
    if not (np.isfinite(divisor) and divisor > 0):
        raise SceneError(delivery.path, f"has the scaling factor {text!r} of the {detector}", "Fetch the product again")
    return divisor


def _acquired(fields: Mapping[str, str]) -> str:
    """The start as ISO 8601: "2010 163 18:25:41" counts the days of the year."""
    words = fields.get("START_TIME", "").split()
    if len(words) == 3:
        try:
            return datetime.strptime(" ".join(words), "%Y %j %H:%M:%S").replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        except ValueError:
            pass
    return fields.get("ACQUISITION_DATE", "")


def _provenance(fields: Mapping[str, str], metadata: str) -> dict[str, str]:
    found = {
        "product": PurePosixPath(metadata).name.upper().partition("_MTL_")[0],
        "processing_level": fields.get("PRODUCT_TYPE") or PurePosixPath(metadata).name.upper().partition("_MTL_")[2].partition(".")[0],
        "processor": "EO-1 product generation system (USGS)",
        "processor_version": fields.get("PROCESSING_SOFTWARE", fields.get("PROCESSING_SYSTEM", "")),
        "correction": "none",
    }
    try:
        found["sun_zenith"] = f"{90 - float(fields['SUN_ELEVATION']):.4f}"
        found["sun_azimuth"] = f"{float(fields['SUN_AZIMUTH']):.4f}"
        found["view_zenith"] = f"{abs(float(fields['SENSOR_LOOK_ANGLE'])):.4f}"
    except (KeyError, ValueError):
        return found
    return found
