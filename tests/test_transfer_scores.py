"""What a model is worth as other sensors would see its test pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsikit.convert.resample import resampled
from hsikit.errors import LabelError, ModelError, OptionError
from hsikit.tasks.classification.encoder import EncoderClassifier
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.refitting import refitted
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import gather_transfer
from hsikit.train.record import TrainingRecord, UsedPixels
from hsikit.transfer import adaptation_target, other_sensor
from hsikit.transfer_scores import OWN, READ_OUT, REFITTED, fit_on_split, score_as_sensors, unseen_part
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source

VALUES, TRUTH = fields(40, 43, 3, 60, noise=0.5)
SCENE = source(np.abs(VALUES) + 1)
SCENE.info = SCENE.info.with_(bands=replace(SCENE.info.bands, fwhm=np.full(60, 35.0)))
LABELS = labelled(SCENE, TRUTH, 40)
EVEN = np.arange(len(LABELS)) % 2 == 0
TRAIN, TEST = LABELS.take(EVEN), LABELS.take(~EVEN)
RUN = run_with()
MODEL, KEPT = Svm.train([TRAIN], run=RUN), gather_transfer([TRAIN])
RECORD = TrainingRecord("blocks", 3, (), {"guard": 0}, {}, {}, {"method": {"C": 5.0}}, False, (UsedPixels.of(TRAIN),))


def test_the_scores_are_those_of_maps_of_the_resampled_scene() -> None:
    assert KEPT is not None
    found = {(score.way, score.sensor): score for score in score_as_sensors(MODEL, KEPT, [TEST], ["sentinel-2"], run=RUN)}
    assert list(found) == [(READ_OUT, OWN), (REFITTED, OWN), (READ_OUT, "sentinel-2"), (REFITTED, "sentinel-2")]
    scene = resampled(SCENE, "sentinel-2")
    models = {READ_OUT: KEPT.marginal, REFITTED: refitted(MODEL, KEPT, other_sensor(KEPT, adaptation_target("sentinel-2")))[0]}
    for way, model in models.items():
        mapped = layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0][TEST.rows, TEST.cols]
        score, own = found[way, "sentinel-2"], found[way, OWN]
        assert score.scores is not None and own.scores is not None and score.bands == 13
        known = mapped > 0
        assert score.scores.overall == pytest.approx((mapped == TEST.codes)[known].mean())
        assert score.loss == pytest.approx(1 - score.scores.overall / own.scores.overall) and own.loss is None


def test_a_method_that_takes_any_bands_is_scored_as_it_maps_them(tmp_path) -> None:
    assert KEPT is not None
    model = EncoderClassifier.train([TRAIN], run=RUN, base=str(small_base(tmp_path / "base")))
    found = {(score.way, score.sensor): score for score in score_as_sensors(model, KEPT, [TEST], ["sentinel-2"], run=RUN)}
    for name, scene in ((OWN, SCENE), ("sentinel-2", resampled(SCENE, "sentinel-2"))):
        mapped = layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0][TEST.rows, TEST.cols]
        scored = found[READ_OUT, name].scores
        assert scored is not None and scored.overall == pytest.approx((mapped == TEST.codes)[mapped > 0].mean())
    assert "no labelled windows" in found[REFITTED, "sentinel-2"].refused
    other = replace(TEST, source=resampled(SCENE, "sentinel-2"))
    with pytest.raises(ModelError, match="not the model's bands"):
        score_as_sensors(model, KEPT, [other], ["landsat-8"], run=RUN)


def test_what_a_sensor_cannot_answer_is_told_not_raised() -> None:
    nearest = NearestLabel.train([TRAIN], run=RUN)
    assert KEPT is not None
    found = score_as_sensors(nearest, KEPT, [TEST], ["sentinel-2"], run=RUN)
    assert "cannot be refitted" in found[-1].refused and found[-1].scores is None and found[-2].scores is not None
    assert found[-1].to_json()["scores"] is None


def test_mistakes_are_said() -> None:
    assert KEPT is not None
    with pytest.raises(OptionError, match="neither a known sensor"):
        score_as_sensors(MODEL, KEPT, [TEST], ["nothing"], run=RUN)
    shifted = replace(TEST, source=source(VALUES[:30]))
    with pytest.raises(ModelError, match="not the model's bands"):
        score_as_sensors(MODEL, KEPT, [shifted], ["sentinel-2"], run=RUN)


def test_only_pixels_that_the_model_has_not_seen_count() -> None:
    (left,) = unseen_part(MODEL, RECORD, [LABELS])
    np.testing.assert_array_equal(np.column_stack([left.rows, left.cols]), np.column_stack([TEST.rows, TEST.cols]))
    with pytest.raises(LabelError, match="fitted on all"):
        unseen_part(MODEL, RECORD, [TRAIN])
    with pytest.raises(LabelError, match="does not say"):
        unseen_part(MODEL, None, [TRAIN])


def test_with_a_split_the_method_is_fitted_anew_with_its_options() -> None:
    fitted, transfer, (test,) = fit_on_split(MODEL, RECORD, [LABELS], "class-halves", seed=0, run=RUN)
    assert fitted.settings["C"] == 5.0 and transfer.pixels + len(test) <= len(LABELS)
    trained = {tuple(spectrum) for spectrum in transfer.arrays["spectra"].tolist()}
    assert not trained & {tuple(spectrum) for spectrum in SCENE.values[:, test.rows, test.cols].T.tolist()}
