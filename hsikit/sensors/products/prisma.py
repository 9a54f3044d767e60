"""PRISMA (ASI), levels 1, 2B, 2C and 2D: the coregistered cubes of both detectors or, with the role "pan", the panchromatic image.

Level 2D is a UTM map, stored (rows, bands, columns). The others lie on the sensor's grid and are stored (across track, bands,
along track): the rows of the scene go along the track, so that a detector element is a column, as everywhere else.

Bands of no wavelength are no bands. A zero in one band is the low end of the scale (a negative value before it was clipped); a
pixel is missing where no band of the VNIR has any signal. The panchromatic image has no second band to tell: its zeros are fill.

Source: ASI, PRISMA Products Specification Document (issue 2.3), and the structure of four products of 2024-04-02.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath
from hsikit.scene import QUALITY_FLAGS, Floats, Indices, Quality, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, locate_by, part_shape
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.band_order import need_order
from hsikit.sensors.products.prisma_grid import map_grid
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR

SWATHS = "HDFEOS/SWATHS/PRS_L"
WHAT = "a PRISMA product"
FULL_SCALE = 65535
PAN = (550.0, 300.0)
"""Centre and width (nm) of the panchromatic channel: 400 to 700 nm (ASI)."""
DETECTORS = ("Vnir", "Swir")
SATURATED = {"SAT": (2,), "L2": (3, 4)}
"""Codes of a saturated value in the error matrices of level 1 and of level 2, where two editions of the document differ."""
CLOUD, WATER, SNOW = 1, 0, 1
"""Values of Cloud_Mask, and of LandCover_Mask; in both, 10 is "not classified", and 255 an error."""


@dataclass(frozen=True)
class _Product:
    """An open product.

    Attributes:
        file: the HDF5 file.
        attrs: its global attributes.
        level: "1", "2B", "2C" or "2D".
    """

    file: Hdf5File
    attrs: Mapping[str, Any]
    level: str

    @property
    def mapped(self) -> bool:
        return self.level == "2D"

    @property
    def errors(self) -> str:
        """The middle of the names of its error matrices."""
        return "SAT" if self.level == "1" else "L2"

    def path(self, swath: str, field: str) -> str:
        return f"{SWATHS}{self.level}_{swath}/{field}"

    def number(self, key: str) -> float:
        """A finite global attribute.

        Raises:
            SceneError: it is missing or no number.
        """
        value = self.attrs.get(key)
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise SceneError(self.file.path, f"has no number {key}, which {WHAT} has", "Fetch the file again")
        return float(value)

    def numbers(self, key: str) -> Floats:
        """A row of numbers among the global attributes."""
        value = np.atleast_1d(np.asarray(self.attrs.get(key, ())))
        if value.ndim != 1 or not value.size or value.dtype.kind not in "iuf":
            raise SceneError(self.file.path, f"has no row of numbers {key}, which {WHAT} has", "Fetch the file again")
        return value.astype(float)

    def scaling(self, detector: str) -> tuple[float, float]:
        """Factor and offset from stored to physical values."""
        if self.level == "1":
            divisor = self.number(f"ScaleFactor_{detector}")
            if divisor <= 0:
                raise SceneError(self.file.path, f"has the scale factor {divisor:g}", "Fetch the file again")
            return 1 / divisor, -self.number(f"Offset_{detector}")
        low, high = self.number(f"L2Scale{detector}Min"), self.number(f"L2Scale{detector}Max")
        if high <= low:
            raise SceneError(self.file.path, f"has the scale {low:g} to {high:g}", "Fetch the file again")
        return (high - low) / FULL_SCALE, low


class Reader:
    """Opens PRISMA products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether there is a swath of PRISMA."""
        return any(key.startswith(SWATHS) for key in probe.hdf5.keys)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is incomplete.
        """
        file = Hdf5File(path, WHAT)
        attrs = file.attributes()
        level = next((level for level in ("1", "2B", "2C", "2D") if file.has(f"{SWATHS}{level}_HCO")), None)
        if level is None:
            raise SceneError(path, "holds no coregistered cubes of level 1, 2B, 2C or 2D", "Fetch the standard product (PRS_L1_STD, PRS_L2D_STD)")
        product = _Product(file, attrs, level)
        return _open_pan(product, options) if options.role == "pan" else _open_cubes(product, options)


