from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.special import softmax

from hsikit.engine import compute
from hsikit.metrics.calibration import LEAST, confidence_temperature
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.svm import Svm
from hsikit.train.calibrate import FEWEST, RANDOM_FOLDS, cut_folds, find_temperature
from hsikit.train.pipeline import train_classifier
from hsikit.train.predictions import probabilities_at
from hsikit.train.splits import Split, make_split
from tests.tasks.classification.scenes import fields, labelled, source

RUN = partial(compute, threads=1)
VALUES, TRUTH = fields(64, 66, 3, 8, noise=1.5, holes=False)
LABELS = labelled(source(VALUES), TRUTH, 100)


def split_named(name: str, **report: object) -> Split:
    return Split(name, [], [], 0, (), dict(report))


def folds_of(name: str, scenes=(LABELS,), **report: object) -> tuple[str, np.ndarray]:
    return cut_folds(scenes, split_named(name, **report), 3)


@pytest.mark.parametrize(("name", "kind"), [("random", "random"), ("class-halves", "halves"), ("fixed", "halves"), ("scene:a", "halves"), ("blocks", "blocks"),
                                            ("groups", "groups"), ("leave-polygon-out", "groups")])  # fmt: skip
def test_folds_are_of_the_split_s_kind(name: str, kind: str) -> None:
    found, fold = folds_of(name, block=12)
    assert found == kind
    assert len(fold) == len(LABELS)
    for number in range(fold.max() + 1):
        assert set(np.unique(LABELS.codes[fold != number])) == {1, 2, 3}


def test_random_folds_deal_every_class_alike() -> None:
    _, fold = folds_of("random")
    for code in (1, 2, 3):
        counts = np.bincount(fold[LABELS.codes == code], minlength=RANDOM_FOLDS)
        assert counts.min() == counts.max() == 10


def test_halves_lie_apart_along_the_longer_side() -> None:
    _, fold = folds_of("class-halves")
    for code in (1, 2, 3):
        mine = LABELS.codes == code
        rows, cols = LABELS.rows[mine], LABELS.cols[mine]
        along = rows if np.ptp(rows) >= np.ptp(cols) else cols
        assert along[fold[mine] == 0].max() <= along[fold[mine] == 1].min()
        assert (fold[mine] == 0).sum() == 50


