"""Scores, splits and areas as a report has them, against scikit-learn and the files of other verbs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from hsikit.errors import OptionError
from hsikit.layers import Legend
from hsikit.metrics.area_accuracy import area_accuracy
from hsikit.metrics.bootstrap import bootstrap_intervals
from hsikit.metrics.calibration import reliability
from hsikit.metrics.scores import scores
from hsikit.report.assessment import areas_of, of_evaluation, per_class, read_evaluation, split_of
from hsikit.train.evaluate import Evaluation

LEGEND = Legend.of({1: "rye", 2: "maize", 3: "water"})


def evaluation(**changes: Any) -> Evaluation:
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 3, 200).astype(np.uint8)
    predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(1, 4, 200)).astype(np.uint8)
    found = scores(truth, predicted, (1, 2, 3))
    sure = rng.uniform(0.4, 1, 200)
    facts: dict[str, Any] = {
        "method": "svm",
        "scores": found,
        "intervals": bootstrap_intervals(truth, predicted, np.arange(200) // 10, (1, 2, 3)),
        "before": reliability(sure, truth == predicted),
        "after": reliability(sure**2, truth == predicted),
        "temperature": 2.0,
        "floors": {"nearest-label": scores(truth, np.ones(200, np.uint8), (1, 2, 3))},
        "tested": 200,
        "names": {1: "rye", 2: "maize", 3: "water"},
    }
    return Evaluation(**{**facts, **changes})


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_scores_of_classes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(1, 4, 500), rng.integers(1, 4, 500)
    found = per_class(of_evaluation(evaluation(scores=scores(truth, predicted, (1, 2, 3)))))
    for name, other in (("f1", metrics.f1_score), ("iou", metrics.jaccard_score), ("producers", metrics.recall_score), ("users", metrics.precision_score)):
        np.testing.assert_allclose([found[code][name] for code in (1, 2, 3)], other(truth, predicted, average=None))
    assert [found[code]["tested"] for code in (1, 2, 3)] == [int((truth == code).sum()) for code in (1, 2, 3)]


def test_what_is_undefined_is_none() -> None:
    found = per_class(of_evaluation(evaluation(scores=scores(np.array([1, 1]), np.array([1, 2]), (1, 2, 3)))))
    assert found[3] == {"f1": None, "iou": None, "producers": None, "users": None, "tested": 0}
    assert found[2]["producers"] is None and found[2]["iou"] == 0


def test_an_evaluation_comes_whole_out_of_its_file(tmp_path: Path) -> None:
    made = evaluation(split="class-halves", report={"train": 10, "test": 200, "unused": 0}, smoothed=True, notes=("One.",))
    found = of_evaluation(read_evaluation(written(tmp_path / "e.json", made.to_json()), "svm", LEGEND))
    own, floor = found.rows
    assert (own.name, own.overall, own.floor) == ("svm", made.scores.overall, False) and own.overall_interval == made.intervals.limits["overall"]
    assert (floor.name, floor.overall, floor.overall_interval) == ("nearest-label", made.floors["nearest-label"].overall, None)
    assert (found.tested, found.groups, found.temperature, found.smoothed, found.notes) == (200, 20, 2.0, True, ("One.",))
    assert [one.ece for one in found.diagrams] == [made.before.ece, made.after.ece]
    assert found.split is not None and (found.split.name, found.split.train) == ("class-halves", 10)
    assert np.array_equal(found.confusion, made.scores.confusion)


def test_an_evaluation_without_a_split_has_none() -> None:
    assert of_evaluation(evaluation()).split is None


def test_an_evaluation_of_another_model_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "e.json", evaluation(names={1: "rye", 2: "oats", 3: "water"}).to_json())
    with pytest.raises(OptionError, match="maize is another class there"):
        read_evaluation(file, "svm", LEGEND)
    with pytest.raises(OptionError, match="it scores the method svm, but mnf-lda made the map"):
        read_evaluation(written(tmp_path / "e.json", evaluation().to_json()), "mnf-lda", LEGEND)


def accuracy(unit: str) -> dict[str, Any]:
    """The worked example of Olofsson et al. (2014), as `hsikit accuracy --json` writes it."""
    counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    found = area_accuracy(counts, [200_000, 150_000, 3_200_000, 6_450_000], ("loss", "gain", "forest", "other"), 0.09)
    area = found.hectares if unit == "ha" else found.share
    assert area is not None
    return {"map": "map.tif", "points": 640, "unit": unit, **found.to_json(), "area": area.to_json(), "notes": ["By strata"]}


def test_areas_have_the_printed_digits(tmp_path: Path) -> None:
    found = areas_of(written(tmp_path / "a.json", accuracy("ha")), ("loss", "forest"))
    first = found.rows[0]
    assert first.hectares is not None and first.hectares.value is not None and first.hectares.half_width is not None
    assert (round(first.hectares.value), round(first.hectares.half_width)) == (21_158, 6_158)
    assert (round(found.overall.value or 0, 3), round(found.overall.half_width or 0, 3), found.points) == (0.947, 0.018, 640)
    assert [row.points for row in found.rows] == [69, 56, 175, 340] and found.map == "map.tif"


def test_without_a_place_there_are_no_hectares(tmp_path: Path) -> None:
    assert all(row.hectares is None for row in areas_of(written(tmp_path / "a.json", accuracy("pixels")), ("loss",)).rows)


def test_areas_of_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="water is not among them"):
        areas_of(written(tmp_path / "a.json", accuracy("ha")), ("loss", "water"))


def test_a_split_as_its_report_says() -> None:
    report = {"train": 5, "test": 3, "unused": 1, "guard": 4, "nearest": 5, "overlap": {"window": 15, "share": 0.25}, "lost": {"train": [], "test": [2]},
              "classes": [{"code": 2, "name": "rye"}]}  # fmt: skip
    found = split_of("blocks", report, ("a.gpkg", "a.gpkg"))
    assert (found.train, found.test, found.unused, found.guard, found.nearest) == (5, 3, 1, 4, 5)
    assert (found.lost, found.labels, found.window, found.overlap) == (("rye",), ("a.gpkg",), 15, 0.25)
    assert split_of("random", {}, ()).nearest is None
