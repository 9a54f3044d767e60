"""Which pixels of a swath polygons and points label: those whose centres lie in a polygon, and those that points fall in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.inside import inside_each
from hsikit.geo.pixels_at import OUTSIDE, pixels_at
from hsikit.geo.places import CentresIn, SwathPlaces, strips
from hsikit.geo.swath import Swath

Claims = tuple[NDArray[np.int64], NDArray[np.intp]]


def centres_claimed(shapes: NDArray[Any], crs: Any, swath: Swath) -> Claims:
    """The pixels that each shape labels.

    The centres are brought into the CRS of the shapes, in which the edges of polygons are straight.

    Args:
        shapes: n valid polygons and points (or several in one).
        crs: of the shapes, as pyproj takes it.
        swath: where the pixels lie.

    Returns:
        Pixels as row * columns + column, and the position of the shape that claims each; of one length, each pair once.
    """
    import shapely

    places = SwathPlaces(swath)
    areas = shapely.get_dimensions(shapes) == 2
    of_areas, of_points = _in_polygons(shapes, np.flatnonzero(areas), crs, places), _at_points(shapes, np.flatnonzero(~areas), crs, places)
    flat, feature = (np.concatenate([one, other]) for one, other in zip(of_areas, of_points, strict=True))
    return flat, feature


def _in_polygons(shapes: NDArray[Any], chosen: NDArray[np.intp], crs: Any, places: SwathPlaces) -> Claims:
    """Of polygons, strip by strip of the swath."""
    from shapely import STRtree

    flat, feature = [np.zeros(0, np.int64)], [np.zeros(0, np.intp)]
    polygons, centres = shapes[chosen], CentresIn(places, crs)
    tree = STRtree(polygons)
    for window in strips(places.shape):
        for number, block, found in inside_each(polygons, tree, *centres.centres(window)):
            rows, cols = np.nonzero(found)
            flat.append((rows + block.row + window.row).astype(np.int64) * places.shape[1] + cols + block.col)
            feature.append(np.full(len(rows), chosen[number], np.intp))
    return np.concatenate(flat), np.concatenate(feature)


def _at_points(shapes: NDArray[Any], chosen: NDArray[np.intp], crs: Any, places: SwathPlaces) -> Claims:
    """Of points: the pixels that they fall in."""
    import shapely

    xy, index = shapely.get_coordinates(shapes[chosen], return_index=True)
    rows, cols = pixels_at(places, xy[:, 0], xy[:, 1], crs)
    inside = rows != OUTSIDE
    pairs = np.column_stack([rows.astype(np.int64) * places.shape[1] + cols, chosen[index]])[inside]
    pairs = np.unique(pairs, axis=0)
    return pairs[:, 0], pairs[:, 1].astype(np.intp)
