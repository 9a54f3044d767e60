"""NetCDF-4 and other HDF5 files after the CF conventions: the variable with a wavelength coordinate, on any order of axes.

What hsikit writes is read, and what other programs write by the same conventions: packed numbers, valid ranges, coordinates of
pixel centres with a grid mapping, swaths with 2-D longitudes and latitudes, flags of quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import Codes, Indices, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.container import WAVELENGTH_NAMES, choose_variable, layer_names, own_layer, to_band_axes
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import LONGEST_TEXT, FileFacts, Layout, Options, OrderedSource, layout
from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.netcdf_meaning import Missing, missing_of, quality_of, quantity_of, time_of
from hsikit.sensors.netcdf_place import EASTINGS, NORTHINGS, place_of
from hsikit.sensors.netcdf_variables import Variable, variables_of
from hsikit.sensors.probe import HDF5

WHAT = "a NetCDF-4 file"
_CENTRES = ("radiation_wavelength", "sensor_band_central_radiation_wavelength")
_BESIDE = {
    "fwhm": ("fwhm", "fwhms", "bandwidth", "bandwidths"),
    "good": ("good_band", "good_bands", "good_wavelengths", "bbl"),
    "names": ("band", "band_names"),
}
MOST_CHARACTERS = 4096


class Reader:
    """Opens CF NetCDF scenes."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens the variable with a wavelength coordinate; name it by `variable` where there are several.

        Raises:
            SceneError: it is no NetCDF-4 or HDF5 file, it is damaged, or no variable can be a scene.
        """
        with path.open("rb") as file:
            head = file.read(520)
        if head[:3] == b"CDF":
            raise SceneError(path, "is a classic NetCDF file (version 3), which cannot be read by windows", "Convert it: nccopy -k nc4 OLD.nc NEW.nc")
        if not (head.startswith(HDF5) or head[512:] == HDF5):
            raise SceneError(path, f"is not {WHAT}", "Check that it opens in another program")
        opened = Hdf5File(path, WHAT)
        try:
            with damage_named(path, WHAT):
                return _open(path, opened, options)
        except SceneError:
            opened.close()
            raise


@dataclass(frozen=True)
class Image:
    """How a scene lies in its variable.

    Attributes:
        variable: the array.
        axes: of bands, rows and columns; None for the bands of an image without.
        flipped: whether rows are read from the last to the first.
        missing: which stored values are missing.
        unsigned: whether the numbers are meant as unsigned ones.
    """

    variable: Variable
    axes: tuple[int | None, int, int]
    flipped: bool
    missing: Missing
    unsigned: bool


class NetcdfSource(OrderedSource):
    """An open variable."""

    def __init__(self, scene: Layout, file: Hdf5File, image: Image) -> None:
        super().__init__(scene)
        self._file, self._image = file, image
        rows, cols = scene.info.grid.shape
        chunks = image.variable.chunks
        self.block = (1, cols) if chunks is None else (min(chunks[image.axes[1]], rows), min(chunks[image.axes[2]], cols))

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        image = self._image
        wanted = np.unique(bands)
        low, high = int(wanted[0]), int(wanted[-1]) + 1
        rows, cols = window.slices()
        if image.flipped:
            height = self.info.grid.shape[0]
            rows = slice(height - window.row_end, height - window.row)
        chosen: list[Any] = [0] * len(image.variable.shape)
        for axis, part in zip(image.axes, (slice(low, high), rows, cols), strict=True):
            if axis is not None:
                chosen[axis] = part
        values = self._file.read(image.variable.name, tuple(chosen))
        values = self._in_order(values)[bands - low]
        values = values[:, ::-1] if image.flipped else values
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        values = values.view(self.info.dtype) if image.unsigned else values
        return values if image.missing.plain else image.missing.mark(values, self.info.nodata)

    def _in_order(self, values: NDArray[Any]) -> NDArray[Any]:
        """(bands, rows, cols) of what was read, whose axes are in the file's order."""
        axes = [axis for axis in self._image.axes if axis is not None]
        ordered = values.transpose(np.argsort(np.argsort(axes)))
        return ordered if len(axes) == 3 else ordered[np.newaxis]

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        self._file.close()


