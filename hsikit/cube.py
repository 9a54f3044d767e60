"""The cube: one scene as a lazy `xarray.DataArray`, the form that analysts hold.

`to_cube` wraps a `Source` (plain windowed reads) as an array of dims ("wavelength", "y", "x") that reads only what is
asked for, without a Dask graph; `.chunk()` stays open to those who want one. `from_cube` goes back, from any valid cube:
selected, computed, or opened by another library. `validate` names what is wrong with a cube that is not.

On a map grid without rotation, `x` and `y` are the map coordinates of pixel centres. On a rotated grid, or without any
georeference, they are the pixels' column and row numbers (units "pixel"): no 1-D coordinate could tell more. The transform
stands in `spatial_ref` the rioxarray way.

A scene on the sensor's own grid has dims ("wavelength", "downtrack", "crosstrack") instead, numbered by pixel, with `longitude` and
`latitude` on them. Quality flags are the coordinate `quality` on the pixels. All three are read when asked for.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.common import BackendArray
from xarray.core import indexing

from hsikit.cube_coords import FLAGS, SWATH_DIMS, pixel_coords, quality_of, swath_of
from hsikit.errors import GridError, SceneError, WavelengthError
from hsikit.geo.grid import IDENTITY, Coefficients, Grid, Window
from hsikit.scene import QUANTITIES, Bands, Decoding, Indices, Raw, SceneInfo, Source

if TYPE_CHECKING:
    from rasterio.crs import CRS

DIMS = ("wavelength", "y", "x")
STRIP_BYTES = 32 << 20
"""Decoded size of what is read at once."""
NANOMETRES = ("nm", "nanometer", "nanometers", "nanometre", "nanometres")
OWN_ATTRS = ("sensor", "quantity", "units", "acquired", "source")
TOLERANCE = 1e-2
"""How far, in pixels, a coordinate may lie from an even spacing."""


class SourceArray(BackendArray):
    """A `Source` as xarray sees it: float32 of shape (bands, rows, cols), NaN where missing; safe to use by several threads."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape = (len(source.info.bands), *source.info.grid.shape)
        self.dtype = np.dtype(np.float32)

    def __deepcopy__(self, memo: dict[int, Any]) -> SourceArray:
        return self  # a deep copy of a cube shares the file: nothing of it can be written

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._outer)

    def _outer(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        axes = _positions(key, self.shape)
        out = np.empty(tuple(len(a) for a in axes), np.float32)
        if out.size:
            self._fill(out, *axes)
        scalars = tuple(0 if isinstance(k, int | np.integer) else slice(None) for k in key)
        return out[scalars]

    def _fill(self, out: NDArray[np.float32], bands: Indices, rows: Indices, cols: Indices) -> None:
        """Reads the rectangle around the rows and columns piece by piece, and keeps what was asked for."""
        index, band_order = np.unique(bands, return_inverse=True)
        plain = np.array_equal(index, bands) and _contiguous(rows) and _contiguous(cols)
        height, width = _piece(len(index), int(np.ptp(cols)) + 1, self.source.block)
        for down in _pieces(rows, height, self.source.block[0]):
            for across in _pieces(cols, width, self.source.block[1]):
                row, col = int(rows[down].min()), int(cols[across].min())
                window = Window(row, col, int(rows[down].max()) - row + 1, int(cols[across].max()) - col + 1)
                raw = self.source.read(window, index)
                if plain:
                    raw.decode(window, out[:, down[0] : down[-1] + 1, across[0] : across[-1] + 1])
                    continue
                piece = np.empty((len(index), *window.shape), np.float32)
                raw.decode(window, piece)
                out[np.ix_(np.arange(len(bands)), down, across)] = piece[np.ix_(band_order, rows[down] - row, cols[across] - col)]


def _piece(bands: int, width: int, block: tuple[int, int]) -> tuple[int, int]:
    """(rows, cols) that are read at once: full width where that fits `STRIP_BYTES`, and whole blocks of the file in any case."""
    pixels = max(1, STRIP_BYTES // (4 * bands))
    height = max(block[0], pixels // width // block[0] * block[0])
    return height, width + block[1] if height * width <= pixels else max(block[1], pixels // height // block[1] * block[1])


def _pieces(index: Indices, length: int, block: int) -> list[Indices]:
    """Which of these positions lie in each piece, the pieces beginning on the file's block borders."""
    numbers = (index - int(index.min()) // block * block) // length
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]


def _positions(key: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Indices, ...]:
    """What a key of integers, slices and arrays picks along each axis."""
    return tuple(np.atleast_1d(np.arange(size)[k]) for k, size in zip(key, shape, strict=True))


def _contiguous(index: Indices) -> bool:
    return bool(len(index) > 0 and (np.diff(index) == 1).all())


def to_cube(source: Source) -> xr.DataArray:
    """A scene as a lazy cube; no pixel is read.

    Args:
        source: an open scene.

    Returns:
        float32, dims ("wavelength", "y", "x"), NaN where missing. Coordinates: `wavelength` (nm, ascending), `fwhm` (nm),
        `good_band`, `band` (the product's names), `x` and `y`, and `spatial_ref` where the scene is georeferenced. Of a swath
        the dims are ("wavelength", "downtrack", "crosstrack"), with `longitude` and `latitude`. `quality` where the product has it.
        Attributes: sensor, quantity, units, acquired, source (the scene's path), and those of the product.
    """
    import hsikit.accessor  # noqa: F401  (registers `.hsi`)

    info = source.info
    dims = SWATH_DIMS if info.swath is not None else DIMS
    coords: dict[str, Any] = {
        "wavelength": ("wavelength", info.bands.wavelength, {"standard_name": "radiation_wavelength", "units": "nm", "long_name": "band centre"}),
        "fwhm": ("wavelength", info.bands.fwhm, {"units": "nm", "long_name": "full width at half maximum"}),
        "good_band": ("wavelength", info.bands.good, {"long_name": "band that should be used"}),
        "band": ("wavelength", np.asarray(info.bands.names, dtype=object).astype(str), {"long_name": "name of the band in the product"}),
        **_axis_coords(info.grid, dims),
        **pixel_coords(info, dims[1:]),
    }
    attrs = {**info.attrs, "sensor": info.sensor, "quantity": info.quantity, "units": info.units, "acquired": info.acquired, "source": info.name}
    data = indexing.LazilyIndexedArray(SourceArray(source))
    cube = xr.DataArray(xr.Variable(dims, data), coords=coords, attrs=attrs, name=info.quantity)
    return _with_georeference(cube, info)


def _axis_coords(grid: Grid, dims: tuple[str, str, str]) -> dict[str, Any]:
    """Map coordinates of pixel centres, or numbers of columns and rows."""
    rows, cols = grid.shape
    _, down, across = dims
    a, b, c, d, e, f = grid.transform
    if grid.transform == IDENTITY or b != 0 or d != 0:
        return {
            down: (down, np.arange(rows), {"units": "pixel", "long_name": "row of the pixel"}),
            across: (across, np.arange(cols), {"units": "pixel", "long_name": "column of the pixel"}),
        }
    return {
        "y": ("y", f + e * (np.arange(rows) + 0.5), {"long_name": "y of the pixel centre"}),
        "x": ("x", c + a * (np.arange(cols) + 0.5), {"long_name": "x of the pixel centre"}),
    }


def _with_georeference(cube: xr.DataArray, info: SceneInfo) -> xr.DataArray:
    grid = info.grid
    if grid.transform == IDENTITY:
        return cube
    import rioxarray  # noqa: F401  (registers `.rio`)
    from pyproj.exceptions import CRSError
    from rasterio.errors import CRSError as RasterioCRSError

    try:
        if grid.crs is not None:
            cube = cube.rio.write_crs(grid.crs)
    except (CRSError, RasterioCRSError) as error:
        raise GridError(info.name, f"its coordinate reference system is not understood ({grid.crs!r})", "Give it one that PROJ knows") from error
    cube = cube.rio.write_transform(grid.affine)
    if grid.transform[1] == 0 and grid.transform[3] == 0 and grid.crs is not None:
        cube = cube.rio.write_coordinate_system()
    return cube


def _name(cube: xr.DataArray) -> str:
    """What error messages call a cube: the scene's path where it has one."""
    return str(cube.attrs.get("source") or (f"cube {cube.name!r}" if cube.name else "cube"))


def validate(cube: xr.DataArray) -> None:
    """Checks that an array is a cube; reads no pixel.

    Raises:
        SceneError: not an array, wrong dims or order of dims, a type that is not a real number, an unknown quantity or a
            unit that is not the quantity's.
        WavelengthError: `wavelength` is missing, not in nanometres, not finite, or not ascending.
        GridError: `x` or `y` is missing on a georeferenced cube, or not evenly spaced.
    """
    if not isinstance(cube, xr.DataArray):
        raise SceneError(type(cube).__name__, "a cube is an xarray.DataArray", "Pick one variable of a Dataset")
    where = _name(cube)
    if cube.dims not in (DIMS, SWATH_DIMS):
        missing = [d for d in DIMS if d not in cube.dims]
        extra = [str(d) for d in cube.dims if d not in DIMS]
        if missing or extra:
            raise SceneError(where, f"its dims are {cube.dims}, those of a cube are {DIMS}", "Rename, select or expand them")
        raise SceneError(where, f"its dims are in the order {cube.dims}, not {DIMS}", 'Call cube.transpose("wavelength", "y", "x")')
    if cube.dtype.kind not in "fiu":
        raise SceneError(where, f"its values are of type {cube.dtype}, not real numbers", "Convert them, for example with .astype('float32')")
    if 0 in cube.shape:
        raise SceneError(where, f"it is empty: shape {cube.shape}", "Widen the selection")
    _check_wavelength(cube, where)
    _check_quantity(cube, where)
    grid_of(cube)


def _check_wavelength(cube: xr.DataArray, where: str) -> None:
    if "wavelength" not in cube.coords:
        raise WavelengthError(where, "it has no wavelength coordinate", "Assign the band centres in nm: cube.assign_coords(wavelength=...)")
    coordinate = cube.coords["wavelength"]
    centres = coordinate.values
    if centres.dtype.kind not in "fiu":
        raise WavelengthError(where, f"its wavelengths are of type {centres.dtype}, not numbers", "Assign the band centres in nm")
    units = str(coordinate.attrs.get("units", "")).strip()
    if units.lower() not in NANOMETRES:
        said = f"in {units!r}, not nm" if units else "without a unit"
        raise WavelengthError(where, f"its wavelengths are {said}", 'Convert them to nanometres and set cube.wavelength.attrs["units"] = "nm"')
    if np.isnan(centres).all():
        return  # a panchromatic band that names no wavelength, or layers that are no bands of a spectrum
    if not np.isfinite(centres).all() or (centres <= 0).any():
        raise WavelengthError(where, "some of its wavelengths are missing or not positive", "Drop those bands or name their wavelengths")
    falls = np.flatnonzero(np.diff(centres) <= 0)
    if falls.size:
        i = int(falls[0])
        raise WavelengthError(where, f"its wavelengths do not ascend: {centres[i]:g} nm is followed by {centres[i + 1]:g} nm", 'Call cube.sortby("wavelength")')


def _check_quantity(cube: xr.DataArray, where: str) -> None:
    quantity = cube.attrs.get("quantity")
    if quantity is None:
        return
    if quantity not in QUANTITIES:
        raise SceneError(where, f"its quantity is {quantity!r}", f"Known ones: {', '.join(QUANTITIES)}")
    units = cube.attrs.get("units", QUANTITIES[quantity])
    if units != QUANTITIES[quantity]:
        raise SceneError(where, f"its values are {quantity} in {units!r}, not in {QUANTITIES[quantity]!r}", "Convert the values and the units attribute")


def bands_of(cube: xr.DataArray) -> Bands:
    """The spectral axis of a valid cube; without `fwhm` unknown widths, without `good_band` all good."""
    centres = np.asarray(cube.coords["wavelength"].values, np.float64)
    count = len(centres)
    fwhm = np.asarray(cube.coords["fwhm"].values, np.float64) if _on_bands(cube, "fwhm") else np.full(count, np.nan)
    good = np.asarray(cube.coords["good_band"].values, bool) if _on_bands(cube, "good_band") else np.ones(count, bool)
    names = tuple(str(n) for n in cube.coords["band"].values) if _on_bands(cube, "band") else tuple(f"{w:g} nm" for w in centres)
    return Bands(centres, fwhm, good, names)


def _on_bands(cube: xr.DataArray, coordinate: str) -> bool:
    return coordinate in cube.coords and cube.coords[coordinate].dims == ("wavelength",)


def grid_of(cube: xr.DataArray) -> Grid:
    """Where the pixels of a cube lie, from its coordinates and `spatial_ref`; right after selections too.

    Raises:
        GridError: `x` or `y` is missing on a georeferenced cube, or not evenly spaced.
    """
    import rioxarray  # noqa: F401  (registers `.rio`)

    shape = (cube.shape[1], cube.shape[2])
    if cube.dims == SWATH_DIMS:
        return Grid(shape)
    crs: CRS | None = cube.rio.crs
    stored = _stored_transform(cube)
    missing = [axis for axis in ("y", "x") if axis not in cube.coords]
    if missing:
        if crs is not None or stored is not None:
            raise GridError(_name(cube), f"its coordinate {missing[0]!r} is missing", "Keep x and y: they tell where the pixels lie")
        return Grid(shape)
    pixels = all(cube.coords[axis].attrs.get("units") == "pixel" for axis in ("y", "x"))
    if pixels:
        rows, cols = _even(cube, "y"), _even(cube, "x")
        transform = _compose(stored, rows, cols) if stored else IDENTITY
    else:
        transform = _map_transform(cube, stored)
    return Grid(shape, transform, _crs_text(cube, crs))


def _stored_transform(cube: xr.DataArray) -> Coefficients | None:
    """The transform in `spatial_ref`: that of the scene before any selection."""
    text = cube.coords[cube.rio.grid_mapping].attrs.get("GeoTransform") if cube.rio.grid_mapping in cube.coords else None
    if text is None:
        return None
    c, a, b, f, d, e = (float(number) for number in str(text).split())
    return a, b, c, d, e, f


def _even(cube: xr.DataArray, axis: str, size: float = 0.0) -> tuple[float, float]:
    """(first, step) of an evenly spaced coordinate; `size` is the step where there is one pixel only."""
    values = np.asarray(cube.coords[axis].values, np.float64)
    step = float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else size or 1.0
    even = values[0] + step * np.arange(len(values))
    if step == 0 or not np.isfinite(values).all() or np.abs(values - even).max() > TOLERANCE * abs(step):
        raise GridError(_name(cube), f"its coordinate {axis!r} is not evenly spaced", "Select pixels at one constant step")
    return float(values[0]), step


def _map_transform(cube: xr.DataArray, stored: Coefficients | None) -> Coefficients:
    """From coordinates of pixel centres; in whole pixels of the stored transform where they agree, which is exact."""
    a, _, c, _, e, f = stored or (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    (x, dx), (y, dy) = _even(cube, "x", a), _even(cube, "y", e)
    if stored and a and e:
        cols, rows = ((x - c) / a - 0.5, dx / a), ((y - f) / e - 0.5, dy / e)
        if _whole(*cols, cube.sizes["x"]) and _whole(*rows, cube.sizes["y"]):
            return _compose(stored, (round(rows[0]), round(rows[1])), (round(cols[0]), round(cols[1])))
    return dx, 0.0, x - dx / 2, 0.0, dy, y - dy / 2


def _whole(first: float, step: float, count: int) -> bool:
    """Whether positions are whole pixels, all the way to the last one."""
    return abs(first - round(first)) < TOLERANCE and round(step) != 0 and abs(step - round(step)) * count < TOLERANCE


def _compose(base: Coefficients, rows: tuple[float, float], cols: tuple[float, float]) -> Coefficients:
    """The transform of every `step`-th pixel from `first` on, each (first, step), in the pixels of `base`."""
    a, b, c, d, e, f = base
    row, col = rows[0] + 0.5 - rows[1] / 2, cols[0] + 0.5 - cols[1] / 2
    return a * cols[1], b * rows[1], a * col + b * row + c, d * cols[1], e * rows[1], d * col + e * row + f


def _crs_text(cube: xr.DataArray, crs: CRS | None) -> str | None:
    """The CRS as the scene wrote it where it is still that one, else as "EPSG:n" or WKT."""
    if crs is None:
        return None
    own = _own_source(cube)
    if own is not None and own[0].info.grid.crs is not None and type(crs).from_user_input(own[0].info.grid.crs) == crs:
        return own[0].info.grid.crs
    code = crs.to_epsg(confidence_threshold=100)
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def _own_source(cube: xr.DataArray) -> tuple[Source, tuple[Indices, Indices, Indices]] | None:
    """The source behind a lazy cube and which bands, rows and columns of it the cube holds; None for any other cube."""
    data: Any = cube.variable._data
    while isinstance(data, indexing.MemoryCachedArray | indexing.CopyOnWriteArray):
        data = data.array
    if not isinstance(data, indexing.LazilyIndexedArray) or not isinstance(data.array, SourceArray):
        return None
    bands, rows, cols = _positions(data.key.tuple, data.array.shape)
    return data.array.source, (bands, rows, cols)


def from_cube(cube: xr.DataArray) -> Source:
    """A cube as the engine reads it.

    The cube may be lazy or in memory, whole or selected, of this package or another. Where it is lazily backed by a scene
    that `to_cube` wrapped, stored numbers are read straight from the file, and the identity is the file's with the
    selection; else the values are read once, in strips, for their checksum.

    Raises:
        SceneError, WavelengthError, GridError: as `validate`.
    """
    validate(cube)
    info = _info(cube)
    own = _own_source(cube)
    if own is None or not own[0].info.identity:
        return CubeSource(cube, info.with_(identity=("values", _digest(cube))))
    source, (bands, rows, cols) = own
    info = info.with_(identity=(*source.info.identity, _selection(info, source.info, bands, rows, cols)))
    if _contiguous(rows) and _contiguous(cols):
        return SelectedSource(source, info, bands, (int(rows[0]), int(cols[0])))
    return CubeSource(cube, info)


def lazy_source(cube: xr.DataArray) -> Source:
    """As `from_cube`, but without an identity, so that nothing is read whatever the cube is backed by.

    Raises:
        SceneError, WavelengthError, GridError: as `validate`.
    """
    validate(cube)
    return from_cube(cube) if _own_source(cube) is not None and _identified(cube) else CubeSource(cube, _info(cube))


def _identified(cube: xr.DataArray) -> bool:
    own = _own_source(cube)
    return own is not None and bool(own[0].info.identity)


def _info(cube: xr.DataArray) -> SceneInfo:
    """The facts of a scene out of a cube's coordinates and attributes."""
    own = _own_source(cube)
    base = own[0].info if own else None
    notices = list(base.notices) if base else []
    if "quantity" not in cube.attrs:
        notices.append("The cube names no quantity: its values are taken as dn.")
    return SceneInfo(
        name=_name(cube),
        grid=grid_of(cube),
        bands=bands_of(cube),
        dtype=base.dtype if base else str(cube.dtype),
        driver=base.driver if base else "cube",
        sensor=str(cube.attrs.get("sensor", "")),
        quantity=str(cube.attrs.get("quantity", "dn")),
        acquired=str(cube.attrs.get("acquired", "")),
        nodata=base.nodata if base else _fill_value(cube),
        notices=tuple(notices),
        attrs={str(k): str(v) for k, v in cube.attrs.items() if k not in OWN_ATTRS},
        swath=_cropped(cube, "longitude", None if base is None else base.swath) or swath_of(cube),
        quality=_cropped(cube, FLAGS, None if base is None else base.quality) or quality_of(cube),
    )


def _cropped(cube: xr.DataArray, coordinate: str, whole: Any) -> Any:
    """The part of a scene's own swath or quality that a cube holds; None where it holds no plain rectangle, or no such coordinate."""
    own = _own_source(cube)
    if own is None or whole is None or coordinate not in cube.coords:
        return None
    _, (_, rows, cols) = own
    if not (_contiguous(rows) and _contiguous(cols)):
        return None
    return whole.crop(Window(int(rows[0]), int(cols[0]), len(rows), len(cols)))


def _fill_value(cube: xr.DataArray) -> float | None:
    """The fill value that a cube of another library still holds in its values."""
    value = cube.rio.nodata
    return None if value is None or np.isnan(value) else float(value)


def _selection(info: SceneInfo, base: SceneInfo, bands: Indices, rows: Indices, cols: Indices) -> dict[str, Any]:
    """JSON-able facts that tell a selection, and what was edited in its coordinates, from another."""
    kept = base.bands.take(bands)
    edited = hashlib.sha256()
    for mine, theirs in ((info.bands.wavelength, kept.wavelength), (info.bands.fwhm, kept.fwhm), (info.bands.good, kept.good)):
        edited.update(b"same" if np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f") else mine.tobytes())
    return {
        **{name: _short(index) for name, index in (("bands", bands), ("rows", rows), ("cols", cols))},
        "transform": list(info.grid.transform),
        "crs": info.grid.crs,
        "quantity": info.quantity,
        "axis": edited.hexdigest()[:16],
    }


def _short(index: Indices) -> list[Any]:
    """[first, end] of a plain range, else [count, checksum]."""
    if _contiguous(index):
        return [int(index[0]), int(index[-1]) + 1]
    return [len(index), hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()[:16]]


def _digest(cube: xr.DataArray) -> str:
    """Checksum of type, shape and values, read in strips."""
    digest = hashlib.sha256(f"{cube.dtype.str}{cube.shape}".encode())
    height = max(1, STRIP_BYTES // (cube.dtype.itemsize * cube.shape[0] * cube.shape[2]))
    for row in range(0, cube.shape[1], height):
        digest.update(np.ascontiguousarray(cube.variable[:, row : row + height].values).tobytes())
    digest.update(bands_of(cube).wavelength.tobytes())
    return digest.hexdigest()


class SelectedSource:
    """A rectangle and some bands of another source, read from it directly; closing is left to whoever opened that one."""

    def __init__(self, base: Source, info: SceneInfo, bands: Indices, origin: tuple[int, int]) -> None:
        self.info, self._base, self._bands, self._origin = info, base, bands, origin
        self.block = base.block

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window that lies inside the selection; see `Source`."""
        row, col = self._origin
        raw = self._base.read(Window(window.row + row, window.col + col, *window.shape), self._bands[bands])
        return Raw(raw.values, Window(raw.window.row - row, raw.window.col - col, *raw.window.shape), raw.decoding)

    def close(self) -> None:
        """Does nothing."""


class CubeSource:
    """Any valid cube, read window by window through its variable; closing is left to whoever opened it."""

    def __init__(self, cube: xr.DataArray, info: SceneInfo) -> None:
        self.info, self._variable, self._nodata = info, cube.variable, _fill_value(cube)
        chunks = cube.variable.chunks
        self.block = (int(chunks[1][0]), int(chunks[2][0])) if chunks else (1, cube.shape[2])

    def read(self, window: Window, bands: Indices) -> Raw:
        """The values of a window that lies inside the cube; see `Source`."""
        values = self._variable[(bands, *window.slices())].values
        return Raw(values, window, Decoding(nodata=self._nodata))

    def close(self) -> None:
        """Does nothing."""
