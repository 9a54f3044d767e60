"""PlanetScope SuperDove (PSB.SD): surface reflectance (AnalyticMS_SR) and top-of-atmosphere reflectance (AnalyticMS), 8 or 4 bands.

A TIFF with its metadata XML beside, that XML, or the folder or archive of an order with one scene. Surface reflectance is x 10,000;
the others become top-of-atmosphere reflectance by the coefficients of the XML. `basic` scenes lie on the sensor's grid, and are
placed by their rational polynomials. Band centres are the published ones: the metadata names none. Quality is that of UDM2.

Source: Planet, PlanetScope product specification (imagery, UDM2, metadata XML). From the specification; not held against a real file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.rpc import rpc_from_mapping
from hsikit.scene import QUALITY_FLAGS, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.metadata_xml import Fields, bears_metadata, metadata_name, only_product, same_pixels
from hsikit.sensors.products.rpc_place import place_by_rpc
from hsikit.sensors.rasters import RasterBand, RasterReads, RasterStack, raster_facts
from hsikit.sensors.times import utc_text

METADATA = r".*_metadata(_clip)?\.xml"
MARK = b"schemas.planet.com/ps/v1"
IMAGE = "_ANALYTICMS"
RASTER = r".*_AnalyticMS.*\.tiff?"
MASK = r".*_udm2(_clip)?\.tiff?"
INSTRUMENT = "PSB.SD"
SENSOR = "planetscope-superdove"
POSITIONS = {8: tuple(range(8)), 4: (1, 3, 5, 7)}
"""Bands of the sensor in products of that many: all, or blue, green, red and near infrared."""
SURFACE_SCALE = 1e-4
FILL = 0
LAYERS = {"snow": (2,), "shadow": (3,), "haze": (4, 5), "cloud": (6,)}
"""Layers of UDM2, from 1, for each flag; the eighth holds bits, of which the lowest is no data."""
UNUSABLE = 8
ANGLES = {"sun_azimuth": "illuminationAzimuthAngle", "view_zenith": "incidenceAngle", "view_azimuth": "azimuthAngle"}


class Reader:
    """Opens PlanetScope scenes."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the XML of a PlanetScope scene is there, or is the path."""
        return bears_metadata(probe, (MARK,), METADATA, IMAGE)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: a file of it is missing or damaged, it is of another instrument, or the path holds several.
        """
        delivery = Delivery(path)
        only_product(delivery, METADATA)
        name = metadata_name(delivery, METADATA, IMAGE)
        if name is None:
            raise SceneError(path, "lacks its metadata XML", "Put it beside the image, or fetch the whole order again")
        return _open(delivery, name, Fields(delivery.xml(name), f"{path}: {name}"), options)


def _open(delivery: Delivery, metadata: str, fields: Fields, options: Options) -> Source:
    instrument = fields.text(".//{*}Instrument/{*}shortName")
    if instrument != INSTRUMENT:
        raise SceneError(delivery.path, f"is of PlanetScope's instrument {instrument or 'unknown'}, and only {INSTRUMENT} is read",
                         "Move its XML away, and open the TIFF with --sensor and --scale")  # fmt: skip
    image = _image(delivery, metadata)
    raster = raster_facts(delivery.gdal(image), f"{delivery.path}: {image}")
    if raster.count not in POSITIONS:
        raise SceneError(delivery.path, f"has {raster.count} bands in {image}, and SuperDove's products have 8 or 4", "Fetch the product again")
    surface = "atmospheric_correction" in raster.tags.get("tifftag_imagedescription", "") or "_SR" in image.upper()
    table, positions = sensor_bands(SENSOR), list(POSITIONS[raster.count])
    names = [table.names[position] for position in positions]
    claims = BandClaims(raster.count, table.wavelength[positions].tolist(), "nm", table.fwhm[positions].tolist(), names=names, sensor=SENSOR)
    facts = FileFacts(
        name=str(delivery.path), driver="planetscope", grid=raster.grid, dtype=np.dtype(raster.dtype), claims=claims,
        scale=SURFACE_SCALE if surface else _coefficients(fields, raster.count), nodata=FILL if raster.nodata is None else raster.nodata,
        quantity="surface_reflectance" if surface else "toa_reflectance", acquired=utc_text(fields.text(".//{*}acquisitionDateTime")),
        files=delivery.files([metadata, image]),
        attrs=_attrs(fields, surface, raster.tags.get("tifftag_imagedescription", "")), quality=_quality(delivery, image, raster.grid),
    )  # fmt: skip
    if not raster.grid.georeferenced:
        place_by_rpc(facts, rpc_from_mapping(raster.rpc, facts.name) if raster.rpc else None, options.dem)
    return RasterStack(layout(facts, options), [RasterBand(delivery.gdal(image), number + 1) for number in range(raster.count)], raster.block)


def _image(delivery: Delivery, metadata: str) -> str:
    """The image: the path itself, or the one of the XML's scene."""
    if delivery.kind == "file" and delivery.path.name != metadata:
        return delivery.path.name
    found = delivery.all(RASTER)
    alike = [name for name in found if PurePosixPath(name).name.startswith(_scene(metadata))] or found
    if len(alike) != 1:
        what = f"has {len(alike)} images ({', '.join(alike)})" if alike else "lacks its image"
        raise SceneError(delivery.path, what, "Open one of them by its name" if alike else "Fetch the whole order again")
    return alike[0]


