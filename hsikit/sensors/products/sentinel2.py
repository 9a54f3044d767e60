"""Sentinel-2 MSI: Level 1C (top-of-atmosphere reflectance) and Level 2A (surface reflectance).

A `.SAFE` folder, its zip, or its `MTD_MSIL1C.xml` / `MTD_MSIL2A.xml`, in the compact format of one tile (since December 2016); or
Level 1C of before, with `S2A_OPER_MTD_SAFL1C_...xml` and often several tiles, of which `variable` names one ("T32TQM").
The grids of 10, 20 and 60 m meet on `resolution`, 20 m unless told: finer bands are averaged over what is measured, coarser
ones repeated; of a band that Level 2A delivers at several resolutions, the scene's own is read. A saturated number (65535) is
no measurement: it is missing, and flagged.

Quality: of Level 2A the scene classification; of Level 1C cloud and cirrus (and snow) out of `MSK_CLASSI_B00.jp2` (baseline 4.0
on) or the polygons of `MSK_CLOUDS_B00.gml` (before), and saturation out of the numbers; of both the masks of each band
(`MSK_QUALIT`, before baseline 4.0 `MSK_NODATA`, `MSK_SATURA`, `MSK_TECQUA`). `MSK_DETFOO` and the probabilities of clouds and snow are
not read.

Source: ESA, Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD). Level 1C was held against a real product of
baseline 2.06, and the structure of a real one of 2016-09-05; Level 2A and later baselines are from the specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid
from hsikit.scene import PlaceDoubt, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.catalogue import known_sensor, sensor_bands
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.metadata_xml import Fields
from hsikit.sensors.products.sentinel2_quality import MeasuredReads, quality
from hsikit.sensors.rasters import RasterBand, RasterFacts, RasterStack, factors, raster_facts

METADATA = r"MTD_MSIL(1C|2A)\.xml|S2\w_OPER_MTD_SAFL1C\w*\.xml"
TILE = r"MTD_TL\.xml|S2\w_OPER_MTD_L1C_TL\w*\.xml"
ROOTS = (b"Level-1C_User_Product", b"Level-2A_User_Product")
RESOLUTIONS = (10, 20, 60)
USUAL = 20
NODATA = 0
FIRST_WITH_OFFSETS = 4.0
"""The processing baseline from which on the metadata names offsets; whether it does decides, this only words a doubt."""
ANGLES = ("ZENITH_ANGLE", "AZIMUTH_ANGLE")
TILE_NAME = re.compile(r"_T(\d\d[A-Z]{3})(?:_|$)")
IMAGE = re.compile(r"_(B\d\d|B8A|SCL)(?:_(10|20|60)m)?")


class Reader:
    """Opens Sentinel-2 products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the metadata of a product is there, or is the path."""
        if probe.container == "xml":
            return any(root in probe.head for root in ROOTS)
        return probe.delivery.find(METADATA) is not None

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or the path holds several products.
            OptionError: a resolution or a tile that it has not, or one of several tiles must be named.
        """
        resolution = USUAL if options.resolution is None else options.resolution
        if resolution not in RESOLUTIONS:
            raise OptionError("res", f"Sentinel-2 is delivered at 10, 20 and 60 m, not {resolution:g}", "Give one of them, and warp the result")
        delivery = Delivery(path)
        if delivery.kind == "file":
            delivery, name = Delivery(path.parent), path.name
        else:
            name = delivery.need(METADATA, "its metadata")
            if len(delivery.all(METADATA)) > 1:
                raise SceneError(path, f"holds {len(delivery.all(METADATA))} products", "Give one of its .SAFE folders")
        return _Product(delivery, name, str(path), options.variable).open(int(resolution), options)


@dataclass(frozen=True)
class _Spectral:
    """What the metadata says of a band: its number there, centre and width (nm), usual resolution (m)."""

    number: str
    name: str
    centre: float
    width: float
    resolution: int


