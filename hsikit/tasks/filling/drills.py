"""What is hidden to learn what filling is worth: squares of pixels that nothing is learned from, and runs of known bands.

Hidden are runs as long as those that are filled: a band between its neighbours is easily guessed, the middle of thirty is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window

SQUARE = 8
"""Side of the squares in pixels."""
LEAST_PERIOD, MOST_SQUARES = 3, 144
"""One square in each so many, along rows and along columns, at least; and how many of a scene there are, about, at most."""
MOST_LENGTHS = 3
"""Different lengths of runs that are tried."""


@dataclass(frozen=True)
class SetAside:
    """Squares of a scene's pixels that nothing is learned from: on them filling is checked.

    Attributes:
        period: one square of so many, along rows and along columns.
    """

    period: int

    @classmethod
    def of(cls, shape: tuple[int, int]) -> SetAside:
        """Of a scene of so many rows and columns: at most about 144 squares, a ninth of the pixels at most."""
        return cls(max(LEAST_PERIOD, math.ceil(math.sqrt(shape[0] * shape[1] / SQUARE**2 / MOST_SQUARES))))

    def within(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels of a window are set aside, shape (rows, cols); it may reach outside the scene."""
        rows, cols = (np.arange(start, start + count) // SQUARE % self.period == 0 for start, count in zip((window.row, window.col), window.shape, strict=True))
        return np.asarray(rows[:, None] & cols)

    def squares(self, window: Window) -> list[Window]:
        """The squares, cut to the window."""
        found = []
        step = SQUARE * self.period
        for row in range(window.row // step * step, window.row_end, step):
            for col in range(window.col // step * step, window.col_end, step):
                part = Window(row, col, SQUARE, SQUARE).intersect(window)
                if part.size:
                    found.append(part)
        return found


@dataclass(frozen=True)
class Drill:
    """Bands that are hidden at once.

    Attributes:
        bands: their positions, neighbours of each other.
        family: which line of the check it belongs to.
    """

    bands: tuple[int, ...]
    family: int


@dataclass(frozen=True)
class Family:
    """Drills of one kind.

    Attributes:
        length: bands that are hidden at once.
        everywhere: whether they are hidden in all pixels, as a bad band is, or only where the check looks.
        beyond: whether they lie at an end of the spectrum, so that known bands lie on one side alone.
    """

    length: int
    everywhere: bool
    beyond: bool


def runs_of(bands: Sequence[int]) -> list[tuple[int, ...]]:
    """Ascending positions as runs of neighbours."""
    grouped = groupby(enumerate(bands), key=lambda pair: pair[1] - pair[0])
    return [tuple(band for _, band in group) for _, group in grouped]


def families(whole: Sequence[int], bands: int, gap: float) -> list[Family]:
    """The kinds of drills that tell what is filled.

    Args:
        whole: positions of the bands that are filled in all pixels, ascending.
        bands: of the scene.
        gap: mean length of the runs of bands that single pixels lack; 0 where none lacks any.
    """
    runs = runs_of(whole)
    inner = sorted({len(run) for run in runs if run[0] > 0 and run[-1] < bands - 1})
    chosen = [inner[k] for k in np.unique(np.linspace(0, len(inner) - 1, MOST_LENGTHS).round().astype(int))] if inner else []
    found = [Family(length, True, False) for length in chosen]
    outer = [len(run) for run in runs if run[0] == 0 or run[-1] == bands - 1]
    if outer:
        found.append(Family(max(outer), True, True))
    if gap > 0:
        found.append(Family(max(1, round(gap)), False, False))
    return found


def drills(kinds: Sequence[Family], whole: Sequence[int], bands: int, most: int, everywhere: int | None = None) -> list[Drill]:
    """Runs of known bands for each kind, at most so many, evenly spread; of those hidden everywhere at most `everywhere`, if given.

    A run within the spectrum has a known band on each side, so that what is hidden never joins what is missing anyway; one at an end has
    one beside it.
    """
    known = runs_of([band for band in range(bands) if band not in set(whole)])
    found: list[Drill] = []
    for number, kind in enumerate(kinds):
        places = _ends(known, kind.length) if kind.beyond else _inside(known, kind.length)
        few = most if everywhere is None or not kind.everywhere else everywhere
        kept = np.unique(np.linspace(0, len(places) - 1, few).round().astype(int)) if len(places) > few else range(len(places))
        found += [Drill(tuple(range(places[k], places[k] + kind.length)), number) for k in kept]
    return found


def _inside(known: Sequence[tuple[int, ...]], length: int) -> list[int]:
    """Starts of runs one after the other, each band once, with a known band before and behind."""
    return [start for run in known for start in range(run[0] + 1, run[-1] - length + 1, length)]


def _ends(known: Sequence[tuple[int, ...]], length: int) -> list[int]:
    """Starts of the runs at both ends of what is known, each with a known band beside it."""
    if not known:
        return []
    first, last = known[0], known[-1]
    return [first[0]] * (len(first) > length) + [last[-1] - length + 1] * (len(last) > length)
