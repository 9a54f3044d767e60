"""Spectral responses that were measured and published: what each band of a sensor sees of the spectrum.

They lie in `tables/responses/`, one CSV file per sensor (columns `band`, `wavelength` in nm, `response` relative to any maximum);
its first lines, which begin with `#`, name the source. A response is linear between its samples and 0 beyond them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Floats
from hsikit.sensors.catalogue import RESPONSES, known_sensor


@dataclass(frozen=True, eq=False)
class SensorResponse:
    """The responses of a sensor's bands, in the order of its band table.

    Attributes:
        names: the bands' names, D of them.
        wavelength: nm, ascending, shape (S,): the samples of all bands together.
        response: relative responses, 0 where a band sees nothing, shape (D, S).
    """

    names: tuple[str, ...]
    wavelength: Floats
    response: NDArray[np.float32]


def sensor_response(name: str) -> SensorResponse | None:
    """The measured responses of a sensor.

    Args:
        name: a name of `list_sensors()`.

    Returns:
        None where none are at hand: then its bands count as Gaussians of their widths.

    Raises:
        OptionError: the sensor is not known.
    """
    path = RESPONSES / f"{known_sensor(name)}.csv"
    if not path.is_file():
        return None
    curves: dict[str, list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(line for line in file if not line.startswith("#"))
        next(rows)
        for band, wavelength, response in rows:
            curves.setdefault(band, []).append((float(wavelength), float(response)))
    sampled = [np.array(curve).T for curve in curves.values()]
    axis = np.unique(np.concatenate([curve[0] for curve in sampled]))
    matrix = np.stack([np.interp(axis, at, height, left=0.0, right=0.0) for at, height in sampled])
    return SensorResponse(tuple(curves), axis, matrix.astype(np.float32))
