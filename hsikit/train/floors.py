"""Floors that any method's score is read against: coordinates alone, and single spectra in a support vector machine.

A method that stays below `nearest_label` has learned less than where the labels lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.scene import Indices
from hsikit.train.extract import spectra_at
from hsikit.train.labelled import LabelledScene, label_names

NEIGHBOURS = 32
"""Equally near label pixels that are looked at; on a pixel grid there are rarely more."""

Codes = NDArray[np.uint8]


def nearest_label(train: Sequence[LabelledScene], test: Sequence[LabelledScene]) -> list[Codes]:
    """The class of the nearest training pixel of the same scene, by pixel coordinates; no spectrum is looked at.

    Of equally near ones the lowest code counts. A scene without training pixels gets the most frequent training class.

    Args:
        train: labelled scenes with the training pixels.
        test: labelled scenes with the pixels to predict; the same scene has the same `source` object.

    Returns:
        Predicted codes, one array of shape (n,) per test scene.

    Raises:
        LabelError: no training pixel.
    """
    from scipy.spatial import cKDTree

    known = np.concatenate([np.zeros(0, np.uint8), *(scene.codes for scene in train)])
    if not known.size:
        raise LabelError(label_names(train), "there is no training pixel", "Give labels to train on")
    usual = np.bincount(known).argmax()
    out = []
    for scene in test:
        own = [other for other in train if other.source is scene.source and len(other)]
        if not own or not len(scene):
            out.append(np.full(len(scene), usual, np.uint8))
            continue
        places = np.concatenate([np.column_stack([other.rows, other.cols]) for other in own])
        codes = np.concatenate([other.codes for other in own])
        count = min(NEIGHBOURS, len(places))
        near = cKDTree(places).query(np.column_stack([scene.rows, scene.cols]), k=np.arange(1, count + 1))
        distance, index = np.asarray(near[0]), np.asarray(near[1])
        tied = distance <= distance[:, :1] + 1e-9
        out.append(np.where(tied, codes[index], 255).min(axis=1).astype(np.uint8))
    return out


def spectra_svm(
    train: Sequence[LabelledScene], test: Sequence[LabelledScene], bands: Indices | None = None, *, limit: int = 5000, seed: int = 0
) -> list[Codes]:
    """A support vector machine on single spectra: standardised bands, RBF kernel, C = 100, one class against the rest.

    Args:
        train: labelled scenes with the training pixels.
        test: labelled scenes with the pixels to predict.
        bands: positions in the scenes' bands, the same for all; the good ones of the first when None.
        limit: most training pixels; more are thinned at random, class by class, since the cost grows with their square.
        seed: of the thinning.

    Returns:
        Predicted codes, one array of shape (n,) per test scene; 0 where the scene has no data.

    Raises:
        LabelError: no training pixel with data.
        SceneError: a scene is truncated or damaged.
    """
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    index = train[0].source.info.bands.used if bands is None else bands
    spectra = np.concatenate([spectra_at(scene.source, scene.rows, scene.cols, index) for scene in train]).astype(np.float64)
    codes = np.concatenate([scene.codes for scene in train])
    kept = _thinned(codes, np.asarray(np.isfinite(spectra).all(axis=1)), limit, np.random.default_rng(seed))
    if not kept.size:
        raise LabelError(label_names(train), "there is no training pixel with data", "Give labels where the scene has data")
    several = len(np.unique(codes[kept])) > 1
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(SVC(C=100.0))).fit(spectra[kept], codes[kept]) if several else None
    out = []
    for scene in test:
        values = spectra_at(scene.source, scene.rows, scene.cols, index).astype(np.float64)
        valid = np.isfinite(values).all(axis=1)
        predicted = np.zeros(len(scene), np.uint8)
        if valid.any():
            predicted[valid] = codes[kept][0] if model is None else model.predict(values[valid])
        out.append(predicted)
    return out


def _thinned(codes: Codes, valid: NDArray[np.bool_], limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Positions of at most `limit` valid pixels (and one of each class), every class thinned alike."""
    index = np.flatnonzero(valid)
    if len(index) <= limit:
        return index
    share = limit / len(index)
    parts = [rng.permutation(index[codes[index] == code]) for code in np.unique(codes[index])]
    return np.sort(np.concatenate([part[: max(1, int(share * len(part)))] for part in parts]))
