"""Scores of located objects against their truth: average precision over overlaps and over distances, and what pixel scores come to as objects.

Pure NumPy. As COCO counts (Lin et al., 2014, arXiv:1405.0312): of each class, objects of the highest score choose first, each the free true
object that it fits best; precision is read at 101 levels of recall, and classes count alike. A box is left, top, right, bottom. Boxes of
a few pixels overlap little with their truth for small mistakes, so that the same is asked of distances between centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError

Floats = NDArray[np.float64]
OVERLAPS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
LOOSE = 0.25
"""An overlap at which finding counts more than outlining."""
DISTANCES = (1.0, 2.0, 4.0)
"""Distances of centres (pixels) within which an object is found."""
RECALL_LEVELS = np.linspace(0, 1, 101)
MOST = 100
"""Objects of an image and class that count, those of the highest scores."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Objects of some images.

    Attributes:
        image: number of the image of each, shape (n,).
        label: class of each, 0 or more, shape (n,).
        box: left, top, right, bottom, shape (n, 4).
        score: shape (n,); of no meaning for true objects.
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    box: Floats
    score: Floats

    def __post_init__(self) -> None:
        count = len(self.image)
        if self.label.shape != (count,) or self.box.shape != (count, 4) or self.score.shape != (count,):
            shapes = f"labels {self.label.shape}, boxes {self.box.shape} and scores {self.score.shape}"
            raise LabelError("objects", f"{count} images for {shapes}", "Give one of each")
        if count and not (np.isfinite(self.box).all() and (self.box[:, 2:] > self.box[:, :2]).all() and np.isfinite(self.score).all()):
            raise LabelError("objects", "a box without extent, or a number that is not finite", "Give left, top, right, bottom, and finite scores")

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class ObjectScores:
    """What found objects are worth, 0 to 1; NaN where no class has an object.

    Attributes:
        ap: average precision, mean over overlaps of 0.5 to 0.95.
        by_overlap: at each of these overlaps, and at 0.25.
        by_distance: within each distance of centres.
        by_class: `ap` of each class that has objects.
    """

    ap: float
    by_overlap: dict[float, float]
    by_distance: dict[float, float]
    by_class: dict[int, float]


def object_scores(truth: Boxes, found: Boxes) -> ObjectScores:
    """Scores of found objects.

    Raises:
        LabelError: there is no true object.
    """
    matches = match_objects(truth, found)
    whole = np.ones((1, matches.images))
    table = {rule: _mean_ap(matches, rule, whole)[0] for rule in matches.hits}
    strict = [("overlap", level) for level in OVERLAPS]
    by_class = {int(label): float(np.mean([_class_ap(matches, rule, label, whole)[0] for rule in strict])) for label in np.unique(truth.label)}
    return ObjectScores(
        float(np.mean([table[rule] for rule in strict])),
        {level: float(table["overlap", level]) for level in (LOOSE, *OVERLAPS)},
        {level: float(table["distance", level]) for level in DISTANCES},
        by_class,
    )


def bootstrap_ap(truth: Boxes, found: Boxes, *, resamples: int = 200, seed: int = 0) -> tuple[float, float]:
    """Percentile 95 % interval of `ap` over images drawn with replacement: how much hangs on which images there were.

    Images that hold neither true nor found objects are not known, and not drawn.

    Raises:
        LabelError: there is no true object.
        OptionError: fewer than two resamples.
    """
    if resamples < 2:
        raise OptionError("resamples", f"{resamples} gives no interval", "Give 2 or more")
    matches = match_objects(truth, found)
    draws = np.random.default_rng(seed).multinomial(matches.images, np.full(matches.images, 1 / matches.images), size=resamples).astype(np.float64)
    values = np.nanmean([_mean_ap(matches, ("overlap", level), draws) for level in OVERLAPS], axis=0)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


Rule = tuple[str, float]
"""("overlap", share) or ("distance", pixels)."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Found objects in the order of their scores, and whether each is right.

    Attributes:
        images: how many there are.
        image: position of the image of each found object, shape (n,).
        label: its class, shape (n,).
        score: shape (n,), falling.
        hits: by rule whether each found one answers for a true object, bool (n,).
        truths: how many true objects each class has in each image, by label, shape (images,).
    """

    images: int
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    score: Floats
    hits: dict[Rule, NDArray[np.bool_]]
    truths: dict[int, Floats]