def _open_cubes(product: _Product, options: Options) -> Source:
    parts: dict[str, list[Part]] = {}
    centres, widths, scale, offset, names = [], [], [], [], []
    for detector in DETECTORS:
        wavelength, fwhm, used = _bands(product, detector)
        axes = (1, 0, 2) if product.mapped else (1, 2, 0)
        parts[detector] = [Part(product.path("HCO", f"Data Fields/{detector.upper()}_Cube"), axes, first, count) for first, count in _runs(used)]
        factor, term = product.scaling(detector)
        centres += wavelength[used].tolist()
        widths += fwhm[used].tolist()
        names += [f"{detector.upper()} {number + 1}" for number in used]
        scale += [factor] * len(used)
        offset += [term] * len(used)
    shape = part_shape(product.file, parts["Vnir"][0])
    quantity = "surface_reflectance" if product.level in ("2C", "2D") else "radiance"
    facts = _facts(product, shape, "HCO")
    facts.claims = BandClaims(len(centres), centres, "nm", widths, names=names, sensor="prisma", absorbed=WATER_VAPOUR)
    facts.scale, facts.offset, facts.quantity, facts.dtype = scale, offset, quantity, np.dtype(np.float32)
    cubes = [*parts["Vnir"], *parts["Swir"]]
    facts.quality = _quality(product, cubes, parts["Vnir"])
    scene = layout(facts, options)
    source = _Cubes(scene, product.file, cubes, parts["Vnir"])
    vnir = sum(part.count or 0 for part in parts["Vnir"])
    return join_detectors(source, [bool(place < vnir) for place in scene.order], options.detector_overlap)


def _open_pan(product: _Product, options: Options) -> Source:
    part = Part(product.path("PCO", "Data Fields/Cube"), (None, 0, 1) if product.mapped else (None, 1, 0))
    facts = _facts(product, part_shape(product.file, part), "PCO")
    centre, width = PAN
    facts.claims = BandClaims(1, [centre], "nm", [width], names=["PAN"], sensor="prisma")
    facts.scale, facts.offset = product.scaling("Pan")
    facts.nodata = 0
    facts.quantity = "surface_reflectance" if product.level in ("2C", "2D") else "radiance"
    return Hdf5Source(layout(facts, options), product.file, [part])


def _facts(product: _Product, shape: tuple[int, int], swath: str) -> FileFacts:
    """What cube and panchromatic image have in common: place, time, provenance."""
    attrs = product.attrs
    notices: list[str] = []
    if product.mapped:
        grid, place = map_grid(product.file, attrs, shape, swath, notices), None
    else:
        suffix = "_VNIR" if product.level == "1" and swath == "HCO" else ""
        fields = [product.path(swath, f"Geolocation Fields/{name}{suffix}") for name in ("Longitude", "Latitude")]
        grid, place = Grid(shape), Swath(shape, locate_by(product.file, fields[0], fields[1], transposed=True))
        for name in fields:
            if product.file.dataset(name).shape != shape[::-1]:
                raise SceneError(product.file.path, f"{name} is of another size than the image", "Fetch the file again")
    return FileFacts(
        name=str(product.file.path), driver="prisma", grid=grid, dtype=np.dtype(np.uint16), claims=BandClaims(0), swath=place, files=(product.file.path,),
        acquired=utc_text(str(attrs.get("Product_StartTime", ""))), notices=notices, attrs=_provenance(product),
    )  # fmt: skip


def _provenance(product: _Product) -> dict[str, str]:
    attrs = product.attrs
    found = {
        "product": str(attrs.get("Product_Name") or attrs.get("Product_ID") or product.file.path.stem),
        "processing_level": f"L{product.level}",
        "processor": str(attrs.get("Processor_Name") or "PRISMA"),
        "processor_version": str(attrs.get("Processor_Version", "")),
        "correction": {"1": "none", "2B": "atmosphere: radiance at the surface"}.get(product.level, "atmosphere"),
    }
    for name, key in (("sun_zenith", "Sun_zenith_angle"), ("sun_azimuth", "Sun_azimuth_angle")):
        if isinstance(attrs.get(key), int | float):
            found[name] = f"{attrs[key]:.4f}"
    angles = product.path("HCO", "Geometric Fields/Observing_Angle")
    if product.file.has(angles):
        rows, cols = product.file.dataset(angles).shape
        found["view_zenith"] = f"{float(product.file.read(angles, (rows // 2, cols // 2))):.4f}"
    return {**found, **cloud_cover(attrs.get("Cloudy_pixels_percentage"))}


