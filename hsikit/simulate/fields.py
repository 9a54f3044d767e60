"""Polygons that someone could have drawn: a few labelled fields of each class, spread over a simulated scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.simulate.landscape import CLASSES, COLOURS, FINE, SEALED, Landscape

REACH = 6
"""A labelled field reaches at most this many pixels from its middle."""
SMALLEST = 9
"""Pixels that a labelled field has at least."""


def labelled_fields(land: Landscape, per_class: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Chooses fields of unmixed pixels, each class's far from one another.

    Args:
        land: the plan.
        per_class: fields wanted of each class; a class with little room gets fewer.
        rng: where the first field of each class comes from.

    Returns:
        Field numbers from 1, 0 elsewhere, shape (rows, cols); the class of each field number.
    """
    fields = np.zeros(land.shape, np.int32)
    classes: dict[int, int] = {}
    pure_class, pure_object = _pure(land)
    for code in CLASSES:
        inside = (pure_class == code) & ~land.hole
        for row, col in _spread(inside, per_class, rng):
            patch = _patch(inside, pure_object, (row, col), code == SEALED) & (fields == 0)
            if patch.sum() >= SMALLEST:
                number = len(classes) + 1
                fields[patch], classes[number] = number, code
    return fields, classes


def write_fields(path: Path, fields: NDArray[np.int32], classes: dict[int, int], grid: Grid) -> None:
    """Writes the fields as polygons of a GeoPackage: `class` (name), `code`, `colour`, `field` (number).

    Raises:
        OutputError: the file cannot be written.
    """
    import geopandas
    from rasterio.features import shapes
    from shapely.geometry import shape

    found = [(shape(outline), int(value)) for outline, value in shapes(fields, mask=fields > 0, connectivity=4, transform=grid.affine)]
    table = {
        "class": [CLASSES[classes[n]] for _, n in found],
        "code": [classes[n] for _, n in found],
        "colour": ["#{:02x}{:02x}{:02x}".format(*COLOURS[classes[n]]) for _, n in found],
        "field": [n for _, n in found],
    }
    frame = geopandas.GeoDataFrame(table, geometry=[outline for outline, _ in found], crs=grid.crs)
    try:
        frame.to_file(path, driver="GPKG", layer="fields", engine="pyogrio")
    except Exception as error:
        raise OutputError(path, f"the fields cannot be written ({error})", "See that the folder exists, can be written and has room") from error


def _pure(land: Landscape) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The class and the object of pixels that hold only one of them; 0 and -1 elsewhere."""
    rows, cols = land.shape
    cells = land.classes.reshape(rows, FINE, cols, FINE)
    things = land.objects.reshape(rows, FINE, cols, FINE)
    one_class = cells.min(axis=(1, 3)) == cells.max(axis=(1, 3))
    one_object = things.min(axis=(1, 3)) == things.max(axis=(1, 3))
    return np.where(one_class, cells[:, 0, :, 0], 0).astype(np.uint8), np.where(one_object, things[:, 0, :, 0], -1).astype(np.int32)


def _spread(inside: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Up to `count` pixels well inside, the first by chance, each next one the farthest from those before."""
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(inside, 1), "chessboard")[1:-1, 1:-1]
    places: Any = np.argwhere(depth >= 2)
    if not len(places):
        return []
    chosen = [int(rng.integers(len(places)))]
    distance = np.full(len(places), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.hypot(*(places - places[chosen[-1]]).T))
        farthest = int(distance.argmax())
        if distance[farthest] < 2 * REACH:
            break
        chosen.append(farthest)
    return [(int(places[i][0]), int(places[i][1])) for i in chosen]


def _patch(inside: NDArray[np.bool_], objects: NDArray[np.int32], at: tuple[int, int], across: bool) -> NDArray[np.bool_]:
    """Pixels of one object (of one class where `across`) around a place, in one piece."""
    from scipy.ndimage import label

    near = np.zeros_like(inside)
    near[max(0, at[0] - REACH) : at[0] + REACH + 1, max(0, at[1] - REACH) : at[1] + REACH + 1] = True
    same = inside & near & (np.bool_(across) | (objects == objects[at]))
    pieces, _ = label(same)
    return np.asarray(same & (pieces == pieces[at]), np.bool_)
