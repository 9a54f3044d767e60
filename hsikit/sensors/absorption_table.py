"""Tables of a gas's absorption, from CSV or NetCDF-4: the form is in docs/gas.md."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import OptionError
from hsikit.spectral.absorption import GEOMETRY, AbsorptionTable, Floats

FORM = "See docs/gas.md for its form"
NONE = np.array([np.nan])
VALUES = ("radiance", "transmittance")


def read_absorption(path: str | Path) -> AbsorptionTable:
    """A table of radiance or transmittance by wavelength and concentration, and perhaps by geometry.

    Args:
        path: `.csv`, or NetCDF-4 (`.nc`, `.h5`).

    Raises:
        OptionError: it cannot be read, or is of another form.
    """
    file = Path(path)
    if not file.is_file():
        raise OptionError(file, "there is no such file", "Give a table of the gas's absorption; " + FORM.lower())
    return _from_csv(file) if file.suffix.lower() in (".csv", ".txt") else _from_netcdf(file)


def _from_csv(file: Path) -> AbsorptionTable:
    try:
        with file.open(encoding="utf-8", newline="") as text:
            header, *lines = [row for row in csv.reader(text) if row and not row[0].lstrip().startswith("#")]
        columns = np.array([float(cell) for cell in header[1:]])
        numbers = np.array([[float(cell) for cell in row] for row in lines])
        wavelength, values = numbers[:, 0], numbers[:, 1:]
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise OptionError(file, f"it is no table of numbers under a line of concentrations ({error})", FORM) from None
    if values.shape[1] != len(columns):
        raise OptionError(file, f"{values.shape[1]} columns of values under {len(columns)} concentrations", FORM)
    return AbsorptionTable(values.T[None, None, None], wavelength, columns, dict.fromkeys(GEOMETRY, NONE), str(file))


def _from_netcdf(file: Path) -> AbsorptionTable:
    import h5py

    try:
        with h5py.File(file, "r") as held:
            name = next((name for name in VALUES if name in held), "")
            if not name or "wavelength" not in held or "concentration" not in held:
                raise OptionError(file, f"it lacks radiance, wavelength or concentration; it holds {', '.join(list(held)[:8]) or 'nothing'}", FORM)
            axes = {axis: np.asarray(held[axis][()], np.float64).reshape(-1) for axis in (*GEOMETRY, "concentration", "wavelength") if axis in held}
            values, order = np.asarray(held[name][()], np.float64), _dimensions(held[name], axes)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise OptionError(file, f"it cannot be read as NetCDF-4 ({error})", FORM) from None
    if sorted(order) != sorted(axes) or values.shape != tuple(len(axes[axis]) for axis in order):
        raise OptionError(file, f"{name} of shape {values.shape} does not fit its axes {', '.join(order)}", FORM)
    straight = values.transpose([order.index(axis) for axis in axes])
    shape = [len(axes[axis]) if axis in axes else 1 for axis in (*GEOMETRY, "concentration", "wavelength")]
    geometry: dict[str, Floats] = {axis: axes.get(axis, NONE) for axis in GEOMETRY}
    return AbsorptionTable(straight.reshape(shape), axes["wavelength"], axes["concentration"], geometry, str(file))


def _dimensions(values: Any, axes: dict[str, Floats]) -> list[str]:
    """Names of a variable's axes: by its dimension scales; without any, in the order of the documentation."""
    named = [str(dim[0].name).rpartition("/")[2] if len(dim) else "" for dim in values.dims]
    return named if all(named) else list(axes)