def _bands(product: _Product, detector: str) -> tuple[Floats, Floats, Indices]:
    """Centres and widths (nm) of a cube as stored, and the positions of those that are bands.

    Raises:
        SceneError: the lists do not fit the cube.
    """
    centres, widths = product.numbers(f"List_Cw_{detector}"), product.numbers(f"List_Fwhm_{detector}")
    name = product.path("HCO", f"Data Fields/{detector.upper()}_Cube")
    cube = product.file.dataset(name)
    if cube.ndim != 3 or cube.dtype.kind not in "iu" or not cube.shape[1] == len(centres) == len(widths):
        raise SceneError(
            product.file.path, f"{name} is {cube.dtype.name} of shape {cube.shape}, and {len(centres)} bands are described", "Fetch the file again"
        )
    used = np.flatnonzero(centres > 0)
    if not used.size:
        raise SceneError(product.file.path, f"names no wavelength of the {detector.upper()}", "Fetch the file again")
    need_order(centres[used].tolist(), product.file.path, detector.upper())
    return centres, widths, used


def _runs(used: Indices) -> list[tuple[int, int]]:
    """(first, count) of each run of consecutive positions."""
    edges = [0, *(np.flatnonzero(np.diff(used) > 1) + 1).tolist(), len(used)]
    return [(int(used[low]), high - low) for low, high in pairwise(edges)]


class _Cubes(Hdf5Source):
    """Both cubes, as stored but for missing pixels, which are NaN.

    Args:
        scene: see `Hdf5Source`.
        file: the same.
        parts: the same.
        lit: the parts of the VNIR: a pixel without any signal in them is missing.
    """

    def __init__(self, scene: Layout, file: Hdf5File, parts: Sequence[Part], lit: Sequence[Part]) -> None:
        super().__init__(scene, file, parts)
        self._lit = lit

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        stored = super()._stored(window, bands)
        zero = stored == 0
        if self.info.nodata is None and zero.any():
            stored[zero & _dark(self.file, self._lit, window)] = np.nan
        return stored


def _dark(file: Hdf5File, parts: Sequence[Part], window: Window) -> NDArray[np.bool_]:
    """Where no band of these parts has any signal."""
    dark = np.ones(window.shape, bool)
    for part in parts:
        dark &= ~_box(file, part, window).any(axis=0)
    return dark


def _box(file: Hdf5File, part: Part, window: Window) -> NDArray[Any]:
    """A part's numbers of a window, shape (bands, rows, cols)."""
    selection: list[Any] = [None, None, None]
    for axis, piece in zip(part.axes, (slice(part.first, part.first + (part.count or 0)), *window.slices()), strict=True):
        selection[axis or 0] = piece
    return file.read(part.name, tuple(selection)).transpose([axis or 0 for axis in part.axes])


def _quality(product: _Product, cubes: Sequence[Part], lit: Sequence[Part]) -> Quality:
    """Flags out of the error matrices and, of level 1, out of the masks of clouds and land cover; see `_Cubes` for `lit`."""
    matrices = [replace(part, name=part.name.replace("_Cube", f"_PIXEL_{product.errors}_ERR_MATRIX")) for part in cubes]
    for matrix, part in zip(matrices, cubes, strict=True):
        if product.file.dataset(matrix.name).shape != product.file.dataset(part.name).shape:
            raise SceneError(product.file.path, f"{matrix.name} is of another size than its cube", "Fetch the file again")
    masks = [product.path("HCO", f"Data Fields/{name}_Mask") for name in ("Cloud", "LandCover")] if product.level == "1" else []
    for name in masks:
        if product.file.dataset(name).shape != part_shape(product.file, lit[0])[::-1]:
            raise SceneError(product.file.path, f"{name} is of another size than the image", "Fetch the file again")

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        out[_dark(product.file, lit, window)] |= QUALITY_FLAGS["no-data"]
        for matrix in matrices:
            out[np.isin(_box(product.file, matrix, window), SATURATED[product.errors]).any(axis=0)] |= QUALITY_FLAGS["saturated"]
        if masks:
            rows, cols = window.slices()
            cloud, cover = (product.file.read(name, (cols, rows)).T for name in masks)
            for flag, where in (("cloud", cloud == CLOUD), ("water", cover == WATER), ("snow", cover == SNOW)):
                out[where] |= QUALITY_FLAGS[flag]
        return out

    return Quality((*(("cloud", "snow", "water") if masks else ()), "saturated", "no-data"), read)
