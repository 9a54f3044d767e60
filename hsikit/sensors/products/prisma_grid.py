"""Where a PRISMA product of level 2D lies: its extents are the outer corners of the image in some versions, centres of the corner pixels in others.

The product settles it: `Latitude` and `Longitude` are those of pixel centres, on the grid of the cube as on the panchromatic
one (both lead to the same outer corner, in a product of 2024). Where they cannot be used, the width does: the extents of n
pixels measure n pixels from corner to corner, and n - 1 from centre to centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid
from hsikit.scene import PlaceDoubt
from hsikit.sensors.crs import crs_text
from hsikit.sensors.hdf5 import Hdf5File

SWATH = "HDFEOS/SWATHS/PRS_L2D_HCO"
SIZES = {"HCO": 30.0, "PCO": 5.0}
"""Side of a pixel (m) of the cube and of the panchromatic image."""
CORNERS = ("UL", "UR", "LL", "LR")
NEAR = 0.25  # of a pixel: half the way to the other convention


def map_grid(file: Hdf5File, attrs: Mapping[str, Any], shape: tuple[int, int], swath: str, notices: list[str]) -> Grid:
    """The grid of an image.

    Args:
        file: the product.
        attrs: its global attributes.
        shape: (rows, cols) of the image.
        swath: "HCO" for the cube, "PCO" for the panchromatic image.
        notices: gets a sentence where the two signs disagree.

    Raises:
        SceneError: there are no extents or no CRS, or the extents do not fit the image.
    """
    crs = crs_text(f"EPSG:{int(_number(file, attrs, 'Epsg_Code'))}")
    if crs is None:
        raise SceneError(file.path, f"names an unknown CRS (EPSG:{attrs['Epsg_Code']})", "Fetch the file again")
    eastings, northings = ([_number(file, attrs, f"Product_{corner}corner_{axis}") for corner in CORNERS] for axis in ("easting", "northing"))
    rows, cols = (int(size) for size in file.dataset(f"{SWATH}/Data Fields/VNIR_Cube").shape[::2])
    size = SIZES["HCO"]
    extra = ((max(eastings) - min(eastings)) / size - cols, (max(northings) - min(northings)) / size - rows)
    by_width = next((shift for shift in (0.0, 1.0) if all(abs(pixels + shift) <= NEAR for pixels in extra)), None)
    origin = min(eastings), max(northings)
    by_place = _shift_of_place(file, crs, (rows, cols), origin, size)
    if by_place is None and by_width is None:
        raise SceneError(file.path, f"its extents differ by {extra[0]:g} x {extra[1]:g} pixels from its {cols} x {rows}", "Fetch the file again")
    shift = by_place if by_place is not None else by_width
    if by_width is not None and by_place is not None and by_width != by_place:
        notices.append(
            PlaceDoubt(f"its extents have the size of pixel {_said(by_width)}, its positions say pixel {_said(by_place)}: the positions are followed")
        )
    outer = origin[0] - (shift or 0.0) * size / 2, origin[1] + (shift or 0.0) * size / 2
    pixel = SIZES[swath]
    return Grid(shape, (pixel, 0.0, outer[0], 0.0, -pixel, outer[1]), crs)


def _said(shift: float) -> str:
    return "centres" if shift else "corners"


def _shift_of_place(file: Hdf5File, crs: str, shape: tuple[int, int], origin: tuple[float, float], size: float) -> float | None:
    """0 where the extents are outer corners, 1 where they are pixel centres, by the position of the middle pixel; None where that fits neither."""
    from rasterio.warp import transform

    names = [f"{SWATH}/Geolocation Fields/{name}" for name in ("Longitude", "Latitude")]
    if not all(file.has(name) and file.dataset(name).shape == shape for name in names):
        return None
    row, col = shape[0] // 2, shape[1] // 2
    lon, lat = (float(file.read(name, (row, col))) for name in names)
    if not (abs(lon) <= 180 and abs(lat) <= 90) or (lon == 0 and lat == 0):
        return None
    (east,), (north,) = transform("EPSG:4326", crs, [lon], [lat])
    corner = east - size * (col + 0.5), north + size * (row + 0.5)
    for shift in (0.0, 1.0):
        if math.hypot(origin[0] - shift * size / 2 - corner[0], origin[1] + shift * size / 2 - corner[1]) <= NEAR * size:
            return shift
    return None


def _number(file: Hdf5File, attrs: Mapping[str, Any], key: str) -> float:
    value = attrs.get(key)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise SceneError(file.path, f"has no number {key}, which a PRISMA product of level 2D has", "Fetch the file again")
    return float(value)
