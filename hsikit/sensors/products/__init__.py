"""Readers of products as their agencies deliver them: one file for each family; this table says which.

Each reader is asked by what a path holds, not by its name alone: `recognises(probe)`. Only readers for the container at hand
are imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsikit.sensors.probe import Probe

REAL, METADATA, SPECIFICATION = "real bytes", "real metadata", "from specification"
"""What a product's reading was held against: real files; real structure and headers with pixels built by us; the agency's document alone."""

TELLS: dict[str, tuple[str, ...]] = {
    "level": ("processing_level",), "processor": ("processor",), "version": ("processor_version", "product_version"), "correction": ("correction",),
    "uncertainty": ("uncertainty",), "time": (), "sun": ("sun_zenith", "sun_azimuth"), "view": ("view_zenith", "view_azimuth"),
}  # fmt: skip
"""What products tell of their making, each with the attributes of a scene that hold it; the time is `SceneInfo.acquired`."""
_MOST = "level processor version correction time sun view"
TOLD: dict[str, str] = {
    "enmap": _MOST, "prisma": _MOST, "desis": _MOST, "hyperion": "level processor correction time sun view", "ahsi": "level correction time sun view",
    "hisui": "level processor version correction time", "emit": "level processor version correction uncertainty time sun view",
    "emit-layers": "level processor version time", "emit-minerals": "level processor version uncertainty time",
    "emit-gas": "level processor version uncertainty time", "aviris-netcdf": "level processor correction uncertainty time sun view",
    "tanager": "level processor correction uncertainty time sun view", "pace-l1b": _MOST,
    "pace-l2": "level processor version correction uncertainty time", "landsat": "level processor version correction time sun", "sentinel-2": _MOST,
    "aviris-classic-envi": "level correction time sun view", "aviris-ng-envi": "level version correction time sun view",
    "aviris-3-envi": "level version correction uncertainty time sun view", "prism-envi": "level version correction time", "emit-envi": "level correction time",
    "envi-raw": "level processor correction time", "neon": _MOST, "planetscope": _MOST, "worldview": _MOST,
    "wyvern": "level processor correction time sun view",
}  # fmt: skip
"""What of it each product's own metadata tell, or files of the same product beside it; not every kind of a reader's products tells all of it."""


@dataclass(frozen=True)
class Product:
    """One line of `hsikit sensors` and of the documentation's table.

    Attributes:
        name: the driver's name, which `hsikit info` prints as the format.
        target: "module:Class" of its reader.
        containers: kinds of `Probe.container` that it may come in.
        description: what it is, in a few words.
        state: `REAL`, `METADATA` or `SPECIFICATION`; of several in `parts` the best.
        parts: (description, state) of each kind of its products, where they were not all held to the same.
    """

    name: str
    target: str
    containers: tuple[str, ...]
    description: str
    state: str
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        """Description and state of every kind of product, which together are all that is read."""
        return self.parts or ((self.description, self.state),)

    @property
    def tells(self) -> tuple[str, ...]:
        """What of `TELLS` it tells, in that order."""
        return tuple(TOLD.get(self.name, "").split())


_HERE = "hsikit.sensors.products."
DELIVERED = ("folder", "zip", "tar")
PRODUCTS: tuple[Product, ...] = (
    Product(
        "enmap",
        f"{_HERE}enmap:Reader",
        (*DELIVERED, "xml", "tiff"),
        "EnMAP, levels 1B, 1C and 2A",
        METADATA,
        parts=(("EnMAP, levels 1C and 2A", METADATA), ("EnMAP, level 1B", SPECIFICATION)),
    ),
    Product("prisma", f"{_HERE}prisma:Reader", ("hdf5",), "PRISMA, levels 1, 2B, 2C and 2D", METADATA),
    Product("desis", f"{_HERE}desis:Reader", (*DELIVERED, "xml", "tiff"), "DESIS, levels 1B, 1C and 2A", SPECIFICATION),
    Product("hyperion", f"{_HERE}hyperion:Reader", (*DELIVERED, "text", "other"), "EO-1 Hyperion, levels 1T and 1Gst", SPECIFICATION),
    Product("ahsi", f"{_HERE}ahsi:Reader", (*DELIVERED, "tiff"), "GF-5, GF-5B and ZY1-02D AHSI, level 1", SPECIFICATION),
    Product("hisui", f"{_HERE}hisui:Reader", (*DELIVERED, "tiff", "other"), "HISUI, level 1G", SPECIFICATION),
    Product("emit", f"{_HERE}emit:Reader", ("hdf5",), "EMIT L1B radiance, L2A reflectance and its uncertainty, NetCDF on the sensor's grid", SPECIFICATION),
    Product(
        "emit-layers",
        f"{_HERE}emit:LayersReader",
        ("hdf5",),
        "EMIT L1B observation, L2A masks (V001, V002), NetCDF",
        REAL,
        parts=(("EMIT L1B observation and L2A masks V001, NetCDF", REAL), ("EMIT L2A masks V002, NetCDF", SPECIFICATION)),
    ),
    Product("emit-minerals", f"{_HERE}emit:FlatReader", ("hdf5",), "EMIT L2B minerals on the sensor's grid, NetCDF", SPECIFICATION),
    Product("emit-gas", f"{_HERE}emit_gas:Reader", ("tiff",), "EMIT L2B methane and carbon dioxide, maps as cloud-optimised GeoTIFF", SPECIFICATION),
    Product("aviris-netcdf", f"{_HERE}aviris_netcdf:Reader", ("hdf5",), "AVIRIS-3 (and its sisters) L1B and L2A as NetCDF", SPECIFICATION),
    Product("tanager", f"{_HERE}tanager:Reader", ("hdf5",), "Tanager radiance and surface reflectance, basic and ortho, HDF-EOS5", SPECIFICATION),
    Product("pace-l1b", f"{_HERE}pace:Reader", ("hdf5",), "PACE OCI L1B, three detectors joined, NetCDF swath", SPECIFICATION),
    Product("pace-l2", f"{_HERE}pace:Level2Reader", ("hdf5",), "PACE OCI L2 Rrs (OC_AOP) and surface reflectance (SFREFL), NetCDF swaths", SPECIFICATION),
    Product(
        "landsat",
        f"{_HERE}landsat:Reader",
        (*DELIVERED, "text", "xml", "json", "tiff"),
        "Landsat 4 to 9, Collection 2, Level 1 and 2",
        REAL,
        parts=(("Landsat 8, Collection 2, Level 1 and 2", REAL), ("Landsat 4 to 7 and 9, Collection 2, Level 1 and 2", SPECIFICATION)),
    ),
    Product(
        "sentinel-2",
        f"{_HERE}sentinel2:Reader",
        (*DELIVERED, "xml"),
        "Sentinel-2 MSI, Level 1C and 2A",
        METADATA,
        parts=(("Sentinel-2 MSI, Level 1C before baseline 04.00", METADATA), ("Sentinel-2 MSI, Level 1C since baseline 04.00, and Level 2A", SPECIFICATION)),
    ),
    Product(
        "aviris-classic-envi",
        f"{_HERE}envi_jpl:AvirisClassic",
        ("envi",),
        "AVIRIS Classic radiance and reflectance as ENVI",
        REAL,
        parts=(("AVIRIS Classic reflectance as ENVI", REAL), ("AVIRIS Classic radiance as ENVI", SPECIFICATION)),
    ),
    Product(
        "aviris-ng-envi",
        f"{_HERE}envi_jpl:AvirisNg",
        ("envi",),
        "AVIRIS-NG radiance and reflectance as ENVI",
        REAL,
        parts=(("AVIRIS-NG reflectance as ENVI", REAL), ("AVIRIS-NG radiance as ENVI", SPECIFICATION)),
    ),
    Product("aviris-3-envi", f"{_HERE}envi_jpl:Aviris3", ("envi",), "AVIRIS-3 radiance and reflectance as ENVI", SPECIFICATION),
    Product("prism-envi", f"{_HERE}envi_jpl:Prism", ("envi",), "PRISM radiance and reflectance as ENVI", SPECIFICATION),
    Product(
        "emit-envi",
        f"{_HERE}envi_jpl:Emit",
        ("envi",),
        "EMIT reflectance and radiance as ENVI",
        REAL,
        parts=(("EMIT reflectance as ENVI", REAL), ("EMIT radiance as ENVI", SPECIFICATION)),
    ),
    Product("envi-raw", f"{_HERE}envi_raw:Reader", ("envi",), "raw ENVI of Specim, HySpex, Headwall, Resonon with white and dark references", SPECIFICATION),
    Product("envi-swath", f"{_HERE}envi_jpl:SwathReader", ("envi",), "ENVI on the sensor's grid with LOC, IGM or GLT beside", SPECIFICATION),
    Product("envi-layers", f"{_HERE}envi_sidecars:LayersReader", ("envi",), "ENVI side-cars: LOC, IGM, GLT, OBS", SPECIFICATION),
    Product("neon", f"{_HERE}neon:Reader", ("hdf5",), "NEON AOP reflectance (.001, .002) and radiance, HDF5", SPECIFICATION),
    Product(
        "planetscope",
        f"{_HERE}planetscope:Reader",
        (*DELIVERED, "xml", "tiff"),
        "PlanetScope SuperDove, surface and top-of-atmosphere reflectance",
        SPECIFICATION,
    ),
    Product(
        "worldview", f"{_HERE}worldview:Reader", (*DELIVERED, "xml", "tiff", "other"), "WorldView-2 and -3 as radiance, with their IMD or XML", SPECIFICATION
    ),
    Product("wyvern", f"{_HERE}wyvern:Reader", (*DELIVERED, "json", "tiff"), "Wyvern Dragonette, levels 1B and 2A", SPECIFICATION),
)
"""In the order in which they are asked."""


def product_reader(probe: Probe) -> tuple[Product, Any] | None:
    """The product that a path is, and its reader; None where no reader knows it.

    Raises:
        SceneError: the path is damaged.
    """
    for product in PRODUCTS:
        if probe.container in product.containers:
            reader = load_product(product)
            if reader.recognises(probe):
                return product, reader
    return None


def load_product(product: Product) -> Any:
    """The reader of a product, imported now."""
    module, _, attribute = product.target.partition(":")
    return getattr(import_module(module), attribute)
