"""MATLAB files: v5 through SciPy, v7.3 (HDF5) by windows through h5py. Only arrays of numbers are looked at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.remote_files import openable
from hsikit.scene import Indices, Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.container import choose_variable, find_wavelengths, to_band_axes
from hsikit.sensors.facts import FileFacts, Layout, Options, OrderedSource, layout
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
            dtype, chunks = found[chosen].dtype, found[chosen].chunks
    except (OSError, RuntimeError, KeyError):
        raise SceneError(path, "is no MATLAB v7.3 file, or it is truncated or damaged", "Save it again") from None
    bands, rows, cols = (shape[axis] for axis in axes)
    claims = BandClaims(bands, wavelength=None if own is None else own.tolist())
    facts = FileFacts(str(path), "matlab", Grid((rows, cols)), dtype, claims, files=(path,))
    return Hdf5Source(layout(facts, options), path, chosen, axes, _block(chunks, axes, (rows, cols)))


class Hdf5Source(OrderedSource):
    """An image in a MATLAB v7.3 file. The HDF5 library serves one thread at a time, so all share one handle."""

    def __init__(self, scene: Layout, path: Path, variable: str, axes: tuple[int, int, int], block: tuple[int, int]) -> None:
        super().__init__(scene)
        self._path, self._variable, self._axes, self.block = path, variable, axes, block
        self._file: Any = None
        self._lock = threading.Lock()

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        import h5py

        wanted = np.unique(bands)
        chosen: list[Any] = [None, None, None]
        for axis, part in zip(self._axes, (wanted, *window.slices()), strict=True):
            chosen[axis] = part
        try:
            with self._lock:
                self._file = self._file or h5py.File(openable(self._path), "r")
                dataset = self._file[self._variable]
                values = dataset[tuple(reversed(chosen))] if dataset.ndim == 3 else dataset[chosen[1], chosen[0]][np.newaxis]
        except (OSError, RuntimeError, KeyError):
            raise SceneError(self.info.name, f"is truncated or damaged: rows {window.row} to {window.row_end} cannot be read", "Fetch the file again") from None
        return np.asarray(values).transpose(2, 1, 0).transpose(self._axes)[np.searchsorted(wanted, bands)]

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _block(chunks: tuple[int, ...] | None, axes: tuple[int, int, int], shape: tuple[int, int]) -> tuple[int, int]:
    if chunks is None or len(chunks) != 3:
        return shape
    order = tuple(reversed(chunks))
    return min(order[axes[1]], shape[0]), min(order[axes[2]], shape[1])
