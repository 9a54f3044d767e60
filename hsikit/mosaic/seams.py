"""Where two maps meet: how well they agree on the ground that both cover.

Of class maps the share of pixels with the same class and Cohen's kappa (1960, doi:10.1177/001316446002000104); of numbers the mean
difference (second less first) and its standard deviation. Agreement is no accuracy: two maps can be wrong alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.area import PixelAreas, pixel_areas
from hsikit.geo.grid import Window, tile_windows
from hsikit.layers import LAST_CLASS, Features
from hsikit.metrics.scores import Scores
from hsikit.mosaic.compose import HIDDEN, PART, VALUE, Composition
from hsikit.mosaic.maps import Map

CODES = np.arange(1, LAST_CLASS + 1)


@dataclass(frozen=True)
class Seam:
    """Two maps on the ground that both cover.

    Attributes:
        first, second: numbers of the maps, from 1 in the order given.
        pixels: where both have a value; of class maps, a class.
        hectares: their area.
        agreement: share of them with one class, 0 to 1; NaN for numbers.
        kappa: Cohen's, -1 to 1; NaN for numbers, and where both maps hold one class alone.
        mean_difference: second less first, over bands and pixels; NaN for classes.
        sd: standard deviation of the differences; NaN for classes.
        hides: pixels that are masked in the better map and not in the other.
    """

    first: int
    second: int
    pixels: int
    hectares: float
    agreement: float = math.nan
    kappa: float = math.nan
    mean_difference: float = math.nan
    sd: float = math.nan
    hides: int = 0


def find_seams(mosaic: Composition) -> list[Seam]:
    """Compares every two maps whose windows overlap, in bounded memory; pairs without a common value are left out.

    Args:
        mosaic: the maps on their common grid.
    """
    areas = pixel_areas(mosaic.grid)
    seams = [_seam(mosaic, one, other, overlap, areas) for one, other, overlap in _overlaps(mosaic)]
    return [seam for seam in seams if seam.pixels or seam.hides]


def _overlaps(mosaic: Composition) -> Iterator[tuple[int, int, Window]]:
    """Pairs of maps in the order given, and the pixels that the windows of both hold."""
    for one, place in enumerate(mosaic.places):
        for other in sorted(mosaic.hits(place.window)):
            if other > one:
                yield one, other, place.window.intersect(mosaic.places[other].window)


def _seam(mosaic: Composition, one: int, other: int, overlap: Window, areas: PixelAreas | None) -> Seam:
    """One pair."""
    of_classes = mosaic.layer.legend is not None
    confusion = np.zeros((LAST_CLASS, LAST_CLASS), np.int64)
    moments, pixels, hectares, hides = Moments(), 0, 0.0, 0
    rank = {index: place for place, index in enumerate(mosaic.ranking.order)}
    for part in tile_windows(overlap, PART):
        a, b = mosaic.values_of(one, part), mosaic.values_of(other, part)
        kind_a, kind_b = mosaic.kinds(a), mosaic.kinds(b)
        upper, lower = (kind_a, kind_b) if rank[one] < rank[other] else (kind_b, kind_a)
        hides += int(((upper == HIDDEN) & (lower == VALUE)).sum())
        both = (kind_a == VALUE) & (kind_b == VALUE)
        if of_classes:
            both &= (a[0] <= LAST_CLASS) & (b[0] <= LAST_CLASS)
            pairs = (a[0][both].astype(np.int64) - 1) * LAST_CLASS + (b[0][both].astype(np.int64) - 1)
            confusion += np.bincount(pairs, minlength=LAST_CLASS**2).reshape(confusion.shape)
        else:
            moments.add(b[:, both].astype(np.float64) - a[:, both].astype(np.float64))
        pixels += int(both.sum())
        hectares += float(areas.read(part)[both].sum()) if areas is not None else math.nan
    if not of_classes:
        return Seam(one + 1, other + 1, pixels, hectares, mean_difference=moments.mean, sd=moments.sd, hides=hides)
    scores = Scores.from_confusion(confusion, CODES.tolist())
    return Seam(one + 1, other + 1, pixels, hectares, scores.overall, scores.kappa, hides=hides)


class Moments:
    """Mean and spread of numbers that come in parts, merged without cancellation (Chan, Golub and LeVeque 1983, doi:10.2307/2683386)."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Takes in more; NaN is left out."""
        kept = values[np.isfinite(values)]
        if not kept.size:
            return
        mean = float(kept.mean())
        total, apart = self._count + kept.size, mean - self._mean
        self._squares += float(((kept - mean) ** 2).sum()) + apart**2 * self._count * kept.size / total
        self._mean += apart * kept.size / total
        self._count = total

    @property
    def mean(self) -> float:
        """Of all; NaN where there is none."""
        return self._mean if self._count else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation of the population; NaN where there is none."""
        return math.sqrt(self._squares / self._count) if self._count else math.nan


def seam_table(seams: Sequence[Seam], maps: Sequence[Map]) -> Features:
    """Columns of a table of seams: numbers and paths of both maps, pixels, hectares, and how they agree."""
    columns: dict[str, NDArray[np.generic]] = {
        "first": np.array([seam.first for seam in seams], np.int64),
        "second": np.array([seam.second for seam in seams], np.int64),
        "first_map": np.array([str(maps[seam.first - 1].path) for seam in seams], object),
        "second_map": np.array([str(maps[seam.second - 1].path) for seam in seams], object),
        "pixels": np.array([seam.pixels for seam in seams], np.int64),
    }
    for name in ("hectares", "agreement", "kappa", "mean_difference", "sd"):
        columns[name] = np.array([getattr(seam, name) for seam in seams], np.float64)
    return Features(columns)
