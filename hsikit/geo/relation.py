"""How the pixels of one grid lie on another: exact zoom and phase, for methods that read two scenes of different pixel size.

Map coordinates are floats, but the two grids of one instrument stand to each other in small ratios (3, 6, 5/2). `relate` finds
the simplest fractions that agree with both transforms everywhere, so that tiles of the two grids are cut with integer
arithmetic and never disagree by a pixel. Nothing here needs torch or GDAL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError
from hsikit.geo.grid import IDENTITY, Grid, Window

TOLERANCE = Fraction(1, 100_000)
"""Largest distance (pixels of the other grid) between a border by the fractions and the same border by the transforms."""
ROTATION = Fraction(1, 1000)
"""Largest skew (pixels of the other grid, over the whole extent) that counts as no rotation."""
Axis = Literal[0, 1]
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Relation:
    """Where the borders of a reference grid lie on another grid: `border * zoom + phase`, along rows and along columns.

    Attributes:
        zoom: pixels of the other grid per reference pixel, (rows, cols), above 0; 1/3 for a reference three times finer.
        phase: where the reference's first border lies, in pixel borders of the other grid, (rows, cols).
    """

    zoom: tuple[Fraction, Fraction]
    phase: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))

    @property
    def inverse(self) -> Relation:
        """The same relation seen from the other grid."""
        rows, cols = self.zoom
        return Relation((1 / rows, 1 / cols), (-self.phase[0] / rows, -self.phase[1] / cols))

    def border(self, number: int, axis: Axis) -> Fraction:
        """Where the reference's border `number` lies, in pixel borders of the other grid."""
        return number * self.zoom[axis] + self.phase[axis]

    def window(self, core: Window) -> Window:
        """The pixels of the other grid that belong to a window of the reference.

        Borders are rounded half up to whole pixels, so windows that cover the reference without overlap give windows that
        cover the other grid without overlap. Of zero size where a small window holds no pixel of a coarser grid.
        """
        row, row_end = (math.floor(self.border(b, 0) + HALF) for b in (core.row, core.row_end))
        col, col_end = (math.floor(self.border(b, 1) + HALF) for b in (core.col, core.col_end))
        return Window(row, col, row_end - row, col_end - col)

    def positions(self, start: int, count: int, axis: Axis) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Centres of `count` reference pixels from pixel `start` on, in the other grid's pixel coordinates.

        Returns:
            The whole part (rounded down) and the remainder (0 to below 1), both of shape (count,). A coordinate of 4 + 0.0 is
            the centre of pixel 4. Both are exact, whatever the `start`.
        """
        return _split(start * self.zoom[axis] + self.phase[axis] + self.zoom[axis] / 2 - HALF, self.zoom[axis], count)

    def borders(self, start: int, count: int, axis: Axis) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Borders `start` to `start + count - 1` of the reference on the other grid, as whole part and remainder."""
        return _split(self.border(start, axis), self.zoom[axis], count)


def relate(reference: Grid, other: Grid, names: tuple[str, str] = ("reference", "other")) -> Relation:
    """How the pixels of `reference` lie on `other`.

    Two grids without georeference are taken to cover the same ground: their zoom is the ratio of their shapes.

    Args:
        reference: the grid that is cut into tiles.
        other: the grid that is read along with it.
        names: the files of the two, for messages.

    Raises:
        GridError: one is georeferenced and the other is not, their CRS differ or cannot be read, they are rotated or mirrored
            against each other, or they do not overlap; grids without CRS that do not cover the same extent.
    """
    if not _same_crs(reference, other, names):
        return _same_extent(reference, other, names)
    (row_zoom, skew_row), (skew_col, col_zoom), (row_phase, col_phase) = _across(reference, other)
    rows, cols = reference.shape
    if max(abs(skew_col) * rows, abs(skew_row) * cols) > ROTATION:
        raise GridError(_both(names), "the two grids are rotated against each other", "Warp one onto the other first (gdalwarp)")
    if row_zoom <= 0 or col_zoom <= 0:
        raise GridError(_both(names), "the two grids are mirrored against each other", "Warp one onto the other first (gdalwarp)")
    half = TOLERANCE / 2
    relation = Relation(
        (_simplest(row_zoom, half / rows), _simplest(col_zoom, half / cols)),
        (_simplest(row_phase, half), _simplest(col_phase, half)),
    )
    if not relation.window(reference.whole).intersect(other.whole).size:
        raise GridError(_both(names), f"they do not overlap: {_extent(reference)} and {_extent(other)}", "Give two scenes of the same place")
    return relation


