"""The discriminant that any sensor can read out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from hsikit.errors import ModelError, OptionError
from hsikit.scene import Bands
from hsikit.spectral.band_matrix import BandMatrix
from hsikit.spectral.resample import Resampling
from hsikit.spectral.sensor_change import SensorChange, change_by, error_covariance, sensor_change
from hsikit.tasks.classification.marginal_lda import MarginalLda, normal_discriminant, statistics_through
from tests.tasks.classification.scenes import as_sensor, fields, labelled, layers_of, run_with, source


@pytest.fixture(scope="module")
def trained():
    values, truth = fields(40, 43, 4, 15, noise=0.5)
    scene = source(np.abs(values) + 1)
    scene.info = scene.info.with_(bands=replace(scene.info.bands, fwhm=np.full(15, 140.0)))
    return MarginalLda.train([labelled(scene, truth, 12)], run=run_with(tile=16)), scene, truth


def test_it_is_the_posterior_of_normal_classes_as_the_other_sensor_sees_them(trained) -> None:
    model, scene, _ = trained
    own = scene.info.bands
    centres, widths = [float(own.wavelength[i]) for i in (2, 5, 9, 12)], [200.0] * 4
    other = as_sensor(scene, centres, widths)
    answer = model.seen_by(other.info)
    change = sensor_change(own.wavelength, own.fwhm, centres, widths)
    covariance = change.weights @ model.arrays["covariance"] @ change.weights.T
    covariance = covariance + error_covariance(change, own.wavelength, model.arrays["scene_mean"], 9)
    spectra = np.random.default_rng(0).normal(3, 1, (50, len(change.used)))
    log = np.stack(
        [
            np.log(p) + multivariate_normal(m @ change.weights.T, covariance).logpdf(spectra)
            for p, m in zip(model.arrays["priors"], model.arrays["means"], strict=True)
        ]
    )
    logits = answer.arrays["weights"] @ spectra.T + answer.arrays["intercepts"][:, None]
    expected = log - np.logaddexp.reduce(log, axis=0)
    np.testing.assert_allclose(logits - np.logaddexp.reduce(logits, axis=0), expected, rtol=1e-6, atol=1e-6)


def test_maps_its_own_sensor_and_others(trained) -> None:
    model, scene, truth = trained
    share = {}
    for name, mapped in {"own": scene, "broad": as_sensor(scene, [float(w) for w in scene.info.bands.wavelength[2:-2:2]], [200.0] * 6)}.items():
        job = model.with_options(extras=("confidence",)).bind({"cube": mapped.info})
        found = layers_of(job, mapped, None, "map", "confidence")
        known = (truth > 0) & (found["map"][0] > 0)
        share[name] = (found["map"][0] == truth)[known].mean()
        assert np.nanmax(found["confidence"]) <= 1
    assert share["own"] > 0.9
    assert share["broad"] > 0.8


def test_too_little_is_refused(trained) -> None:
    model, scene, _ = trained
    narrow = scene.info.with_(bands=Bands(np.array([900.0, 1500.0]), np.full(2, 140.0), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match="of its bands lie where"):
        model.bind({"cube": narrow})
    with pytest.raises(ModelError, match="values are"):
        model.bind({"cube": scene.info.with_(quantity="radiance")})
    layers = scene.info.with_(bands=Bands(np.full(2, np.nan), np.full(2, np.nan), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match="no wavelengths"):
        model.bind({"cube": layers})


def test_options_that_make_no_sense(trained) -> None:
    _, scene, truth = trained
    for width in (2, 0, "3", True):
        with pytest.raises(OptionError):
            MarginalLda.train([labelled(scene, truth, 12)], run=run_with(), width=width)
    with pytest.raises(OptionError, match="components"):
        MarginalLda.train([labelled(scene, truth, 12)], run=run_with(), components=3)


def test_a_model_folder_keeps_it(trained) -> None:
    model, scene, _ = trained
    again = MarginalLda.from_state(*model.state())
    one, two = (m.seen_by(scene.info).arrays for m in (model, again))
    np.testing.assert_array_equal(one["weights"], two["weights"])
    assert model.bind({"cube": scene.info}).identity == again.bind({"cube": scene.info}).identity


def by(weights: np.ndarray) -> SensorChange:
    """A change whose bands are all covered."""
    return change_by(Resampling(BandMatrix.of(weights).weights, np.ones(len(weights))), np.arange(len(weights), dtype=float))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bands=st.integers(2, 9), seen=st.integers(1, 7), again=st.integers(1, 5))
def test_a_sensor_through_a_sensor_is_one_sensor(seed: int, bands: int, seen: int, again: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(bands, bands))
    arrays = {"means": rng.normal(size=(3, bands)), "covariance": root @ root.T, "priors": np.full(3, 1 / 3), "scene_mean": rng.normal(size=bands)}
    first, second = rng.uniform(0.1, 1, (seen, bands)), rng.uniform(0.1, 1, (again, seen))
    twice, once = statistics_through(statistics_through(arrays, by(first)), by(second)), statistics_through(arrays, by(second @ first))
    for name, value in once.items():
        np.testing.assert_allclose(twice[name], value, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bands=st.integers(1, 8))
def test_the_order_of_bands_and_their_scale_change_no_answer(seed: int, bands: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(bands, bands))
    means, covariance, priors = rng.normal(size=(3, bands)), root @ root.T + np.eye(bands), rng.dirichlet(np.ones(3))
    turned = np.diag(rng.uniform(0.5, 2, bands))[rng.permutation(bands)]
    spectra = rng.normal(size=(20, bands))
    weights, intercepts = normal_discriminant(means, covariance, priors)
    others, constants = normal_discriminant(means @ turned.T, turned @ covariance @ turned.T, priors)
    np.testing.assert_allclose(spectra @ turned.T @ others.T + constants, spectra @ weights.T + intercepts, rtol=1e-6, atol=1e-8)
