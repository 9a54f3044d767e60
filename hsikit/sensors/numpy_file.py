"""NumPy files: `.npy`, mapped, and `.npz`. Never unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid
from hsikit.geo.remote import RemotePath
from hsikit.scene import Source
from hsikit.sensors.array import ArraySource
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.container import choose_variable, find_wavelengths, to_band_axes
from hsikit.sensors.facts import FileFacts, Options, layout


class Reader:
    """Opens arrays of (rows, cols, bands), or (bands, rows, cols) where only that fits the wavelengths."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens an array.

        Raises:
            SceneError: truncated, of objects, or without an array that can be a scene.
        """
        arrays = _load(path)
        shapes = {key: value.shape for key, value in arrays.items()}
        name = choose_variable(str(path), shapes, options) if len(arrays) > 1 or options.variable else next(iter(arrays))
        key = find_wavelengths(shapes)
        own = None if key is None else arrays[key].ravel()
        return array_scene(path, "numpy", arrays[name], own, options)


def array_scene(path: Path, driver: str, values: NDArray[Any], wavelengths: NDArray[Any] | None, options: Options) -> Source:
    """A source over a container's array, its spectral axis put first."""
    image, wavelengths = (values[..., np.newaxis], None) if values.ndim == 2 else (values, wavelengths)
    if image.ndim != 3:
        raise SceneError(path, f"is an array of {values.ndim} axes, and a scene has three: rows, columns and bands")
    cube = image.transpose(to_band_axes(str(path), image.shape, options, None if wavelengths is None else len(wavelengths)))
    claims = BandClaims(cube.shape[0], wavelength=None if wavelengths is None else wavelengths.tolist())
    facts = FileFacts(str(path), driver, Grid((cube.shape[1], cube.shape[2])), values.dtype, claims, files=(path,))
    return ArraySource.of(cube, layout(facts, options))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if isinstance(path, RemotePath):
        raise SceneError(path, "is a NumPy file, which cannot be read from a server", "Download it first")
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        with loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        objects = any(word in str(error) for word in ("pickle", "Python objects", "Object arrays"))
        wrong = "holds Python objects, which are never loaded" if objects else "is no NumPy file, or it is truncated or damaged"
        raise SceneError(path, wrong, "Save a plain array of numbers") from None
    if not arrays:
        raise SceneError(path, "holds no arrays")
    return arrays
