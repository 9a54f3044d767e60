"""Zarr stores, format 2 or 3: an array of (wavelength, y, x) with CF coordinates beside it, ours or another program's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import IDENTITY, Coefficients, Grid, Window
from hsikit.geo.remote import RemotePath
from hsikit.geo.remote_files import folder_state, store_options
from hsikit.geo.swath import Degrees, Lookup, Swath
from hsikit.scene import QUANTITIES, Codes, Indices, Quality, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cf_flags import cf_flags, in_order
from hsikit.sensors.container import WAVELENGTH_NAMES, choose_variable, find_wavelengths, layer_names, own_layer, to_band_axes
from hsikit.sensors.crs import crs_text
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import LONGEST_TEXT, FileFacts, Layout, Options, OrderedSource, layout
from hsikit.sensors.hdf5 import lookup_from_one

SPECTRAL_DIMS = ("wavelength", "wavelengths", "bands", "band", "spectral", "channel", "channels", "wl", "lambda")
_ADVICE = "Check that xarray.open_zarr opens it"


class Reader:
    """Opens Zarr stores."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens the array of three dimensions; name it by `variable` where there are several.

        Raises:
            SceneError: it is no Zarr store, it is damaged, or no array can be a scene.
        """
        import zarr

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of features that other stores or versions may lack
                opened = zarr.open(_store(path), mode="r")
                arrays = {path.stem: opened} if isinstance(opened, zarr.Array) else dict(opened.arrays())
                group_attrs = dict(opened.attrs)
                shapes = {key: tuple(array.shape) for key, array in arrays.items() if array.dtype.kind in "iufb"}
                own = own_layer(group_attrs, shapes) if options.variable is None else None
                chosen = own or choose_variable(str(path), shapes, options)
                return _scene(path, arrays, shapes, chosen, group_attrs, options)
        except SceneError:
            raise
        except Exception as error:  # stores break in as many ways as they have codecs
            raise SceneError(path, f"is no Zarr store, or it is damaged ({type(error).__name__})", _ADVICE) from None


class ZarrSource(OrderedSource):
    """An open Zarr array. Zarr opens a chunk's file only while it reads it, so threads share the array."""

    def __init__(self, scene: Layout, array: Any, axes: tuple[int, int, int]) -> None:
        super().__init__(scene)
        self._array, self._axes = array, axes
        rows, cols = scene.info.grid.shape
        self.block = (rows, cols)
        if array.ndim == 3:
            chunks = getattr(array, "shards", None) or array.chunks
            self.block = min(int(chunks[axes[1]]), rows), min(int(chunks[axes[2]]), cols)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        wanted = np.unique(bands)
        first, last = int(wanted[0]), int(wanted[-1]) + 1
        within = slice(first, last) if len(wanted) == last - first else wanted
        chosen: list[Any] = [slice(None)] * 3
        for axis, part in zip(self._axes, (within, *window.slices()), strict=True):
            chosen[axis] = part
        try:
            if self._array.ndim == 2:
                return np.asarray(self._array[window.slices()])[np.newaxis]
            values = np.asarray(self._array.oindex[tuple(chosen)])
        except Exception as error:
            where = f"rows {window.row} to {window.row_end} cannot be read ({type(error).__name__})"
            raise SceneError(self.info.name, f"is damaged: {where}", "Fetch the store again") from None
        values = values.transpose(self._axes)
        return values if np.array_equal(wanted, bands) else values[np.searchsorted(wanted, bands)]