def _scene(name: str) -> str:
    """What the names of all files of a scene begin with."""
    return re.split("_AnalyticMS", PurePosixPath(name).name, flags=re.IGNORECASE)[0]


def _coefficients(fields: Fields, count: int) -> list[float]:
    """Factors from stored numbers to top-of-atmosphere reflectance, in the order of the bands."""
    numbers, factors = (fields.column(f".//{{*}}bandSpecificMetadata/{{*}}{key}") for key in ("bandNumber", "reflectanceCoefficient"))
    if sorted(numbers) != list(range(1, count + 1)) or len(factors) != count or min(factors) <= 0:
        raise SceneError(
            fields.name, f"names {len(factors)} reflectance coefficients for bands {numbers}, and the image has {count}", "Fetch the product again"
        )
    return [factor for _, factor in sorted(zip(numbers, factors, strict=True))]


def _attrs(fields: Fields, surface: bool, description: str) -> dict[str, str]:
    found = {
        "product": fields.text(".//{*}identifier"),
        "processing_level": fields.text(".//{*}productType"),
        "processor": fields.text(".//{*}processorName") or "Planet",
        "processor_version": fields.text(".//{*}processorVersion"),
        "correction": f"atmosphere ({_algorithm(description) or '6S'})" if surface else "none",
    }
    elevation = fields.optional_number(".//{*}illuminationElevationAngle")
    if elevation is not None:
        found["sun_zenith"] = f"{90 - elevation:.4f}"
    for key, tag in ANGLES.items():
        angle = fields.optional_number(f".//{{*}}{tag}")
        if angle is not None:
            found[key] = f"{abs(angle) if key == 'view_zenith' else angle:.4f}"
    return {**found, **cloud_cover(fields.optional_number(".//{*}cloudCoverPercentage"))}


def _algorithm(description: str) -> str:
    """By what the image was corrected, as its description says in JSON; "" where it does not."""
    try:
        return str(json.loads(description)["atmospheric_correction"]["atmospheric_correction_algorithm"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _quality(delivery: Delivery, image: str, grid: Grid) -> Quality | None:
    name = next((each for each in delivery.all(MASK) if PurePosixPath(each).name.startswith(_scene(image))), None)
    if name is None:
        return None
    mask = raster_facts(delivery.gdal(name), f"{delivery.path}: {name}")
    same_pixels(grid, mask, f"{delivery.path}: {name}")
    if mask.count < UNUSABLE:
        raise SceneError(f"{delivery.path}: {name}", f"has {mask.count} layers, and UDM2 has {UNUSABLE}", "Fetch the product again")
    return Quality((*LAYERS, "no-data"), _Udm2(RasterReads(str(delivery.path)), delivery.gdal(name)))


class _Udm2:
    """Reads the flags of UDM2."""

    def __init__(self, reads: RasterReads, path: str) -> None:
        self._reads, self._path = reads, path

    def __call__(self, window: Window) -> NDArray[np.uint8]:
        stored = self._reads.read(self._path, range(1, UNUSABLE + 1), window)
        out = np.zeros(window.shape, np.uint8)
        for flag, layers in LAYERS.items():
            for layer in layers:
                out[stored[layer - 1] == 1] |= QUALITY_FLAGS[flag]
        out[stored[UNUSABLE - 1] & 1 != 0] |= QUALITY_FLAGS["no-data"]
        return out
