"""AHSI on GF-5, GF-5B and ZY1-02D, level 1: a GeoTIFF of each detector (`_VN`, `_SW`), their calibration as text files (`.raw`), an XML file.

A folder, an archive, or one of the two images. The two detectors are joined pixel by pixel where their images have the same
size, as the product is commonly used; each has rational polynomials of its own (`.rpb`), and the VNIR's place the scene. With
`variable="vnir"` or "swir" one of them is the scene. Times in the XML file are those of Beijing.

Source: the structure of delivered products as published programs read them (CHN-AHSI L1); from the specification; not seen in a
real file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

import numpy as np

from hsikit.errors import OptionError, SceneError
from hsikit.geo.rpc import rpc_from_text
from hsikit.scene import Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.band_order import need_order
from hsikit.sensors.products.metadata_xml import Fields
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.rasters import RasterBand, RasterFacts, RasterStack, raster_facts
from hsikit.sensors.water_vapour import WATER_VAPOUR

DETECTORS = {"vnir": "VN", "swir": "SW"}
IMAGE = r"(.*)_{}\.(TIFF?|GEOTIFF)"
CALIBRATION = r".*RadCal_(VNIR|SWIR)\.raw"
RESPONSE = r".*Spectral_?response_{}\.raw"
FILL = 0
BEIJING = timedelta(hours=8)
MOST_BANDS = 1024

Rows = list[tuple[float, ...]]


class Reader:
    """Opens products of AHSI."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether an image of AHSI lies beside its calibration."""
        if probe.container == "tiff" and not re.fullmatch(IMAGE.format("(VN|SW)"), probe.path.name, re.IGNORECASE):
            return False
        return probe.delivery.find(CALIBRATION) is not None and _images(probe.delivery) != {}

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or its calibration does not fit its image.
        """
        delivery = Delivery(path)
        images = _images(delivery)
        chosen = [options.variable.lower()] if options.variable else list(DETECTORS)
        if not set(chosen) <= set(DETECTORS):
            raise OptionError("variable", f"{options.variable!r} is no detector of AHSI", "Give vnir or swir")
        lacking = [detector for detector in chosen if detector not in images]
        if lacking:
            raise SceneError(path, f"lacks the image of the {lacking[0].upper()}", "Fetch the whole product again, or give --variable vnir or swir")
        detectors = [_Detector(delivery, detector, images[detector]) for detector in chosen]
        sizes = {detector.raster.grid.shape for detector in detectors}
        if len(sizes) > 1:
            raise SceneError(
                path, "the images of its two detectors are of different sizes, and cannot be joined pixel by pixel", "Give --variable vnir or swir"
            )
        return _open(delivery, detectors, options)


def _images(delivery: Delivery) -> dict[str, str]:
    """Detector -> its image, of one scene; of an image that is the path, its own scene."""
    found: dict[str, str] = {}
    scene = re.sub(r"_(VN|SW)\..*", "", delivery.path.name, flags=re.IGNORECASE) if delivery.kind == "file" else None
    for detector, ending in DETECTORS.items():
        for name in delivery.all(IMAGE.format(ending)):
            stem = PurePosixPath(name).name[: -len(PurePosixPath(name).suffix) - len(ending) - 1]
            if scene is None or stem == scene:
                scene = stem
                found.setdefault(detector, name)
    return found


class _Detector:
    """An image and its calibration."""

    def __init__(self, delivery: Delivery, detector: str, image: str) -> None:
        self.name, self.image = detector, image
        self.raster: RasterFacts = raster_facts(delivery.gdal(image), f"{delivery.path}: {image}")
        gains = _table(delivery, delivery.need(CALIBRATION.replace("(VNIR|SWIR)", detector.upper()), f"the calibration of the {detector.upper()}"))
        self._fits(delivery, gains, "calibrations")
        # A line is gain and offset, with the band's number before in some versions.
        self.gain, self.offset = [row[-2] if len(row) > 1 else row[0] for row in gains], [row[-1] if len(row) > 1 else 0.0 for row in gains]
        response = delivery.find(RESPONSE.format(detector.upper()))
        bands = _table(delivery, response) if response else []
        if response:
            self._fits(delivery, bands, "band centres")
        self.centres, self.widths = [row[-2] for row in bands if len(row) > 1], [row[-1] for row in bands if len(row) > 1]
        need_order(self.centres, delivery.path, detector.upper())

    def _fits(self, delivery: Delivery, rows: Rows, what: str) -> None:
        if len(rows) != self.raster.count:
            raise SceneError(delivery.path, f"its {self.name.upper()} has {self.raster.count} bands, and {len(rows)} {what}", "Fetch the product again")


def _table(delivery: Delivery, name: str) -> Rows:
    """The lines of a text of numbers, which are as many in each."""
    rows: Rows = []
    for line in delivery.text(name).splitlines():
        words = [word for word in re.split(r"[,;\s]+", line) if word]
        try:
            row = tuple(float(word) for word in words)
        except ValueError:
            raise SceneError(f"{delivery.path}: {name}", f"holds a line that is no numbers ({line[:40]!r})", "Fetch the product again") from None
        if row:
            rows.append(row)
    if len(rows) > MOST_BANDS or len({len(row) for row in rows}) > 1 or not np.isfinite([value for row in rows for value in row]).all():
        raise SceneError(f"{delivery.path}: {name}", "is no table of a line of numbers for each band", "Fetch the product again")
    return rows


def _open(delivery: Delivery, detectors: Sequence[_Detector], options: Options) -> Source:
    first = detectors[0]
    metadata = next((name for name in delivery.all(r".*\.xml") if PurePosixPath(name).name.startswith(_stem(first.image))), None)
    fields = Fields(delivery.xml(metadata), f"{delivery.path}: {metadata}") if metadata else None
    centres, widths = ([value for detector in detectors for value in getattr(detector, key)] for key in ("centres", "widths"))
    counts = [detector.raster.count for detector in detectors]
    names = [f"{detector.name.upper()} {number + 1}" for detector in detectors for number in range(detector.raster.count)]
    facts = FileFacts(
        name=str(delivery.path), driver="ahsi", grid=first.raster.grid, dtype=np.dtype(first.raster.dtype),
        claims=BandClaims(sum(counts), centres or None, "nm", widths or None, names=names, absorbed=WATER_VAPOUR),
        scale=[gain for detector in detectors for gain in detector.gain], offset=[offset for detector in detectors for offset in detector.offset],
        nodata=FILL, quantity="radiance", acquired=_acquired(fields), attrs=_provenance(fields, first.image),
        files=delivery.files([*(detector.image for detector in detectors), *([metadata] if metadata else [])]),
    )  # fmt: skip
    if not first.raster.grid.georeferenced:
        polynomials = next((name for name in delivery.all(r".*\.rpb") if PurePosixPath(name).stem == PurePosixPath(first.image).stem), None)
        place_by_rpc(facts, rpc_from_text(delivery.text(polynomials), f"{delivery.path}: {polynomials}") if polynomials else None, options.dem)
    scene = layout(facts, options)
    rasters = [RasterBand(delivery.gdal(detector.image), number + 1) for detector in detectors for number in range(detector.raster.count)]
    source = RasterStack(scene, rasters, first.raster.block)
    return join_detectors(source, [names[place].startswith("VNIR") for place in scene.order], options.detector_overlap)


def _stem(image: str) -> str:
    return re.sub(r"_(VN|SW)\..*", "", PurePosixPath(image).name, flags=re.IGNORECASE)


def _acquired(fields: Fields | None) -> str:
    """The start in UTC."""
    text = "" if fields is None else fields.text(".//StartTime")
    try:
        return f"{(datetime.fromisoformat(text) - BEIJING).isoformat()}Z"
    except ValueError:
        return ""


def _provenance(fields: Fields | None, image: str) -> dict[str, str]:
    found = {"product": _stem(image), "processing_level": "L1", "processor": "", "processor_version": "", "correction": "none"}
    if fields is None:
        return found
    found["processing_level"] = fields.text(".//ProductLevel") or "L1"
    for name, tag in (("sun_zenith", "SolarZenith"), ("sun_azimuth", "SolarAzimuth"), ("view_zenith", "SatelliteZenith"), ("view_azimuth", "SatelliteAzimuth")):
        angle = fields.optional_number(f".//{tag}")
        if angle is not None:
            found[name] = f"{angle:.4f}"
    return {**found, **cloud_cover(fields.optional_number(".//CloudPercent"))}