def _scene(
    path: Path, arrays: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], chosen: str, group_attrs: Mapping[str, Any], options: Options
) -> Source:
    array = arrays[chosen]
    attrs = {**group_attrs, **dict(array.attrs)}
    dims = _dims(array)
    centres = _spectral_coordinate(dims, shapes)
    own = None if centres is None else np.ravel(arrays[centres][...])
    axes = _axes(str(path), array.shape, dims, options, None if own is None else len(own))
    shape = (*array.shape, 1) if array.ndim == 2 else array.shape
    bands, rows, cols = (int(shape[axis]) for axis in axes)
    claims = BandClaims(
        bands,
        wavelength=None if own is None else own.tolist(),
        unit="" if centres is None else str(arrays[centres].attrs.get("units", "")),
        fwhm=_vector(arrays, "fwhm", bands),
        good=_vector(arrays, "good_band", bands),
        names=_vector(arrays, "band", bands) or (layer_names(attrs, chosen, bands) if own is None else None),
        sensor=str(attrs.get("sensor", "")),
        spectral=own is not None or own_layer(group_attrs, {chosen}) is None,
    )
    notices: list[str] = []
    quantity = str(attrs.get("quantity", ""))
    grid = _grid(arrays, attrs, dims, axes, (rows, cols), notices)
    swath = _swath(path, arrays, grid)
    facts = FileFacts(
        name=str(path),
        driver="zarr",
        grid=grid if swath is None else Grid(grid.shape),
        dtype=np.dtype(array.dtype),
        claims=claims,
        scale=float(attrs.get("scale_factor", 1.0)),
        offset=float(attrs.get("add_offset", 0.0)),
        nodata=_fill_value(attrs, np.dtype(array.dtype)),
        quantity=quantity if quantity in QUANTITIES else "",
        acquired=str(attrs.get("acquired", "")),
        identity=_identity(path),
        notices=notices,
        attrs={key: value for key, value in attrs.items() if isinstance(value, str) and not key.startswith("_") and len(value) < LONGEST_TEXT},
        swath=swath,
        quality=_quality(path, {name: other for name, other in arrays.items() if other is not array}, (rows, cols)),
        codes=Codes(str(group_attrs.get("classes", ""))),
    )
    return ZarrSource(layout(facts, options), array, axes)


def _dims(array: Any) -> tuple[str, ...]:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return tuple(str(name).lower() for name in names) if names else ()


