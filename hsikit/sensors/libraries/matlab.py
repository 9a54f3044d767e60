"""Libraries in MATLAB files: a matrix of spectra, often with wavelengths and names beside it; only arrays of numbers are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.sensors.container import find_wavelengths
from hsikit.sensors.damage import damage_named
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.specpr import without_records
from hsikit.sensors.mat5 import read_mat5
from hsikit.sensors.matlab import HDF5

Arrays = dict[str, NDArray[Any]]
TEXT = 32, 126
"""Codes of printable characters: names stand in MATLAB files as a matrix of these, a row for each."""


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads the matrix that `variable` names, else the largest.

    Raises:
        SceneError: truncated, without a matrix, or wavelengths that fit neither of its axes.
    """
    with path.open("rb") as file:
        head = file.read(520)
    arrays = _hdf5(path) if head.startswith(HDF5) or head[512:] == HDF5 else read_mat5(path)
    names = {key: _names(values) for key, values in arrays.items() if _is_text(values)}
    matrices = {key: values for key, values in arrays.items() if values.ndim == 2 and min(values.shape) > 1 and key not in names}
    if options.variable is not None and options.variable not in matrices:
        raise SceneError(path, f"has no matrix {options.variable!r}", f"It has {', '.join(matrices) or 'none'}")
    if not matrices:
        raise SceneError(path, "holds no matrix of spectra", "Save spectra as a matrix of channels x spectra")
    key = options.variable or max(matrices, key=lambda name: matrices[name].size)
    axis = find_wavelengths({name: values.shape for name, values in arrays.items()})
    wavelength = None if axis is None else np.ravel(arrays[axis])
    return _oriented(path, matrices[key].astype(np.float64), wavelength, names)


def _oriented(path: Path, matrix: NDArray[np.float64], wavelength: NDArray[Any] | None, names: dict[str, list[str]]) -> LibraryFacts:
    """Spectra along rows: by the number of wavelengths, else of names; else columns are spectra, as is usual in the field."""
    counts = {len(found) for found in names.values()}
    if wavelength is not None:
        if len(wavelength) not in matrix.shape:
            raise SceneError(path, f"has {len(wavelength)} wavelengths, and its matrix is {matrix.shape[0]} x {matrix.shape[1]}", "Name another with variable")
        spectra = matrix.T if matrix.shape[0] == len(wavelength) else matrix
    else:
        spectra = matrix if matrix.shape[0] in counts and matrix.shape[1] not in counts else matrix.T
    own = next((found for found in names.values() if len(found) == len(spectra)), [f"spectrum {i + 1}" for i in range(len(spectra))])
    return without_records(LibraryFacts(str(path), spectra, None if wavelength is None else wavelength.tolist(), names=own))


def _hdf5(path: Path) -> Arrays:
    import h5py

    with damage_named(path, "a MATLAB v7.3 file", "Save it again"), h5py.File(path, "r") as file:
        # MATLAB writes its axes in the opposite order.
        return {key: item[()].T for key, item in file.items() if isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and item.ndim == 2}


def _is_text(values: NDArray[Any]) -> bool:
    if values.ndim != 2 or values.dtype.kind != "u" or not values.size:
        return False
    ends = np.isin(values, (0, 10, 13))
    return bool((ends | ((values >= TEXT[0]) & (values <= TEXT[1]))).all() and not ends.all())


def _names(values: NDArray[Any]) -> list[str]:
    return ["".join(chr(code) for code in row if code not in (0, 10, 13)).strip() for row in values]