class _Product:
    """The metadata and the files of one product."""

    def __init__(self, delivery: Delivery, metadata: str, name: str, wanted: str | None) -> None:
        self.delivery, self.name = delivery, name
        self.fields = Fields(delivery.xml(metadata), name)
        self.level = "L2A" if self.fields.need(".//PROCESSING_LEVEL").startswith("Level-2A") else "L1C"
        self.sensor = known_sensor(self.fields.need(".//SPACECRAFT_NAME"), strict=False) or "sentinel-2"
        self.bands = _spectral(self.fields, self.sensor)
        folder = PurePosixPath(metadata).parent
        tile = self._tile(folder, wanted)
        self.granule = str(PurePosixPath(tile).parent)
        self.tile = Fields(delivery.xml(tile), name)
        self.images: dict[str, dict[int, str]] = {}
        for element in self.fields.root.iter("IMAGE_FILE"):
            self._add(str(folder / f"{(element.text or '').strip()}.jp2"))
        for granule in self.fields.root.iter("Granules"):  # before December 2016
            if granule.attrib.get("granuleIdentifier") == PurePosixPath(self.granule).name:
                for element in granule.iter("IMAGE_ID"):
                    self._add(f"{self.granule}/IMG_DATA/{(element.text or '').strip()}.jp2")

    def _tile(self, folder: PurePosixPath, wanted: str | None) -> str:
        """The metadata of the tile that is read.

        Raises:
            SceneError: there is none.
            OptionError: there are several, and none is named; or it has none of that name.
        """
        pattern = re.compile(rf"{re.escape(str(folder)) + '/' if str(folder) != '.' else ''}GRANULE/[^/]+/(?:{TILE})")
        tiles = {found[1]: file for file in self.delivery.names if pattern.fullmatch(file) and (found := TILE_NAME.search(PurePosixPath(file).parent.name))}
        if not tiles:
            raise SceneError(self.name, "has no tile with its metadata", "Fetch the whole product again")
        if len(tiles) == 1 and wanted is None:
            return next(iter(tiles.values()))
        key = (wanted or "").upper().removeprefix("T")
        if key not in tiles:
            problem = f"{self.name} has {len(tiles)} tiles, and one is read at a time" if wanted is None else f"{self.name} has no tile {wanted!r}"
            raise OptionError("variable", problem, f"Name one of T{', T'.join(sorted(tiles))}")
        return tiles[key]

    def _add(self, file: str) -> None:
        found = IMAGE.search(PurePosixPath(file).stem[-8:])
        if found is not None:
            usual = next((band.resolution for band in self.bands if _padded(band.name) == found[1]), USUAL)
            self.images.setdefault(found[1], {})[int(found[2] or usual)] = file

    def open(self, resolution: int, options: Options) -> Source:
        """The scene on the grid of a resolution (m).

        Raises:
            SceneError: an image that the metadata names is missing, the metadata's bands are not those of its images, or none has this resolution.
        """
        wanted = sorted((band for band in self.bands if _padded(band.name) in self.images), key=lambda band: band.centre)
        self._require_images()
        chosen = [_chosen(self.images[_padded(band.name)], resolution) for band in wanted]
        for _, file in chosen:
            if file not in self.delivery.names:
                raise SceneError(self.name, f"lacks {file}, which its metadata names", "Fetch the whole product again")
        rasters = [raster_facts(self.delivery.gdal(file), f"{self.name}: {file}") for _, file in chosen]
        grids = [self._grid(raster, size) for raster, (size, _) in zip(rasters, chosen, strict=True)]
        own = next((i for i, (size, _) in enumerate(chosen) if size == resolution), None)
        if own is None:
            raise SceneError(self.name, f"has no band of {resolution} m", "Fetch the whole product again, or give another --res")
        fits = [factors(grids[own], grid, f"{self.name}: {file}") for grid, (_, file) in zip(grids, chosen, strict=True)]
        bands = [RasterBand(self.delivery.gdal(file), 1, zoom, shrink) for (_, file), (zoom, shrink) in zip(chosen, fits, strict=True)]
        named = {_padded(band.name): raster for band, raster in zip(wanted, bands, strict=True)}
        notices = self._doubts(grids[own], resolution)
        facts = self._facts(wanted, [file for _, file in chosen], grids[own], rasters[own], notices)
        facts.quality = quality(self.delivery, self.granule, self.level, self.images.get("SCL", {}), resolution, grids[own], named)
        return MsiSource(layout(facts, options), bands, rasters[own].block)

    def _require_images(self) -> None:
        """Raises SceneError where the bands that the metadata describes are not those of the images that it names."""
        described = {_padded(band.name): band.name for band in self.bands}
        if unknown := [name for name in self.images if name not in described and name != "SCL"]:
            raise SceneError(self.name, f"describes no {', '.join(unknown)} in its metadata, of which it names an image", "Fetch the product again")
        lost = [name for key, name in described.items() if key not in self.images]
        if lost and self.level == "L1C":  # Level 2A never has B10, and what a user made of it may lack others
            raise SceneError(self.name, f"names no image of {', '.join(lost)} in its metadata", "Fetch the product again")

    def _facts(self, bands: Sequence[_Spectral], files: Sequence[str], grid: Grid, raster: RasterFacts, notices: list[str]) -> FileFacts:
        divisor, offsets = _scaling(self.fields, self.level)
        if not offsets and self.fields.number(".//PROCESSING_BASELINE") >= FIRST_WITH_OFFSETS:
            notices.append("its metadata names no offset, which products of its baseline have; none is added (--offset)")
        centres, widths = [band.centre for band in bands], [band.width for band in bands]
        return FileFacts(
            name=self.name, driver="sentinel-2", grid=grid, dtype=np.dtype(raster.dtype),
            claims=BandClaims(len(bands), centres, "nm", widths, names=[band.name for band in bands], sensor=self.sensor),
            scale=1 / divisor, offset=[offsets.get(band.number, 0.0) / divisor for band in bands], nodata=NODATA,
            quantity="surface_reflectance" if self.level == "L2A" else "toa_reflectance", acquired=self.tile.need(".//SENSING_TIME"),
            files=self.delivery.files(files), notices=notices, attrs=self._attrs(),
        )  # fmt: skip

    def _grid(self, raster: RasterFacts, resolution: int) -> Grid:
        """A raster's own grid; where it has none, the one that the tile's metadata states."""
        return raster.grid if raster.grid.georeferenced else Grid(raster.grid.shape, *self._stated(resolution))

    def _stated(self, resolution: int) -> tuple[tuple[float, float, float, float, float, float], str]:
        place = f".//Geoposition[@resolution='{resolution}']"
        left, top, width, height = (self.tile.number(f"{place}/{key}") for key in ("ULX", "ULY", "XDIM", "YDIM"))
        return (width, 0.0, left, 0.0, height, top), self.tile.need(".//HORIZONTAL_CS_CODE")

    def _doubts(self, grid: Grid, resolution: int) -> list[str]:
        transform, crs = self._stated(resolution)
        if np.allclose(transform, grid.transform, rtol=0, atol=1e-3 * resolution) and crs == grid.crs:
            return []
        rasters = f"{grid.pixel_size[0]:g} m at {grid.transform[2]:.0f}, {grid.transform[5]:.0f} ({grid.crs_name})"
        stated = f"{transform[0]:g} m at {transform[2]:.0f}, {transform[5]:.0f} ({crs})"
        return [PlaceDoubt(f"its rasters have pixels of {rasters}, and its metadata states {stated}; the rasters' own grid is used")]

    def _attrs(self) -> dict[str, str]:
        sun = {key: self.tile.optional_number(f".//Mean_Sun_Angle/{key}") for key in ANGLES}
        zenith, azimuth = (self.tile.column(f".//Mean_Viewing_Incidence_Angle/{key}") for key in ANGLES)
        return {
            "product": PurePosixPath(self.granule).name if "_OPER_" in self.granule else self.fields.need(".//PRODUCT_URI").removesuffix(".SAFE"),
            "processing_level": self.level,
            "processor": "Sen2Cor" if self.level == "L2A" else "Sentinel-2 IPF",
            "processor_version": f"baseline {self.fields.need('.//PROCESSING_BASELINE')}",
            "correction": "Sen2Cor" if self.level == "L2A" else "none",
            **{f"sun_{key[:-6].lower()}": f"{angle:.4f}" for key, angle in sun.items() if angle is not None},
            **({"view_zenith": f"{np.mean(zenith):.4f}", "view_azimuth": f"{_mean_azimuth(azimuth):.4f}"} if zenith else {}),
            **cloud_cover(self.fields.optional_number(".//Cloud_Coverage_Assessment")),
        }


