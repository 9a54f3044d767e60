"""Scores of a detector against pixel truth: the ROC curve and what is read off it, and average precision.

Pure NumPy. Pixels with equal scores cannot be told apart: the curve goes through all of them at once, so that no order of the pixels
counts, and a constant map has an area of 0.5. Pixels without a score (NaN) are left out. With few targets in many pixels the area
says little (at 0.98, half of 60 targets in 10,000 pixels may stand behind 200 others): look at the rate of detection too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.object_resampling import resampled_areas, shares_below

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Rates at every threshold, from the highest score down; the first point is (0, 0), the last (1, 1).

    Attributes:
        false_alarm: share of the background at or above the threshold, shape (n,), ascending.
        detection: share of the targets there, shape (n,).
        threshold: shape (n,); infinite at the first point.
        targets: how many pixels are targets.
        background: how many are not.
    """

    false_alarm: Floats
    detection: Floats
    threshold: Floats
    targets: int
    background: int

    @property
    def area(self) -> float:
        """Area below the curve: the chance that a target scores higher than a pixel of the background, equal scores counting half."""
        return float(np.trapezoid(self.detection, self.false_alarm))

    def partial_area(self, most: float) -> float:
        """Mean rate of detection over false-alarm rates from 0 to `most`: 0 to 1, 1 for a perfect detector.

        Args:
            most: above 0, up to 1.

        Raises:
            OptionError: no such rate.
        """
        _check_rate(most)
        # Up to the first point there: where the curve rises at that very rate, the rise lies beyond.
        end = int(np.argmax(self.false_alarm >= most))
        rates, found = self.false_alarm[: end + 1].copy(), self.detection[: end + 1].copy()
        share = (most - rates[-2]) / (rates[-1] - rates[-2])
        rates[-1], found[-1] = most, found[-2] + share * (found[-1] - found[-2])
        return float(np.trapezoid(found, rates)) / most

    def detection_at(self, rate: float) -> float:
        """The highest rate of detection that a threshold reaches whose false-alarm rate is at most `rate`.

        Raises:
            OptionError: no rate between 0 and 1.
        """
        _check_rate(rate)
        # A rate of 1e-3 of 9000 pixels is nine, whatever a float makes of it.
        allowed = self.false_alarm * self.background <= rate * self.background + 1e-9
        return float(self.detection[allowed][-1])

    @property
    def average_precision(self) -> float:
        """Mean over the targets of the share of targets among all that score as high: 0 to 1, the targets' share for a constant map."""
        found, false = self.detection * self.targets, self.false_alarm * self.background
        precision = found[1:] / (found[1:] + false[1:])
        return float((np.diff(self.detection) * precision).sum())


def roc_curve(scores: ArrayLike, truth: ArrayLike) -> RocCurve:
    """The curve of a score map.

    Args:
        scores: any shape, higher where more like a target; NaN is left out.
        truth: the same shape; a pixel is a target where it is not 0.

    Raises:
        LabelError: another shape, or no scored pixel that is a target, or none that is not.
    """
    values, target = _scored(scores, truth)
    order = np.argsort(-values, kind="stable")
    values, target = values[order], target[order]
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    found = np.cumsum(target)[last]
    false = last + 1 - found
    targets, background = int(found[-1]), int(false[-1])
    return RocCurve(
        np.append(0.0, false / background), np.append(0.0, found / targets), np.append(np.inf, values[last].astype(np.float64)), targets, background
    )  # fmt: skip


def roc_corners(targets: ArrayLike, background: ArrayLike) -> RocCurve:
    """The same curve by the corners that scores of targets make: all that is read off it is the same, and memory follows the targets.

    Args:
        targets: scores of the targets, shape (n,), without NaN.
        background: scores of the background, ascending, shape (m,), without NaN.

    Returns:
        At most two points for each different score of a target, beside the first and the last.

    Raises:
        LabelError: no target, or no background.
    """
    ordered = np.asarray(background)
    levels, counts = np.unique(np.asarray(targets), return_counts=True)
    if not len(levels) or not len(ordered):
        raise _one_sided("background" if len(levels) else "a target", len(ordered) + int(counts.sum()))
    low, high = (np.searchsorted(ordered, levels, side) for side in ("left", "right"))
    return curve_of_levels(levels, counts, len(ordered) - low, high - low, len(ordered))


