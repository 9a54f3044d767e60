"""Scenes in HDF5 and NetCDF-4 files: arrays of any axis order, read by windows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.remote_files import openable
from hsikit.geo.swath import NOTHING, Locate, Lookup
from hsikit.scene import Indices
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import Layout, OrderedSource
from hsikit.sensors.hdf5_chunks import inflates, read_inflated
from hsikit.sensors.probe import attributes_of, holds_lists, plain


class Hdf5File:
    """A file that is open while it is needed. The HDF5 library serves one thread at a time, so all threads share one handle."""

    def __init__(self, path: Path, what: str = "an HDF5 file") -> None:
        self.path, self.what = path, what
        self._file: Any = None
        self._lock = threading.RLock()

    def read(self, name: str, selection: tuple[Any, ...] = ()) -> NDArray[Any]:
        """A part of an array, as stored.

        Raises:
            SceneError: it does not exist, or is damaged.
        """
        with damage_named(self.path, self.what):
            dataset = self.dataset(name)
            if holds_lists(dataset.dtype):
                raise SceneError(self.path, f"has lists in {name}, which {self.what} has not", "Fetch the file again")
            ranges = selection and all(isinstance(piece, slice) and piece.step in (None, 1) for piece in selection)
            found = read_inflated(dataset, selection) if ranges and len(selection) == dataset.ndim and inflates(dataset) else None
            return np.asarray(dataset[selection]) if found is None else found

    def dataset(self, name: str) -> Any:
        """An array, unread.

        Raises:
            SceneError: there is none of that name.
        """
        import h5py

        with self._lock, damage_named(self.path, self.what):
            self._file = self._file or h5py.File(openable(self.path), "r")
            found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise SceneError(self.path, f"has no array {name!r}, which {self.what} has", "Fetch the file again")
        return found

    def has(self, name: str) -> bool:
        """Whether there is an array or group of that name."""
        import h5py

        with self._lock, damage_named(self.path, self.what):
            self._file = self._file or h5py.File(openable(self.path), "r")
            return name in self._file

    def members(self, name: str) -> list[str]:
        """Paths of what lies in a group; none where there is no such group."""
        with self._lock:
            if not self.has(name):
                return []
            with damage_named(self.path, self.what):
                return [f"{name}/{member}" for member in self._file[name]]

    def attributes(self, name: str = "/") -> dict[str, Any]:
        """Attributes of the root, a group or an array, but for lists of variable length; text as `str`."""
        import h5py

        with self._lock, damage_named(self.path, self.what):
            self._file = self._file or h5py.File(openable(self.path), "r")
            return attributes_of(self._file[name])

    def numbers(self, name: str, most: int = 1 << 16) -> NDArray[np.float64]:
        """A short array of numbers, as float64 in one dimension.

        Raises:
            SceneError: it is missing, no numbers, or longer than `most`.
        """
        found = self.dataset(name)
        if found.size > most or found.dtype.kind not in "iufb":
            raise SceneError(self.path, f"{name} is no row of at most {most} numbers", "Fetch the file again")
        return np.ravel(self.read(name)).astype(float)

    def texts(self, name: str, most: int = 1 << 12) -> list[str]:
        """A short array of texts.

        Raises:
            SceneError: it is missing or longer than `most`.
        """
        if self.dataset(name).size > most:
            raise SceneError(self.path, f"{name} holds more than {most} names", "Fetch the file again")
        return [str(plain(value)) for value in np.ravel(self.read(name))]

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


@dataclass(frozen=True)
class Part:
    """An array that holds some of a scene's bands.

    Attributes:
        name: of the array.
        axes: which of its axes are (bands, rows, cols); `None` for the bands of an array with two.
        first: position in the array of the first band that belongs to the scene.
        count: number of bands; None for all from `first` on.
    """

    name: str
    axes: tuple[int | None, int, int] = (2, 0, 1)
    first: int = 0
    count: int | None = None


class Hdf5Source(OrderedSource):
    """Bands out of one or several arrays of a file, in the order of the parts.

    Args:
        scene: what `layout` made of the file's facts.
        file: the open file.
        parts: the arrays, whose bands together are the scene's, in the order of the claims.

    Raises:
        SceneError: an array's shape is not the scene's.
    """

    def __init__(self, scene: Layout, file: Hdf5File, parts: Sequence[Part]) -> None:
        super().__init__(scene)
        self.file, self._parts = file, tuple(parts)
        counts = [part_bands(file, part) for part in parts]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        if self._starts[-1] != len(scene.order):
            raise SceneError(file.path, f"its arrays hold {self._starts[-1]} bands, and {len(scene.order)} are described", "Fetch the file again")
        for part in parts:
            shape = part_shape(file, part)
            if shape != self.info.grid.shape:
                raise SceneError(file.path, f"{part.name} has {shape} pixels, and the scene has {self.info.grid.shape} (rows, columns)", "Fetch the file again")
        chunks, axis = file.dataset(parts[0].name).chunks, parts[0].axes[0]
        self.band_block = None if chunks is None or axis is None or len(parts) > 1 else int(chunks[axis])
        """Bands that the file decodes at once; None where that is not one number."""
        self.block = _block(file.dataset(parts[0].name), parts[0], self.info.grid.shape)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        owner = np.searchsorted(self._starts, bands, side="right") - 1
        if len(owner) and (owner == owner[0]).all():
            return self._read_part(self._parts[owner[0]], window, bands - self._starts[owner[0]]).astype(self.info.dtype, copy=False)
        out: NDArray[Any] = np.empty((len(bands), *window.shape), self.info.dtype)
        for number in np.unique(owner):
            chosen = np.flatnonzero(owner == number)
            out[chosen] = self._read_part(self._parts[number], window, bands[chosen] - self._starts[number])
        return out

    def _read_part(self, part: Part, window: Window, bands: Indices) -> NDArray[Any]:
        rows, cols = window.slices()
        axis_bands, axis_rows, axis_cols = part.axes
        if axis_bands is None:
            upright = axis_rows < axis_cols
            values = self.file.read(part.name, (rows, cols) if upright else (cols, rows))
            return (values if upright else values.T)[np.newaxis]
        wanted = bands + part.first
        low, high = int(wanted.min()), int(wanted.max()) + 1
        chosen: list[Any] = [None, None, None]
        axes = (axis_bands, axis_rows, axis_cols)
        for axis, piece in zip(axes, (slice(low, high), rows, cols), strict=True):
            chosen[axis] = piece
        # A range is read and then chosen from: picking single bands is slow in the HDF5 library.
        values = self.file.read(part.name, tuple(chosen)).transpose(axes)
        return values if np.array_equal(wanted, np.arange(low, high)) else values[wanted - low]

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        self.file.close()


def part_bands(file: Hdf5File, part: Part) -> int:
    """Bands that a part gives.

    Raises:
        SceneError: the array has not so many, or not so many axes.
    """
    dataset = file.dataset(part.name)
    if dataset.ndim != (2 if part.axes[0] is None else 3):
        raise SceneError(file.path, f"{part.name} has {dataset.ndim} axes", "Fetch the file again")
    if part.axes[0] is None:
        return 1
    count = int(dataset.shape[part.axes[0]]) - part.first if part.count is None else part.count
    if count < 1 or part.first + count > dataset.shape[part.axes[0]]:
        raise SceneError(file.path, f"{part.name} has {dataset.shape[part.axes[0]]} bands", "Fetch the file again")
    return count


def part_shape(file: Hdf5File, part: Part) -> tuple[int, int]:
    """(rows, cols) of a part's array."""
    shape = file.dataset(part.name).shape
    return int(shape[part.axes[1]]), int(shape[part.axes[2]])


