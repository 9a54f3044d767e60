"""EnMAP (DLR), levels 1B, 1C and 2A: an archive, a folder, the METADATA.XML, or the SPECTRAL_IMAGE.TIF with its METADATA.XML beside.

The background value, the number of bands and their centres are those of the product's own metadata: products from before the launch
have other ones than those of the flight. At level 1B the two detectors look at different places and are not coregistered: each is
a scene of its own (`variable="vnir"` or "swir"), placed by its rational polynomials. (Those of the official test product put the SWIR
19.6 rows before the VNIR; whole rows and columns in them are centres of pixels.)

Source: DLR, EnMAP HSI Level 1B, 1C and 2A Product Specification (EN-PCV-ICD-2009-2), and the official test products of 2017-06-26.
The bits of QL_QUALITY_TESTFLAGS, and the files of level 1B, are from the specification; not seen in a real file.

QL_PIXELMASK tells of each band and pixel whether the detector's element is defective. It is no flag of a pixel, as hardly any has no such
band: `variable="pixelmask"` opens it, a number as stored for each band ("vnir-pixelmask" and "swir-pixelmask" at level 1B).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.rpc import RationalPolynomials, rpc_from_mapping
from hsikit.scene import QUALITY_FLAGS, Handled, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.band_order import need_order
from hsikit.sensors.products.metadata_xml import Fields, bears_metadata, need_raster, open_metadata, raster_name, same_pixels
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.rasters import RasterBand, RasterFacts, RasterReads, RasterStack, raster_facts
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR, Ranges

METADATA = r".*METADATA\.XML"
IMAGE = "SPECTRAL_IMAGE"
MARKS = (b"level_X", b"EnMAP")
PER_MICROMETRE = 1000.0
"""Radiance is given per nanometre."""
LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    "CLOUD": {"cloud": (1,)},
    "CLOUDSHADOW": {"shadow": (1,)},
    "CIRRUS": {"cirrus": (1, 2, 3)},
    "HAZE": {"haze": (1,)},
    "SNOW": {"snow": (1,)},
    "CLASSES": {"water": (2,), "no-data": (3,)},
}
"""Quality layer -> flag -> values that mean it. Cirrus is thin, medium or thick; class 3 is what the swath did not see."""
PIXELMASK = "pixelmask"
SATURATED = {"swir": 1 << 4, "vnir": 1 << 5}
"""Bits of QL_QUALITY_TESTFLAGS."""


class Reader:
    """Opens EnMAP products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether EnMAP's metadata are there, or are the path."""
        return bears_metadata(probe, MARKS, METADATA, IMAGE)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or its metadata do not fit its image.
            OptionError: it has no such variable.
        """
        delivery, name, fields = open_metadata(path, METADATA, IMAGE)
        level = fields.need("base/level").upper()
        if level not in ("L1B", "L1C", "L2A"):
            raise SceneError(path, f"is of level {level}", "Levels L1B, L1C and L2A are read")
        return _open_detector(delivery, name, fields, options) if level == "L1B" else _open_merged(delivery, name, fields, options, level)


class _Bands:
    """What the metadata say of all bands, in their order there: those of the VNIR first at level 1B, else by wavelength."""

    def __init__(self, fields: Fields) -> None:
        table = "specific/bandCharacterisation/bandID"
        self.centres, self.widths = fields.column(f"{table}/wavelengthCenterOfBand"), fields.column(f"{table}/FWHMOfBand")
        self.gains, self.offsets = fields.column(f"{table}/GainOfBand"), fields.column(f"{table}/OffsetOfBand")
        if not self.centres or len({len(each) for each in (self.centres, self.widths, self.gains, self.offsets)}) > 1:
            raise SceneError(fields.name, f"describes {len(self.centres)} band centres, and another number of widths, gains or offsets", "Fetch it again")
        numbers = range(1, len(self.centres) + 1)
        self.vnir = _channels(fields, "vnirProductQuality/expectedChannelsList")
        self.swir = _channels(fields, "swirProductQuality/expectedChannelsList")
        missing = _channels(fields, "vnirProductQuality/missingChannelsList") | _channels(fields, "swirProductQuality/missingChannelsList")
        self.told = self.vnir | self.swir == set(numbers) and not self.vnir & self.swir
        for detector, channels in (("VNIR", self.vnir), ("SWIR", self.swir)) if self.told else ():
            need_order([self.centres[number - 1] for number in sorted(channels)], fields.name, detector)
        self.delivered = [number not in missing for number in numbers]


def _channels(fields: Fields, path: str) -> set[int]:
    return {int(number) for number in fields.row(f"specific/{path}")}


def _open_merged(delivery: Delivery, metadata: str, fields: Fields, options: Options, level: str) -> Source:
    """Levels 1C and 2A: one map of all bands."""
    bands = _Bands(fields)
    if options.variable is not None:
        if options.variable.lower() != PIXELMASK:
            raise OptionError("variable", f"{options.variable!r} is nothing that EnMAP has at level {level}", f"Give {PIXELMASK}, or leave it out")
        return _open_pixelmask(delivery, metadata, fields, bands, range(len(bands.centres)), "", level, options)
    name, raster = need_raster(delivery, metadata, IMAGE)
    facts = _facts(delivery, metadata, fields, raster, name, level)
    reflectance = level == "L2A"
    facts.quality = _quality(delivery, metadata, facts.grid, {*LAYERS}, {"TESTFLAGS": SATURATED["vnir"] | SATURATED["swir"]})
    facts.quantity = "surface_reflectance" if reflectance else "radiance"
    source = _stack(facts, delivery.gdal(name), raster, bands, range(len(bands.centres)), 1.0 if reflectance else PER_MICROMETRE, WATER_VAPOUR, options)
    if not bands.told:
        source.info = source.info.with_(notices=(*source.info.notices, "which detector each band is of is not said; overlapping ones are kept"))
        return source
    return join_detectors(source, [number + 1 in bands.vnir for number in source.order], options.detector_overlap)


def _open_detector(delivery: Delivery, metadata: str, fields: Fields, options: Options) -> Source:
    """Level 1B: one of the detectors, on its own grid."""
    chosen, _, layer = (options.variable or ("swir" if "_SWIR" in delivery.path.name.upper() else "vnir")).lower().partition("-")
    if chosen not in SATURATED or layer not in ("", PIXELMASK):
        raise OptionError("variable", f"{options.variable!r} is no detector of EnMAP", f"Give vnir or swir, or vnir-{PIXELMASK}")
    bands = _Bands(fields)
    counts = {detector: int(fields.number(f"specific/numberOf{detector.upper()}Bands")) for detector in SATURATED}
    if sum(counts.values()) != len(bands.centres):
        raise SceneError(fields.name, f"names {counts['vnir']} and {counts['swir']} bands, and describes {len(bands.centres)}", "Fetch it again")
    which = range(counts["vnir"]) if chosen == "vnir" else range(counts["vnir"], len(bands.centres))
    if layer:
        return _open_pixelmask(delivery, metadata, fields, bands, which, f"_{chosen.upper()}", "L1B", options)
    name, raster = need_raster(delivery, metadata, f"{IMAGE}_{chosen.upper()}")
    facts = _facts(delivery, metadata, fields, raster, name, "L1B")
    place_by_rpc(facts, _polynomials(fields, which.start), options.dem)
    other = "swir" if chosen == "vnir" else "vnir"
    facts.notices.append(Handled(f"the detectors are not coregistered at level 1B: this is the {chosen.upper()} (--variable {other} for the other)"))
    # The layers of clouds and classes are on the grid of the VNIR.
    facts.quality = _quality(delivery, metadata, facts.grid, {*LAYERS} if chosen == "vnir" else set(), {f"TESTFLAGS_{chosen.upper()}": SATURATED[chosen]})
    facts.quantity = "radiance"
    return _stack(facts, delivery.gdal(name), raster, bands, which, PER_MICROMETRE, WATER_VAPOUR, options)


def _open_pixelmask(
    delivery: Delivery, metadata: str, fields: Fields, bands: _Bands, which: range, detector: str, level: str, options: Options
) -> Source:  # fmt: skip
    """The mask of defective elements, bands of both detectors kept apart."""
    name, raster = need_raster(delivery, metadata, f"QL_PIXELMASK{detector}")
    facts = _facts(delivery, metadata, fields, raster, name, level)
    if level == "L1B":
        place_by_rpc(facts, _polynomials(fields, which.start), options.dem)
    facts.nodata, facts.quantity, facts.notices = raster.nodata, "dn", []
    bands.gains, bands.offsets = [1.0] * len(bands.centres), [0.0] * len(bands.centres)
    return _stack(facts, delivery.gdal(name), raster, bands, which, 1.0, (), options)


def _polynomials(fields: Fields, band: int) -> RationalPolynomials | None:
    """The rational polynomials of a band; those of a detector's bands are alike. They stand by detector at every level."""
    bands = fields.root.findall("product/navigation/RPC/bandID")
    if band >= len(bands):
        return None
    told = {}
    for element in bands[band]:
        name = element.tag.replace("ROW_", "LINE_").replace("COL_", "SAMP_")
        kind = re.fullmatch(r"(.*_(?:NUM|DEN))_(\d+)", name)
        told[f"{kind[1]}_COEFF_{int(kind[2])}" if kind else name] = element.text or ""
    return rpc_from_mapping(told, fields.name)


