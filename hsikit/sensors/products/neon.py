"""NEON's Airborne Observation Platform, HDF5: surface reflectance (.001 directional, .002 bidirectional) and at-sensor radiance.

All lie on a map grid. Radiance is split into an integer and a decimal part, in uW cm-2 nm-1 sr-1. With `variable`, an image of
the group Ancillary_Imagery is opened as layers.

Quality: shadow out of Cast_Shadow (0 is shade of the terrain). Not used are Haze_Cloud_Water_Map, which in published samples of .002
repeats the map of dense vegetation, and Weather_Quality_Indicator, which tells of the sky above a flight line, not of a pixel.

The level is that of the file's name (DP1 a flight line, DP3 a mosaic), angles of the view are those of the middle pixel, and those of the
sun are the flight line's; a mosaic has one for each of its lines, which stays out.

Source: NEON Data Skills (NEONScience), which lists the arrays of real files and reads them; not held against a real file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import QUALITY_FLAGS, Indices, Quality, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.crs import crs_text
from hsikit.sensors.envi_header import map_info_transform
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, part_bands, part_shape
from hsikit.sensors.probe import HDF5, Probe
from hsikit.sensors.products.angles import angle_texts, angles_in_the_middle
from hsikit.sensors.radiance_units import radiance_factor
from hsikit.sensors.water_vapour import WATER_VAPOUR, Ranges

WHAT = "a NEON product"
REFLECTANCE, INTEGER, DECIMAL = "Reflectance/Reflectance_Data", "Radiance/RadianceIntegerPart", "Radiance/RadianceDecimalPart"
USUAL_UNIT = "uW/cm2/nm/sr"
WINDOWS = ("Band_Window_1_Nanometers", "Band_Window_2_Nanometers")
ADVICE = "Fetch the file again"


class Reader:
    """Opens NEON products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file has a site with reflectance, or with radiance in two parts."""
        return any(key.endswith((f"/{REFLECTANCE}", f"/{INTEGER}")) for key in probe.hdf5.keys)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged.
            OptionError: a variable that it has not.
        """
        keys = Probe(path, HDF5).hdf5.keys
        name = next(key for key in sorted(keys, reverse=True) if key.endswith((f"/{REFLECTANCE}", f"/{INTEGER}")))
        file = Hdf5File(path, WHAT)
        base = name.rpartition("/")[0]
        if options.variable is not None:
            return _ancillary(file, base, options)
        return _reflectance(file, base, options) if name.endswith(REFLECTANCE) else _radiance(file, base, options)


def _reflectance(file: Hdf5File, base: str, options: Options) -> Source:
    part = Part(f"{base}/Reflectance_Data")
    told = {**file.attributes(base), **file.attributes(part.name)}
    facts = _facts(file, base, part, "surface_reflectance")
    facts.scale = 1 / _attribute(file, told, "Scale_Factor", 10000.0)
    facts.nodata = _attribute(file, told, "Data_Ignore_Value", -9999.0)
    facts.claims.absorbed = _absorbed(told)
    bidirectional = any(file.has(f"{base}/Metadata/Ancillary_Imagery/{name}") for name in ("Acqusition_Date", "Acquisition_Date"))  # sic
    facts.attrs = {**facts.attrs, **_view(file, base), "processor": "ATCOR", "product_version": "002" if bidirectional else "001",
                   "correction": "ATCOR, topography and BRDF (FlexBRDF)" if bidirectional else "ATCOR"}  # fmt: skip
    facts.quality = _shadow(file, f"{base}/Metadata/Ancillary_Imagery/Cast_Shadow", facts.grid)
    return Hdf5Source(layout(facts, options), file, [part])


def _radiance(file: Hdf5File, base: str, options: Options) -> Source:
    part = Part(f"{base}/RadianceIntegerPart")
    facts = _facts(file, base, part, "radiance")
    told = {**file.attributes(base), **file.attributes(part.name)}
    facts.claims.absorbed = _absorbed(told)
    facts.scale = radiance_factor(str(told.get("Units", USUAL_UNIT))) or radiance_factor(USUAL_UNIT) or 1.0
    facts.dtype = np.dtype(np.float32)
    facts.attrs = {**facts.attrs, "correction": "none"}
    return RadianceSource(layout(facts, options), file, part, Part(f"{base}/RadianceDecimalPart"))


class RadianceSource(Hdf5Source):
    """Radiance whose integer and decimal parts are stored apart; missing where either is fill."""

    def __init__(self, scene: Layout, file: Hdf5File, whole: Part, decimal: Part) -> None:
        super().__init__(scene, file, [whole])
        if file.dataset(decimal.name).shape != file.dataset(whole.name).shape:
            raise SceneError(file.path, f"{decimal.name} has not the shape of {whole.name}", ADVICE)
        self._whole, self._decimal = whole, decimal
        attributes = file.attributes(decimal.name)
        key = "Scale" if "Scale" in attributes else "Scale_Factor"
        self._divisor = _attribute(file, attributes, key, 50000.0)
        self._fills = [file.attributes(part.name).get("Data_Ignore_Value") for part in (whole, decimal)]

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        whole, decimal = (self._read_part(part, window, bands) for part in (self._whole, self._decimal))
        values = whole.astype(np.float32) + decimal.astype(np.float32) / np.float32(self._divisor)
        for stored, fill in zip((whole, decimal), self._fills, strict=True):
            if fill is not None:
                values[stored == float(fill)] = np.nan
        return values


