"""How sure a classifier may be: one temperature, found inside the training labels.

The training labels are cut into folds as the split cuts all labels; the method is refitted without each fold, and says how sure
it is there. So the temperature answers the question that the split asks: how sure on the same ground (random folds), or on
other ground (folds that lie apart). It costs a fit and a map for each fold.

Labels in one place say little of another: where folds lie apart, the scene is asked too. At patches all over it, without labels,
the classifier should be as sure as the folds' models agree with it (that models of other training data disagree as often as they
err: Jiang et al., 2022, arXiv:2106.13799). The temperature is the geometric mean of the two answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.metrics.calibration import LEAST, confidence_temperature, log_of
from hsikit.train.block_dealing import balanced_folds
from hsikit.train.labelled import LabelledScene, joined_groups
from hsikit.train.predictions import Run, ScenePixels, probabilities_at
from hsikit.train.splits import Split, along_longer_side, block_units, class_counts, per_scene

FOLDS, RANDOM_FOLDS = 5, 10
"""Ten of random pixels: on the same ground a model with a tenth fewer labels stands for the whole one, one with a fifth fewer less so."""
FEWEST = 20
"""Pixels held out below which no temperature is fitted."""
PATCHES, SIDE = 40, 7
"""Patches of all scenes together at which models are compared, and their side (pixels): few, so that few tiles are read."""

Folds = NDArray[np.intp]
"""Fold of each training pixel through all scenes; -1 for one that always trains."""


@dataclass(frozen=True)
class Calibration:
    """How a temperature was found.

    Attributes:
        temperature: above 0.
        folds: what kind of folds: "random", "halves", "blocks", "groups", "scenes", or "none" where nothing was fitted.
        held: label pixels that were held out.
        compared: pixels without labels at which the folds' models were compared with the whole one; 0 for random folds.
    """

    temperature: float = 1.0
    folds: str = "none"
    held: int = 0
    compared: int = 0


def find_temperature(
    model: Any, scenes: Sequence[LabelledScene], split: Split, *, seed: int, run: Run, progress: Any = None, options: Mapping[str, Any] | None = None
) -> Calibration:
    """The temperature of a classifier, by folds inside the labels that it was trained on.

    Args:
        model: the classifier, trained on these scenes.
        scenes: its training part.
        split: that the training part comes from; the folds are cut after its kind.
        seed: of the folds and of each fit.
        run: the engine's `compute`.
        progress: passed to `run`.
        options: the classifier's training options.
    """
    kind, fold = cut_folds(scenes, split, seed)
    codes, known = np.concatenate([scene.codes for scene in scenes]), model.legend.codes
    logits = np.full((len(codes), len(known)), np.nan)
    patches = [] if kind == "random" else _patches(scenes, seed)
    elsewhere: list[NDArray[np.float64]] = []
    for number in range(int(fold.max(initial=-1)) + 1):
        held = fold == number
        if not held.any():
            continue
        parts = per_scene(held, scenes)
        train = [scene.take(~mask) for scene, mask in zip(scenes, parts, strict=True) if not mask.all()]
        fitted = model.refit(train, seed=seed, run=run, progress=progress, **dict(options or {}))
        test = [scene.take(mask) for scene, mask in zip(scenes, parts, strict=True) if mask.any()]
        logits[held], there = _logits(fitted, test, patches, known, run, progress)
        elsewhere.append(there)
    usable = np.isfinite(logits).all(axis=1) & np.isin(codes, known)
    if usable.sum() < FEWEST:
        return Calibration(held=int(usable.sum()))
    targets = np.searchsorted(np.array(known), codes[usable])
    by_labels, held_out = confidence_temperature(logits[usable], targets), int(usable.sum())
    if not patches:
        return Calibration(by_labels, kind, held_out)
    _, own = _logits(model, [], patches, known, run, progress)
    by_scene, compared = _agreement(own, elsewhere)
    return Calibration(float(np.sqrt(by_labels * by_scene)) if compared else by_labels, kind, held_out, compared)


def _patches(scenes: Sequence[LabelledScene], seed: int) -> list[ScenePixels]:
    """Patches all over the scenes, drawn at random; each scene once, each pixel once."""
    rng, out = np.random.default_rng((seed, SIDE)), []
    sources = list({id(scene.source): scene.source for scene in scenes}.values())
    for number, source in enumerate(sources):
        (rows, cols), count = source.info.grid.shape, len(range(number, PATCHES, len(sources)))
        high, wide = min(SIDE, rows), min(SIDE, cols)
        first = rng.integers(0, (rows - high + 1, cols - wide + 1), (count, 2))
        inside = np.add.outer(np.arange(high) * cols, np.arange(wide)).ravel()
        pixels = np.unique(np.add.outer(first @ (cols, 1), inside))
        out.append(ScenePixels(source, pixels // cols, pixels % cols))
    return out


def _agreement(own: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> tuple[float, int]:
    """The temperature at which a model is as sure as others agree with it, and at how many pixels; all shaped (n, K)."""
    known = np.isfinite(own).all(axis=1) & np.all([np.isfinite(other).all(axis=1) for other in others], axis=0)
    if not known.any():
        return 1.0, 0
    said = np.concatenate([other[known].argmax(axis=1) for other in others])
    return confidence_temperature(np.concatenate([own[known]] * len(others)), said), int(known.sum())


def _logits(
    fitted: Any, scenes: Sequence[LabelledScene], patches: Sequence[ScenePixels], codes: Sequence[int], run: Run, progress: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-probabilities of these classes at the label pixels of scenes, and at patches: (n, K) and (m, K); NaN without data.

    A scene with both is mapped once.
    """
    wanted: list[LabelledScene | ScenePixels] = [*scenes, *patches]
    values: list[NDArray[np.float64]] = [np.empty((0, len(codes)))] * len(wanted)
    for source in {id(place.source): place.source for place in wanted}.values():
        cols = source.info.grid.shape[1]
        asked = {number: place.rows * cols + place.cols for number, place in enumerate(wanted) if place.source is source}
        pixels = np.unique(np.concatenate(list(asked.values())))
        there = _columns(fitted, ScenePixels(source, pixels // cols, pixels % cols), codes, run, progress)
        for number, flat in asked.items():
            values[number] = there[np.searchsorted(pixels, flat)]
    none = np.empty((0, len(codes)))
    return np.concatenate([none, *values[: len(scenes)]]), np.concatenate([none, *values[len(scenes) :]])


def _columns(fitted: Any, places: ScenePixels, codes: Sequence[int], run: Run, progress: Any) -> NDArray[np.float64]:
    """Log-probabilities (n, K) of these classes, whatever the order of the model's own; `LEAST` for a class that it does not know."""
    found = log_of(probabilities_at(fitted, places, run, progress)[1])
    out = np.where(np.isnan(found[:, :1]), np.nan, np.full((len(places), len(codes)), LEAST))
    for column, code in enumerate(fitted.legend.codes):
        out[:, list(codes).index(code)] = found[:, column]
    return out


def cut_folds(scenes: Sequence[LabelledScene], split: Split, seed: int) -> tuple[str, Folds]:
    """Folds of training labels after the kind of a split: what kind, and the fold of each pixel.

    A class with fewer than two labels, or one that a fold would leave without any, always trains.
    """
    kind, rng = split.name.partition(":")[0], np.random.default_rng(seed)
    units: NDArray[np.intp] | None = None
    if kind == "random":
        found, fold = "random", _random_folds(scenes, rng)
    elif kind == "scene" and len(scenes) > 1:
        found, units = "scenes", np.repeat(np.arange(len(scenes)), [len(scene) for scene in scenes])
    elif kind in ("groups", "leave-polygon-out") or any(scene.group_field for scene in scenes):
        found, units = "groups", joined_groups(scenes)
    elif kind == "blocks":
        found, units = "blocks", block_units(scenes, int(split.report["block"]))
    else:
        found, fold = "halves", _halves(scenes)
    if units is not None:
        counts = class_counts(units, scenes)
        if len(counts) < 2:
            found, fold = "halves", _halves(scenes)
        else:
            fold = balanced_folds(counts, min(FOLDS, len(counts)), rng)[units]
    return found, _keeping_classes(fold, np.concatenate([scene.codes for scene in scenes]))


def _random_folds(scenes: Sequence[LabelledScene], rng: np.random.Generator) -> Folds:
    """Every class dealt to the folds at random."""
    codes = np.concatenate([scene.codes for scene in scenes])
    fold = np.zeros(len(codes), np.intp)
    for code in np.unique(codes):
        mine = rng.permutation(np.flatnonzero(codes == code))
        fold[mine] = np.arange(len(mine)) % RANDOM_FOLDS
    return fold


def _halves(scenes: Sequence[LabelledScene]) -> Folds:
    """Two folds: in each scene, the halves of each class along the longer side of its extent."""
    parts = [np.zeros(0, np.intp)]
    for scene in scenes:
        fold = np.zeros(len(scene), np.intp)
        for code in np.unique(scene.codes):
            order = along_longer_side(scene.rows, scene.cols, np.flatnonzero(scene.codes == code))
            fold[order[len(order) // 2 :]] = 1
        parts.append(fold)
    return np.concatenate(parts)


def _keeping_classes(fold: Folds, codes: NDArray[np.uint8]) -> Folds:
    """The folds, where a class whose labels all lie in one of them always trains."""
    kept = fold.copy()
    for code in np.unique(codes):
        mine = codes == code
        if len(np.unique(fold[mine])) < 2:
            kept[mine] = -1
    return kept
