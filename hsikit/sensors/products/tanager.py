"""Tanager in HDF-EOS5: radiance or surface reflectance, "basic" on the sensor's grid and "ortho" on a map (Planet).

From the specification, not seen in a real file. Source: Planet, Tanager Product Specification, November 2025. `--variable` names
another image of the file, such as `column_water_vapor` or `surface_reflectance_uncertainty`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Coefficients, Grid, Window
from hsikit.geo.swath import Swath
from hsikit.scene import QUALITY_FLAGS, Handled, Indices, Quality, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, locate_by
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.angles import angles_in_the_middle
from hsikit.sensors.products.jpl import FILL, LayerSource, layer_type, radiance_scale
from hsikit.sensors.water_vapour import WATER_VAPOUR

WHAT = "a Tanager product"
BASIC, ORTHO = "HDFEOS/SWATHS/HYP", "HDFEOS/GRIDS/HYP"
QUANTITY = {"toa_radiance": "radiance", "surface_reflectance": "surface_reflectance"}
"""Arrays with the axes (band, row, column), and what they are, in our units."""
UNCERTAINTY = "_uncertainty"
"""What follows the name of an array in the name of its uncertainty."""
MASKS = {"beta_cloud_mask": "cloud", "beta_cirrus_mask": "cirrus", "nodata_pixels": "no-data"}
"""Arrays of 0 and 1, and what 1 says."""
ANGLES = {"sun_zenith": "sun_zenith", "sun_azimuth": "sun_azimuth", "view_zenith": "sensor_zenith", "view_azimuth": "sensor_azimuth"}
"""Arrays of angles, by what we call them."""
STRUCTURE = "HDFEOS INFORMATION/StructMetadata.0"
NAME = re.compile(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_(\d\d)_\d+")
"""Date, time and hundredths of a second in the names of scenes and strips."""


class Reader:
    """Opens Tanager's basic and ortho products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file has Tanager's swath or grid."""
        return not probe.hdf5.keys.isdisjoint((BASIC, ORTHO))

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has no image of the name that is asked for.
        """
        file = Hdf5File(path, WHAT)
        group = BASIC if file.has(BASIC) else ORTHO
        fields = f"{group}/Data Fields"
        name = options.variable or next((name for name in QUANTITY if file.has(f"{fields}/{name}")), None)
        if name is None or not file.has(f"{fields}/{name}") or file.dataset(f"{fields}/{name}").ndim not in (2, 3):
            raise SceneError(path, f"has no image {name or ' or '.join(QUANTITY)!r} in {fields}", "Name one of its Data Fields with --variable")
        shape = file.dataset(f"{fields}/{name}").shape
        facts = _common_facts(file, group, (int(shape[-2]), int(shape[-1])))
        return _open_layer(file, facts, fields, name, options) if len(shape) == 2 else _open_bands(file, facts, fields, name, options)


def _common_facts(file: Hdf5File, group: str, shape: tuple[int, int]) -> FileFacts:
    """What all products have: place, time, provenance."""
    level = "basic" if group == BASIC else "ortho"
    angles = angles_in_the_middle(file, {ours: f"{group}/Data Fields/{name}" for ours, name in ANGLES.items()})
    attrs = {"processing_level": level, "processor": "Planet", "strip": str(file.attributes(group).get("strip_id", "")), **angles}
    facts = FileFacts(str(file.path), "tanager", Grid(shape), np.dtype(np.float32), BandClaims(0), quantity="dn", files=(file.path,), attrs=attrs)
    facts.acquired = _acquired(file, group)
    facts.quality = _quality(file, group, shape)
    if group == BASIC:
        places = f"{group}/Geolocation Fields"
        if not file.dataset(f"{places}/Longitude").shape == file.dataset(f"{places}/Latitude").shape == shape:
            raise SceneError(file.path, "its longitudes and latitudes are not of the image's shape", "Fetch the file again")
        facts.swath = Swath(shape, locate_by(file, f"{places}/Longitude", f"{places}/Latitude"))
    else:
        facts.grid = _map_grid(file, shape)
    return facts


def _map_grid(file: Hdf5File, shape: tuple[int, int]) -> Grid:
    """The map's grid out of the file's structure metadata, whose points are the outer corners of the grid."""
    text = " ".join(file.texts(STRUCTURE, 16))
    number = r"(-?[\d.]+(?:[eE][+-]?\d+)?)"
    corners = [re.search(rf"{name}\s*=\s*\(\s*{number}\s*,\s*{number}\s*\)", text) for name in ("UpperLeftPointMtrs", "LowerRightMtrs")]
    sizes = [re.search(rf"\b{name}\s*=\s*(\d+)", text) for name in ("YDim", "XDim")]
    if not all(corners) or not all(sizes):
        raise SceneError(file.path, f"its {STRUCTURE} does not say where the map lies", "Fetch the file again")
    (left, top), (right, bottom) = ((float(found[1]), float(found[2])) for found in corners if found)
    rows, cols = (int(found[1]) for found in sizes if found)
    if (rows, cols) != shape or right <= left or top <= bottom:
        raise SceneError(file.path, f"its {STRUCTURE} describes a map of {rows} x {cols} pixels, and the image has {shape[0]} x {shape[1]}",
                         "Fetch the file again")  # fmt: skip
    transform: Coefficients = ((right - left) / cols, 0.0, left, 0.0, (bottom - top) / rows, top)
    return Grid(shape, transform, f"EPSG:{_epsg(file, text)}")


