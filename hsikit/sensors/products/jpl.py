"""What JPL's NetCDF products (EMIT, AVIRIS) share: transforms of maps, lookup tables with fill values, layers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Coefficients, Grid, Window
from hsikit.geo.swath import Lookup
from hsikit.scene import Indices
from hsikit.sensors.facts import Layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Hdf5Table, Part, lookup_from_one
from hsikit.sensors.radiance_units import radiance_factor

FILL = -9999.0
"""Where an array does not name another one."""


def gdal_transform(value: Any) -> Coefficients | None:
    """GDAL's six numbers (left, width, turn, top, turn, height), as an array or as text, in the order of a `Grid`; None where they are none."""
    words = value.replace(",", " ").split() if isinstance(value, str) else np.ravel(np.asarray(value)).tolist()
    try:
        c, a, b, f, d, e = (float(word) + 0.0 for word in words)  # no -0.0
    except (TypeError, ValueError):
        return None
    sane = np.isfinite([a, b, c, d, e, f]).all() and a * e != b * d
    return (a, b, c, d, e, f) if sane else None


def radiance_scale(file: Hdf5File, name: str, asked: float | None) -> float:
    """The factor from the unit of an array to W m-2 sr-1 um-1; 1 where the unit is unknown and the user names a factor.

    Raises:
        SceneError: neither is known.
    """
    unit = str(file.attributes(name).get("units", ""))
    factor = radiance_factor(unit)
    if factor is None and asked is None:
        raise SceneError(file.path, f"its radiance is in {unit!r}, which is not understood", "Name the factor to W m-2 sr-1 um-1 with --scale")
    return 1.0 if factor is None else factor


class FilledTable(Hdf5Table):
    """A lookup table in which some versions mark nothing by a fill value besides 0."""

    def __init__(self, file: Hdf5File, grid: Grid, x: str, y: str, shape: tuple[int, int]) -> None:
        super().__init__(file, grid, x, y, shape)
        self._fills = [float(file.attributes(name).get("_FillValue", FILL)) for name in (x, y)]

    def read(self, window: Window) -> Lookup:
        """See `LookupTable`.

        Raises:
            SceneError: the table points outside the sensor's grid.
        """
        x, y = (np.array(self._file.read(name, window.slices()), np.int64) for name in self._names)
        for values, fill in zip((x, y), self._fills, strict=True):
            values[(values == fill) | (values == FILL)] = 0
        return lookup_from_one(x, y, self._shape, self._file.path)


class LayerSource(Hdf5Source):
    """Arrays of (rows, cols), each with a fill value of its own, which become NaN as they are read."""

    def __init__(self, scene: Layout, file: Hdf5File, names: Sequence[str]) -> None:
        super().__init__(scene, file, [Part(name, (None, 0, 1)) for name in names])
        self._fills = {name: float(file.attributes(name).get("_FillValue", FILL)) for name in names}

    def _read_part(self, part: Part, window: Window, bands: Indices) -> NDArray[Any]:
        stored = super()._read_part(part, window, bands)
        values = stored.astype(self.info.dtype)
        values[stored == self._fills[part.name]] = np.nan
        return values


def layer_type(file: Hdf5File, names: Sequence[str]) -> np.dtype[Any]:
    """A floating type that holds the numbers of all these arrays."""
    return np.result_type(np.float32, *(file.dataset(name).dtype for name in names))