def match_objects(truth: Boxes, found: Boxes) -> Matches:
    """Lets found objects choose true ones, image by image and class by class.

    Raises:
        LabelError: there is no true object.
    """
    if not len(truth):
        raise LabelError("objects", "there is no true object to find", "Give truth with one object or more")
    rules: list[Rule] = [("overlap", level) for level in (LOOSE, *OVERLAPS)] + [("distance", level) for level in DISTANCES]
    numbers = np.unique(np.concatenate((truth.image, found.image)))
    own, order = np.searchsorted(numbers, truth.image), np.argsort(-found.score, kind="stable")
    place = np.searchsorted(numbers, found.image)[order]
    label, box, score = found.label[order], found.box[order], found.score[order]
    hits = {rule: np.zeros(len(order), bool) for rule in rules}
    counted = np.zeros(len(order), bool)
    true_groups, found_groups = _groups(own, truth.label), _groups(place, label)
    for key, mine in found_groups.items():
        mine = mine[:MOST]
        counted[mine] = True
        if key not in true_groups:
            continue
        theirs = truth.box[true_groups[key]]
        overlap, distance = _overlaps(box[mine], theirs), _distances(box[mine], theirs)
        for kind, level in rules:
            fit = overlap - level if kind == "overlap" else level - distance
            hits[kind, level][mine] = _chosen(fit)
    truths = {int(each): np.bincount(own[truth.label == each], minlength=len(numbers)).astype(np.float64) for each in np.unique(truth.label)}
    return Matches(len(numbers), place[counted], label[counted], score[counted], {rule: hit[counted] for rule, hit in hits.items()}, truths)


def _groups(image: NDArray[np.int64], label: NDArray[np.int64]) -> dict[tuple[int, int], NDArray[np.int64]]:
    """Positions by image and class, in their order."""
    if not len(image):
        return {}
    order = np.lexsort((np.arange(len(image)), label, image))
    keys = np.stack((image[order], label[order]), 1)
    cuts = np.flatnonzero((keys[1:] != keys[:-1]).any(1)) + 1
    return {(int(image[part[0]]), int(label[part[0]])): part for part in np.split(order, cuts)}


def _chosen(fit: Floats) -> NDArray[np.bool_]:
    """Whether each found one gets a true one: the free one of the best fit of at least 0."""
    free, right = np.ones(fit.shape[1], bool), np.zeros(len(fit), bool)
    for row, values in enumerate(fit):
        there = np.where(free, values, -np.inf)
        best = int(there.argmax())
        if there[best] >= -1e-9:
            right[row], free[best] = True, False
    return right


def _overlaps(ones: Floats, others: Floats) -> Floats:
    low, high = np.maximum(ones[:, None, :2], others[None, :, :2]), np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (ones, others)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared))


def _distances(ones: Floats, others: Floats) -> Floats:
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (ones, others)]
    return np.asarray(np.linalg.norm(centres[0][:, None] - centres[1][None], axis=-1))


def _mean_ap(matches: Matches, rule: Rule, draws: Floats) -> Floats:
    """Mean over the classes of their average precision, for each draw of images; NaN where no class has an object."""
    values = np.stack([_class_ap(matches, rule, label, draws) for label in matches.truths])
    known = ~np.isnan(values)
    return np.asarray(np.where(known.any(0), np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan))


def _class_ap(matches: Matches, rule: Rule, label: int, draws: Floats) -> Floats:
    """Average precision of a class when each image counts so often; draws of shape (R, images)."""
    own = matches.label == label
    total = draws @ matches.truths[label]
    if not own.any():
        return np.where(total > 0, 0.0, np.nan)
    # Equal scores cannot be told apart: precision is read after all of them.
    score = matches.score[own]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    counts = draws[:, matches.image[own]]
    right = np.cumsum(counts * matches.hits[rule][own], 1)[:, last]
    every = np.cumsum(counts, 1)[:, last]
    precision = np.divide(right, every, out=np.zeros_like(right), where=every > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    out = np.full(len(draws), np.nan)
    for row in np.flatnonzero(total > 0):
        place = np.searchsorted(right[row] / total[row], RECALL_LEVELS - 1e-12, side="left")
        padded = np.append(precision[row], 0.0)
        out[row] = padded[place].mean()
    return out


def component_boxes(scores: NDArray[np.float32], threshold: float) -> tuple[Floats, Floats]:
    """Objects out of a map of pixel scores: boxes around pixels above a threshold that touch, each with the highest score of its own pixels.

    Args:
        scores: shape (rows, cols), NaN where there is none.
        threshold: pixels above it count.

    Returns:
        Left, top, right, bottom, shape (n, 4), and scores, shape (n,).
    """
    from scipy.ndimage import find_objects, label

    with np.errstate(invalid="ignore"):
        pieces, count = label(scores > threshold, np.ones((3, 3), int))
    boxes, peaks = np.zeros((count, 4)), np.zeros(count)
    for number, (rows, cols) in enumerate(find_objects(pieces)):
        boxes[number] = cols.start, rows.start, cols.stop, rows.stop
        peaks[number] = scores[rows, cols][pieces[rows, cols] == number + 1].max()
    return boxes, peaks
