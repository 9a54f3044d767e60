from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.metrics.calibration import reliability
from hsikit.metrics.scores import scores
from hsikit.models import load_record, save_method
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from hsikit.train.pipeline import train_classifier
from hsikit.train.predictions import TYPES, Predictions, predict
from hsikit.train.record import TrainingRecord
from tests.tasks.classification.scenes import fields, labelled, source

RUN = partial(compute, threads=1)
VALUES, TRUTH = fields(64, 66, 3, 8, noise=1.5, holes=False)
SCENE = source(VALUES)
LABELS = labelled(SCENE, TRUTH, 60)
MODEL = Svm.train([LABELS], run=RUN).with_options(temperature=2.5)


def layers_at(model: Svm, *names: str) -> dict[str, np.ndarray]:
    job = model.with_options(extras=tuple(name for name in names if name != "map")).bind({"cube": SCENE.info})
    return {name: values[0] for name, values in RUN(job, {"cube": SCENE}, layers=names, at=(LABELS.rows, LABELS.cols)).values.items()}


def test_answers_are_those_of_the_map_and_its_confidence() -> None:
    found = predict(MODEL, [LABELS], RUN)
    calibrated, plain = layers_at(MODEL, "map", "confidence"), layers_at(MODEL.with_options(temperature=1.0), "map", "confidence")
    np.testing.assert_array_equal(found.predicted, calibrated["map"])
    np.testing.assert_allclose(found.confidence, calibrated["confidence"], rtol=1e-5)
    np.testing.assert_allclose(found.uncalibrated, plain["confidence"], rtol=1e-5)
    np.testing.assert_array_equal(found.truth, LABELS.codes)
    np.testing.assert_array_equal(found.rows, LABELS.rows)
    assert found.scenes == ("scene.tif",)
    assert found.scores((1, 2, 3)).to_json() == scores(LABELS.codes, calibrated["map"], (1, 2, 3)).to_json()
    expected = reliability(calibrated["confidence"], calibrated["map"] == LABELS.codes)
    assert found.reliability().ece == pytest.approx(expected.ece, abs=1e-4)


def test_what_is_done_to_the_job_shows_in_the_answers() -> None:
    found = predict(MODEL, [LABELS], RUN, finish=smooth)
    job = smooth(MODEL.with_options(extras=("confidence", "log_probabilities")).bind({"cube": SCENE.info}))
    expected = RUN(job, {"cube": SCENE}, layers=("map", "confidence"), at=(LABELS.rows, LABELS.cols)).values
    np.testing.assert_array_equal(found.predicted, expected["map"][0])
    np.testing.assert_allclose(found.confidence, expected["confidence"][0], rtol=1e-4)


def test_groups_are_numbered_through_all_scenes() -> None:
    other = labelled(source(VALUES, name="other.tif"), TRUTH, 20)
    found = predict(MODEL, [LABELS, other], RUN)
    assert found.scenes == ("scene.tif", "other.tif")
    np.testing.assert_array_equal(np.bincount(found.scene), [len(LABELS), len(other)])
    assert not set(found.group[found.scene == 0]) & set(found.group[found.scene == 1])
    field = [replace(scene, groups=scene.groups % 2, group_field="f", group_names=("a", "b")) for scene in (LABELS, other)]
    assert set(predict(MODEL, field, RUN).group.tolist()) == {0, 1}


def test_pixels_without_data_have_no_confidence_and_do_not_count() -> None:
    holed = VALUES.copy()
    holed[:, 10, :5] = np.nan
    empty = replace(LABELS, source=source(holed), rows=np.full(5, 10), cols=np.arange(5), codes=np.ones(5, np.uint8), groups=np.arange(5))
    found = predict(MODEL, [empty], RUN)
    assert (found.predicted == 0).all() and np.isnan(found.confidence).all() and not found.answered.any()
    assert found.reliability().counts.sum() == 0


def test_the_record_keeps_them_in_the_model_folder(tmp_path: Path) -> None:
    model, record = train_classifier(Svm, [LABELS], run=RUN, split="class-halves", floors=False)
    save_method(model, tmp_path / "model", record=record)
    again = load_record(tmp_path / "model", TrainingRecord)
    assert again is not None and again.predictions is not None and record.predictions is not None
    for name in TYPES:
        np.testing.assert_array_equal(getattr(again.predictions, name), getattr(record.predictions, name))
    assert again.predictions.scores(model.legend.codes).to_json() == record.scores
    assert again.calibration == record.calibration
    trained, tested, used = (
        set(zip(rows.tolist(), cols.tolist(), strict=True)) for rows, cols in [(p.rows, p.cols) for p in (again.fitted[0], again.predictions, again.used[0])]
    )
    assert trained and tested and not trained & tested and trained | tested <= used
    assert again.report["train"] == len(trained) and again.report["test"] == len(tested)


def test_records_of_the_first_release_still_load() -> None:
    _, record = train_classifier(Svm, [LABELS], run=RUN, split="class-halves", floors=False)
    arrays, facts = record.state()
    old = {name: value for name, value in facts.items() if name not in ("tested_scenes", "fitted", "calibration")}
    again = TrainingRecord.from_state({name: value for name, value in arrays.items() if not name.startswith(("tested.", "fitted."))}, old)
    assert again.predictions is None and again.fitted == () and again.calibration == {}
    np.testing.assert_array_equal(again.used[0].rows, record.used[0].rows)


def test_arrays_that_do_not_fit_are_refused() -> None:
    arrays, names = predict(MODEL, [LABELS], RUN).state()
    with pytest.raises(ValueError, match="one length"):
        Predictions.from_state({**arrays, "rows": arrays["rows"][1:]}, names)
    with pytest.raises(ValueError, match="not named"):
        Predictions.from_state(arrays, [])
    with pytest.raises(KeyError):
        Predictions.from_state({name: values for name, values in arrays.items() if name != "group"}, names)
