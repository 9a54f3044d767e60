from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.metrics.bootstrap import bootstrap_intervals
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from hsikit.train.evaluate import Evaluation, evaluate
from hsikit.train.pipeline import ELSEWHERE, score_floors, train_classifier
from hsikit.train.predictions import predict
from hsikit.train.record import TrainingRecord
from tests.tasks.classification.scenes import fields, labelled, source

RUN = partial(compute, threads=1)
VALUES, TRUTH = fields(64, 66, 3, 8, noise=1.5, holes=False)
LABELS = labelled(source(VALUES), TRUTH, 150)


@pytest.fixture(scope="module")
def kept() -> tuple[Svm, TrainingRecord]:
    return train_classifier(Svm, [LABELS], run=RUN, seed=4, refit=False, floors=False)


def test_all_follows_from_the_answers(kept: tuple[Svm, TrainingRecord]) -> None:
    model, record = kept
    found = evaluate(model, record, [LABELS], run=RUN, seed=5)
    answers = predict(model, [LABELS.take(record.unseen(LABELS))], RUN)
    assert found.method == "svm" and found.temperature == model.temperature != 1
    assert found.scores.to_json() == answers.scores((1, 2, 3)).to_json()
    assert found.after.to_json() == answers.reliability().to_json()
    assert found.before.to_json() == answers.reliability(calibrated=False).to_json()
    expected = bootstrap_intervals(answers.truth, answers.predicted, answers.group, (1, 2, 3), seed=5)
    assert found.intervals.to_json() == expected.to_json()
    assert ELSEWHERE in found.notes


def test_the_test_part_of_the_split_scores_as_in_the_record(kept: tuple[Svm, TrainingRecord]) -> None:
    """A kept model on just the pixels that it was tested on."""
    model, record = kept
    tested = record.predictions
    assert tested is not None
    places = {(int(r), int(c)) for r, c in zip(tested.rows, tested.cols, strict=True)}
    part = LABELS.take(np.array([(int(r), int(c)) in places for r, c in zip(LABELS.rows, LABELS.cols, strict=True)]))
    found = evaluate(model, record, [part], run=RUN)
    assert found.scores.to_json() == record.scores
    assert found.after.to_json() == record.calibration["after"]


def test_floors_are_fitted_on_what_the_model_was_fitted_on(kept: tuple[Svm, TrainingRecord]) -> None:
    model, record = kept
    fresh = record.unseen(LABELS)
    found = evaluate(model, record, [LABELS], run=RUN)
    expected = score_floors([LABELS.take(~fresh)], [LABELS.take(fresh)])
    assert {name: floor.to_json() for name, floor in found.floors.items()} == {name: floor.to_json() for name, floor in expected.items()}
    assert set(expected) == {"nearest-label", "svm on spectra"}
    assert not evaluate(model, record, [LABELS.take(fresh)], run=RUN).floors


@pytest.mark.parametrize("split", [None, "class-halves"])
def test_json_comes_back(kept: tuple[Svm, TrainingRecord], split: str | None) -> None:
    found = evaluate(*kept, [LABELS], run=RUN, split=split)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Evaluation.from_json(json.loads(text))
    assert again.to_json() == json.loads(text)
    assert again.predictions is None and again.names == found.names and again.split == (split or "")
    np.testing.assert_array_equal(again.scores.confusion, found.scores.confusion)


def test_a_split_gives_its_own_temperature_and_report(kept: tuple[Svm, TrainingRecord]) -> None:
    found = evaluate(*kept, [LABELS], run=RUN, split="class-halves", seed=1)
    _, record = train_classifier(Svm, [LABELS], run=RUN, split="class-halves", seed=1, floors=False)
    assert found.temperature == record.calibration["temperature"]
    assert found.scores.to_json() == record.scores
    assert found.report == record.report
    plain = evaluate(*kept, [LABELS], run=RUN, split="class-halves", seed=1, calibrate=False)
    assert plain.temperature == 1 and plain.before.to_json() == plain.after.to_json() == found.before.to_json()
    assert ELSEWHERE in found.notes and ELSEWHERE not in plain.notes


def test_smoothed_scores_are_those_of_the_smoothed_map(kept: tuple[Svm, TrainingRecord]) -> None:
    model, record = kept
    found = evaluate(model, record, [LABELS], run=RUN, finish=smooth)
    fresh = LABELS.take(record.unseen(LABELS))
    job = smooth(model.with_options(extras=("log_probabilities",)).bind({"cube": LABELS.source.info}))
    codes = RUN(job, {"cube": LABELS.source}, layers=("map",), at=(fresh.rows, fresh.cols)).values["map"][0]
    assert found.smoothed and found.scores.overall == pytest.approx((codes == fresh.codes).mean())
    assert found.scores.overall > evaluate(model, record, [LABELS], run=RUN).scores.overall
