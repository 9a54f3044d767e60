"""AVIRIS-3 and its sisters as NetCDF: radiance and observation on the sensor's grid, reflectance on a map (NASA/JPL, ORNL DAAC).

From the specification, not seen in a real file. Sources: ORNL DAAC, guides of AV3_L1B_RDN and AV3_L2A_RFL. Of a reflectance,
`--variable uncertainty` is found in the file beside it; other arrays of the file have names such as `water_vapor`. Angles are those of
the observation (OBS) of the same line, where it lies beside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import Swath
from hsikit.scene import PlaceDoubt, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.crs import crs_text
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, locate_by
from hsikit.sensors.netcdf_variables import variables_of
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.angles import angles_in_the_middle
from hsikit.sensors.products.jpl import FILL, FilledTable, LayerSource, gdal_transform, layer_type, radiance_scale
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR

WHAT = "an AVIRIS product"
QUANTITY = {"radiance": "radiance", "reflectance": "surface_reflectance", "uncertainty": "dn"}
"""Groups that hold an array of their own name with the axes (band, row, column), and what it is."""
OBSERVATION = "observation_parameters"
ANGLES = {ours: f"{OBSERVATION}/{name}" for ours, name in (("sun_zenith", "to_sun_zenith"), ("sun_azimuth", "to_sun_azimuth"),
          ("view_zenith", "to_sensor_zenith"), ("view_azimuth", "to_sensor_azimuth"))}  # fmt: skip
TABLE = "geolocation_lookup_table"
MAPPINGS = ("transverse_mercator", "projection")
NAME = re.compile(r"(AV[35]|ANG|AVC?)(\d{8}T\d{6})", re.IGNORECASE)
LINE = re.compile(r"(\w+?)_L\d[A-Z]_", re.IGNORECASE)
"""What the names of all files of a flight line, or of a part of it, begin with."""
MATCH = 0.01
"""Of a pixel: coordinates and transform that differ by more do not agree."""


class Reader:
    """Opens AVIRIS's NetCDF products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file has one of the groups, and a map or a lookup table."""
        found = probe.hdf5.keys
        spectra = any(f"{name}/{name}" in found and f"{name}/wavelength" in found for name in QUANTITY)
        return (spectra and not found.isdisjoint((*MAPPINGS, TABLE))) or {OBSERVATION, TABLE} <= found

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has no array of the name that is asked for.
        """
        file = Hdf5File(path, WHAT)
        if options.variable == "uncertainty" and not file.has("uncertainty/uncertainty"):
            file = Hdf5File(_uncertainty_beside(path), WHAT)
        names = _arrays(file, options.variable)
        shape = file.dataset(names[0]).shape
        facts = _common_facts(file, (int(shape[-2]), int(shape[-1])))
        return _open_layers(file, facts, names, options) if len(shape) == 2 else _open_bands(file, facts, names[0], options)


def _arrays(file: Hdf5File, variable: str | None) -> list[str]:
    """The arrays that are the scene: the spectra, or the layers of an observation; or what the user names, by path or group alone."""
    found = variables_of(file.path)
    images = [name for name, told in found.items() if len(told.shape) in (2, 3) and told.numeric]
    if variable is not None:
        chosen = [name for name in (variable, f"{variable}/{variable}", f"{OBSERVATION}/{variable}") if name in images][:1]
        if not chosen:
            raise SceneError(file.path, f"has no image {variable!r}", f"It has {', '.join(images)}")
        return chosen
    spectra = [f"{name}/{name}" for name in QUANTITY if f"{name}/{name}" in images]
    layers = [name for name in images if name.startswith(f"{OBSERVATION}/") and len(found[name].shape) == 2]
    lost = [name for name in file.members(OBSERVATION) if name not in found]
    if lost and not spectra:
        raise SceneError(file.path, f"its layer {lost[0]} is no array", "Fetch the file again")
    if not (spectra or layers):
        raise SceneError(file.path, "holds none of the arrays of an AVIRIS product", f"Known are {', '.join(QUANTITY)}; or name one with --variable")
    return spectra[:1] or layers


def _common_facts(file: Hdf5File, shape: tuple[int, int]) -> FileFacts:
    """What all products have: place, time, provenance."""
    root = file.attributes()
    title = str(root.get("title", ""))
    named = NAME.match(file.path.name)
    level = re.search(r"\bL\d[A-Z]?\b", title) or re.search(r"(?<=_)L\d[A-Z](?=_)", file.path.name)
    attrs = {
        "product": title,
        "processing_level": level[0] if level else str(root.get("processing_level", "")),
        "product_version": str(root.get("product_version", "")),
        "processor": str(root.get("institution", "")),
        "processor_version": str(root.get("software_version", root.get("software_build_version", ""))),
    }
    facts = FileFacts(str(file.path), "aviris-netcdf", Grid(shape), np.dtype(np.float32), BandClaims(0), quantity="dn", files=(file.path,), attrs=attrs)
    facts.acquired = utc_text(str(root.get("time_coverage_start", ""))) or (utc_text(named[2]) if named else "")
    facts.attrs = {**attrs, **_angles(file, facts.notices)}
    _place(file, facts, shape)
    return facts


def _angles(file: Hdf5File, notices: list[str]) -> dict[str, str]:
    """Angles at the middle pixel of the file's own observation, or of the one beside it; none, with a notice, where that is damaged."""
    line = LINE.match(file.path.name)
    beside = sorted(file.path.parent.glob(f"{line[1]}_L1B_ORT_*_OBS.nc")) if line and not file.has(OBSERVATION) else []
    if not beside:
        return angles_in_the_middle(file, ANGLES)
    other = Hdf5File(beside[0], WHAT)
    try:
        with damage_named(beside[0], WHAT):
            return angles_in_the_middle(other, ANGLES)
    except SceneError as error:
        notices.append(f"the observation beside it is not used: {error}")
        return {}
    finally:
        other.close()