def _both(names: tuple[str, str]) -> str:
    return f"{names[0]} and {names[1]}"


def _extent(grid: Grid) -> str:
    return "({:.6g}, {:.6g}, {:.6g}, {:.6g})".format(*grid.bounds)


def _same_crs(reference: Grid, other: Grid, names: tuple[str, str]) -> bool:
    """Whether both have one CRS; False where neither has a place on the ground."""
    known = reference.georeferenced, other.georeferenced
    if known == (False, False):
        return False
    if not all(known):
        placed, lost = (names[0], names[1]) if known[0] else (names[1], names[0])
        raise GridError(lost, f"it has no georeference, but {placed} has one", "Give both, or neither, a CRS and a transform")
    if reference.crs == other.crs:
        return True
    if _parse(reference.crs, names[0]) != _parse(other.crs, names[1]):
        raise GridError(
            _both(names), f"their CRS differ: {_name(reference.crs, names[0])} and {_name(other.crs, names[1])}", "Warp one to the CRS of the other"
        )
    return True


def _parse(crs: str | None, name: str) -> object:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise GridError(name, "its CRS cannot be read", "Assign one, for example with gdal_edit.py -a_srs") from error


def _name(crs: str | None, name: str) -> str:
    parsed = _parse(crs, name)
    return str(getattr(parsed, "name", parsed))


def _same_extent(reference: Grid, other: Grid, names: tuple[str, str]) -> Relation:
    """The relation of two grids of unknown place, which must cover the same ground."""
    if IDENTITY not in (reference.transform, other.transform):
        pixel = max(abs(c) for grid in (reference, other) for c in (grid.transform[0], grid.transform[1], grid.transform[3], grid.transform[4]))
        apart = max(abs(a - b) for a, b in zip(reference.bounds, other.bounds, strict=True))
        if apart > pixel / 2:
            raise GridError(_both(names), f"neither has a CRS, and their extents differ: {_extent(reference)} and {_extent(other)}", "Assign both their CRS")
    rows, cols = (Fraction(mine, theirs) for mine, theirs in zip(other.shape, reference.shape, strict=True))
    return Relation((rows, cols))


def _across(reference: Grid, other: Grid) -> tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction], tuple[Fraction, Fraction]]:
    """The affine map from the reference's pixels to the other's, without rounding.

    Returns:
        The other's (row per reference row, row per column), (column per row, column per column), and (row, column) of the origin.
    """
    a, b, c, d, e, f = map(Fraction, reference.transform)
    p, q, r, s, t, u = map(Fraction, other.transform)
    area = p * t - q * s

    def back(x: Fraction, y: Fraction) -> tuple[Fraction, Fraction]:
        return (p * y - s * x) / area, (t * x - q * y) / area

    row_by_row, col_by_row = back(b, e)
    row_by_col, col_by_col = back(a, d)
    return (row_by_row, row_by_col), (col_by_row, col_by_col), back(c - r, f - u)


def _simplest(exact: Fraction, tolerance: Fraction) -> Fraction:
    """The fraction of the smallest denominator within `tolerance` of a value."""
    low, high = exact - tolerance, exact + tolerance
    if low <= 0 <= high:
        return Fraction(0)
    return _between(low, high) if low > 0 else -_between(-high, -low)


def _between(low: Fraction, high: Fraction) -> Fraction:
    """The simplest fraction of an interval above 0, by continued fractions."""
    if (whole := math.ceil(low)) <= high:
        return Fraction(whole)
    below = math.floor(low)
    return below + 1 / _between(1 / (high - below), 1 / (low - below))


def _split(first: Fraction, step: Fraction, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whole parts and remainders of an arithmetic sequence, by integers alone."""
    denominator = math.lcm(first.denominator, step.denominator)
    start, stride = first.numerator * (denominator // first.denominator), step.numerator * (denominator // step.denominator)
    # Python's integers: fractions of odd pixel sizes have denominators whose products outgrow 64 bits.
    parts = [divmod(start + stride * i, denominator) for i in range(count)]
    return np.array([whole for whole, _ in parts], np.int64), np.array([rest / denominator for _, rest in parts], np.float64)