def _open(path: Path, file: Hdf5File, options: Options) -> Source:
    variables = variables_of(path)
    root = file.attributes()
    variable, centres = _choose(path, variables, root, options)
    axes = _axes(path, variable, centres, options)
    place = place_of(file, variables, variable, axes[1:])
    unsigned = variable.dtype.kind == "i" and str(variable.attrs.get("_Unsigned", "")).lower() == "true"
    dtype = np.dtype(f"u{variable.dtype.itemsize}") if unsigned else variable.dtype.newbyteorder("=")
    scale, offset = variable.number("scale_factor", 1.0), variable.number("add_offset", 0.0)
    missing = missing_of(variable, dtype, scale, offset)
    quantity, factor, notice = quantity_of(variable)
    claims = _claims(file, variables, variable, None if centres is None else centres[1], axes[0], root)
    facts = FileFacts(
        name=str(path),
        driver="netcdf",
        grid=place.grid,
        dtype=dtype,
        claims=claims,
        scale=scale * factor,
        offset=offset * factor,
        nodata=missing.nodata,
        quantity=quantity,
        acquired=time_of(file, variables, variable, root),
        files=(path,),
        notices=[*place.notices, *([notice] if notice and not options.quantity and claims.spectral else [])],
        attrs=_texts({**root, **variable.attrs}),
        swath=place.swath,
        quality=quality_of(file, variables, variable, axes[1:], place.flipped),
        codes=Codes(str(root.get("classes", ""))),
    )
    return NetcdfSource(layout(facts, options), file, Image(variable, axes, place.flipped, missing, unsigned))


def _choose(path: Path, variables: Mapping[str, Variable], root: Mapping[str, Any], options: Options) -> tuple[Variable, tuple[int, Variable] | None]:
    """The variable of the scene; and its axis of bands with the variable of their centres, None where it has none.

    Raises:
        SceneError: none or several could be meant.
    """
    images = {name: variable for name, variable in variables.items() if _is_image(variable)}
    ancillary = {word for variable in images.values() for word in variable.text("ancillary_variables").split()}
    spectral = {name: found for name, variable in images.items() if (found := _spectral_axis(variable, variables)) is not None}
    if options.variable is not None:
        name = _named(path, images, options.variable)
    elif not spectral and (own := own_layer(root, images)) is not None:
        name = own
    else:
        likely = [name for name in spectral if name.rpartition("/")[2] not in ancillary]
        shapes = {name: images[name].shape for name in (likely or images)}
        name = likely[0] if len(likely) == 1 else choose_variable(str(path), shapes, options)
    return images[name], spectral.get(name)


def _is_image(variable: Variable) -> bool:
    """Whether it has two or three axes, not counting those of one element, such as a single time."""
    return variable.numeric and (2 <= sum(size > 1 for size in variable.shape) <= 3 or len(variable.shape) in (2, 3))


def _named(path: Path, images: Mapping[str, Variable], name: str) -> str:
    """The variable that the user names: by its path, or by its name where that is the only one."""
    wanted = name.strip("/")
    found = [wanted] if wanted in images else [key for key in images if key.rpartition("/")[2] == wanted]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{key} ({' x '.join(map(str, variable.shape))})" for key, variable in images.items()) or "none"
    raise SceneError(path, f"has {'several images' if found else 'no image'} {name!r}", f"Its images are {listed}")


def _spectral_axis(image: Variable, variables: Mapping[str, Variable]) -> tuple[int, Variable] | None:
    """The axis along which there are wavelengths, and the variable that holds them."""
    if len(image.shape) < 3:
        return None
    centres = [variable for variable in variables.values() if variable.numeric and len(variable.shape) == 1 and _holds_wavelengths(variable)]
    for same_dimension in (True, False):
        for variable in centres:
            fitting = [
                axis
                for axis, size in enumerate(image.shape)
                if (variable.dims[0] == image.dims[axis] != "" if same_dimension else variable.shape == (size,) and "" in (variable.dims[0], image.dims[axis]))
            ]
            if len(fitting) == 1 and variable.shape == (image.shape[fitting[0]],):
                return fitting[0], variable
    return None


