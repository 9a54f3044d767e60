"""What a model keeps for other sensors, against NumPy; and that damaged keepings are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsikit.scene import Bands
from hsikit.tasks.classification.shrinkage_lda import shrunk_covariance
from hsikit.tasks.classification.transfer import SPECTRA, SPECTRA_OF_CLASS, Transfer, gather_transfer
from tests.tasks.classification.scenes import fields, labelled, source

VALUES, TRUTH = fields(40, 43, 4, 7)
SCENE = source(VALUES)
VALID = ~np.isnan(VALUES).any(0)
DRAWN = labelled(SCENE, TRUTH, 14)
LABELS = DRAWN.take(VALID[DRAWN.rows, DRAWN.cols])


def gathered(scene=LABELS, **options) -> Transfer:
    found = gather_transfer([scene], **options)
    assert found is not None
    return found


def test_it_is_what_numpy_makes_of_the_labels() -> None:
    found = gathered()
    means = []
    for row, col in zip(LABELS.rows, LABELS.cols, strict=True):
        near = (slice(max(0, row - 1), row + 2), slice(max(0, col - 1), col + 2))
        means.append(VALUES[(slice(None), *near)][:, VALID[near]].astype(np.float64).mean(1))
    means = np.array(means)
    classes = [means[LABELS.codes == code] for code in found.legend.codes]
    np.testing.assert_allclose(found.arrays["neighbourhoods"], means, rtol=1e-5)
    np.testing.assert_allclose(found.arrays["spectra"], VALUES[:, LABELS.rows, LABELS.cols].T, rtol=1e-6)
    np.testing.assert_array_equal(found.arrays["codes"], LABELS.codes)
    np.testing.assert_allclose(found.arrays["means"], [c.mean(0) for c in classes], rtol=1e-5)
    np.testing.assert_allclose(found.arrays["covariance"], sum(len(c) / len(means) * shrunk_covariance(c) for c in classes), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.arrays["scene_mean"], VALUES[:, VALID].mean(1), rtol=1e-5)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(np.where(VALID, VALUES, 0), ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    number = np.lib.stride_tricks.sliding_window_view(np.pad(VALID, 1), (3, 3)).sum((-2, -1))
    np.testing.assert_allclose(found.arrays["scene_covariance"], np.cov((around.sum((-2, -1))[:, VALID] / number[VALID]).astype(np.float64)), rtol=1e-4)
    assert found.pixels == len(LABELS)


def test_the_mean_of_a_scene_that_is_nearly_all_hidden_is_that_of_its_labels() -> None:
    values = np.full((7, 200, 200), np.nan, np.float32)
    rows, cols = np.arange(100, 140), np.full(40, 102)
    assert 102 not in np.linspace(0, 199, 64).astype(int)
    values[:, rows, cols] = np.random.default_rng(0).uniform(1, 2, (7, 40)).astype(np.float32)
    scene = source(values)
    labels = replace(LABELS, source=scene, rows=rows, cols=cols, codes=np.repeat([1, 2], 20).astype(np.uint8), groups=np.arange(40))
    np.testing.assert_allclose(gathered(labels).arrays["scene_mean"], values[:, rows, cols].mean(1, dtype=float), rtol=1e-6)


def test_each_class_is_kept_by_its_share() -> None:
    truth = np.ones((60, 60), np.uint8)
    truth[:20] = 2
    truth[59, :6] = 3
    scene = source(np.random.default_rng(1).uniform(1, 2, (5, 60, 60)))
    kept = gathered(labelled(scene, truth, 5000))
    codes, number = np.unique(kept.arrays["codes"], return_counts=True)
    assert codes.tolist() == [1, 2, 3] and kept.pixels == 3600
    # The statistics draw 2000 of the first class at most; the shares are those of what they rest on.
    drawn = np.array([2000, 1200, 6])
    expected = np.minimum(np.maximum(SPECTRA_OF_CLASS, SPECTRA * drawn / drawn.sum()), drawn)
    np.testing.assert_allclose(number, expected, atol=1)


def test_spectra_are_kept_by_choice_and_without_wavelengths_there_is_nothing() -> None:
    bare = gathered(spectra=False)
    assert not bare.has_spectra and set(bare.arrays) == {"means", "covariance", "priors", "scene_mean", "scene_covariance"}
    again = Transfer.from_state(*bare.state())
    assert not again.has_spectra
    layers = source(VALUES)
    layers.info = layers.info.with_(bands=Bands(np.full(7, np.nan), np.full(7, np.nan), np.ones(7, bool), tuple("abcdefg")))
    assert gather_transfer([replace(LABELS, source=layers)]) is None


def test_it_is_kept_and_comes_back() -> None:
    found = replace(gathered(), origin={"model": "a"})
    again = Transfer.from_state(*found.state())
    assert again.origin == {"model": "a"} and again.pixels == found.pixels and again.legend == found.legend
    for name, value in found.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], value)


@pytest.mark.parametrize("damage", ["short", "missing", "nan", "codes", "means"])
def test_what_does_not_fit_together_is_refused(damage: str) -> None:
    arrays, facts = gathered().state()
    if damage == "short":
        arrays["spectra"] = arrays["spectra"][1:]
    elif damage == "missing":
        del arrays["neighbourhoods"]
    elif damage == "nan":
        arrays["spectra"] = np.full_like(arrays["spectra"], np.nan)
    elif damage == "codes":
        arrays["codes"] = np.full_like(arrays["codes"], 200)
    else:
        arrays["means"] = arrays["means"][:, 1:]
    with pytest.raises((ValueError, KeyError)):
        Transfer.from_state(arrays, facts)