def _spectral_coordinate(dims: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The array of band centres: the coordinate of a spectral dimension of that name, or by its own name."""
    named = next((dim for dim in dims if dim in WAVELENGTH_NAMES and len(shapes.get(dim, ())) == 1), None)
    return named or find_wavelengths({key: shape for key, shape in shapes.items() if len(shape) == 1})


def _axes(name: str, shape: tuple[int, ...], dims: Sequence[str], options: Options, own: int | None) -> tuple[int, int, int]:
    """Axes of (bands, rows, cols): by the names of the dimensions, else a stack of images."""
    if len(shape) == 2:
        return 2, 0, 1
    spectral = next((dim for dim in SPECTRAL_DIMS if dim in dims), None)
    if spectral is None:
        if own is not None and shape[0] != own:
            return to_band_axes(name, shape, options, own)
        return 0, 1, 2
    axis = dims.index(spectral)
    rest = [i for i in range(3) if i != axis]
    if dims[rest[0]] in ("x", "lon", "longitude", "easting") and dims[rest[1]] not in ("x", "lon", "longitude", "easting"):
        rest.reverse()
    return axis, rest[0], rest[1]


def _vector(arrays: Mapping[str, Any], key: str, count: int) -> list[Any] | None:
    if key not in arrays or tuple(arrays[key].shape) != (count,):
        return None
    values = arrays[key][...].tolist()
    if key == "band":
        return [str(value) for value in values] if all(isinstance(value, str) for value in values) else None
    return list(values)


def _grid(
    arrays: Mapping[str, Any], attrs: Mapping[str, Any], dims: Sequence[str], axes: tuple[int, int, int], shape: tuple[int, int], notices: list[str]
) -> Grid:
    reference = arrays.get(str(attrs.get("grid_mapping", "spatial_ref")))
    told = {} if reference is None else dict(reference.attrs)
    crs = crs_text(told.get("crs_wkt") or told.get("spatial_ref") or attrs.get("crs"))
    if "GeoTransform" in told:
        return Grid(shape, _geotransform(told), crs)
    transform = _regular(arrays, dims, axes, notices) if len(dims) == 3 else None
    return Grid(shape, transform or IDENTITY, crs)


def _swath(path: Path, arrays: Mapping[str, Any], grid: Grid) -> Swath | None:
    """Positions of a scene that has no CRS but a longitude and a latitude for each pixel."""
    names = next((pair for pair in (("longitude", "latitude"), ("lon", "lat")) if all(name in arrays for name in pair)), None)
    if grid.crs is not None or names is None or any(tuple(arrays[name].shape) != grid.shape for name in names):
        return None

    def locate(window: Window) -> tuple[Degrees, Degrees]:
        with damage_named(path, "a Zarr store", "Fetch the store again"):
            lon, lat = (np.array(arrays[name][window.slices()], np.float64) for name in names)
        absent = ~((np.abs(lat) <= 90) & (np.abs(lon) <= 360))
        lon[absent] = lat[absent] = np.nan
        return lon, lat

    return Swath(grid.shape, locate, _table(path, arrays, grid.shape))


def _table(path: Path, arrays: Mapping[str, Any], shape: tuple[int, int]) -> ZarrTable | None:
    """The lookup table as `hsikit.writers.cf` writes it."""
    if not all(name in arrays for name in ("glt_x", "glt_y")) or len(arrays["glt_x"].shape) != 2 or arrays["glt_x"].shape != arrays["glt_y"].shape:
        return None
    reference = arrays.get(str(arrays["glt_x"].attrs.get("grid_mapping", "")))
    told = {} if reference is None else dict(reference.attrs)
    if "GeoTransform" not in told:
        return None
    grid = Grid(tuple(arrays["glt_x"].shape), _geotransform(told), crs_text(told.get("crs_wkt")))
    return ZarrTable(path, grid, arrays["glt_x"], arrays["glt_y"], shape)


class ZarrTable:
    """A lookup table in a store: columns `x` and rows `y`, as in `hsikit.sensors.hdf5.lookup_from_one`."""

    def __init__(self, path: Path, grid: Grid, x: Any, y: Any, shape: tuple[int, int]) -> None:
        self.grid, self._path, self._arrays, self._shape = grid, path, (x, y), shape

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`."""
        with damage_named(self._path, "a Zarr store", "Fetch the store again"):
            x, y = (np.asarray(array[window.slices()], np.int64) for array in self._arrays)
        return lookup_from_one(x, y, self._shape, self._path)


def _quality(path: Path, arrays: Mapping[str, Any], shape: tuple[int, int]) -> Quality | None:
    """What arrays with `flag_meanings` tell of the pixels."""
    flags = {name: cf_flags(dict(array.attrs), np.dtype(array.dtype)) for name, array in arrays.items() if tuple(array.shape) == shape}
    found = [(arrays[name], told) for name, told in flags.items() if told is not None]
    if not found:
        return None

    def read(window: Window) -> NDArray[np.uint8]:
        out = np.zeros(window.shape, np.uint8)
        with damage_named(path, "a Zarr store", "Fetch the store again"):
            for array, told in found:
                out |= told.bits(np.asarray(array[window.slices()]))
        return out

    return Quality(in_order(told for _, told in found), read)


def _geotransform(told: Mapping[str, Any]) -> Coefficients:
    c, a, b, f, d, e = (float(part) for part in str(told["GeoTransform"]).split())
    return a, b, c, d, e, f


def _regular(arrays: Mapping[str, Any], dims: Sequence[str], axes: tuple[int, int, int], notices: list[str]) -> Coefficients | None:
    """The transform of coordinates of pixel centres, where they are evenly spaced."""
    steps = []
    for axis in axes[1:]:
        if dims[axis] not in arrays:
            return None
        centres = np.asarray(arrays[dims[axis]][...], float)
        step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 0.0
        if step == 0 or np.abs(np.diff(centres) - step).max() > 1e-3 * abs(step):
            notices.append(f"its {dims[axis]} coordinates are not evenly spaced; the scene has no georeference")
            return None
        steps.append((centres[0] - step / 2, step))
    (top, down), (left, across) = steps
    return float(across), 0.0, float(left), 0.0, float(down), float(top)


def _fill_value(attrs: Mapping[str, Any], dtype: np.dtype[Any]) -> float | None:
    """`_FillValue` or `missing_value`; a store's own default for chunks never written is no statement about nodata.

    In format 3 xarray keeps a float's fill value as the base64 of its eight bytes.
    """
    value = attrs.get("_FillValue", attrs.get("missing_value"))
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if isinstance(value, str) and dtype.kind == "f":
        try:
            packed = base64.standard_b64decode(value)
            return float(struct.unpack("<d", packed)[0])
        except (binascii.Error, struct.error, ValueError):
            pass
    return None if value is None else float(value)


def _store(path: Path) -> Any:
    """What Zarr opens: a folder, or the objects below an address."""
    if not isinstance(path, RemotePath):
        return path
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(str(path), storage_options=store_options(path), read_only=True)


def _identity(path: Path) -> tuple[Any, ...]:
    """One line for the whole store: its path, its size, its latest change, and a checksum over names, sizes and times of its files.

    Of a remote one: its address, its size and a checksum over names, sizes and ETags; on HTTP of its metadata alone.
    """
    if isinstance(path, RemotePath):
        return ((str(path), *folder_state(path)),)
    digest, size, latest = hashlib.sha256(), 0, 0
    for file in sorted(path.rglob("*")):
        if file.is_file():
            stat = file.stat()
            digest.update(f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
            size, latest = size + stat.st_size, max(latest, stat.st_mtime_ns)
    return ((str(path.absolute()), size, latest, digest.hexdigest()),)
