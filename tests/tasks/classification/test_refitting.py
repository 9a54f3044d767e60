"""Models refitted for another sensor, against scikit-learn and SciPy on spectra that NumPy resampled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.ensemble import RandomForestClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hsikit.errors import ModelError
from hsikit.scene import Bands
from hsikit.spectral.resample import gaussian_resampling
from hsikit.spectral.sensor_change import change_by, error_covariance
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.refitting import OtherSensor, refitted
from hsikit.tasks.classification.shrinkage_lda import shrunk_covariance
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import gather_transfer
from tests.tasks.classification.scenes import BROAD, as_sensor, fifteen_bands, layers_of, run_with

CENTRES, WIDTHS = BROAD
RUN = run_with()


@pytest.fixture(scope="module")
def made():
    scene, truth, labels = fifteen_bands()
    return scene, truth, labels, gather_transfer([labels])


def sensor(transfer, centres=CENTRES, widths=WIDTHS) -> OtherSensor:
    bands = Bands(np.array(centres), np.array(widths), np.ones(len(centres), bool), tuple(f"b{c:g}" for c in centres))
    own = transfer.basis.bands
    return OtherSensor("other", "other", bands, gaussian_resampling(own.wavelength, own.fwhm, bands.wavelength, bands.fwhm))


def share_right(model, scene, truth) -> float:
    other = as_sensor(scene, CENTRES, WIDTHS)
    found = layers_of(model.bind({"cube": other.info}), other, None, "map")["map"][0]
    known = found > 0
    return float((found == truth)[known].mean())


def test_a_machine_is_scikit_learns_on_the_resampled_spectra(made) -> None:
    import torch

    scene, truth, labels, transfer = made
    model, notes = refitted(Svm.train([labels], run=RUN, C=10.0).with_options(temperature=1.5), transfer, sensor(transfer))
    weights = sensor(transfer).resampling.weights.toarray()
    seen = transfer.arrays["spectra"].astype(float) @ weights.T
    peer = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=10.0, gamma="scale"))).fit(seen, transfer.arrays["codes"])
    asked = seen + np.random.default_rng(0).normal(0, 0.1, seen.shape)
    np.testing.assert_allclose(model.decisions(torch.from_numpy(asked)).numpy(), peer.decision_function(asked), atol=1e-3)
    assert notes == () and model.temperature == 1.5 and model.settings["C"] == 10.0 and share_right(model, scene, truth) > 0.8


def test_a_forest_is_scikit_learns_on_the_resampled_spectra(made) -> None:
    import torch

    scene, truth, labels, transfer = made
    model, _ = refitted(RandomForest.train([labels], run=RUN, trees=15), transfer, sensor(transfer), seed=3)
    seen = (transfer.arrays["spectra"].astype(float) @ sensor(transfer).resampling.weights.toarray().T).astype(np.float32)
    peer = RandomForestClassifier(15, max_depth=24, max_features="sqrt", random_state=3).fit(seen, transfer.arrays["codes"])
    np.testing.assert_allclose(model.probabilities(torch.from_numpy(seen)).numpy(), peer.predict_proba(seen), atol=1e-6)
    assert share_right(model, scene, truth) > 0.75


def test_the_raw_discriminant_is_the_posterior_of_normal_classes_with_errors(made) -> None:
    scene, truth, labels, transfer = made
    plain = MnfLda.train([labels], run=RUN, components=5, width=5, standardise=True)
    model, notes = refitted(plain, transfer, sensor(transfer))
    change = change_by(sensor(transfer).resampling, CENTRES)
    seen = (transfer.arrays["neighbourhoods"].astype(float) @ change.weights.T).astype(np.float32).astype(float)
    groups = [seen[transfer.arrays["codes"] == code] for code in transfer.legend.codes]
    shares = np.array([len(group) for group in groups]) / len(seen)
    covariance = sum(share * shrunk_covariance(group) for share, group in zip(shares, groups, strict=True))
    covariance = covariance + error_covariance(change, transfer.basis.bands.wavelength, transfer.arrays["scene_mean"], 9)
    log = np.stack([np.log(share) + multivariate_normal(group.mean(0), covariance).logpdf(seen) for share, group in zip(shares, groups, strict=True)])
    logits = model.arrays["weights"] @ seen.T + model.arrays["intercepts"][:, None]
    np.testing.assert_allclose(logits - logits.mean(0), log - log.mean(0), rtol=1e-6, atol=1e-6)
    assert "raw form" in notes[0] and model.temperature == 1.0 and share_right(model, scene, truth) > 0.85
    assert MnfLda.from_state(*model.state()).identity() == model.identity()


def test_marginal_statistics_go_through_the_responses(made) -> None:
    scene, truth, labels, transfer = made
    own = MarginalLda.train([labels], run=RUN)
    model, _ = refitted(own, replace(transfer, arrays={}), sensor(transfer))
    weights = sensor(transfer).resampling.weights.toarray()
    np.testing.assert_allclose(model.arrays["means"], own.arrays["means"] @ weights.T)
    np.testing.assert_allclose(model.arrays["covariance"], weights @ own.arrays["covariance"] @ weights.T)
    other = as_sensor(scene, CENTRES, WIDTHS)
    first, second = (layers_of(m.bind({"cube": other.info}), other, None, "map")["map"] for m in (own, model))
    assert (first == second).mean() > 0.99 and share_right(model, scene, truth) > 0.85


def test_bands_that_see_nothing_are_left_out(made) -> None:
    _, _, labels, transfer = made
    model, _ = refitted(Svm.train([labels], run=RUN), transfer, sensor(transfer, [300.0, *CENTRES, 2600.0], [10.0, *WIDTHS, 10.0]))
    np.testing.assert_array_equal(model.basis.bands.wavelength, CENTRES)


def test_what_cannot_be_refitted_is_refused(made) -> None:
    _, _, labels, transfer = made
    with pytest.raises(ModelError, match=r"cannot be refitted from labelled spectra.*adapt --to any"):
        refitted(NearestLabel.train([labels], run=RUN), transfer, sensor(transfer))
    machine = Svm.train([labels], run=RUN)
    with pytest.raises(ModelError, match="keeps no labelled spectra"):
        refitted(machine, gather_transfer([labels], spectra=False), sensor(transfer))
    with pytest.raises(ModelError, match="of its bands lie where"):
        refitted(machine, transfer, sensor(transfer, [2400.0, 2500.0, 2600.0], [5.0] * 3))


def test_it_says_when_it_rests_on_fewer_labels(made) -> None:
    _, _, labels, transfer = made
    _, notes = refitted(Svm.train([labels], run=RUN), replace(transfer, pixels=9000), sensor(transfer))
    assert "of 9000 labelled pixels" in notes[0]