def _facts(file: Hdf5File, base: str, part: Part, quantity: str) -> FileFacts:
    centres, widths = (file.numbers(f"{base}/Metadata/Spectral_Data/{name}") for name in ("Wavelength", "FWHM"))
    unit = str(file.attributes(f"{base}/Metadata/Spectral_Data/Wavelength").get("Units", "nm"))
    return FileFacts(
        name=str(file.path), driver="neon", grid=_grid(file, base, part_shape(file, part)), dtype=file.dataset(part.name).dtype,
        claims=BandClaims(part_bands(file, part), centres.tolist(), unit, widths.tolist(), sensor="neon"), quantity=quantity,
        acquired=_acquired(file.path.name), files=(file.path,),
        attrs={"product": file.path.stem, "processing_level": _level(file.path.name), "site": base.partition("/")[0], **_sun(file, base)},
    )  # fmt: skip


def _grid(file: Hdf5File, base: str, shape: tuple[int, int]) -> Grid:
    place = f"{base}/Metadata/Coordinate_System"
    info, code = file.texts(f"{place}/Map_Info"), file.texts(f"{place}/EPSG Code")
    parts = [part.strip() for part in (info or [""])[0].strip("{}").split(",")]
    try:
        transform = map_info_transform(parts)
        crs = crs_text(f"EPSG:{int(float(code[0]))}")
    except (ValueError, IndexError, OverflowError):
        raise SceneError(file.path, f"its place {', '.join(parts)} (EPSG {code}) cannot be understood", ADVICE) from None
    if crs is None:
        raise SceneError(file.path, f"its CRS, EPSG {code[0]}, is not known", ADVICE)
    return Grid(shape, transform, crs)


def _absorbed(told: dict[str, Any]) -> Ranges:
    """The product's own windows of absorption; the usual ones where it names none."""
    windows = [np.ravel(np.asarray(told[name], float)) for name in WINDOWS if name in told]
    if not windows or any(window.size != 2 for window in windows):
        return WATER_VAPOUR
    return tuple((float(low), float(high)) for low, high in windows)


def _shadow(file: Hdf5File, name: str, grid: Grid) -> Quality | None:
    if not file.has(name) or file.dataset(name).shape != grid.shape:
        return None
    return Quality(("shadow",), lambda window: np.where(file.read(name, window.slices()) == 0, np.uint8(QUALITY_FLAGS["shadow"]), np.uint8(0)))


def _ancillary(file: Hdf5File, base: str, options: Options) -> Source:
    """An ancillary image as layers."""
    name = f"{base}/Metadata/Ancillary_Imagery/{options.variable}"
    if not file.has(name) or file.dataset(name).ndim not in (2, 3):
        raise OptionError("variable", f"{file.path} has no ancillary image {options.variable!r}", "Give its name in the group Ancillary_Imagery")
    part = Part(name, (None, 0, 1) if file.dataset(name).ndim == 2 else (2, 0, 1))
    count, told = part_bands(file, part), file.attributes(name)
    names = [str(options.variable)] if count == 1 else [f"{options.variable} {number}" for number in range(1, count + 1)]
    ignored = told.get("Data_Ignore_Value")
    facts = FileFacts(
        name=str(file.path), driver="neon", grid=_grid(file, base, part_shape(file, part)), dtype=file.dataset(name).dtype,
        claims=BandClaims(count, names=names, spectral=False), nodata=None if ignored is None else _attribute(file, told, "Data_Ignore_Value", 0.0),
        quantity="dn", files=(file.path,), attrs={"product": file.path.stem},
    )  # fmt: skip
    return Hdf5Source(layout(facts, options), file, [part])


def _attribute(file: Hdf5File, told: dict[str, Any], name: str, usual: float) -> float:
    try:
        value = float(told.get(name, usual))
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or (name.startswith("Scale") and value <= 0):
        raise SceneError(file.path, f"its attribute {name} is {told.get(name)!r}", ADVICE)
    return value


def _sun(file: Hdf5File, base: str) -> dict[str, str]:
    """Angles of the sun, which flight lines have once and mosaics for each line."""
    found = {}
    for key, name in (("sun_zenith", "Solar_Zenith_Angle"), ("sun_azimuth", "Solar_Azimuth_Angle")):
        path = f"{base}/Metadata/Logs/{name}"
        if file.has(path) and file.dataset(path).size == 1 and file.dataset(path).dtype.kind in "iuf":
            found[key] = file.numbers(path)[0]
    return angle_texts(found)


def _view(file: Hdf5File, base: str) -> dict[str, str]:
    """Angles of the view, whose arrays some versions spell with capitals."""
    arrays = {path.rpartition("/")[2].lower(): path for path in file.members(f"{base}/Metadata")}
    return angles_in_the_middle(file, {f"view_{angle}": arrays.get(f"to-sensor_{angle}_angle", "") for angle in ("zenith", "azimuth")})


def _level(name: str) -> str:
    """NEON's level in a file's name: "L1" of a flight line (DP1), "L3" of a mosaic (DP3); "" where it is none of NEON's names."""
    found = re.search(r"_DP(\d)_", name)
    return f"L{found[1]}" if found else ""


def _acquired(name: str) -> str:
    """Date and time (UTC) in a flight line's name, or the date alone; a mosaic has several, and none in its name."""
    found = re.search(r"_(20\d{2})(\d{2})(\d{2})_(?:(\d{2})(\d{2})(\d{2})_)?", name)
    if found is None:
        return ""
    return "{}-{}-{}T{}:{}:{}Z".format(*found.groups()) if found[4] else "{}-{}-{}".format(*found.groups()[:3])
