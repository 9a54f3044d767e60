"""The table of one model on many sensors, on a small scene in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cross_sensor
from benchmarks.cross_sensor import ALL_ROWS, ENCODER, REFITTED, draw_scores, neighbourhoods, paired_report, report, rows_of, smooth
from benchmarks.cross_sensor_views import measured, views
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import fields, labelled, source

VALUES, TRUTH = fields(64, 64, 3, 60, noise=0.5, holes=False)
SCENE = source(np.abs(VALUES) + 1)
SCENE.info = SCENE.info.with_(bands=replace(SCENE.info.bands, fwhm=np.full(60, 35.0)))
LABELS = labelled(SCENE, TRUTH, 60)
OWN = SCENE.info.bands


def test_a_sensor_measures_sums_of_the_bands_and_errors_grow() -> None:
    seen = views(OWN, ("sentinel-2", "four bands", "30 % dropped"))
    assert [len(view.bands) for view in seen.values()] == [60, 13, 4, 42]
    whole = np.ones((64, 64), bool)
    spectra = np.moveaxis(SCENE.values, 0, -1).astype(float)[whole]
    clean = measured(spectra, OWN, seen["sentinel-2"], "clean", np.random.default_rng(0), whole)
    np.testing.assert_allclose(clean, spectra @ seen["sentinel-2"].weights.T)
    apart = [np.abs(measured(spectra, OWN, seen["sentinel-2"], kind, np.random.default_rng(1), whole) / clean - 1).mean() for kind in ("all", "hard")]
    assert 0.005 < apart[0] < apart[1] < 0.2


def test_neighbourhoods_average_as_the_whole_scene_does() -> None:
    values = np.random.default_rng(2).normal(size=(20, 22, 3))
    valid = np.random.default_rng(3).random((20, 22)) < 0.8
    values[~valid] = 0
    place = np.nonzero(valid & (np.random.default_rng(4).random((20, 22)) < 0.3))
    near, averages = neighbourhoods(place, valid)
    np.testing.assert_allclose(averages @ values[near], smooth(values, valid)[place], atol=1e-9)


def test_the_rows_of_the_product_are_right_about_pure_classes() -> None:
    means = smooth(np.moveaxis(SCENE.values, 0, -1).astype(float), np.ones((64, 64), bool))
    spectra = means[LABELS.rows, LABELS.cols]
    view = views(OWN, ("sentinel-2",))["sentinel-2"]
    rows = rows_of(LABELS, spectra, LABELS.codes, OWN, SCENE.info)
    assert tuple(rows) == tuple(row for row in ALL_ROWS if row not in (ENCODER, REFITTED))
    for name in ("SVM, refitted", "marginal LDA", "svm, adapted", "mnf-lda, adapted"):
        assert (rows[name](view)(spectra @ view.weights.T) == LABELS.codes).mean() > 0.85, name


def test_rows_of_the_encoder_map_the_whole_scene_as_a_sensor_sees_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cross_sensor, "TEST_TILES", 1)
    found = draw_scores("enmap-potsdam", LABELS, 0, (ENCODER, REFITTED), ("sentinel-2",), small_base(tmp_path / "base"))
    assert {row for row, _, _ in found} == {"marginal LDA", ENCODER, REFITTED}
    for row in (ENCODER, REFITTED):
        assert all(found[row, sensor, kind][0] > 0.6 for sensor in ("its own", "sentinel-2") for kind in ("clean", "hard")), row


def test_a_draw_makes_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_sensor, "TEST_TILES", 1)
    monkeypatch.setitem(cross_sensor.SENSORS, "enmap-potsdam", ("sentinel-2",))
    made = [draw_scores("enmap-potsdam", LABELS, seed, ALL_ROWS[:6]) for seed in (0, 1)]
    assert all(0 < overall <= 1 and 0 < average <= 1 for draw in made for overall, average in draw.values())
    table, paired = report("enmap-potsdam", made), paired_report("enmap-potsdam", made)
    assert len(table.splitlines()) == 2 + 6 * 3 and len(paired.splitlines()) == 2 + 5 * 3
    overall = [100 * (draw["SVM, refitted", "its own", "clean"][0] - draw["marginal LDA", "its own", "clean"][0]) for draw in made]
    assert f"| SVM, refitted, clean | {np.mean(overall):+.1f} (" in paired
    assert f"| marginal LDA, clean | {0.0 - np.mean(overall):+.1f} (" in paired_report("enmap-potsdam", made, "SVM, refitted")
