"""The ROC curve of a map of any size, read strip by strip: exact, with memory for the targets alone.

Targets are few and the background is many. A point of the curve lies wherever a target is passed, so that all that counts of the background is how
many of its pixels score above each target, and how many the same. Pure NumPy and SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.metrics.detection import RocCurve, area_interval, curve_of_levels

MOST_TARGETS = 1 << 22
"""Target pixels that are held, at most: some 200 MB."""
BACKGROUND, TARGET, UNKNOWN = 0, 1, -1
"""What truth says of a pixel."""

Strips = Callable[[], Iterable[tuple[NDArray[np.float32], NDArray[np.int8]]]]
"""Gives anew, from the top, (scores, truth) of full-width strips, both of shape (rows, cols); scores NaN where there is none, truth one of the three codes."""


@dataclass(frozen=True, eq=False)
class RankedTargets:
    """A map against its truth.

    Attributes:
        curve: all points where it turns.
        above: for each scored target pixel the share of the background that it scores above, equal scores counting half, shape (n,); its mean is
            the area under the curve.
        scores: of these pixels, shape (n,).
        objects: number of the object of each, shape (n,): target pixels that touch by side or corner are one, scored or not.
        unscored: target pixels without a score.
    """

    curve: RocCurve
    above: NDArray[np.float64]
    scores: NDArray[np.float32]
    objects: NDArray[np.int64]
    unscored: int

    @property
    def count(self) -> int:
        """Objects with a scored pixel."""
        return len(np.unique(self.objects))

    def interval(self, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float] | None:
        """Percentile 95 % interval of the area over objects, as `roc_area_interval` has it; None for a single object."""
        return area_interval(self.above, self.objects, resamples=resamples, seed=seed) if self.count > 1 else None


def rank_targets(strips: Strips) -> RankedTargets:
    """Ranks the targets of a map among its background, in two passes.

    Raises:
        LabelError: no scored pixel is a target, or none is background; or more target pixels than can be held.
    """
    places, scores, cols = _targets(strips)
    scored = ~np.isnan(scores)
    if not scored.any():
        raise LabelError("truth", "none of the scored pixels is a target", "Give truth with both targets and background")
    levels, place = np.unique(scores[scored], return_inverse=True)
    below, level, background = _counts(strips, levels)
    if not background:
        raise LabelError("truth", "none of the scored pixels is background", "Give truth with both targets and background")
    above = ((below + level / 2) / background)[place.ravel()]
    curve = curve_of_levels(levels, np.bincount(place.ravel()), background - below, level, background)
    return RankedTargets(curve, above, scores[scored], touching(places, cols)[scored], int((~scored).sum()))


def _targets(strips: Strips) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
    """Flat positions and scores of the target pixels, and the columns of the map."""
    places, scores, first, cols, held = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], 0, 1, 0
    for values, truth in strips():
        cols = values.shape[1]
        here = np.flatnonzero(truth == TARGET)
        held += len(here)
        if held > MOST_TARGETS:
            raise LabelError("truth", f"more than {MOST_TARGETS:,} of its pixels are targets", "Give truth of rare things, or a smaller part of the map")
        places.append(here + first)
        scores.append(values.ravel()[here])
        first += values.size
    return np.concatenate(places), np.concatenate(scores), cols


def _counts(strips: Strips, levels: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Pixels of the background below each level, and at it; and all of them."""
    bins = np.zeros(2 * len(levels) + 1, np.int64)
    for values, truth in strips():
        found = values[(truth == BACKGROUND) & ~np.isnan(values)]
        left, right = np.searchsorted(levels, found, "left"), np.searchsorted(levels, found, "right")
        # 2 i between the levels i - 1 and i, 2 i + 1 at the level i.
        bins += np.bincount(left + right, minlength=len(bins))
    return np.cumsum(bins)[:-1:2], bins[1::2], int(bins.sum())


def touching(places: NDArray[np.int64], cols: int) -> NDArray[np.int64]:
    """Numbers of groups of pixels that touch by side or corner.

    Args:
        places: flat positions, row times columns plus column, ascending, shape (n,).
        cols: columns of the map.

    Returns:
        Shape (n,), from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = []
    col = places % cols
    for down, across in ((0, 1), (1, -1), (1, 0), (1, 1)):
        able = np.flatnonzero((col + across >= 0) & (col + across < cols))
        wanted = places[able] + down * cols + across
        at = np.searchsorted(places, wanted)
        there = (at < len(places)) & (places[np.minimum(at, max(len(places) - 1, 0))] == wanted) if len(places) else np.zeros(0, bool)
        pairs.append((able[there], at[there]))
    left, right = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(places), len(places)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