def _epsg(file: Hdf5File, text: str) -> int:
    """The code of the map's UTM zone: the grid's own attribute, else the zone, which is negative in the south."""
    told = file.attributes(ORTHO).get("epsg_code")
    if told is not None:
        return int(told)
    zone = re.search(r"ZoneCode\s*=\s*(-?\d+)", text)
    if "HE5_GCTP_UTM" not in text or zone is None or not 1 <= abs(int(zone[1])) <= 60:
        raise SceneError(file.path, f"its {STRUCTURE} names no UTM zone", "Fetch the file again")
    return (32600 if int(zone[1]) > 0 else 32700) + abs(int(zone[1]))


def _acquired(file: Hdf5File, group: str) -> str:
    """The time of the first line; else that in the file's name, or the strip's."""
    lines = f"{group}/Geolocation Fields/Time"
    if file.has(lines) and file.dataset(lines).ndim == 1 and file.dataset(lines).size:
        seconds = float(file.read(lines, (0,)))
        if 0 < seconds < 1e11:
            return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    named = NAME.search(file.path.name) or NAME.search(str(file.attributes(group).get("strip_id", "")))
    return "{}-{}-{}T{}:{}:{}.{}Z".format(*named.groups()) if named else ""


def _quality(file: Hdf5File, group: str, shape: tuple[int, int]) -> Quality | None:
    masks = {f"{group}/Data Fields/{name}": flag for name, flag in MASKS.items() if file.has(f"{group}/Data Fields/{name}")}
    for name in masks:
        if file.dataset(name).shape != shape:
            raise SceneError(file.path, f"{name} has {file.dataset(name).shape} pixels, and the image {shape} (rows, columns)", "Fetch the file again")

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        for name, flag in masks.items():
            out[file.read(name, window.slices()) == 1] |= QUALITY_FLAGS[flag]
        return out

    return Quality(tuple(masks.values()), read) if masks else None


def _open_bands(file: Hdf5File, facts: FileFacts, fields: str, name: str, options: Options) -> Source:
    dataset, attrs = file.dataset(f"{fields}/{name}"), file.attributes(f"{fields}/{name}")
    of = name.removesuffix(UNCERTAINTY)  # an uncertainty has the bands of what it is of
    facts.dtype, facts.nodata = dataset.dtype, float(attrs.get("_FillValue", FILL))
    facts.quantity = QUANTITY.get(name, "dn")
    if name == "toa_radiance" and attrs.get("units"):
        facts.scale = radiance_scale(file, f"{fields}/{name}", options.scale)
    told = {**file.attributes(f"{fields}/{of}"), **attrs} if file.has(f"{fields}/{of}") else attrs
    centres, widths, good = (_row(told.get(key)) for key in ("wavelengths", "fwhm", "good_wavelengths"))
    # A list names the absorbed bands of reflectance; of radiance, at most what the detector lacks.
    absorbed = WATER_VAPOUR if good is None or of == "toa_radiance" else ()
    facts.claims = BandClaims(int(dataset.shape[0]), centres, "nm", widths, good, sensor="tanager", absorbed=absorbed)
    bad = 0 if good is None else sum(not flag for flag in good)
    if bad:
        facts.notices.append(Handled(f"{bad} of {dataset.shape[0]} bands are bad by the product's own word, and will not be used"))
    correction = {"toa_radiance": "none", "surface_reflectance": "ISOFIT (optimal estimation)"}.get(name, "")
    facts.attrs = {**facts.attrs, "product": f"Tanager {facts.attrs['processing_level']} {name.replace('_', ' ')}", "correction": correction}
    if file.has(f"{fields}/{name}{UNCERTAINTY}"):
        facts.attrs["uncertainty"] = f"per pixel: --variable {name}{UNCERTAINTY}"
    empty = f"{fields}/nodata_pixels"
    return BandSource(layout(facts, options), file, f"{fields}/{name}", empty if file.has(empty) else None)


def _row(values: Any) -> list[float] | None:
    return None if values is None else np.ravel(np.asarray(values, float)).tolist()


class BandSource(Hdf5Source):
    """Bands of one array, missing where the product says that a pixel has no data, whatever number stands there."""

    def __init__(self, scene: Layout, file: Hdf5File, name: str, empty: str | None) -> None:
        super().__init__(scene, file, [Part(name, (0, 1, 2))])
        self._empty = empty

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        values = super()._stored(window, bands)
        if self._empty is not None:
            values[:, self.file.read(self._empty, window.slices()) == 1] = np.nan if self.info.nodata is None else self.info.nodata
        return values


def _open_layer(file: Hdf5File, facts: FileFacts, fields: str, name: str, options: Options) -> Source:
    names: Sequence[str] = [f"{fields}/{name}"]
    facts.dtype = layer_type(file, names)
    facts.claims = BandClaims(1, names=[name], sensor="tanager", spectral=False)
    return LayerSource(layout(facts, options), file, names)
