from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hsikit.errors import ModelError, OptionError, SceneError
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.mnf_lda_choice import Setting, candidates
from hsikit.tasks.classification.samples import spatial_halves, training_samples
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


def plain_features(values: np.ndarray, components: int, width: int) -> np.ndarray:
    """Standardised, noise-whitened, averaged: in NumPy, of a scene without holes; (rows, cols, components)."""
    cube = values.transpose(1, 2, 0).astype(np.float64)
    cube = (cube - cube.mean(2, keepdims=True)) / cube.std(2, keepdims=True)
    bands = cube.shape[2]
    noise = np.cov((cube[:, 1:] - cube[:, :-1]).reshape(-1, bands).T, bias=True) / 2
    noise += np.eye(bands) * np.trace(noise) / bands * 1e-6
    vectors = eigh(np.cov(cube.reshape(-1, bands).T), noise)[1][:, ::-1][:, :components]
    mnf = (cube - cube.mean((0, 1))) @ vectors
    mean = np.empty_like(mnf)
    radius = width // 2
    for row in range(mean.shape[0]):
        for col in range(mean.shape[1]):
            mean[row, col] = mnf[max(0, row - radius) : row + radius + 1, max(0, col - radius) : col + radius + 1].mean((0, 1))
    return mean


def test_equals_the_chain_of_numpy_scipy_and_scikit_learn() -> None:
    values, truth = fields(40, 43, 4, 15, noise=1.0, holes=False)
    scene = source(values)
    labels = labelled(scene, truth, 12)
    model = MnfLda.train([labels], run=run_with(tile=16), components=9, width=3, standardise=True)
    features = plain_features(values, 9, 3)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[labels.rows, labels.cols], labels.codes)
    found = layers_of(model.with_options(extras=("probabilities",)).bind({"cube": scene.info}), scene, None, "map", "probabilities")
    expected = oracle.predict_proba(features.reshape(-1, 9)).T.reshape(4, 40, 43)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)
    sure = np.sort(expected, 0)[-1] - np.sort(expected, 0)[-2] > 1e-3
    np.testing.assert_array_equal(found["map"][0][sure], oracle.classes_[expected.argmax(0)][sure])


def test_refitted_on_the_training_scene_it_is_the_same() -> None:
    values, truth = fields(40, 43, 4, 15, noise=1.0)
    scene = source(values)
    model = MnfLda.train([labelled(scene, truth, 12)], run=run_with(), components=9, width=5).with_options(extras=("probabilities",))
    plain = layers_of(model.bind({"cube": scene.info}), scene, None, "probabilities")["probabilities"]
    refitted = layers_of(model.with_options(refit_statistics=True).bind({"cube": scene.info}), scene, None, "probabilities")["probabilities"]
    np.testing.assert_allclose(refitted, plain, atol=1e-6)


def test_refitted_statistics_follow_a_scene_with_other_noise() -> None:
    values, truth = fields(60, 60, 4, 15, noise=0.5, holes=False)
    other = values + np.random.default_rng(5).normal(size=values.shape).astype(np.float32) * np.where(np.arange(15) % 3 == 0, 4.0, 0.0)[:, None, None]
    scene, noisy = source(values), source(other.astype(np.float32), name="noisy.tif")
    model = MnfLda.train([labelled(scene, truth, 15)], run=run_with(), components=8, width=3, standardise=False)
    shares = []
    for refit in (False, True):
        job = model.with_options(refit_statistics=refit).bind({"cube": noisy.info})
        shares.append((layers_of(job, noisy, None, "map")["map"][0] == truth).mean())
    assert shares[1] > shares[0]


def test_several_scenes_are_learned_together() -> None:
    values, truth = fields(40, 60, 3, 10, noise=1.0, holes=False)
    left, right = source(values[:, :, :30], name="left"), source(values[:, :, 30:], name="right")
    parts = [labelled(left, truth[:, :30], 15), labelled(right, truth[:, 30:], 15)]
    model = MnfLda.train(parts, run=run_with(), components=6, width=3)
    assert len(model.arrays["targets"]) == 90
    for scene, part in ((left, truth[:, :30]), (right, truth[:, 30:])):
        assert (layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0] == part).mean() > 0.9


def test_what_is_not_fixed_is_chosen_and_said() -> None:
    values, truth = fields(45, 45, 3, 12, noise=1.0, holes=False)
    model = MnfLda.train([labelled(source(values), truth, 20)], run=run_with(), width=3)
    assert model.settings["width"] == 3 and model.radius == 1
    assert model.settings["chosen_by_cross_validation"] == ["components", "standardise"]
    assert 0 <= model.settings["cross_validated_accuracy"] <= 1


def test_candidates_stay_within_the_bands() -> None:
    assert candidates({}, 200)[0] == Setting(40, 5, True)
    assert len(candidates({}, 200)) == 32
    assert {setting.components for setting in candidates({}, 15)} == {10, 14}
    assert candidates({"components": 3, "width": 1, "standardise": False}, 15) == [Setting(3, 1, False)]


def test_halves_part_each_class_in_space() -> None:
    values, truth = fields(30, 30, 3, 6, holes=False)
    samples = training_samples([labelled(source(values), truth, 11)])
    for train in spatial_halves(samples):
        for code in samples.legend.codes:
            mine = samples.codes == code
            assert 5 <= (train & mine).sum() <= 6
            parted = [
                place[mine & ~train].min() >= place[mine & train].max() or place[mine & train].min() >= place[mine & ~train].max()
                for place in (samples.rows, samples.cols)
            ]
            assert any(parted)


def test_at_most_two_thousand_pixels_a_class_are_kept() -> None:
    values, truth = fields(30, 30, 2, 6, holes=False)
    labels = labelled(source(values), truth, 400)
    samples = training_samples([labels], most=100, seed=1)
    assert np.bincount(samples.codes)[1:].tolist() == [100, 100]
    again = training_samples([labels], most=100, seed=1)
    np.testing.assert_array_equal(samples.rows, again.rows)


@pytest.mark.parametrize("options", [{"components": 0}, {"components": 11}, {"width": 4}, {"width": -1}, {"standardise": "yes"}, {"depth": 3}])
def test_refuses_options(options: dict[str, object]) -> None:
    values, truth = fields(20, 20, 2, 10, holes=False)
    with pytest.raises(OptionError):
        MnfLda.train([labelled(source(values), truth)], run=run_with(), **options)


def test_refit_needs_pixels() -> None:
    values, truth = fields(20, 20, 2, 6, holes=False)
    model = MnfLda.train([labelled(source(values), truth)], run=run_with(), components=3, width=3).with_options(refit_statistics=True)
    empty = np.full_like(values, np.nan)
    empty[:, 3, 3] = 1.0
    lonely = source(empty, name="lonely.tif")
    with pytest.raises(ModelError, match="fewer than two valid pixels"):
        layers_of(model.bind({"cube": lonely.info}), lonely, None, "map")
    nothing = source(np.full_like(values, np.nan), name="nothing.tif")
    with pytest.raises(SceneError, match=r"nothing\.tif"):
        layers_of(model.bind({"cube": nothing.info}), nothing, None, "map")
