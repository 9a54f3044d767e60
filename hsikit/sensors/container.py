"""What MATLAB, NumPy and HDF5 containers share: choosing an array, and finding which of its axes is the spectral one."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import SceneError, WavelengthError
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.facts import Options

WAVELENGTH_NAMES = ("wavelengths", "wavelength", "wavlength", "wavelength_nm", "lambda", "lambdas", "wl", "wvl", "waves", "wave", "centers", "band_centers")
Shape = tuple[int, ...]


def choose_variable(name: str, shapes: Mapping[str, Shape], options: Options) -> str:
    """Which array is the scene: the one that the user names, else the only one with three axes (two for a pan input or a layer).

    Raises:
        SceneError: none or several could be meant.
    """
    if options.variable is not None:
        if options.variable not in shapes:
            raise SceneError(name, f"has no array {options.variable!r}", f"It has {_listed(shapes)}")
        if len(shapes[options.variable]) not in (2, 3):
            raise SceneError(name, f"array {_listed({options.variable: shapes[options.variable]})} is no image")
        return options.variable
    images: dict[str, Shape] = {key: shape for key, shape in shapes.items() if len(shape) == 3 and min(shape) >= 1}
    if not images and options.role in ("pan", "layer"):
        images = {key: shape for key, shape in shapes.items() if len(shape) == 2 and min(shape) > 1}
    if len(images) == 1:
        return next(iter(images))
    if images:
        raise SceneError(name, f"holds several arrays that could be the scene: {_listed(images)}", "Name one with --variable")
    raise SceneError(name, f"holds no array with three axes; it has {_listed(shapes) or 'no arrays'}", "Name one with --variable, or convert the file")


def own_layer(attrs: Mapping[str, Any], images: Container[str]) -> str | None:
    """The array of a layer that hsikit wrote, which needs no wavelengths; None in files of other programs.

    Args:
        attrs: of the file as a whole.
        images: names of its arrays.
    """
    if "hsikit_version" not in attrs or "layer" not in attrs:
        return None
    return next((name for name in (f"{attrs['layer']}_layer", str(attrs["layer"])) if name in images), None)


def layer_names(attrs: Mapping[str, Any], name: str, count: int) -> list[str] | None:
    """Names of the bands of a layer without wavelengths: its attribute `band_names`, else the array's name where it is one band."""
    told = [str(one) for one in np.atleast_1d(attrs.get("band_names", name))]
    return told if len(told) == count else None


def to_band_axes(name: str, shape: Shape, options: Options, own: int | None = None) -> tuple[int, int, int]:
    """The axes of (bands, rows, cols) in an array; an image of two axes must get a third one in front before.

    The field's convention for such files is (rows, cols, bands). Where the number of wavelengths fits only the first axis, it is (bands, rows, cols).

    Args:
        name: the file, for messages.
        shape: of the array, three axes.
        options: what the user names.
        own: number of wavelengths that the file itself has, or None.

    Raises:
        WavelengthError: their number fits neither axis.
        SceneError: a pan input has several bands.
    """
    count = _named_count(options) or own
    if options.role == "pan" and count is None:
        count = 1
    if count is None or shape[2] == count:
        return 2, 0, 1
    if shape[0] == count:
        return 0, 1, 2
    if options.role == "pan" and count == 1:
        wrong = f"is an array of {' x '.join(map(str, shape))}, not an image of one band"
        raise SceneError(name, wrong, "Give the panchromatic image in a file of its own")
    wrong = f"is an array of {' x '.join(map(str, shape))}, and {count} wavelengths fit neither its last nor its first axis"
    raise WavelengthError(name, wrong, "Name as many band centres as it has bands: those left in it, not all of the sensor's")


def find_wavelengths(shapes: Mapping[str, Shape]) -> str | None:
    """The array that holds band centres, by its name."""
    vectors = {key.lower(): key for key, shape in shapes.items() if int(np.prod(shape)) == max(shape, default=0) > 1}
    return next((vectors[key] for key in WAVELENGTH_NAMES if key in vectors), None)


def _named_count(options: Options) -> int | None:
    from hsikit.sensors.catalogue import read_band_table

    if isinstance(options.wavelengths, (str, Path)):
        return len(read_band_table(Path(options.wavelengths)).wavelength)
    if options.wavelengths is not None:
        return int(np.size(np.asarray(options.wavelengths)))
    return None if options.sensor is None else len(sensor_bands(options.sensor).wavelength)


def _listed(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{key} ({' x '.join(map(str, shape))})" for key, shape in shapes.items())