class MsiSource(RasterStack):
    """A stack in which saturated numbers are missing, also in the mean of several."""

    def __init__(self, scene: Layout, bands: Sequence[RasterBand], block: tuple[int, int]) -> None:
        super().__init__(scene, bands, block)
        self._reads = MeasuredReads(self.info.name, self.info.nodata)


def _chosen(files: dict[int, str], resolution: int) -> tuple[int, str]:
    """The raster of a band that is read: of the scene's resolution, else the finest."""
    size = resolution if resolution in files else min(files)
    return size, files[size]


def _padded(name: str) -> str:
    """The band's name in file names: B02 for B2."""
    return name if len(name) > 2 else f"B0{name[1:]}"


def _spectral(fields: Fields, sensor: str) -> list[_Spectral]:
    table = sensor_bands(sensor)
    usual = dict(zip(table.names, table.fwhm, strict=True))
    found = []
    for element in fields.root.iter("Spectral_Information"):
        own, band, width = Fields(element, fields.name), element.attrib.get("physicalBand", ""), _response_width(element)
        width = float(usual.get(band, np.nan)) if width is None else width
        found.append(_Spectral(element.attrib.get("bandId", ""), band, own.number(".//CENTRAL"), width, int(own.number("RESOLUTION"))))
    if not found:
        raise SceneError(fields.name, "its metadata describes no bands", "Fetch the product again")
    return found


