from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.errors import LabelError
from hsikit.geo.grid import Window
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.svm import Svm
from hsikit.train.calibrate import Calibration
from hsikit.train.evaluate import evaluate
from hsikit.train.labelled import LabelledScene
from hsikit.train.pipeline import ELSEWHERE, fit_notes, train_classifier
from hsikit.train.predictions import Predictions, predict
from hsikit.train.record import TrainingRecord, UsedPixels
from hsikit.train.splits import Split
from tests.tasks.classification.scenes import ArraySource, fields, labelled, source

RUN = partial(compute, threads=1)
VALUES, TRUTH = fields(64, 66, 3, 8, noise=1.5)
SCENE = source(VALUES)
LABELS = labelled(SCENE, TRUTH, 150)


@pytest.fixture(scope="module")
def trained() -> tuple[Svm, TrainingRecord]:
    return train_classifier(Svm, [LABELS], run=RUN, seed=4)


@pytest.fixture(scope="module")
def held_out() -> tuple[Svm, TrainingRecord]:
    return train_classifier(Svm, [LABELS], run=RUN, seed=4, refit=False, floors=False)


def places(scene: LabelledScene) -> set[tuple[int, int]]:
    return set(zip(scene.rows.tolist(), scene.cols.tolist(), strict=True))


def test_the_record_says_how_it_was_trained(trained: tuple[Svm, TrainingRecord]) -> None:
    _, record = trained
    assert record.split == "blocks" and record.seed == 4 and record.refitted
    assert 0.6 < record.scores["overall"] <= 1
    assert set(record.floors) == {"nearest-label", "svm on spectra"}
    assert record.floors["svm on spectra"]["scored"] == record.scores["scored"]
    assert any("all labels" in note for note in record.notes)
    assert set(zip(record.used[0].rows.tolist(), record.used[0].cols.tolist(), strict=True)) == places(LABELS)


@pytest.mark.parametrize("refit", [True, False])
def test_it_tells_which_labels_the_saved_model_knows(refit: bool) -> None:
    told: list[LabelledScene] = []
    _, record = train_classifier(Svm, [LABELS], run=RUN, seed=4, refit=refit, floors=False, calibrate=False, fitted=told.extend)
    used = record.used[0]
    assert places(told[0]) == set(zip(used.rows.tolist(), used.cols.tolist(), strict=True))
    assert (len(told[0]) == len(LABELS)) == refit and told[0].source is SCENE


@pytest.mark.parametrize(("calibrated", "uncalibrated", "harm"), [(0.5, 0.95, True), (0.95, 0.5, False), (0.9, 0.905, False)])
def test_calibration_that_does_harm_is_told(calibrated: float, uncalibrated: float, harm: bool) -> None:
    """All answers are right, so that the error is what the confidence lacks to 1."""
    count = np.ones(40)
    arrays = dict.fromkeys(("rows", "cols", "truth", "predicted", "group"), count) | {"scene": 0 * count}
    answers = Predictions.from_state({**arrays, "confidence": calibrated * count, "uncalibrated": uncalibrated * count}, ["scene"])
    notes = fit_notes(MnfLda, Split("class-halves", [], [], 0, ("Mind the gap.",), {}), Calibration(2.0, "halves", 40), True, answers)
    assert notes[0] == "Mind the gap." and "without any label: components" in notes[1] and notes[2] == ELSEWHERE
    assert notes[3:] == (["On these test pixels calibration did harm: the expected calibration error is 5.0 % without it and 50.0 % with it."] if harm else [])


def test_a_method_below_a_floor_is_told(trained: tuple[Svm, TrainingRecord]) -> None:
    _, record = train_classifier(NearestLabel, [LABELS], run=RUN, seed=4)
    assert record.scores["overall"] < record.floors["svm on spectra"]["overall"] - 0.1
    assert [note for note in record.notes if "scores below svm on spectra, a floor" in note]
    assert not [note for note in trained[1].notes if "a floor" in note]


def test_the_svm_scores_what_the_svm_floor_scores(trained: tuple[Svm, TrainingRecord]) -> None:
    assert trained[1].scores["overall"] == pytest.approx(trained[1].floors["svm on spectra"]["overall"], abs=0.01)


def test_without_refit_the_scored_model_is_kept(trained: tuple[Svm, TrainingRecord], held_out: tuple[Svm, TrainingRecord]) -> None:
    model, record = held_out
    assert not record.refitted and record.floors == {} and record.scores == trained[1].scores
    fresh = LABELS.take(record.unseen(LABELS))
    assert 0 < len(fresh.rows) < len(LABELS.rows)
    assert model.identity() != trained[0].identity()


def test_evaluation_scores_only_what_the_model_has_not_seen(held_out: tuple[Svm, TrainingRecord]) -> None:
    model, record = held_out
    everything = labelled(SCENE, TRUTH, 10_000)
    found = evaluate(model, record, [everything], run=RUN)
    fresh = everything.take(record.unseen(everything))
    used = set(zip(record.used[0].rows.tolist(), record.used[0].cols.tolist(), strict=True))
    assert places(fresh) == places(everything) - used
    assert found.tested == len(fresh.rows) and found.seen == len(used) and not found.refitted
    predicted = predict(model, [fresh], RUN).predicted
    assert found.scores.unscored == (predicted == 0).sum()
    assert found.scores.overall == pytest.approx((predicted == fresh.codes)[predicted > 0].mean())
    assert "left out" in found.notes[0]
    assert found.to_json()["tested"] == found.tested


