"""The mean of marginal LDA and two networks, for any sensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.cross_sensor_networks import HYPER, WIENER, View, network_makers
from hsikit.errors import ModelError, OptionError
from hsikit.scene import Bands
from hsikit.tasks.classification.any_sensor import READ_OUT, AnySensor
from hsikit.tasks.classification.refitting import for_any_sensor
from hsikit.tasks.classification.sensor_ensemble import SensorEnsemble
from hsikit.tasks.classification.sensor_lessons import Lesson
from hsikit.tasks.classification.transfer import Transfer, gather_transfer
from tests.tasks.classification.networks import short
from tests.tasks.classification.scenes import BROAD, as_sensor, fields, fifteen_bands, labelled, layers_of, run_with, source

CENTRES, WIDTHS = BROAD


@pytest.fixture(scope="module")
def made():
    scene, truth, labels = fifteen_bands()
    with short():
        return SensorEnsemble.train([labels], run=run_with()), scene, truth, labels


def kept(labels) -> Transfer:
    found = gather_transfer([labels])
    assert found is not None
    return found


def mapped(model, scene, tile=None):
    return layers_of(model.with_options(extras=("probabilities",)).bind({"cube": scene.info}), scene, tile, "map", "probabilities")


def test_it_maps_its_own_sensor_and_others(made) -> None:
    model, scene, truth, _ = made
    for other, least in ((scene, 0.9), (as_sensor(scene, CENTRES, WIDTHS), 0.8)):
        found = mapped(model, other)
        known = (truth > 0) & (found["map"][0] > 0)
        assert known.any() and (found["map"][0] == truth)[known].mean() > least
        total = found["probabilities"].sum(0)
        np.testing.assert_allclose(total[np.isfinite(total)], 1, atol=1e-5)


def test_it_is_the_mean_of_marginal_lda_and_the_networks(made) -> None:
    model, scene, _, labels = made
    other = as_sensor(scene, CENTRES, WIDTHS)
    transfer, own = kept(labels), scene.info.bands
    targets = np.searchsorted(np.array(transfer.legend.codes), transfer.arrays["codes"])
    spectra = transfer.arrays["neighbourhoods"].astype(np.float64)
    statistics = (transfer.arrays["scene_mean"], transfer.arrays["scene_covariance"])
    with short():
        lesson = Lesson(spectra, targets, own.wavelength, own.fwhm, *statistics, 9)
        makers = network_makers(lesson, lambda _: lambda values: np.empty(0))
        # Where no neighbour is missing, the mean of a square and what is learned of it are linear in the values: a pixel is enough.
        view = View(model.change_to(other.info).weights, other.info.bands)
        parts = [makers[name](view)(spectra @ view.weights.T) for name in (WIENER, HYPER)]
    marginal, read_out = model.marginal.seen_by(other.info), model.seen_by(other.info)
    logits = (spectra @ view.weights.T) @ marginal.arrays["weights"].T + marginal.arrays["intercepts"]
    expected = np.mean([np.exp(logits - np.logaddexp.reduce(logits, 1, keepdims=True)), *parts], axis=0)
    learned = read_out.tensors("cpu")
    numbers = torch.from_numpy(spectra @ view.weights.T) @ learned["projection"].T + learned["offset"]
    np.testing.assert_allclose(read_out.answers(numbers, learned).exp().numpy(), expected, atol=2e-4)


def test_tiles_do_not_show(made) -> None:
    model, scene, _, _ = made
    other = as_sensor(scene, CENTRES, WIDTHS)
    whole, tiled = mapped(model, other), mapped(model, other, 16)
    np.testing.assert_array_equal(whole["map"], tiled["map"])
    np.testing.assert_allclose(whole["probabilities"], tiled["probabilities"], atol=1e-6)


def test_bands_that_are_constant_do_no_harm() -> None:
    values, truth = fields(40, 43, 4, 15, noise=0.5, holes=False)
    values = np.abs(values) + 1
    values[4], values[9] = 0.0, 7.0
    scene = source(values)
    with short():
        model = SensorEnsemble.train([labelled(scene, truth, 12)], run=run_with())
    found = mapped(model, scene)
    assert np.isfinite(found["probabilities"]).all() and (found["map"][0] == truth)[truth > 0].mean() > 0.9


def test_it_is_kept_and_comes_back(made) -> None:
    model, scene, _, _ = made
    arrays, facts = model.state()
    again = SensorEnsemble.from_state(arrays, facts)
    np.testing.assert_array_equal(mapped(again, scene)["probabilities"], mapped(model, scene)["probabilities"])
    assert again.bind({"cube": scene.info}).identity == model.bind({"cube": scene.info}).identity
    for name, value in (("wiener.2.weight", np.zeros((3, 3), np.float32)), ("hyper.head.0.bias", np.full(128, np.nan, np.float32)), ("axes", np.zeros((2, 2)))):
        with pytest.raises(ValueError):
            SensorEnsemble.from_state({**arrays, name: value}, facts)
    with pytest.raises(ValueError, match=r"arrays hyper\.\*"):
        SensorEnsemble.from_state({name: value for name, value in arrays.items() if name != "hyper.adapter.bias"}, facts)


def test_what_makes_no_sense_is_refused(made) -> None:
    model, scene, _, labels = made
    with pytest.raises(OptionError):
        SensorEnsemble.train([labels], run=run_with(), width=5)
    layers = source(np.ones((15, 40, 43)))
    layers.info = layers.info.with_(bands=Bands(np.full(15, np.nan), np.full(15, np.nan), np.ones(15, bool), tuple(map(str, range(15)))))
    with pytest.raises(ModelError, match="no wavelengths"):
        SensorEnsemble.train([replace(labels, source=layers)], run=run_with())
    few = scene.info.with_(bands=Bands(np.array([600.0, 900.0]), np.full(2, 99.0), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match="of its bands lie where"):
        model.bind({"cube": few})


def test_a_model_of_any_method_becomes_one_by_what_it_keeps(made) -> None:
    model, scene, truth, labels = made
    transfer = kept(labels)
    with short():
        found, notes = for_any_sensor("svm", transfer)
    assert notes == () and found.legend == model.legend
    other = as_sensor(scene, CENTRES, WIDTHS)
    job = AnySensor(found, replace(transfer, origin={"model": "first"})).bind({"cube": other.info})
    assert "marginal LDA and two networks" in job.provenance[READ_OUT]
    codes = layers_of(job, other, None, "map")["map"][0]
    known = (truth > 0) & (codes > 0)
    assert (codes == truth)[known].mean() > 0.8
    with short():
        assert for_any_sensor("svm", replace(transfer, pixels=99))[1][0].startswith(f"of 99 labelled pixels {len(transfer.arrays['codes'])}")


@pytest.mark.parametrize(("lost", "wrong"), [(("spectra", "neighbourhoods", "codes"), "no labelled spectra"), (("scene_covariance",), "older release")])
def test_what_a_folder_does_not_keep_is_told(lost: tuple[str, ...], wrong: str, made) -> None:
    transfer = kept(made[3])
    less = replace(transfer, arrays={name: value for name, value in transfer.arrays.items() if name not in lost})
    with pytest.raises(ModelError, match=wrong):
        for_any_sensor("svm", less)
    assert Transfer.from_state(*less.state()).knows_scene == ("scene_covariance" not in lost)
