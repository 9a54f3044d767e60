"""Label arrays in files: NumPy `.npy`, and MATLAB `.mat` of version 5 and 7.3. Nothing in them is ever unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.train.label_pixels import LabelPixels
from hsikit.train.label_rasters import pixels_of_array

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def pixels_of_npy(path: Path, shape: tuple[int, int], name: str) -> LabelPixels:
    """Labels of a `.npy` file, read by strips.

    Raises:
        LabelError: damaged, of another shape, or not numbers.
    """
    return pixels_of_array(npy_array(path, name), shape, name)


def npy_array(path: Path, name: str) -> NDArray[Any]:
    """The array of a `.npy` file, mapped.

    Raises:
        LabelError: damaged, or not numbers.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LabelError(name, "is no NumPy array of numbers, or is truncated", "Save plain numbers with numpy.save") from error
    return array


def pixels_of_mat(path: Path, shape: tuple[int, int], name: str) -> LabelPixels:
    """Labels of the one array in a `.mat` file that has the scene's shape.

    Raises:
        LabelError: damaged, or not exactly one array of that shape (those there are named).
    """
    return pixels_of_array(mat_array(path, shape, name), shape, name)


def mat_array(path: Path, shape: tuple[int, int], name: str) -> NDArray[Any]:
    """The one array in a `.mat` file that has the scene's shape.

    Raises:
        LabelError: damaged, or not exactly one array of that shape (those there are named).
    """
    with path.open("rb") as file:
        modern = HDF5_SIGNATURE in file.read(1024)
    try:
        shapes = _hdf5_shapes(path) if modern else _mat5_shapes(path)
        fitting = [key for key, size in shapes.items() if tuple(n for n in size if n != 1) == tuple(n for n in shape if n != 1)]
        if len(fitting) != 1:
            there = ", ".join(f"{key} {'x'.join(map(str, size))}" for key, size in shapes.items()) or "none"
            wrong = f"holds {len(fitting) or 'no'} arrays of the scene's shape {shape[0]}x{shape[1]}"
            raise LabelError(name, wrong, f"Its arrays are: {there}. Keep one, or save it as .npy")
        array = _hdf5_array(path, fitting[0]) if modern else _mat5_array(path, fitting[0])
    except LabelError:
        raise
    except Exception as error:  # scipy and h5py raise a dozen kinds on damaged files
        raise LabelError(name, f"the MATLAB file cannot be read ({error.__class__.__name__})", "Check that the file is whole") from error
    return array.reshape(shape)


def _mat5_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the numeric arrays, without loading them."""
    from scipy.io import whosmat

    numeric = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "single", "double", "logical")
    return {key: tuple(size) for key, size, kind in whosmat(str(path)) if kind in numeric}


def _mat5_array(path: Path, key: str) -> NDArray[Any]:
    """One array."""
    from scipy.io import loadmat

    array: NDArray[Any] = loadmat(str(path), variable_names=[key])[key]
    return array


def _hdf5_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes as MATLAB shows them: it stores arrays with the axes reversed."""
    import h5py

    with h5py.File(path, "r") as file:
        return {key: item.shape[::-1] for key, item in file.items() if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf"}


def _hdf5_array(path: Path, key: str) -> NDArray[Any]:
    """One array, its axes as MATLAB shows them."""
    import h5py

    with h5py.File(path, "r") as file:
        return np.asarray(file[key][()]).T
