"""PACE OCI as NetCDF swaths: level 1B, level 2 apparent optical properties (Rrs) and surface reflectance (rhos) (NASA, OB.DAAC).

From the specification, not seen in a real file. Sources: NASA OBPG, OCI Level-1B and Level-2 data structures; l2gen (the choice
between the two gains of a short-wave infrared band, and the meaning of `l2_flags`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath
from hsikit.scene import QUALITY_FLAGS, Floats, Handled, Indices, Quality, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, locate_by
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.angles import angles_in_the_middle
from hsikit.sensors.products.jpl import radiance_scale
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR

WHAT = "a PACE OCI product"
FILL = -32767.0
WIDTH = 5.0
"""Of the blue and red bands (nm), of which the product says none."""
SWIR = ((939.716, 45.0), (1038.317, 80.0), (1250.375, 30.0), (1248.550, 30.0), (1378.169, 15.0), (1619.626, 75.0), (1618.036, 75.0), (2130.593, 50.0),
        (2258.432, 75.0))  # fmt: skip
"""Centres and widths (nm) of the short-wave infrared bands, for level 2, which does not give the widths."""
GAINS = {3: 2, 6: 5}
"""Short-wave infrared bands of high gain, and those of standard gain that measure the same light."""
SATURATED = 1
"""Bit of `qual_blue`, `qual_red` and `qual_SWIR`."""
L1_QUANTITY = {"rhot": "toa_reflectance", "Lt": "radiance"}
L2_QUANTITY = {"Rrs": "rrs", "rhos": "surface_reflectance"}
ANGLES = {"sun_zenith": ("solar_zenith", "solz"), "sun_azimuth": ("solar_azimuth", "sola"), "view_zenith": ("sensor_zenith", "senz"),
          "view_azimuth": ("sensor_azimuth", "sena")}  # fmt: skip
"""Arrays with angles of level 1B in `geolocation_data`, and those that l2gen can put into `geophysical_data` of level 2."""
PROCESSING = "processing_control"
L2_FLAGS = {"CLDICE": "cloud", "CLDSHDSTL": "shadow", "SEAICE": "snow", "HILT": "saturated", "NAVFAIL": "no-data"}
"""Names in `l2_flags`, and what they say; besides, a pixel that is not LAND is water."""


class Reader:
    """Opens level 1B: blue, red and short-wave infrared joined."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file has OCI's arrays of level 1B."""
        found = probe.hdf5.keys
        return "geolocation_data/longitude" in found and ("observation_data/rhot_blue" in found or "observation_data/Lt_blue" in found)

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has no image of the name that is asked for.
        """
        file = Hdf5File(path, WHAT)
        facts = _common_facts(file, "pace-l1b", "geolocation_data")
        if options.variable is not None:
            return _open_variable(file, facts, options, "geolocation_data")
        facts.quality = _level_1_quality(file, facts.grid.shape)
        return _open_level_1(file, facts, options)


class Level2Reader:
    """Opens level 2: remote-sensing reflectance, or surface reflectance."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file is a level 2 swath of OCI with spectra."""
        root = probe.hdf5
        spectra = any(f"geophysical_data/{name}" in root.keys for name in L2_QUANTITY)
        return spectra and root.text("instrument").startswith("OCI") and "navigation_data/longitude" in root.keys

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has no image of the name that is asked for.
        """
        file = Hdf5File(path, WHAT)
        facts = _common_facts(file, "pace-l2", "navigation_data")
        facts.quality = _level_2_quality(file, facts.grid.shape)
        if options.variable is not None:
            return _open_variable(file, facts, options, "geophysical_data")
        name = next(name for name in L2_QUANTITY if file.has(f"geophysical_data/{name}"))
        facts.quantity = L2_QUANTITY[name]
        uncertainty = file.has(f"geophysical_data/{name}_unc")
        facts.attrs = {**facts.attrs, "correction": "l2gen", **({"uncertainty": f"per pixel: --variable {name}_unc"} if uncertainty else {})}
        return _open_image(file, facts, options, f"geophysical_data/{name}")


def _common_facts(file: Hdf5File, driver: str, places: str) -> FileFacts:
    """What both levels have: place, time, provenance."""
    shape = file.dataset(f"{places}/longitude").shape
    if len(shape) != 2 or file.dataset(f"{places}/latitude").shape != shape:
        raise SceneError(file.path, "its longitudes and latitudes are no grid of pixels", "Fetch the file again")
    root, made = file.attributes(), file.attributes(PROCESSING) if file.has(PROCESSING) else {}
    arrays = {name: f"geolocation_data/{known[0]}" if places == "geolocation_data" else f"geophysical_data/{known[1]}" for name, known in ANGLES.items()}
    attrs = {
        "product": str(root.get("title", "")),
        "granule": str(root.get("product_name", "")),
        "processing_level": str(root.get("processing_level", "")),
        "product_version": str(root.get("processing_version", "")),
        "processor": f"OBPG {made.get('software_name', '')}".strip(),
        "processor_version": str(made.get("software_version", root.get("processing_version", ""))),
        **angles_in_the_middle(file, arrays),
    }
    grid = Grid((int(shape[0]), int(shape[1])))
    facts = FileFacts(str(file.path), driver, grid, np.dtype(np.float32), BandClaims(0), quantity="dn", files=(file.path,), attrs=attrs)
    facts.acquired = utc_text(str(root.get("time_coverage_start", "")))
    facts.swath = Swath(grid.shape, locate_by(file, f"{places}/longitude", f"{places}/latitude"))
    return facts


@dataclass(frozen=True, eq=False)
class Detector:
    """One of the three arrays of level 1B.

    Attributes:
        name: "blue", "red" or "SWIR".
        array: its path.
        kept: the bands that belong to the scene, ascending.
        centres: wavelengths of these (nm).
        widths: the same.
    """

    name: str
    array: str
    kept: Indices
    centres: Floats
    widths: Floats

    @property
    def labels(self) -> list[str]:
        """Names of the bands."""
        return [f"{self.name}{band + 1}" for band in self.kept]

    @property
    def parts(self) -> list[Part]:
        """The bands as runs of the array."""
        runs = np.split(self.kept, np.flatnonzero(np.diff(self.kept) > 1) + 1)
        return [Part(self.array, (0, 1, 2), int(run[0]), len(run)) for run in runs]


def _detector(file: Hdf5File, kind: str, name: str, overlap: str) -> Detector:
    array = f"observation_data/{kind}_{name}"
    centres = file.numbers(f"sensor_band_parameters/{name}_wavelength")
    widths = file.numbers("sensor_band_parameters/SWIR_bandpass") if name == "SWIR" else np.full(len(centres), WIDTH)
    if file.dataset(array).ndim != 3 or not len(file.dataset(array)) == len(centres) == len(widths):
        raise SceneError(file.path, f"{array} is {file.dataset(array).shape}, for {len(centres)} wavelengths", "Fetch the file again")
    doubled = tuple(GAINS.values()) if name == "SWIR" and len(centres) == len(SWIR) and overlap != "keep" else ()
    kept = np.array([band for band in range(len(centres)) if band not in doubled], np.intp)
    return Detector(name, array, kept, centres[kept], widths[kept])


def _open_level_1(file: Hdf5File, facts: FileFacts, options: Options) -> Source:
    kind = next(kind for kind in L1_QUANTITY if file.has(f"observation_data/{kind}_blue"))
    detectors = [_detector(file, kind, name, options.detector_overlap) for name in ("blue", "red", "SWIR")]
    arrays, swir = [detector.array for detector in detectors], detectors[2]
    counts = [len(detector.kept) for detector in detectors]
    _set_numbers(file, facts, arrays, np.repeat([0, 1, 2], counts), radiance_scale(file, arrays[0], options.scale) if kind == "Lt" else 1.0)
    facts.quantity, facts.attrs = L1_QUANTITY[kind], {**facts.attrs, "correction": "none"}
    centres, widths = (np.concatenate(values).tolist() for values in ([d.centres for d in detectors], [d.widths for d in detectors]))
    labels = [label for detector in detectors for label in detector.labels]
    facts.claims = BandClaims(sum(counts), centres, "nm", widths, names=labels, sensor="pace-oci", absorbed=WATER_VAPOUR)
    high: dict[int, int] = {}
    if counts[2] < len(file.dataset(swir.array)):
        high = {counts[0] + counts[1] + int(np.searchsorted(swir.kept, band)): standard for band, standard in GAINS.items()}
        facts.notices.append(
            Handled("two short-wave infrared bands are measured at two gains: the high one is taken, the standard one where that is saturated")
        )
    scene = layout(facts, options)
    source = GainSource(scene, file, [part for detector in detectors for part in detector.parts], swir.array, high)
    return join_detectors(source, (scene.order < counts[0]).tolist(), options.detector_overlap)


def _set_numbers(file: Hdf5File, facts: FileFacts, names: Sequence[str], owner: NDArray[np.intp], factor: float = 1.0) -> None:
    """Sets type, scale, offset and fill value of bands out of several arrays.

    Args:
        file: the open file.
        facts: what is set.
        names: the arrays.
        owner: for each band the number of its array.
        factor: from the unit of the arrays to ours.
    """
    attrs = [file.attributes(name) for name in names]
    fills = {float(told.get("_FillValue", FILL)) for told in attrs}
    if len(fills) > 1:
        raise SceneError(file.path, f"its arrays have different fill values ({', '.join(f'{fill:g}' for fill in sorted(fills))})", "Name one with --nodata")
    facts.nodata = fills.pop()
    facts.dtype = np.result_type(*(file.dataset(name).dtype for name in names))
    scale, offset = (np.array([float(told.get(key, default)) for told in attrs])[owner] for key, default in (("scale_factor", 1.0), ("add_offset", 0.0)))
    facts.scale, facts.offset = (factor * scale).tolist(), (factor * offset).tolist()


class GainSource(Hdf5Source):
    """Level 1B, in which a band of high gain takes the value of standard gain where it is saturated.

    Args:
        scene: what `layout` made of the facts.
        file: the open file.
        parts: the arrays.
        swir: the array of short-wave infrared.
        high: position among the claims of each band of high gain, and the band of standard gain in `swir`.
    """

    def __init__(self, scene: Layout, file: Hdf5File, parts: Sequence[Part], swir: str, high: dict[int, int]) -> None:
        super().__init__(scene, file, parts)
        self._swir, self._high = swir, high
        if high:
            _check_quality(file, "SWIR", (len(SWIR), *scene.info.grid.shape))

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        values = super()._stored(window, bands)
        wanted = [number for number, band in enumerate(bands) if int(band) in self._high]
        if not wanted:
            return values
        # As l2gen does: one of the two saturated, and both are taken at standard gain.
        saturated = np.zeros(window.shape, bool)
        for band in GAINS:
            saturated |= self.file.read("observation_data/qual_SWIR", (band, *window.slices())) & SATURATED != 0
        if saturated.any():
            for number in wanted:
                standard = self.file.read(self._swir, (self._high[int(bands[number])], *window.slices()))
                values[number][saturated] = standard[saturated]
        return values


def _check_quality(file: Hdf5File, detector: str, shape: tuple[int, ...]) -> None:
    dataset = file.dataset(f"observation_data/qual_{detector}")
    if dataset.shape != shape or dataset.dtype.kind not in "iu":
        raise SceneError(file.path, f"its qual_{detector} is an array of {dataset.shape} {dataset.dtype}, not of {shape} integers", "Fetch the file again")


def _level_1_quality(file: Hdf5File, shape: tuple[int, int]) -> Quality:
    """Saturated in any band that is used, and water where the product tells it."""
    detectors = [detector for detector in ("blue", "red", "SWIR") if file.has(f"observation_data/qual_{detector}")]
    for detector in detectors:
        _check_quality(file, detector, (int(file.dataset(f"observation_data/qual_{detector}").shape[0]), *shape))
    water = file.has("geolocation_data/watermask") and file.dataset("geolocation_data/watermask").shape == shape

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        for detector in detectors:
            bits = file.read(f"observation_data/qual_{detector}", (slice(None), *window.slices()))
            used = [band for band in range(len(bits)) if not (detector == "SWIR" and len(bits) == len(SWIR) and band in GAINS)]
            out[(bits[used] & SATURATED).any(axis=0)] |= QUALITY_FLAGS["saturated"]
        if water:
            out[file.read("geolocation_data/watermask", window.slices()) == 1] |= QUALITY_FLAGS["water"]
        return out

    return Quality((*(["saturated"] if detectors else []), *(["water"] if water else [])), read)


def _level_2_quality(file: Hdf5File, shape: tuple[int, int]) -> Quality | None:
    """Flags out of `l2_flags`, each by its name in the file."""
    name = "geophysical_data/l2_flags"
    if not file.has(name):
        return None
    dataset, attrs = file.dataset(name), file.attributes(name)
    names = str(attrs.get("flag_meanings", "")).split()
    masks = [int(mask) & 0xFFFFFFFF for mask in np.ravel(np.asarray(attrs.get("flag_masks", [])))]
    if dataset.shape != shape or dataset.dtype.kind not in "iu" or len(names) != len(masks):
        raise SceneError(file.path, f"its l2_flags are an array of {dataset.shape} {dataset.dtype} with {len(names)} names of {len(masks)} flags",
                         "Fetch the file again")  # fmt: skip
    known = dict(zip(names, masks, strict=True))
    bits = {flag: known[meaning] for meaning, flag in L2_FLAGS.items() if meaning in known}
    land = known.get("LAND")

    def read(window: Window) -> NDArray[np.uint8]:
        stored = file.read(name, window.slices()).astype(np.int64)
        out = np.zeros(window.shape, np.uint8)
        for flag, mask in bits.items():
            out[stored & mask != 0] |= QUALITY_FLAGS[flag]
        if land is not None:
            out[stored & land == 0] |= QUALITY_FLAGS["water"]
        return out

    return Quality((*bits, *(["water"] if land is not None else [])), read)


def _open_variable(file: Hdf5File, facts: FileFacts, options: Options, group: str) -> Source:
    """An array that the user names, with or without its group."""
    named = str(options.variable)
    name = named if "/" in named else f"{group}/{named}"
    if not file.has(name) or len(getattr(file.dataset(name), "shape", ())) not in (2, 3):
        raise SceneError(file.path, f"has no image {name!r}", f"Name an array of {group}, or one with its group")
    return _open_image(file, facts, options, name)


def _open_image(file: Hdf5File, facts: FileFacts, options: Options, name: str) -> Source:
    """An array of (rows, cols) or (rows, cols, bands), spectra where it has as many bands as there are wavelengths."""
    shape = file.dataset(name).shape
    count = 1 if len(shape) == 2 else int(shape[2])
    _set_numbers(file, facts, [name], np.zeros(count, np.intp))
    axis = "sensor_band_parameters/wavelength_3d"
    if len(shape) == 3 and file.has(axis) and file.dataset(axis).size == count:
        centres = file.numbers(axis)
        facts.claims = BandClaims(count, centres.tolist(), "nm", _widths(centres).tolist(), sensor="pace-oci", absorbed=WATER_VAPOUR)
    elif facts.quantity != "dn":
        raise SceneError(file.path, f"{name} has {count} bands, and there are not as many wavelengths in {axis}", "Fetch the file again")
    else:
        short = name.rpartition("/")[2]
        names = [short] if count == 1 else [f"{short} {number}" for number in range(1, count + 1)]
        facts.claims = BandClaims(count, names=names, sensor="pace-oci", spectral=False)
    return Hdf5Source(layout(facts, options), file, [Part(name, (None, 0, 1) if len(shape) == 2 else (2, 0, 1))])


def _widths(centres: Floats) -> Floats:
    """Widths of level 2's bands: those of the nearest short-wave infrared band, else those of the hyperspectral bands."""
    known, widths = np.array(SWIR).T
    nearest: Floats = widths[np.abs(centres[:, None] - known).argmin(axis=1)]
    return np.where(centres > 900, nearest, WIDTH)
