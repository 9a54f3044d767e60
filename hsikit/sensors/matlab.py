"""MATLAB files: v5 through SciPy, v7.3 (HDF5) by windows through h5py. Only arrays of numbers are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid
from hsikit.geo.remote_files import openable
from hsikit.scene import Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.container import choose_variable, find_wavelengths, to_band_axes
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part
from hsikit.sensors.mat5 import arrays_of, read_mat5
from hsikit.sensors.numpy_file import array_scene

HDF5 = b"\x89HDF\r\n\x1a\n"


class Reader:
    """Opens MATLAB files with an image of (rows, cols, bands)."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens the image; name it by `variable` where there are several.

        Raises:
            SceneError: truncated, or without an array that can be a scene.
        """
        with path.open("rb") as file:
            head = file.read(520)
        return _open_hdf5(path, options) if head.startswith(HDF5) or head[512:] == HDF5 else _open_v5(path, options)


def _open_v5(path: Path, options: Options) -> Source:
    shapes = {array.name: array.shape for array in arrays_of(path) if not array.text}
    chosen = choose_variable(str(path), shapes, options)
    key = find_wavelengths(shapes)
    loaded = read_mat5(path, {chosen, *([key] if key else [])})
    return array_scene(path, "matlab", loaded[chosen], None if key is None else np.ravel(loaded[key]), options)


def _open_hdf5(path: Path, options: Options) -> Source:
    import h5py

    try:
        with h5py.File(openable(path), "r") as file:
            # MATLAB writes its axes in the opposite order.
            found = {
                key: item for key, item in file.items() if isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and "MATLAB_empty" not in item.attrs
            }
            shapes = {key: tuple(reversed(item.shape)) for key, item in found.items()}
            chosen = choose_variable(str(path), shapes, options)
            key = find_wavelengths(shapes)
            flat = len(shapes[chosen]) == 2
            own = None if key is None or flat else np.ravel(found[key][()])
            shape = (*shapes[chosen], 1) if flat else shapes[chosen]
            axes = to_band_axes(str(path), shape, options, None if own is None else len(own))
            dtype = found[chosen].dtype
    except (OSError, RuntimeError, KeyError):
        raise SceneError(path, "is no MATLAB v7.3 file, or it is truncated or damaged", "Save it again") from None
    bands, rows, cols = (shape[axis] for axis in axes)
    claims = BandClaims(bands, wavelength=None if own is None else own.tolist())
    facts = FileFacts(str(path), "matlab", Grid((rows, cols)), dtype, claims, files=(path,))
    order: tuple[int | None, int, int] = (None, 1, 0) if flat else (2 - axes[0], 2 - axes[1], 2 - axes[2])
    return Hdf5Source(layout(facts, options), Hdf5File(path, "a MATLAB v7.3 file"), [Part(chosen, order)])