def _holds_wavelengths(variable: Variable) -> bool:
    return variable.text("standard_name") in _CENTRES or variable.short in WAVELENGTH_NAMES


def _axes(path: Path, image: Variable, centres: tuple[int, Variable] | None, options: Options) -> tuple[int | None, int, int]:
    """Axes of (bands, rows, cols)."""
    if len(image.shape) == 2:
        return None, *_rows_and_cols(image, [0, 1])
    if centres is not None:
        band = centres[0]
        rest = [axis for axis in range(len(image.shape)) if axis != band]
        long = [axis for axis in rest if image.shape[axis] > 1]
        rest = rest if len(rest) == 2 else long
        if len(rest) != 2:
            raise SceneError(path, f"{image.name} has axes of {image.shape}, of which two must be rows and columns", "Select one time first")
        return band, *_rows_and_cols(image, rest)
    if len(image.shape) != 3:
        raise SceneError(path, f"{image.name} has {len(image.shape)} axes and no wavelengths", "Select one time first, or add a wavelength coordinate")
    flat = [axis for axis in range(3) if image.dims[axis].rpartition("/")[2].lower() in EASTINGS | NORTHINGS]
    if len(flat) == 2:
        return 3 - sum(flat), *_rows_and_cols(image, flat)
    return to_band_axes(str(path), image.shape, options)


def _rows_and_cols(image: Variable, axes: list[int]) -> tuple[int, int]:
    """In this order: the first two, unless the first is named as that of columns."""
    names = [image.dims[axis].rpartition("/")[2].lower() for axis in axes]
    return (axes[1], axes[0]) if names[0] in EASTINGS and names[1] not in EASTINGS else (axes[0], axes[1])


def _claims(
    file: Hdf5File, variables: Mapping[str, Variable], image: Variable, centres: Variable | None, axis: int | None, root: Mapping[str, Any]
) -> BandClaims:
    """What the file says of its bands."""
    count = 1 if axis is None else image.shape[axis]
    told = {key: _beside(variables, centres, names) for key, names in _BESIDE.items()}
    return BandClaims(
        count=count,
        wavelength=None if centres is None else file.numbers(centres.name).tolist(),
        unit="" if centres is None else centres.text("units"),
        fwhm=None if told["fwhm"] is None else file.numbers(told["fwhm"].name).tolist(),
        good=None if told["good"] is None else file.numbers(told["good"].name).tolist(),
        names=layer_names(image.attrs, image.short, count) if told["names"] is None or told["names"].numeric else _names(file, told["names"]),
        sensor=image.text("sensor") or next((root[key] for key in ("sensor", "instrument") if isinstance(root.get(key), str)), ""),
        spectral=centres is not None or own_layer(root, {image.name}) is None,
    )


def _beside(variables: Mapping[str, Variable], centres: Variable | None, names: tuple[str, ...]) -> Variable | None:
    """A variable along the same dimension as the wavelengths."""
    if centres is None:
        return None
    along = (variable for variable in variables.values() if variable.short in names and variable.shape[:1] == centres.shape)
    return next((variable for variable in along if len(variable.shape) == (2 if variable.dtype == "S1" else 1)), None)


def _names(file: Hdf5File, variable: Variable) -> list[str]:
    """Names of bands: strings, or rows of characters."""
    if variable.dtype != "S1":
        return file.texts(variable.name)
    if max(variable.shape) > MOST_CHARACTERS:
        raise SceneError(file.path, f"{variable.name} holds more than {MOST_CHARACTERS} names or characters", "Fetch the file again")
    return [b"".join(row).decode("utf-8", errors="replace").strip() for row in file.read(variable.name)]


def _texts(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Attributes that are short texts."""
    return {key: value for key, value in attrs.items() if isinstance(value, str) and 0 < len(value) < LONGEST_TEXT and not key.startswith("_")}
