"""Angles of the sun and of the line of sight where a product has them pixel by pixel: those of its middle pixel stand for the scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hsikit.sensors.hdf5 import Hdf5File

OBSERVATION = {"to-sun zenith": "sun_zenith", "to-sun azimuth": "sun_azimuth", "to-sensor zenith": "view_zenith", "to-sensor azimuth": "view_azimuth"}
"""How the names of the layers of JPL's observations (OBS) begin, and what we call them."""
STEEPEST = 180.0


def angle_texts(degrees: Mapping[str, Any]) -> dict[str, str]:
    """Angles as texts for `SceneInfo.attrs`, azimuths from 0 to 360; without those that are none, such as fill values.

    Args:
        degrees: `sun_zenith`, `sun_azimuth`, `view_zenith`, `view_azimuth`, or some of them.
    """
    found = {name: float(value) for name, value in degrees.items()}
    sane = {name: value for name, value in found.items() if np.isfinite(value) and (abs(value) <= 360 if name.endswith("azimuth") else 0 <= value <= STEEPEST)}
    return {name: f"{value % 360 if value < 0 else value:.4f}" for name, value in sane.items()}


def observed(names: Sequence[str], values: Iterable[Any]) -> dict[str, str]:
    """The angles among the layers of an observation, by the names of the layers."""
    known = {ours: value for name, value in zip(names, values, strict=True) for start, ours in OBSERVATION.items() if name.lower().startswith(start)}
    return angle_texts(known)


def angles_in_the_middle(file: Hdf5File, arrays: Mapping[str, str]) -> dict[str, str]:
    """The angles at the middle pixel of arrays of (rows, cols); without those that are not there, or are fill at that pixel.

    Args:
        file: the open file.
        arrays: name of an angle -> path of its array, in degrees once its scale factor is applied.
    """
    found = {}
    for name, path in arrays.items():
        if path and file.has(path) and file.dataset(path).ndim == 2 and file.dataset(path).size:
            (rows, cols), told = file.dataset(path).shape, file.attributes(path)
            stored = float(file.read(path, (rows // 2, cols // 2)))
            if stored != told.get("_FillValue", told.get("Data_Ignore_Value")):
                found[name] = stored * float(told.get("scale_factor", 1.0)) + float(told.get("add_offset", 0.0))
    return angle_texts(found)