def test_blocks_and_groups_are_whole() -> None:
    _, fold = folds_of("blocks", block=12)
    for block in np.unique(unit := LABELS.rows // 12 * 100 + LABELS.cols // 12):
        assert len(np.unique(fold[unit == block])) == 1
    grouped = replace(LABELS, groups=(LABELS.rows // 20).astype(np.int64))
    _, fold = folds_of("groups", (grouped,))
    for group in np.unique(grouped.groups):
        assert len(np.unique(fold[grouped.groups == group])) == 1


def test_scenes_are_left_out_in_turn() -> None:
    other = labelled(source(VALUES, name="other.tif"), TRUTH, 30)
    found, fold = folds_of("scene:third", (LABELS, other))
    assert found == "scenes"
    assert len(np.unique(fold[: len(LABELS)])) == len(np.unique(fold[len(LABELS) :])) == 1
    assert fold[0] != fold[-1]


def test_what_cannot_be_held_out_always_trains() -> None:
    single = LABELS.take((LABELS.codes != 3) | (np.arange(len(LABELS)) == np.flatnonzero(LABELS.codes == 3)[0]))
    for name in ("random", "class-halves"):
        _, fold = folds_of(name, (single,))
        assert (fold[single.codes == 3] == -1).all()
        assert (fold[single.codes != 3] >= 0).all()
    corner = replace(LABELS, groups=np.where(LABELS.codes == 2, 99, LABELS.rows // 8).astype(np.int64))
    _, fold = folds_of("groups", (corner,))
    assert (fold[corner.codes == 2] == -1).all()


def log_probabilities(model: Svm, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    job = model.with_options(extras=("log_probabilities",)).bind({"cube": LABELS.source.info})
    return RUN(job, {"cube": LABELS.source}, layers=("log_probabilities",), at=(rows, cols)).values["log_probabilities"].T


def by_hand(split_name: str) -> tuple[float, np.ndarray, list[Svm]]:
    """A fit without each fold, its log-probabilities on that fold, one temperature for all; the folds, and their models."""
    split = make_split(split_name, [LABELS]) if split_name != "random" else split_named(split_name)
    _, fold = cut_folds([LABELS], split, 3)
    models = [Svm.train([LABELS.take(fold != number)], seed=3, run=RUN) for number in range(fold.max() + 1)]
    held = [LABELS.take(fold == number) for number in range(fold.max() + 1)]
    logits = np.concatenate([log_probabilities(model, part.rows, part.cols) for model, part in zip(models, held, strict=True)])
    return confidence_temperature(logits, np.concatenate([part.codes for part in held]).astype(int) - 1), fold, models


def test_on_random_folds_the_temperature_is_that_of_the_held_out_pixels() -> None:
    found = find_temperature(Svm.train([LABELS], run=RUN), [LABELS], split_named("random"), seed=3, run=RUN)
    assert found.temperature == pytest.approx(by_hand("random")[0], rel=1e-3)
    assert (found.folds, found.held, found.compared) == ("random", len(LABELS), 0)


def test_where_folds_lie_apart_their_agreement_over_the_scene_counts_as_much() -> None:
    model = Svm.train([LABELS], run=RUN)
    found = find_temperature(model, [LABELS], make_split("class-halves", [LABELS]), seed=3, run=RUN)
    labels, _, models = by_hand("class-halves")
    height, width = LABELS.source.info.grid.shape
    rows, cols = (axis.ravel() for axis in np.indices((height, width)))
    own, others = log_probabilities(model, rows, cols), [log_probabilities(other, rows, cols) for other in models]
    assert (found.folds, found.held) == ("halves", len(LABELS))
    assert 1000 < found.compared <= height * width
    # Patches are a sample of a third of the pixels: the same to some per cent, and clearly not what the labels alone say.
    scene = confidence_temperature(np.concatenate([own] * 2), np.concatenate([other.argmax(1) for other in others]))
    assert found.temperature == pytest.approx(np.sqrt(labels * scene), rel=0.05)
    assert abs(np.log(scene / labels)) > 0.2


def test_one_scene_given_twice_is_compared_once() -> None:
    first = np.arange(len(LABELS)) % 2 == 0
    parts = [LABELS.take(first), LABELS.take(~first)]
    once = find_temperature(Svm.train([LABELS], run=RUN), [LABELS], make_split("class-halves", [LABELS]), seed=3, run=RUN)
    twice = find_temperature(Svm.train(parts, run=RUN), parts, make_split("class-halves", parts), seed=3, run=RUN)
    assert twice.compared == once.compared
    assert twice.held == once.held


def test_classes_in_another_order_or_absent_keep_their_columns() -> None:
    """A class that always trains, and one that only some folds know by data, take part with their own column."""
    sparse = LABELS.take((LABELS.codes != 2) | (np.cumsum(LABELS.codes == 2) <= 1))
    found = find_temperature(Svm.train([sparse], run=RUN), [sparse], split_named("random"), seed=1, run=RUN)
    assert found.held == len(sparse) - 1


def test_a_method_that_is_never_unsure_is_made_as_sure_as_it_is_right() -> None:
    """The nearest label says 1 everywhere; random labels of 3 classes leave it right a third of the time."""
    rng = np.random.default_rng(2)
    shuffled = replace(LABELS, codes=rng.integers(1, 4, len(LABELS)).astype(np.uint8))
    model = NearestLabel.train([shuffled], run=RUN)
    found = find_temperature(model, [shuffled], split_named("random"), seed=1, run=RUN)
    confidence = softmax(np.array([0, LEAST, LEAST]) / found.temperature)[0]
    assert found.temperature > 20
    assert confidence < 0.55


def test_too_few_labels_are_not_calibrated_and_that_is_said() -> None:
    few = labelled(source(VALUES), TRUTH, 8)
    model, record = train_classifier(Svm, [few], run=RUN, split="class-halves", split_options={"per_class": 2}, floors=False)
    assert record.calibration["folds"] == "none"
    assert record.calibration["held"] < FEWEST
    assert model.temperature == 1
    assert any("not calibrated" in note for note in record.notes)


def test_a_trained_model_is_calibrated_and_says_so() -> None:
    model, record = train_classifier(MnfLda, [LABELS], run=RUN, seed=1, options={"components": 5, "width": 3}, floors=False)
    assert model.temperature == record.calibration["temperature"] != 1
    assert record.calibration["folds"] == "blocks"
    assert any("cannot calibrate another" in note for note in record.notes)
    plain, other = train_classifier(MnfLda, [LABELS], run=RUN, seed=1, options={"components": 5, "width": 3}, floors=False, calibrate=False)
    assert plain.temperature == other.calibration["temperature"] == 1
    assert other.calibration["before"] == other.calibration["after"] == record.calibration["before"]
    assert other.scores == record.scores
    assert not any("calibrate" in note for note in other.notes)
    again = type(model).from_state(*model.state())
    assert again.temperature == model.temperature


def test_a_random_split_needs_no_word_on_other_ground() -> None:
    _, record = train_classifier(Svm, [LABELS], run=RUN, split="random", floors=False)
    assert record.calibration["folds"] == "random"
    assert not any("cannot calibrate another" in note for note in record.notes)


def test_probabilities_are_those_before_calibration() -> None:
    model = Svm.train([LABELS], run=RUN)
    first, second = (probabilities_at(one, LABELS, RUN) for one in (model, model.with_options(temperature=4.0)))
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[0], second[0])
