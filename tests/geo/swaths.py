"""Simulated swaths: a tilted, slightly bent grid of pixels somewhere on the globe."""

from __future__ import annotations

import numpy as np

from hsikit.geo.swath import Swath, swath_of_arrays


def tilted_positions(shape=(40, 30), lon=12.0, lat=52.0, step=0.001, angle=20.0, bend=0.02) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of pixel centres: rows along a track turned by `angle` degrees, longitudes in -180..180."""
    row, col = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    turn = np.radians(angle)
    across, along = col + bend * row**2 / shape[0], -row.astype(float)
    east = (across * np.cos(turn) - along * np.sin(turn)) * step / np.cos(np.radians(lat))
    north = (across * np.sin(turn) + along * np.cos(turn)) * step
    return (lon + east + 180) % 360 - 180, lat + north


def tilted_swath(**shape) -> Swath:
    return swath_of_arrays(*tilted_positions(**shape))