def _block(dataset: Any, part: Part, shape: tuple[int, int]) -> tuple[int, int]:
    """What the file decodes at once: a chunk, or single rows where it is not chunked."""
    if dataset.chunks is None:
        return (1, shape[1]) if part.axes[1] < part.axes[2] or part.axes[0] == 0 else (shape[0], 1)
    return min(int(dataset.chunks[part.axes[1]]), shape[0]), min(int(dataset.chunks[part.axes[2]]), shape[1])


def locate_by(file: Hdf5File, longitude: str, latitude: str, transposed: bool = False) -> Locate:
    """Positions out of two arrays of (rows, cols), degrees; (cols, rows) where `transposed`; fill and implausible values are NaN."""

    def locate(window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, cols = window.slices()
        lon, lat = (np.array(file.read(name, (cols, rows) if transposed else (rows, cols)), np.float64) for name in (longitude, latitude))
        lon, lat = (lon.T, lat.T) if transposed else (lon, lat)
        absent = ~((np.abs(lat) <= 90) & (np.abs(lon) <= 360))
        lon[absent] = lat[absent] = np.nan
        return lon, lat

    return locate


class Hdf5Table:
    """A lookup table in a file: columns and rows from 1, 0 for nothing, negative for a neighbour's measurement put into a gap.

    Args:
        file: the open file.
        grid: the map's grid.
        x: array of columns.
        y: array of rows.
        shape: (rows, cols) of the sensor's grid.

    Raises:
        SceneError: the arrays are not of the grid's shape.
    """

    def __init__(self, file: Hdf5File, grid: Grid, x: str, y: str, shape: tuple[int, int]) -> None:
        for name in (x, y):
            if file.dataset(name).shape != grid.shape:
                raise SceneError(file.path, f"the lookup table {name} has {file.dataset(name).shape} pixels, its map {grid.shape}", "Fetch the file again")
        self.grid, self._file, self._names, self._shape = grid, file, (x, y), shape

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`.

        Raises:
            SceneError: the table points outside the sensor's grid.
        """
        x, y = (np.asarray(self._file.read(name, window.slices()), np.int64) for name in self._names)
        return lookup_from_one(x, y, self._shape, self._file.path)


def lookup_from_one(x: NDArray[np.int64], y: NDArray[np.int64], shape: tuple[int, int], path: Path) -> Lookup:
    """A window of a table as products store it: columns `x` and rows `y` from 1, 0 for nothing, negative for infill.

    Raises:
        SceneError: it points outside the sensor's grid of `shape`.
    """
    nothing = (x == 0) | (y == 0)
    rows, cols = np.where(nothing, NOTHING, np.abs(y) - 1), np.where(nothing, NOTHING, np.abs(x) - 1)
    if rows.size and (rows.max() >= shape[0] or cols.max() >= shape[1]):
        raise SceneError(path, f"its lookup table points outside the {shape[0]} x {shape[1]} pixels of the sensor's grid", "Fetch the file again")
    return Lookup(rows.astype(np.int32), cols.astype(np.int32), ((x < 0) | (y < 0)) & ~nothing)
