from __future__ import annotations

import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hsikit.errors import LabelError
from hsikit.train.floors import nearest_label, spectra_svm
from hsikit.train.splits import make_split


def scattered(seed, shape=(40, 50)):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.3, rng.integers(1, 6, shape), 0)


def test_nearest_label_against_all_distances(labelled):
    scenes = [labelled(scattered(1)), labelled(scattered(2))]
    split = make_split("random", scenes, per_class=12)
    train = [s.take(m) for s, m in zip(scenes, split.train, strict=True)]
    test = [s.take(m) for s, m in zip(scenes, split.test, strict=True)]
    for learn, check, predicted in zip(train, test, nearest_label(train, test), strict=True):
        squared = (check.rows[:, None] - learn.rows) ** 2 + (check.cols[:, None] - learn.cols) ** 2
        expected = [min(learn.codes[row == row.min()]) for row in squared]
        assert predicted.tolist() == expected


def test_scenes_without_training_pixels_get_the_usual_class(labelled):
    one, other = labelled(scattered(1)), labelled(scattered(2))
    predicted = nearest_label([one], [other])[0]
    assert set(predicted.tolist()) == {int(np.bincount(one.codes).argmax())}
    with pytest.raises(LabelError):
        nearest_label([one.take(np.zeros(len(one), bool))], [other])


def test_spectra_svm_is_scikit_learns(labelled, memory_source):
    rng = np.random.default_rng(3)
    codes = scattered(3)
    cube = rng.normal(size=(8, 40, 50)).astype(np.float32) * 50 + codes * rng.normal(size=(8, 1, 1)) * 30
    cube = cube.astype(np.float32)
    scene = labelled(codes, source=memory_source(cube=cube))
    cube[:, scene.rows[-1], scene.cols[-1]] = np.nan
    half = np.arange(len(scene)) < len(scene) // 2
    predicted = spectra_svm([scene.take(half)], [scene.take(~half)])[0]
    spectra = cube[:, scene.rows, scene.cols].T.astype(float)
    scaler = StandardScaler().fit(spectra[half])
    model = OneVsRestClassifier(SVC(C=100)).fit(scaler.transform(spectra[half]), scene.codes[half])
    assert np.array_equal(predicted[:-1], model.predict(scaler.transform(spectra[~half][:-1])))
    assert predicted[-1] == 0
    alone = scene.take(half & (scene.codes == 2))
    assert set(spectra_svm([alone], [scene.take(half)])[0].tolist()) == {2}


def test_many_labels_are_thinned_class_by_class(labelled, memory_source):
    codes = np.ones((40, 50), int)
    codes[0, :5] = 2
    cube = np.where(codes == 2, 5.0, 1.0)[None].repeat(3, 0).astype(np.float32)
    cube += np.random.default_rng(0).normal(scale=0.1, size=cube.shape).astype(np.float32)
    scene = labelled(codes, source=memory_source(cube=cube))
    assert (spectra_svm([scene], [scene], limit=100)[0] == scene.codes).all()
