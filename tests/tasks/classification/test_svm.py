from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hsikit.errors import LabelError, OptionError
from hsikit.tasks.classification.svm import Svm
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("gamma", ["scale", 0.2])
def test_equals_scikit_learn(classes: int, gamma: str | float) -> None:
    values, truth = fields(40, 37, classes, 12, noise=1.5)
    scene = source(values)
    labels = labelled(scene, truth)
    model = Svm.train([labels], run=run_with(), gamma=gamma)
    complete = ~np.isnan(values).any(0)
    keep = complete[labels.rows, labels.cols]
    model = Svm.train([labels.take(keep)], run=run_with(), gamma=gamma)
    spectra = values[:, labels.rows[keep], labels.cols[keep]].T.astype(np.float64)
    scaler = StandardScaler().fit(spectra)
    oracle = OneVsRestClassifier(SVC(C=100.0, gamma=gamma)).fit(scaler.transform(spectra), labels.codes[keep])
    pixels = values[:, complete].T
    expected = oracle.decision_function(scaler.transform(pixels.astype(np.float64)))
    found = model.decisions(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()
    np.testing.assert_allclose(found if classes > 2 else found[:, 1], expected, atol=1e-4)
    classes_map = layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0]
    np.testing.assert_array_equal(classes_map[complete], oracle.predict(scaler.transform(pixels.astype(np.float64))))


def test_many_support_vectors_are_taken_in_parts(monkeypatch) -> None:
    values, truth = fields(30, 30, 3, 8, noise=3.0, holes=False)
    model = Svm.train([labelled(source(values), truth, 60)], run=run_with())
    spectra = torch.from_numpy(values.reshape(8, -1).T.copy())
    exact = spectra.double()  # of which no copy is made on the way
    whole = model.decisions(exact)
    torch.testing.assert_close(exact, spectra.double(), rtol=0, atol=0)
    monkeypatch.setattr("hsikit.tasks.classification.svm.VECTORS", 7)
    assert len(model.arrays["vectors"]) > 14
    torch.testing.assert_close(model.decisions(spectra), whole)


def test_temperature_makes_probabilities_likelier_than_none() -> None:
    values, truth = fields(60, 60, 4, 12, noise=2.5, holes=False)
    scene = source(values)
    model = Svm.train([labelled(scene, truth, 40)], run=run_with())
    decisions = model.decisions(torch.from_numpy(values.reshape(12, -1).T.copy()))
    right = torch.from_numpy(truth.ravel().astype(np.int64) - 1)
    losses = [torch.nn.functional.cross_entropy(decisions * t, right) for t in (model.settings["temperature"], 1.0)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("options", [{"C": 0}, {"C": "many"}, {"gamma": -1}, {"gamma": "auto"}, {"kernel": "linear"}])
def test_refuses_options(options: dict[str, object]) -> None:
    values, truth = fields(20, 20, 2, 5, holes=False)
    with pytest.raises(OptionError):
        Svm.train([labelled(source(values), truth)], run=run_with(), **options)


def test_refuses_one_class() -> None:
    values, truth = fields(20, 20, 2, 5, holes=False)
    labels = labelled(source(values), truth)
    with pytest.raises(LabelError, match=r"labels\.tif.*only one class"):
        Svm.train([labels.take(labels.codes == 1)], run=run_with())
