from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hsikit.tasks.classification.shrinkage_lda import fit_lda, ledoit_wolf_share


def groups(sizes: list[int], width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width))
    features = np.concatenate([rng.normal(size=width) * 2 + rng.normal(size=(size, width)) @ mixing for size in sizes])
    return features * np.logspace(-2, 2, width), np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize(("sizes", "width"), [([10, 10, 10], 40), ([5, 80, 30, 2], 8), ([12, 9], 3), ([30, 30, 30], 1)])
def test_equals_scikit_learn(sizes: list[int], width: int) -> None:
    features, targets = groups(sizes, width)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features, targets)
    weights, intercepts = fit_lda(features, targets, len(sizes))
    logits = features @ weights.T + intercepts
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, oracle.predict_proba(features), atol=1e-8)
    if len(sizes) > 2:
        np.testing.assert_allclose(weights, oracle.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("count", "width"), [(10, 40), (100, 5), (3, 2)])
def test_share_equals_scikit_learn(count: int, width: int) -> None:
    samples = np.random.default_rng(count).normal(size=(count, width))
    samples -= samples.mean(0)
    assert ledoit_wolf_share(samples) == pytest.approx(ledoit_wolf_shrinkage(samples, assume_centered=True), abs=1e-12)