def _response_width(element: Element) -> float | None:
    """The span (nm) over which a response is at least half of its maximum; None where there is no response."""
    step, values = element.findtext(".//STEP"), np.array((element.findtext(".//VALUES") or "").split(), float)
    if step is None or values.size < 3 or values.max() <= 0:
        return None
    half, high = values.max() / 2, np.flatnonzero(values >= values.max() / 2)
    first, last = int(high[0]), int(high[-1])
    before = 0.0 if first == 0 else (values[first] - half) / (values[first] - values[first - 1])
    after = 0.0 if last == len(values) - 1 else (values[last] - half) / (values[last] - values[last + 1])
    return float(step) * (last - first + float(before) + float(after))


def _scaling(fields: Fields, level: str) -> tuple[float, dict[str, float]]:
    """The divisor, and what is added to the stored numbers of each band (by its number) before; both as the metadata says."""
    key, offset = ("BOA_QUANTIFICATION_VALUE", "BOA_ADD_OFFSET") if level == "L2A" else ("QUANTIFICATION_VALUE", "RADIO_ADD_OFFSET")
    divisor = fields.number(f".//{key}")
    if not divisor > 0:
        raise SceneError(fields.name, f"its {key} is {divisor:g}", "Fetch the product again")
    numbers = [element.attrib.get("band_id", "") for element in fields.root.iter(offset)]
    return divisor, dict(zip(numbers, fields.column(f".//{offset}"), strict=True))


def _mean_azimuth(degrees: Iterable[float]) -> float:
    turned = np.exp(1j * np.radians(list(degrees))).mean()
    return float(np.degrees(np.angle(turned)) % 360)
