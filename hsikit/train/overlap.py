"""Scenes that lie over one another on the ground, where one place may be trained on in one scene and tested in another.

Splits keep pixels apart scene by scene, on each scene's own grid. Flight lines with side lap, or one place at two dates, are
one place to nature: what such a split scores is partly what was just told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from hsikit.geo.grid import Grid
from hsikit.train.labelled import LabelledScene

Box = tuple[float, float, float, float]
"""left, bottom, right, top."""
LEAST_SHARE = 0.001
"""Share of the smaller scene's box below which two scenes touch rather than overlap: borders of neighbours are rounded."""
EDGE_POINTS = 21
"""Points along each side of a box that is put into another CRS, where its sides are curved."""


def overlap_notes(scenes: Sequence[LabelledScene]) -> list[str]:
    """One sentence for each pair of scenes whose boxes overlap, for the notes of a split.

    Boxes are compared in the CRS of the first of the two. They are those of the grids, so a turned flight line's empty corners
    count. Scenes without georeference, or with a CRS that cannot be related, are passed over: nothing is known of them.
    """
    notes = []
    for one, other in combinations([scene.source.info for scene in scenes], 2):
        share = overlap_share(one.grid, other.grid)
        if share > LEAST_SHARE:
            notes.append(
                f"{one.name} and {other.name} overlap on the ground ({share:.0%} of the smaller one's box): a place may train in one and be "
                "tested in the other, so the score may be too high; split by a --group-field that both share, or label the place in one of them"
            )
    return notes


def overlap_share(one: Grid, other: Grid) -> float:
    """How much of the smaller of two boxes the other covers, 0 to 1; 0 where that cannot be known."""
    if not (one.georeferenced and other.georeferenced):
        return 0.0
    ours, theirs = one.bounds, _bounds_in(other, str(one.crs))
    if theirs is None:
        return 0.0
    width = min(ours[2], theirs[2]) - max(ours[0], theirs[0])
    height = min(ours[3], theirs[3]) - max(ours[1], theirs[1])
    return width * height / min(_area(ours), _area(theirs)) if width > 0 and height > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _bounds_in(grid: Grid, crs: str) -> Box | None:
    """The box of a grid in a CRS; None where it has no place there."""
    if grid.crs == crs:
        return grid.bounds
    import math

    from pyproj import Transformer
    from pyproj.exceptions import CRSError, ProjError

    try:
        left, bottom, right, top = Transformer.from_crs(grid.crs, crs, always_xy=True).transform_bounds(*grid.bounds, densify_pts=EDGE_POINTS)
    except (CRSError, ProjError):
        return None
    # Across the date line the left end is the larger number.
    known = all(math.isfinite(edge) for edge in (left, bottom, right, top)) and left < right
    return (float(left), float(bottom), float(right), float(top)) if known else None
