"""Where the labels lie on a map: on the scene itself, on a part of it, and with records that do not keep the test pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsikit.geo.grid import Grid, Window
from hsikit.models import load_record
from hsikit.report.labelled_places import places_of
from hsikit.train.record import TrainingRecord

from .conftest import Reported


@pytest.fixture
def record(reported: Reported) -> TrainingRecord:
    found = load_record(reported.model, TrainingRecord)
    assert found is not None and found.predictions is not None
    return found


def test_training_and_test_are_told_apart(record: TrainingRecord, reported: Reported) -> None:
    found, tested = places_of(record, record.used[0].grid), record.predictions
    assert tested is not None and found.split
    np.testing.assert_array_equal(found.test, (tested.rows, tested.cols))
    np.testing.assert_array_equal(found.truth, reported.made.truth[found.test])
    np.testing.assert_array_equal(found.training, (record.fitted[0].rows, record.fitted[0].cols))
    facts = found.facts()
    assert facts.kind == "split" and facts.wrong == int((tested.truth != tested.predicted).sum()) and facts.right + facts.wrong == len(tested)
    assert not set(zip(*found.training, strict=True)) & set(zip(*found.test, strict=True))


def test_a_part_of_the_scene_has_a_part_of_the_labels(record: TrainingRecord, reported: Reported) -> None:
    window = Window(20, 10, 40, 45)
    found = places_of(record, record.used[0].grid.crop(window))
    np.testing.assert_array_equal(found.truth, reported.made.truth[window.slices()][found.test])
    assert 0 < len(found.truth) < len(record.predictions or ())


def test_an_older_record_has_all_labels_in_one(record: TrainingRecord) -> None:
    found = places_of(replace(record, predictions=None, fitted=()), record.used[0].grid)
    assert found.facts().kind == "labels" and found.facts().training == len(record.used[0].rows) and not len(found.truth)


def test_elsewhere_there_are_none(record: TrainingRecord) -> None:
    far = Grid((10, 10), (30.0, 0.0, 0.0, 0.0, -30.0, 0.0), record.used[0].grid.crs)
    assert places_of(record, far).facts().kind == "none"
