"""The map grid around a swath: its CRS, its pixels, and where these lie on the globe."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window

Floats = NDArray[np.float64]

METRES_PER_DEGREE = 111_195.08
"""Of latitude, on a sphere of the Earth's mean radius."""
UTM_REACH = 600_000.0
"""Metres from its centre within which a swath fits into a UTM zone."""
POLAR_LATITUDE = 84.0
"""Where UTM ends."""
MOST_PIXELS = 1 << 30


def map_grid(longitude: Floats, latitude: Floats, spacing: float, *, resolution: float | None = None, crs: str | None = None, name: str = "the swath") -> Grid:
    """A grid that holds all pixels of a swath, its corners at whole multiples of the pixel size.

    Args:
        longitude: of the pixels' centres (degrees), NaN where unknown.
        latitude: the same.
        spacing: distance of neighbours (m).
        resolution: side of a map pixel, in units of the CRS; by default the spacing.
        crs: "EPSG:n" or WKT; by default that of `suitable_crs`.
        name: of the scene, for messages.

    Raises:
        GridError: the CRS is not understood, or the swath has no place in it.
        OptionError: a resolution that makes no sense.
    """
    known = np.isfinite(longitude)
    lon, lat = longitude[known], latitude[known]
    chosen = suitable_crs(lon, lat) if crs is None else crs
    system, unit = _system(chosen)
    size = _size(resolution, spacing / (METRES_PER_DEGREE if system.is_geographic else unit))
    left, bottom, right, top = _geographic_extent(lon, lat) if system.is_geographic else _projected_extent(lon, lat, chosen, name)
    col, row = math.floor(left / size - 0.5 + 1e-6), math.ceil(top / size + 0.5 - 1e-6)
    shape = (row - math.floor(bottom / size - 0.5 + 1e-6), math.ceil(right / size + 0.5 - 1e-6) - col)
    if shape[0] * shape[1] > MOST_PIXELS:
        raise OptionError("res", f"{size:g} makes a map of {shape[0]} x {shape[1]} pixels", f"Give a larger one, in units of {chosen}")
    return Grid(shape, (size, 0.0, col * size, 0.0, -size, row * size), chosen)


def suitable_crs(longitude: Floats, latitude: Floats) -> str:
    """A CRS for these places: UTM, polar stereographic beyond its end, or for a wide swath Lambert's equal-area projection about its centre."""
    lon, lat, reach = _centre(longitude, latitude)
    if reach > UTM_REACH:
        return _equal_area(round(lat), round(lon))
    if abs(lat) > POLAR_LATITUDE:
        return "EPSG:3413" if lat > 0 else "EPSG:3031"
    zone = int((lon + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def _equal_area(latitude: int, longitude: int) -> str:
    from pyproj.crs import ProjectedCRS
    from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

    about = LambertAzimuthalEqualAreaConversion(latitude, longitude)
    return str(ProjectedCRS(about, name=f"WGS 84 / Lambert equal-area about {latitude}, {longitude}", geodetic_crs="EPSG:4326").to_wkt())


def _centre(longitude: Floats, latitude: Floats) -> tuple[float, float, float]:
    """Longitude and latitude (degrees) of the middle of some places, and how far (m) the farthest lies from it."""
    lon, lat = np.radians(np.ravel(longitude)), np.radians(np.ravel(latitude))
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    mean = points.mean(axis=1)
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    reach = math.acos(float(np.clip((mean @ points).min(), -1, 1))) * math.degrees(1) * METRES_PER_DEGREE
    return math.degrees(math.atan2(mean[1], mean[0])), math.degrees(math.asin(float(np.clip(mean[2], -1, 1)))), reach


def _system(crs: str) -> tuple[Any, float]:
    """The CRS as pyproj has it, and the length of its unit (m, or radians)."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        system = CRS.from_user_input(crs)
    except CRSError:
        raise GridError(crs, "is no coordinate reference system that is known", "Write it like EPSG:32633") from None
    if not (system.is_geographic or system.is_projected):
        raise GridError(crs, "is no CRS of maps", "Write one like EPSG:32633 or EPSG:4326")
    return system, float(system.axis_info[0].unit_conversion_factor) or 1.0


def _size(resolution: float | None, own: float) -> float:
    """The side of a pixel: the user's, or the measured one to three digits, so that maps of one sensor share a size."""
    if resolution is None:
        return float(f"{own:.3g}")
    if not (math.isfinite(resolution) and resolution > 0):
        raise OptionError("res", f"{resolution} is no size of a pixel", "Give it in units of the map's CRS, such as 60")
    return float(resolution)


def _geographic_extent(longitude: Floats, latitude: Floats) -> tuple[float, float, float, float]:
    """left, bottom, right, top in degrees; across the date line right is beyond 180, around a pole all longitudes are in."""
    middle = _centre(longitude, latitude)[0]
    lon = middle + (longitude - middle + 180) % 360 - 180
    left, right, bottom, top = (float(edge) for edge in (lon.min(), lon.max(), latitude.min(), latitude.max()))
    if right - left > 180:
        return -180.0, (-90.0 if bottom < -80 else bottom), 180.0, (90.0 if top > 80 else top)
    turns = 360 * math.floor((left + 180) / 360)
    return left - turns, bottom, right - turns, top


def _projected_extent(longitude: Floats, latitude: Floats, crs: str, name: str) -> tuple[float, float, float, float]:
    from pyproj import Transformer

    transformer = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    edges = []
    for part in np.array_split(np.arange(longitude.size), max(1, longitude.size >> 18)):
        x, y = transformer.transform(longitude[part], latitude[part])
        on_map = np.isfinite(x) & np.isfinite(y)
        if on_map.any():
            edges.append((x[on_map].min(), y[on_map].min(), x[on_map].max(), y[on_map].max()))
    if not edges:
        raise GridError(name, f"none of its pixels has a place in {crs}", "Choose a CRS of its part of the world")
    found = np.array(edges)
    left, bottom = found[:, :2].min(axis=0)
    right, top = found[:, 2:].max(axis=0)
    return float(left), float(bottom), float(right), float(top)


def to_longitude_latitude(grid: Grid, window: Window) -> tuple[Floats, Floats]:
    """Longitude and latitude (degrees, WGS 84) of a window's pixel centres, row by row, shape (n,) each; infinite off the globe.

    Raises:
        GridError: the grid has no CRS, or one that is not understood.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    if not grid.georeferenced:
        raise GridError("the map", "its grid has no georeference", "Give a grid with a CRS")
    x, y = grid.centres(*np.mgrid[window.row : window.row_end, window.col : window.col_end].astype(float))
    try:
        lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x.ravel(), y.ravel())
    except ProjError as error:
        raise GridError(str(grid.crs), f"is not understood ({error})", "Write it like EPSG:32633") from None
    return np.asarray(lon, float), np.asarray(lat, float)
