"""A synthetic camera whose rational polynomials are exact: a central projection over longitude, latitude and height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsikit.geo.rpc import RationalPolynomials, rpc_from_mapping

ROWS, COLS = 400, 300
DEGREE = 100_000.0
"""Metres in a degree, along both axes: the camera's world is flat."""
LON, LAT, HEIGHT = 13.0, 52.0, 400.0


@dataclass(frozen=True)
class Camera:
    """A camera at a point (m from LON, LAT; height above the ellipsoid) that looks at the middle of the scene, 10 m a pixel.

    Attributes:
        east, north, up: where it is.
        middle: longitude of the middle of the scene.
    """

    east: float = 150_000.0
    north: float = -80_000.0
    up: float = 600_000.0
    middle: float = LON

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The camera's place, and its axes: along columns, along rows (downwards), along the view."""
        place = np.array([self.east, self.north, self.up - HEIGHT])
        view = -place / np.linalg.norm(place)
        across = np.cross(view, [0.0, 1.0, 0.0])
        across /= np.linalg.norm(across)
        return place, np.stack([across, np.cross(view, across), view])

    def image(self, longitude: np.ndarray, latitude: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns by geometry."""
        place, axes = self._axes()
        point = np.stack([(longitude - self.middle) * DEGREE, (latitude - LAT) * DEGREE, height - HEIGHT]) - place[:, None]
        across, down, along = axes @ point
        focal = np.linalg.norm(place) / 10.0
        return focal * down / along + (ROWS - 1) / 2, focal * across / along + (COLS - 1) / 2

    def ground(self, rows: np.ndarray, cols: np.ndarray, plane: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Where the rays of pixels meet a plane: height = plane[0] + plane[1] * degrees east of the middle + plane[2] * degrees north."""
        place, axes = self._axes()
        focal = np.linalg.norm(place) / 10.0
        ray = axes.T @ np.stack([(cols - (COLS - 1) / 2) / focal, (rows - (ROWS - 1) / 2) / focal, np.ones_like(rows)])
        normal = np.array([-plane[1] / DEGREE, -plane[2] / DEGREE, 1.0])
        distance = ((plane[0] - HEIGHT) - normal @ place) / (normal @ ray)
        met = place[:, None] + distance * ray
        return self.middle + met[0] / DEGREE, LAT + met[1] / DEGREE

    def mapping(self) -> dict[str, str]:
        """Its rational polynomials by GDAL's names."""
        place, axes = self._axes()
        scales = {"LINE": 200.0, "SAMP": 150.0, "LAT": 0.03, "LONG": 0.02, "HEIGHT": 500.0}
        offsets = {"LINE": (ROWS - 1) / 2, "SAMP": (COLS - 1) / 2, "LAT": LAT, "LONG": self.middle, "HEIGHT": HEIGHT}
        focal = np.linalg.norm(place) / 10.0
        sizes = np.array([scales["LONG"] * DEGREE, scales["LAT"] * DEGREE, scales["HEIGHT"]])
        across, down, along = (np.array([-(axis @ place), *(axis * sizes)]) for axis in axes)
        above = {"LINE": focal * down / scales["LINE"], "SAMP": focal * across / scales["SAMP"]}
        told = {f"{key}_OFF": repr(float(value)) for key, value in offsets.items()} | {f"{key}_SCALE": repr(value) for key, value in scales.items()}
        for key, numerator in above.items():
            for what, values in (("NUM", numerator), ("DEN", along)):
                told[f"{key}_{what}_COEFF"] = " ".join(repr(float(value)) for value in [*values / along[0], *[0.0] * 16])
        return told

    def polynomials(self) -> RationalPolynomials:
        return rpc_from_mapping(self.mapping(), "scene.tif")


def cubic(seed: int = 0) -> dict[str, str]:
    """The camera's polynomials with all twenty terms in use."""
    rng = np.random.default_rng(seed)
    told = Camera().mapping()
    for key in ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF"):
        values = np.array(told[key].split(), float)
        told[key] = " ".join(repr(float(value)) for value in values + np.where(np.arange(20) > 3, rng.normal(0, 2e-3, 20), 0.0))
    return told