def curve_of_levels(levels: NDArray[Any], targets: NDArray[np.integer], reach: NDArray[np.integer], level: NDArray[np.integer], background: int) -> RocCurve:
    """The curve from the highest level down: up to each level along the background alone, then through all that score the same.

    Args:
        levels: scores of targets, ascending and different, shape (k,).
        targets: how many have each, shape (k,).
        reach: pixels of the background at or above each, shape (k,).
        level: pixels of the background at each, shape (k,).
        background: all of them.
    """
    found = np.cumsum(targets[::-1])
    total = int(found[-1])
    false = np.stack((reach[::-1] - level[::-1], reach[::-1]), 1).ravel()
    detected = np.stack((np.append(0, found[:-1]), found), 1).ravel()
    threshold = np.repeat(levels[::-1].astype(np.float64), 2)
    threshold[::2] = np.nextafter(threshold[::2], np.inf)
    false, detected, threshold = (np.concatenate(parts) for parts in (([0], false, [background]), ([0], detected, [total]), ([np.inf], threshold, [-np.inf])))
    # Where nothing happens on the way there is no point.
    moved = np.append(True, (np.diff(false) > 0) | (np.diff(detected) > 0))
    return RocCurve(false[moved] / background, detected[moved] / total, threshold[moved], total, background)


