"""A swath of PACE's size put on a map: one nearest-neighbour index for all bands, beside `scipy.interpolate.griddata` band by band.

    python -m benchmarks.swath

The swath is simulated: 1710 x 1272 pixels of 184 bands, float32, scanned to 56.5 degrees on both sides from 676.5 km, so that pixels grow
from 1.2 km at nadir to 6 km at its edges. "ours" is the table made from the positions, and all bands put through it in memory, strip by
strip. `griddata` gets what it needs: positions in map coordinates, centres of the same map's pixels, one band. "nearest" is run on one whole
band and counts as many times as there are bands; "linear" is run on a ninth of the swath and its part of the map, and counts nine times more.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np

TARGET = 50.0
ALTITUDE, RADIUS, SCAN, STEP = 676_500.0, 6_371_008.8, 56.5, 1150.0
"""Metres, degrees, metres along the track."""


def positions(rows: int, cols: int) -> tuple[Any, Any]:
    """Longitude and latitude of the pixels of a polar orbit's scan."""
    scan = np.radians(np.linspace(-SCAN, SCAN, cols))
    away = np.arcsin((RADIUS + ALTITUDE) / RADIUS * np.sin(scan)) - scan
    along = (np.arange(rows) - rows / 2) * STEP / RADIUS
    turn = np.radians(98.2 - 90)
    # On a sphere whose equator is the track, then turned so that the track crosses the Earth's equator near the pole.
    x, y, z = np.cos(away) * np.cos(along[:, None]), np.cos(away) * np.sin(along[:, None]), np.broadcast_to(np.sin(away), (rows, cols))
    east, north = z * np.cos(turn) - y * np.sin(turn), y * np.cos(turn) + z * np.sin(turn)
    return np.degrees(np.arctan2(east, x)), np.degrees(np.arcsin(np.clip(north, -1, 1)))


def swath_source(rows: int, cols: int, bands: int) -> Any:
    """The swath as a scene in memory."""
    from hsikit.geo.grid import Grid
    from hsikit.geo.swath import swath_of_arrays
    from hsikit.scene import Bands, SceneInfo
    from hsikit.sensors.array import ArraySource

    lon, lat = positions(rows, cols)
    pattern = np.sin(np.arange(rows)[:, None] / 31) + np.cos(np.arange(cols) / 17)
    values = np.empty((bands, rows, cols), np.float32)
    for band in range(bands):
        values[band] = 0.1 + 0.001 * band + 0.02 * pattern
    spectral = Bands(np.linspace(340, 2260, bands), np.full(bands, 5.0), np.ones(bands, bool), tuple(map(str, range(bands))))
    return ArraySource(values, SceneInfo("swath", Grid((rows, cols)), spectral, "float32", "array", identity=("simulated",), swath=swath_of_arrays(lon, lat)))


def ours(source: Any) -> tuple[float, float, Any]:
    """Seconds to make the table, seconds to put all bands through it, the scene on its map."""
    from hsikit.convert.orthorectify import orthorectified
    from hsikit.geo.table import strips

    start = time.perf_counter()
    mapped = orthorectified(source)
    made = time.perf_counter()
    bands = np.arange(len(source.info.bands))
    for window in strips(mapped.info.grid):
        for row in range(window.row, window.row_end, 64):
            mapped.read(type(window)(row, window.col, min(64, window.row_end - row), window.cols), bands)
    return made - start, time.perf_counter() - made, mapped


def gridded(source: Any, mapped: Any, method: str, part: int) -> float:
    """Seconds that `griddata` takes for one band of the middle 1/part of the swath along each axis."""
    from pyproj import Transformer
    from scipy.interpolate import griddata

    (rows, cols), grid = source.info.grid.shape, mapped.info.grid
    lon, lat = positions(rows, cols)
    height, width = rows // part, cols // part
    cut = (slice((rows - height) // 2, (rows + height) // 2), slice((cols - width) // 2, (cols + width) // 2))
    x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lon[cut].ravel(), lat[cut].ravel())
    down, across = grid.shape[0] // part, grid.shape[1] // part
    row, col = np.mgrid[0:down, 0:across]
    to = grid.centres(row + (grid.shape[0] - down) // 2, col + (grid.shape[1] - across) // 2)
    values = np.sin(x / 1e5) + np.cos(y / 1e5)
    start = time.perf_counter()
    griddata((x, y), values, to, method=method)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 1710), ("cols", 1272), ("bands", 184)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    source = swath_source(args.rows, args.cols, args.bands)
    load = os.getloadavg()[0]
    table, bands, mapped = ours(source)
    print(
        f"{args.rows} x {args.cols} x {args.bands} onto {mapped.info.grid.shape[0]} x {mapped.info.grid.shape[1]}, {mapped.info.grid.crs_name}; load {load:.1f}"
    )
    print(f"ours: {table:.1f} s for the table, {bands:.1f} s for all bands")
    for method, part in (("nearest", 1), ("linear", 3)):
        one = gridded(source, mapped, method, part)
        whole = one * part**2 * args.bands
        ratio = whole / (table + bands)
        print(f"griddata {method}: {one:.1f} s for one band of 1/{part**2}, {whole:.0f} s for all: {ratio:.0f} x   {'ok' if ratio >= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
