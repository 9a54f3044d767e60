"""The temperature of every classifier, plain and smoothed: surer or less sure, never another class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from hsikit.errors import OptionError
from hsikit.layers import UNKNOWN
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.decision import LEAST
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source

VALUES, TRUTH = fields(43, 37, 4, 12, noise=2.5)
SCENE = source(VALUES)
LABELS = labelled(SCENE, TRUTH)
KINDS: list[tuple[type[PixelClassifier], dict[str, object]]] = [
    (NearestLabel, {}), (Svm, {}), (RandomForest, {"trees": 20}), (MnfLda, {"components": 8, "width": 5, "standardise": True}),
    (MnfLdaEdge, {"components": 8, "width": 3, "steps": 25}),
]  # fmt: skip
MODELS = {kind.name: kind.train([LABELS], run=run_with(), **options) for kind, options in KINDS}  # type: ignore[arg-type]
NAMES = ("map", "confidence", "probabilities", "log_probabilities")


def layers(name: str, temperature: float, smoothed: bool = False, **options: object) -> dict[str, np.ndarray]:
    job = MODELS[name].with_options(extras=NAMES[1:], temperature=temperature, **options).bind({"cube": SCENE.info})
    found = layers_of(smooth(job, 5) if smoothed else job, SCENE, None, *NAMES)
    return {key: value.reshape(len(value), -1) for key, value in found.items()}


@settings(max_examples=4, deadline=None)
@given(temperature=st.floats(0.2, 50))
@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_divides_log_probabilities_and_keeps_the_class(name: str, smoothed: bool, temperature: float) -> None:
    plain, found = layers(name, 1.0, smoothed), layers(name, temperature, smoothed)
    np.testing.assert_array_equal(found["map"], plain["map"])
    np.testing.assert_array_equal(found["log_probabilities"], plain["log_probabilities"])
    valid = plain["map"][0] > 0
    logits = np.log(np.maximum(plain["probabilities"][:, valid].astype(float), np.exp(LEAST)))
    np.testing.assert_allclose(found["probabilities"][:, valid], softmax(logits / temperature, axis=0), atol=2e-5)
    np.testing.assert_allclose(found["confidence"][0, valid], found["probabilities"][:, valid].max(0))
    assert np.isnan(found["confidence"][0, ~valid]).all()


def test_unknown_follows_the_calibrated_confidence() -> None:
    plain, found = layers("svm", 1.0, unknown_below=0.6), layers("svm", 4.0, unknown_below=0.6)
    assert ((found["confidence"] < 0.6) == (found["map"] == UNKNOWN)).all()
    assert (found["map"] == UNKNOWN).sum() > (plain["map"] == UNKNOWN).sum()


@pytest.mark.parametrize("name", MODELS)
def test_is_part_of_what_a_model_is(name: str) -> None:
    model = MODELS[name].with_options(temperature=3.5)
    assert model.identity() != MODELS[name].identity()
    again = type(model).from_state(*model.state())
    assert again.temperature == 3.5 and again.identity() == model.identity()


def test_models_of_the_first_release_have_none() -> None:
    arrays, facts = MODELS["svm"].state()
    del facts["temperature"]
    assert Svm.from_state(arrays, facts).temperature == 1.0


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_one_that_makes_no_sense_is_refused(wrong: float) -> None:
    with pytest.raises(OptionError, match="temperature"):
        MODELS["svm"].with_options(temperature=wrong)
    arrays, facts = MODELS["svm"].state()
    with pytest.raises(ValueError, match="temperature"):
        Svm.from_state(arrays, {**facts, "temperature": wrong})


@pytest.mark.parametrize("name", ["svm", "mnf-lda"])
def test_refitting_is_training_anew_unless_a_method_says_otherwise(name: str) -> None:
    options = dict(next(options for kind, options in KINDS if kind.name == name))
    other = labelled(SCENE, TRUTH, 20, seed=5)
    model = MODELS[name].with_options(temperature=2.0)
    again, anew = model.refit([other], seed=3, run=run_with(), **options), type(model).train([other], seed=3, run=run_with(), **options)
    assert again.identity() == anew.identity() and again.temperature == 1.0
    assert not type(model).reuses_unlabelled