def _place(file: Hdf5File, facts: FileFacts, shape: tuple[int, int]) -> None:
    """Sets the map's grid; or, where the pixels are the sensor's, their places and the lookup table of the map."""
    mapping: Mapping[str, Any] = next((file.attributes(name) for name in MAPPINGS if file.has(name)), {})
    transform, crs = gdal_transform(mapping.get("GeoTransform", "")), crs_text(mapping.get("crs_wkt") or mapping.get("spatial_ref"))
    placed = transform is not None and crs is not None
    if file.has(TABLE) and file.has("lon") and file.dataset("lon").shape == file.dataset("lat").shape == shape:
        table = None
        if placed and transform is not None:
            rows, cols = file.dataset(f"{TABLE}/sample").shape
            table = FilledTable(file, Grid((int(rows), int(cols)), transform, crs), f"{TABLE}/sample", f"{TABLE}/line", shape)
        facts.swath = Swath(shape, locate_by(file, "lon", "lat"), table)
    elif not placed or transform is None:
        raise SceneError(file.path, "has no transform and coordinate system of its map, as its groups do not say", "Fetch the file again")
    else:
        facts.grid = Grid(shape, transform, crs)
        _compare_coordinates(file, facts)


def _compare_coordinates(file: Hdf5File, facts: FileFacts) -> None:
    """Says so where the coordinates of the pixels' centres contradict the transform, which counts."""
    turned = facts.grid.transform[1] != 0 or facts.grid.transform[3] != 0
    if turned or not all(file.has(name) and file.dataset(name).ndim == 1 and file.dataset(name).size for name in ("easting", "northing")):
        return
    x, y = facts.grid.centres(0, 0)
    width, height = facts.grid.pixel_size
    east, north = (float(file.read(name, (0,))) for name in ("easting", "northing"))
    apart = max(abs(east - x) / width, abs(north - y) / height)
    if apart > MATCH:
        facts.notices.append(PlaceDoubt(f"its coordinates lie {apart:.2g} pixels from its GeoTransform, which is taken as that of the pixels' corners"))


def _open_bands(file: Hdf5File, facts: FileFacts, name: str, options: Options) -> Source:
    group = name.partition("/")[0]
    dataset, attrs = file.dataset(name), file.attributes(name)
    facts.dtype, facts.nodata = dataset.dtype, float(attrs.get("_FillValue", FILL))
    facts.quantity = QUANTITY.get(group, "dn")
    centres = file.numbers(f"{group}/wavelength")
    unit = str(file.attributes(f"{group}/wavelength").get("units", "nm"))
    widths = file.numbers(f"{group}/fwhm").tolist() if file.has(f"{group}/fwhm") else None
    told = " ".join(str(file.attributes().get(key, "")) for key in ("instrument", "sensor", "title", "source"))
    sensor = re.search(r"AVIRIS[- ]?(3|5|NG|Classic)", told, re.IGNORECASE)
    facts.claims = BandClaims(len(centres), centres.tolist(), unit, widths, sensor=sensor[0] if sensor else "", absorbed=WATER_VAPOUR)
    if group == "radiance":
        facts.scale = radiance_scale(file, name, options.scale)
        facts.attrs = {**facts.attrs, "correction": "none"}
    if group == "reflectance":
        beside = _uncertainty_file(file.path)
        facts.attrs = {**facts.attrs, "correction": "ISOFIT (optimal estimation)", **({"uncertainty": "per pixel: --variable uncertainty"} if beside else {})}
    return Hdf5Source(layout(facts, options), file, [Part(name, (0, 1, 2))])


def _uncertainty_file(path: Path) -> Path | None:
    """The uncertainty of a reflectance, by its name, where it lies beside it."""
    beside = path.with_name(re.sub(r"_RFL(?=[_.])", "_UNC", path.name))
    return beside if beside != path and beside.is_file() else None


def _uncertainty_beside(path: Path) -> Path:
    found = _uncertainty_file(path)
    if found is None:
        raise SceneError(path, "has no group 'uncertainty', and no file with UNC for RFL in its name lies beside it", "Fetch that file too")
    return found


def _open_layers(file: Hdf5File, facts: FileFacts, names: list[str], options: Options) -> Source:
    facts.dtype = layer_type(file, names)
    facts.claims = BandClaims(len(names), names=[name.rpartition("/")[2] for name in names], spectral=False)
    return LayerSource(layout(facts, options), file, names)