def roc_area(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the ROC curve, by the ranks of the targets (Mann and Whitney, 1947, doi:10.1214/aoms/1177730491).

    Args:
        scores: as for `roc_curve`.
        truth: the same.

    Returns:
        0 to 1; equal scores take the mean of their ranks, so that a constant map has 0.5.

    Raises:
        LabelError: as `roc_curve`.
    """
    values, target = _scored(scores, truth)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    n = int(target.sum())
    total = float(ranks[place.ravel()][target].sum())
    return (total - n * (n + 1) / 2) / (n * (len(values) - n))


@dataclass(frozen=True)
class ThresholdAreas:
    """Chang's areas over the threshold, of scores brought to 0 to 1 between the scene's least and highest.

    Only `roc` is the same for any rising function of the scores: the others compare methods whose scores mean the same thing, no others. For ranks
    `background` is about 0.5 whatever the map shows.

    Attributes:
        roc: area of detection over false alarms, AUC(D,F), 0 to 1.
        target: area of detection over the threshold, AUC(D,tau): the targets' mean score, 0 to 1.
        background: area of false alarms over the threshold, AUC(F,tau): the background's mean score, 0 to 1.
    """

    roc: float
    target: float
    background: float

    @property
    def target_detectability(self) -> float:
        """AUC_TD = AUC(D,F) + AUC(D,tau), 0 to 2."""
        return self.roc + self.target

    @property
    def background_suppression(self) -> float:
        """AUC_BS = AUC(D,F) - AUC(F,tau), -1 to 1."""
        return self.roc - self.background

    @property
    def detection_in_background(self) -> float:
        """AUC_TDBS = AUC(D,tau) - AUC(F,tau), -1 to 1."""
        return self.target - self.background

    @property
    def signal_to_noise(self) -> float:
        """AUC_SNPR = AUC(D,tau) / AUC(F,tau), 0 to infinity."""
        return self.target / self.background if self.background > 0 else float("inf")

    @property
    def overall_with_roc(self) -> float:
        """AUC(D,F) + AUC(D,tau) - AUC(F,tau), -1 to 2; papers call it AUC_OD."""
        return self.roc + self.target - self.background

    @property
    def overall_probability(self) -> float:
        """AUC(D,tau) + 1 - AUC(F,tau), 0 to 2; papers call this one AUC_OD, or AUC_ODP, too."""
        return self.target + 1 - self.background


def threshold_areas(scores: ArrayLike, truth: ArrayLike, *, clip: float = 0.0) -> ThresholdAreas:
    """Areas of the ROC curve in three dimensions (Chang, 2021, doi:10.1109/TGRS.2020.3021671), by the means that they are equal to.

    Args:
        scores: as for `roc_curve`.
        truth: the same.
        clip: share of the scored pixels, at the top, whose scores are lowered to the highest of the rest before scores are brought to 0 to 1:
            one glint else decides the whole. 0: none.

    Raises:
        LabelError: as `roc_curve`, or scores that are all equal.
        OptionError: a share outside 0 to below 1.
    """
    if not 0 <= clip < 1:
        raise OptionError("clip", f"{clip} is no share below 1", "Give 0, or such as 1e-3")
    values, target = _scored(scores, truth)
    kept = values.astype(np.float64)
    top = np.sort(kept)[len(kept) - 1 - int(clip * len(kept) + 1e-9)]
    low = kept.min()
    if not top > low:
        raise LabelError("scores", f"all {len(kept)} that count are {low:g}, and span no range", "Give another map, or clip less")
    scaled = np.minimum((kept - low) / (top - low), 1.0)
    return ThresholdAreas(roc_area(scores, truth), float(scaled[target].mean()), float(scaled[~target].mean()))


def roc_area_interval(scores: ArrayLike, truth: ArrayLike, *, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Percentile 95 % interval of the area under the ROC curve, over resampled objects.

    Targets are drawn by object, since pixels of one object are no independent evidence, and the background stays: it is many pixels, and its share in
    the uncertainty is small where objects are few.

    Args:
        scores: as for `roc_curve`, shape (rows, cols) where `groups` is None.
        truth: the same.
        groups: number of each pixel's object, any integers; None: targets that touch by side or corner are one.
        resamples: how many, at least 2.
        seed: of the draws.

    Raises:
        LabelError: as `roc_curve`; groups of another shape; or a single object.
        OptionError: fewer than two resamples.
    """
    values, target = _scored(scores, truth)
    there = ~np.isnan(np.asarray(scores))
    numbers = _objects(truth) if groups is None else np.asarray(groups)
    if numbers.shape != there.shape:
        raise LabelError("groups", f"their shape is {numbers.shape}, and the scores' {there.shape}", "Give a number for each pixel")
    below = shares_below(values[target], np.sort(values[~target]))
    return area_interval(below, numbers[there][target], resamples=resamples, seed=seed)


def area_interval(above: ArrayLike, groups: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The same from what is known of the targets alone.

    Args:
        above: for each target pixel the share of the background that it scores above, equal scores counting half, shape (n,).
        groups: number of each one's object, any integers, shape (n,).
        resamples: as for `roc_area_interval`.
        seed: the same.

    Raises:
        LabelError: a single object.
        OptionError: fewer than two resamples.
    """
    if resamples < 2:
        raise OptionError("resamples", f"{resamples} give no interval", "Give 1000")
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(place, np.asarray(above, np.float64)), np.bincount(place)
    if len(sizes) < 2:
        raise LabelError("truth", "it has one object, which says nothing of others", "Give truth with several")
    low, high = np.percentile(resampled_areas(sums, sizes, resamples=resamples, seed=seed), [2.5, 97.5])
    return float(low), float(high)


def _objects(truth: ArrayLike) -> NDArray[np.int64]:
    """Numbers of groups of targets that touch by side or corner."""
    from scipy import ndimage

    mask = np.asarray(truth) != 0
    return np.asarray(ndimage.label(mask, np.ones((3,) * mask.ndim))[0], np.int64)


def _scored(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    values, target = np.asarray(scores), np.asarray(truth) != 0
    if values.shape != target.shape:
        raise LabelError("truth", f"its shape is {target.shape}, and the scores' {values.shape}", "Give truth on the grid of the scores")
    there = ~np.isnan(values)
    values, target = values[there], target[there]
    if not target.any() or target.all():
        raise _one_sided("background" if target.any() else "a target", len(values))
    return values, target


def _check_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise OptionError("false-alarm rate", f"{rate} is no share", "Give a number above 0, up to 1, such as 1e-3")


def _one_sided(missing: str, pixels: int) -> LabelError:
    return LabelError("truth", f"none of the {pixels} scored pixels is {missing}", "Give truth with both targets and background")