class _Stack(RasterStack):
    """Bands of one raster, and their places in it."""

    @property
    def order(self) -> Sequence[int]:
        """Position in the raster of each band."""
        return [int(place) for place in self._layout.order]


def _stack(
    facts: FileFacts, path: str, raster: RasterFacts, bands: _Bands, which: range, factor: float, absorbed: Ranges, options: Options
) -> _Stack:  # fmt: skip
    if raster.count != len(which):
        raise SceneError(facts.name, f"has {raster.count} bands in its image, and {len(which)} in its metadata", "Fetch the product again")
    names = [f"band {number + 1}" for number in which]
    centres, widths, delivered = ([values[i] for i in which] for values in (bands.centres, bands.widths, bands.delivered))
    facts.claims = BandClaims(len(which), centres, "nm", widths, good=delivered, names=names, sensor="enmap", absorbed=absorbed)
    facts.scale, facts.offset = [bands.gains[i] * factor for i in which], [bands.offsets[i] * factor for i in which]
    return _Stack(layout(facts, options), [RasterBand(path, number + 1) for number in range(raster.count)], raster.block)


def _facts(delivery: Delivery, metadata: str, fields: Fields, raster: RasterFacts, image: str, level: str) -> FileFacts:
    background, notices = fields.number("specific/backgroundValue"), []
    if raster.nodata is not None and raster.nodata != background:
        notices.append(f"the image says that {raster.nodata:g} is missing, the metadata {background:g}; the image is followed")
        background = raster.nodata
    return FileFacts(
        name=str(delivery.path), driver="enmap", grid=raster.grid, dtype=np.dtype(raster.dtype), claims=BandClaims(0), nodata=background,
        acquired=utc_text(fields.text("base/temporalCoverage/startTime")), files=delivery.files([metadata, image]), notices=notices,
        attrs=_provenance(fields, metadata, level),
    )  # fmt: skip


