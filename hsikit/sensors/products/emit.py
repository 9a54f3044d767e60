"""EMIT as NetCDF on the sensor's grid: radiance, observation, reflectance, its uncertainty, masks and minerals (NASA/JPL, LP DAAC).

A masks file of the same granule beside a spectral file gives the quality of its pixels. `--variable` names another array of the
file, such as `band_mask` (which bands were interpolated, one bit each) or `location/elev`; of a reflectance, `reflectance_uncertainty`
is found in the file beside it. Sources: EMIT L1B, L2A and L2B product user guides; the masks' bands, NASA/JPL emit-sds-l2a.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath
from hsikit.scene import Handled, Indices, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.crs import crs_text
from hsikit.sensors.facts import FileFacts, Layout, Options, OrderedSource, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part, locate_by
from hsikit.sensors.hdf5_heaps import refuse_endless_heaps
from hsikit.sensors.netcdf_variables import variables_of
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.emit_granule import NAMES, WHAT, angles_beside, file_beside, mask_quality, masks_beside
from hsikit.sensors.products.jpl import FILL, FilledTable, LayerSource, gdal_transform, layer_type, radiance_scale
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR

UNLIT = -0.01
"""What L2A writes into the bands in which water vapour leaves no light."""
UNLIT_NM = ((1325.0, 1435.0), (1770.0, 1962.0))
"""Where these bands lie, for the products of 2022 that do not list their good ones."""
QUANTITY = {"radiance": "radiance", "reflectance": "surface_reflectance", "reflectance_uncertainty": "dn", "obs": "dn", "mask": "dn"}
"""Arrays that are the scene, in the order in which they are looked for, and what they hold."""
BANDS = 285


class Reader:
    """Opens EMIT's radiance, reflectance, and uncertainty of reflectance."""

    driver = "emit"
    arrays: tuple[str, ...] = ("radiance", "reflectance", "reflectance_uncertainty")

    @classmethod
    def recognises(cls, probe: Probe) -> bool:
        """Whether the file says that it is of EMIT, has places of the sensor's pixels, and one of the arrays."""
        root = probe.hdf5
        told = root.text("instrument") == "EMIT" or root.text("sensor").startswith("EMIT")
        return told and {"location/lon", "location/lat"} <= root.keys and (not cls.arrays or not root.keys.isdisjoint(cls.arrays))

    @classmethod
    def open(cls, path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has no array of the name that is asked for.
        """
        refuse_endless_heaps(path)
        file = Hdf5File(path, WHAT)
        if options.variable == "reflectance_uncertainty" and not file.has(options.variable):
            file = Hdf5File(_uncertainty_beside(path), WHAT)
        shape = _shape(file)
        name = _main_array(file, options)
        facts = _common_facts(file, cls.driver, shape)
        if name is None:
            return _open_layers(file, facts, _flat_arrays(file, shape), options)
        if name == "band_mask":
            return _open_band_mask(file, facts, options)
        if file.dataset(name).ndim == 2:
            return _open_layers(file, facts, [name], options)
        return _open_bands(file, facts, name, options)


class LayersReader(Reader):
    """Opens EMIT's observation and masks."""

    driver = "emit-layers"
    arrays = ("obs", "mask")


class FlatReader(Reader):
    """Opens EMIT's minerals, and whatever else has one number for each pixel of the sensor's grid."""

    driver = "emit-minerals"
    arrays = ()


def _shape(file: Hdf5File) -> tuple[int, int]:
    """(rows, cols) of the sensor's grid."""
    shape = file.dataset("location/lon").shape
    if len(shape) != 2 or file.dataset("location/lat").shape != shape:
        raise SceneError(file.path, "its longitudes and latitudes are no grid of pixels", "Fetch the file again")
    return int(shape[0]), int(shape[1])


def _main_array(file: Hdf5File, options: Options) -> str | None:
    """The array that is the scene; None where it is all those of one value for each pixel."""
    if options.variable is None:
        return next((name for name in QUANTITY if file.has(name)), None)
    found = variables_of(file.path)
    if options.variable not in found or len(found[options.variable].shape) not in (2, 3):
        images = ", ".join(name for name, variable in found.items() if len(variable.shape) in (2, 3))
        raise SceneError(file.path, f"has no image {options.variable!r}", f"It has {images}")
    return options.variable


def _flat_arrays(file: Hdf5File, shape: tuple[int, int]) -> list[str]:
    """Arrays of one number for each pixel: band depths and minerals."""
    names = [name for name, variable in variables_of(file.path).items() if "/" not in name and variable.shape == shape and variable.numeric]
    if not names:
        raise SceneError(file.path, "holds none of the arrays of an EMIT product", f"Known are {', '.join(QUANTITY)}; or name one with --variable")
    return names


def _common_facts(file: Hdf5File, driver: str, shape: tuple[int, int]) -> FileFacts:
    """What all products have: place, time, provenance."""
    root = file.attributes()
    title = str(root.get("title", ""))
    level = re.search(r"\bL\d[A-Z]?\b", title) or re.search(r"(?<=EMIT_)L\d[A-Z](?=_)", file.path.name)
    attrs = {
        "product": title,
        "granule": str(root.get("flight_line", "")),
        "processing_level": level[0] if level else "",
        "product_version": str(root.get("product_version", "")),
        "processor": "EMIT SDS",
        "processor_version": str(root.get("software_build_version", "")),
    }
    facts = FileFacts(str(file.path), driver, Grid(shape), np.dtype(np.float32), BandClaims(0), files=(file.path,), attrs=attrs)
    facts.acquired = utc_text(str(root.get("time_coverage_start", "")))
    facts.swath = Swath(shape, locate_by(file, "location/lon", "location/lat"), _table(file, root, shape))
    return facts


def _table(file: Hdf5File, root: dict[str, Any], shape: tuple[int, int]) -> FilledTable | None:
    if not (file.has("location/glt_x") and file.has("location/glt_y")):
        return None
    transform, crs = gdal_transform(root.get("geotransform", "")), crs_text(root.get("spatial_ref"))
    if transform is None or crs is None:
        raise SceneError(file.path, "has a lookup table, and no geotransform and spatial_ref of its map", "Fetch the file again")
    rows, cols = file.dataset("location/glt_x").shape
    return FilledTable(file, Grid((int(rows), int(cols)), transform, crs), "location/glt_x", "location/glt_y", shape)


def _open_bands(file: Hdf5File, facts: FileFacts, name: str, options: Options) -> Source:
    """An array of (rows, cols, bands): spectra where it has as many bands as there are wavelengths, else layers."""
    dataset = file.dataset(name)
    count = int(dataset.shape[2])
    attrs = file.attributes(name)
    facts.dtype, facts.nodata = dataset.dtype, float(attrs.get("_FillValue", FILL))
    facts.quantity = QUANTITY.get(name, "dn")
    facts.claims = _claims(file, name, count)
    if name == "radiance":
        facts.scale = radiance_scale(file, name, options.scale)
    bad = np.zeros(count, bool) if facts.claims.good is None else np.asarray(facts.claims.good) == 0
    if bad.any():
        facts.notices.append(Handled(f"{int(bad.sum())} of {count} bands lie in the water vapour of the air, and will not be used"))
    facts.attrs = {**facts.attrs, **_more(file, facts, name)}
    masks = _quality(file, facts, name)
    return BandSource(layout(facts, options), file, name, bad, masks)


def _more(file: Hdf5File, facts: FileFacts, name: str) -> dict[str, str]:
    """Provenance of the spectral products alone, part of which stands in other files of the granule."""
    if name not in ("radiance", "reflectance"):
        return {}
    told = {"correction": "none" if name == "radiance" else "ISOFIT (optimal estimation)", **angles_beside(file.path, facts.notices)}
    if name == "reflectance" and file_beside(file.path, "L2A_RFLUNCERT") is not None:
        told["uncertainty"] = "per pixel: --variable reflectance_uncertainty"
    return told


def _claims(file: Hdf5File, name: str, count: int) -> BandClaims:
    if name in NAMES or (name not in QUANTITY and not _has_wavelengths(file, count)):
        names = file.texts(NAMES[name]) if name in NAMES else None
        if names is not None and len(names) != count:
            raise SceneError(file.path, f"{name} has {count} bands, and {len(names)} are named", "Fetch the file again")
        return BandClaims(count, names=names, sensor="emit", spectral=False)
    listed = ("wavelengths", "fwhm") if name == "radiance" else ("wavelengths", "fwhm", "good_wavelengths")
    known = {key: file.numbers(f"sensor_band_parameters/{key}") for key in listed if _given(file, key)}
    centres = known.get("wavelengths")
    good = known.get("good_wavelengths")
    if good is None and centres is not None and name.startswith("reflectance"):
        good = np.array([not any(low < centre < high for low, high in UNLIT_NM) for centre in centres], float)
    lists = [None if values is None else values.tolist() for values in (centres, known.get("fwhm"), good)]
    return BandClaims(count, lists[0], "nm", lists[1], lists[2], sensor="emit", absorbed=WATER_VAPOUR if name == "radiance" else ())


def _given(file: Hdf5File, key: str) -> bool:
    return file.has(f"sensor_band_parameters/{key}")


def _has_wavelengths(file: Hdf5File, count: int) -> bool:
    return _given(file, "wavelengths") and int(file.dataset("sensor_band_parameters/wavelengths").size) == count


def _uncertainty_beside(path: Path) -> Path:
    found = file_beside(path, "L2A_RFLUNCERT")
    if found is None:
        raise SceneError(path, "has no array 'reflectance_uncertainty', and no file EMIT_L2A_RFLUNCERT of its granule lies beside it", "Fetch that file too")
    return found


def _quality(file: Hdf5File, facts: FileFacts, name: str) -> Hdf5File | None:
    """Sets the quality of the pixels: a masks file's own, or that of the masks file beside a spectral one, which is returned."""
    if name == "mask":
        facts.quality = mask_quality(file, facts.grid.shape)
    found = masks_beside(file.path, facts.grid.shape, facts.notices) if name in ("radiance", "reflectance") else None
    if found is None:
        return None
    facts.quality, masks = found
    facts.files = (*facts.files, masks.path)
    return masks


class BandSource(Hdf5Source):
    """Bands of one array.

    Args:
        scene: what `layout` made of the facts.
        file: the open file.
        name: of the array.
        filled: bands in which -0.01 stands for nothing, in the file's order.
        masks: the masks file beside it.
    """

    def __init__(self, scene: Layout, file: Hdf5File, name: str, filled: NDArray[np.bool_], masks: Hdf5File | None) -> None:
        super().__init__(scene, file, [Part(name)])
        self._filled, self._masks = filled, masks

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        values = super()._stored(window, bands)
        for number in np.flatnonzero(self._filled[bands]):
            layer = values[number]
            layer[layer == layer.dtype.type(UNLIT)] = np.nan if self.info.nodata is None else self.info.nodata
        return values

    def close(self) -> None:
        """Closes the file and the masks beside it; a later read opens them again."""
        super().close()
        if self._masks is not None:
            self._masks.close()


def _open_layers(file: Hdf5File, facts: FileFacts, names: Sequence[str], options: Options) -> Source:
    """Arrays of one number for each pixel, each a layer with a fill value of its own."""
    facts.dtype = layer_type(file, names)
    facts.claims = BandClaims(len(names), names=[name.rpartition("/")[2] for name in names], sensor="emit", spectral=False)
    facts.quantity = "dn"
    if any(name.endswith("_mineral_id") for name in names):
        beside = file_beside(file.path, "L2B_MINUNCERT")
        facts.attrs = {**facts.attrs, **_minerals(file), **({} if beside is None else {"uncertainty": f"per pixel: {beside.name}"})}
    return LayerSource(layout(facts, options), file, names)


def _minerals(file: Hdf5File) -> dict[str, str]:
    """What the numbers of minerals mean, where the product says it: "3 Hematite; 5 Goethite"."""
    if not (file.has("mineral_metadata/index") and file.has("mineral_metadata/name")):
        return {}
    numbers, names = file.numbers("mineral_metadata/index"), file.texts("mineral_metadata/name")
    return {"minerals": "; ".join(f"{number:.0f} {name}" for number, name in zip(numbers, names, strict=True))}


def _open_band_mask(file: Hdf5File, facts: FileFacts, options: Options) -> Source:
    dataset = file.dataset("band_mask")
    if dataset.ndim != 3 or dataset.shape[:2] != facts.grid.shape or dataset.dtype != np.uint8:
        raise SceneError(file.path, f"its band_mask is an array of {dataset.shape} {dataset.dtype}, not bytes of bits", "Fetch the file again")
    count = min(BANDS, 8 * int(dataset.shape[2]))
    facts.dtype, facts.quantity = np.dtype(np.uint8), "dn"
    facts.claims = BandClaims(count, names=[f"band {number} interpolated" for number in range(1, count + 1)], sensor="emit", spectral=False)
    return BandMaskSource(layout(facts, options), file)


class BandMaskSource(OrderedSource):
    """Which bands of a pixel were interpolated: 1 where so. Each byte holds eight bands, the first in the highest bit."""

    def __init__(self, scene: Layout, file: Hdf5File) -> None:
        super().__init__(scene)
        self._file = file
        self.block = (1, scene.info.grid.shape[1])

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        low, high = int(min(bands, default=0)) // 8, int(max(bands, default=0)) // 8 + 1
        packed = self._file.read("band_mask", (*window.slices(), slice(low, high)))
        out: NDArray[np.uint8] = np.empty((len(bands), *window.shape), np.uint8)
        for number, band in enumerate(bands):
            out[number] = packed[..., band // 8 - low] >> np.uint8(7 - band % 8) & np.uint8(1)
        return out

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        self._file.close()