def test_nothing_left_is_refused(trained: tuple[Svm, TrainingRecord]) -> None:
    with pytest.raises(LabelError, match=r"labels\.tif.*none is left.*--split"):
        evaluate(*trained, [LABELS], run=RUN)
    with pytest.raises(LabelError, match="does not say which"):
        evaluate(trained[0], None, [LABELS], run=RUN)


def test_with_a_split_another_model_is_fitted_and_that_is_said(trained: tuple[Svm, TrainingRecord]) -> None:
    found = evaluate(*trained, [LABELS], split="class-halves", seed=2, run=RUN)
    assert found.refitted and "Not the saved model" in found.notes[0]
    assert found.tested and set(found.floors) == {"nearest-label", "svm on spectra"}
    assert evaluate(trained[0], None, [LABELS], split="class-halves", seed=2, run=RUN).scores.overall == found.scores.overall


def test_pixels_beside_those_fitted_on_are_said(held_out: tuple[Svm, TrainingRecord]) -> None:
    found = evaluate(*held_out, [LABELS], run=RUN)
    fresh, used = LABELS.take(held_out[1].unseen(LABELS)), held_out[1].used[0]
    apart = np.maximum(abs(fresh.rows[:, None] - used.rows), abs(fresh.cols[:, None] - used.cols)).min(axis=1)
    close = int((apart <= 4).sum())
    assert close and any(note.startswith(f"{close} of the pixels lie within 4 pixels") for note in found.notes)
    assert found.to_json()["names"]["1"] == LABELS.legend.names[0]


def test_classes_the_model_does_not_know_count_as_wrong() -> None:
    known = LABELS.take(LABELS.codes != 3)
    model, record = train_classifier(Svm, [known], run=RUN, floors=False)
    found = evaluate(model, record, [LABELS], run=RUN)
    assert found.scores.overall == 0 and found.tested == 150
    assert any(f"does not know the classes {LABELS.legend.names[2]}:" in note for note in found.notes)


def test_the_same_seed_trains_the_same_model() -> None:
    first, second = (train_classifier(MnfLda, [LABELS], run=RUN, seed=8, floors=False, options={"width": 3, "components": 5})[0] for _ in range(2))
    assert first.identity() == second.identity()


def used(scene: ArraySource, rows: list[int], cols: list[int]) -> UsedPixels:
    chosen = LabelledScene(scene, np.array(rows), np.array(cols), np.ones(len(rows), np.uint8), np.zeros(len(rows), np.int64), LABELS.legend, "labels")
    return UsedPixels.of(chosen)


def test_a_place_is_seen_in_whatever_file_it_comes_again() -> None:
    pixels = used(SCENE, [10, 10, 63], [5, 65, 65])
    rows, cols = np.array([10, 10, 11, 63]), np.array([5, 65, 5, 65])
    copy = source(VALUES, name="copy.tif").info
    assert pixels.seen(copy, rows, cols).tolist() == [True, True, False, True]
    window = Window(8, 3, 20, 20)
    crop = source(VALUES[(slice(None), *window.slices())], grid=SCENE.info.grid.crop(window)).info
    assert pixels.seen(crop, np.array([2, 2, 3]), np.array([2, 3, 2])).tolist() == [True, False, False]
    # The pixel after a row's last one is not the next row's first.
    assert not pixels.seen(copy, np.array([9, 9]), np.array([71, 200])).any()


def test_other_scenes_are_not_seen() -> None:
    rows, cols = np.array([10]), np.array([5])
    assert not used(SCENE, [10], [5]).seen(source(VALUES, "EPSG:32632").info, rows, cols).any()
    first, second = source(VALUES, acquired="2022-07-24T10:00:00Z"), source(VALUES, acquired="2023-07-24T10:00:00Z")
    assert not used(first, [10], [5]).seen(second.info, rows, cols).any()
    assert used(first, [10], [5]).seen(SCENE.info, rows, cols).all()
    plain = used(source(VALUES, None), [10], [5])
    assert plain.seen(source(VALUES, None, "copy").info, rows, cols).all()
    assert not plain.seen(source(VALUES[:, :40], None).info, rows, cols).any()


class Keeping(Svm):
    """A classifier that keeps snapshots, and remembers where."""

    keeps_snapshots = True
    given: ClassVar[list[Path | None]] = []

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, workspace: Path | None = None, **options: Any) -> Keeping:
        cls.given.append(workspace)
        return super().train(scenes, **options)


def test_each_fit_keeps_its_snapshots_apart_where_the_classifier_keeps_any(tmp_path: Path) -> None:
    _, record = train_classifier(Keeping, [LABELS], run=RUN, seed=4, floors=False, workspace=tmp_path)
    fits = [folder for folder in Keeping.given if folder is not None]
    assert len(set(fits)) == len(fits) == 2
    assert all(folder.parent == tmp_path for folder in fits)
    assert record.options["method"] == {}
    train_classifier(Svm, [LABELS], run=RUN, seed=4, floors=False, calibrate=False, workspace=tmp_path)