def _provenance(fields: Fields, metadata: str, level: str) -> dict[str, str]:
    correction = fields.text("processing/correctionType")
    found = {
        "product": PurePosixPath(fields.text("metadata/name") or metadata).name.removesuffix("-METADATA.XML"),
        "processing_level": level,
        "processor": "EnMAP ground segment (DLR)",
        "processor_version": fields.text("base/revision"),
        "correction": "none" if level != "L2A" else f"atmosphere, {correction.replace('_', ' ').lower()}",
    }
    elevation = fields.optional_number("specific/sunElevationAngle/center")
    if elevation is not None:
        found["sun_zenith"] = f"{90 - elevation:.4f}"
    for name, path in (("sun_azimuth", "sunAzimuthAngle"), ("view_zenith", "viewingZenithAngle"), ("view_azimuth", "viewingAzimuthAngle")):
        angle = fields.optional_number(f"specific/{path}/center")
        if angle is not None:
            found[name] = f"{angle:.4f}"
    return {**found, **cloud_cover(fields.optional_number("specific/qualityFlag/cloudCover"))}


def _quality(delivery: Delivery, metadata: str, grid: Grid, layers: set[str], tests: dict[str, int]) -> Quality | None:
    """Flags out of the quality layers that the product has.

    Args:
        delivery: its files.
        metadata: its METADATA.XML.
        grid: of the image.
        layers: keys of `LAYERS`.
        tests: layer of test flags -> bits that mean saturation.

    Raises:
        SceneError: a layer is damaged or of another size.
    """
    paths: dict[str, str] = {}
    for layer in [*(key for key in LAYERS if key in layers), *tests]:
        name = raster_name(delivery, metadata, f"QL_QUALITY_{layer}")
        if name is not None:
            same_pixels(grid, raster_facts(delivery.gdal(name), f"{delivery.path}: {name}"), f"{delivery.path}: {name}")
            paths[layer] = delivery.gdal(name)
    flags = [flag for layer in paths for flag in LAYERS.get(layer, {"saturated": ()})]
    if not flags:
        return None
    reads = RasterReads(str(delivery.path))

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        for layer, path in paths.items():
            stored = reads.read(path, [1], window)[0]
            for flag, values in LAYERS.get(layer, {}).items():
                out[np.isin(stored, values)] |= QUALITY_FLAGS[flag]
            if layer in tests:
                out[stored & tests[layer] != 0] |= QUALITY_FLAGS["saturated"]
        return out

    return Quality(tuple(flags), read)
