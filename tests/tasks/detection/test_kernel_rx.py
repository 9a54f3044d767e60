"""Kernel RX against the Gram matrix of all pixels, and against its parts by NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.tasks.detection.kernel_rx import KernelRX
from tests.engine.toys import Memory
from tests.tasks.detection.test_drawn_pixels import split_mix
from tests.tasks.detection.test_rx import gaussian_scene

SMALL = {"components": 4, "landmarks": 60}


def run(source: Memory, method: KernelRX, **how: int) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], **how).layers["scores"][0]


def part_of(source: Memory, rows: int = 18, cols: int = 22) -> Memory:
    """Fewer pixels than there may be landmarks, a hole among them."""
    part = Memory(source.values[:, 25 : 25 + rows, 20 : 20 + cols].copy(), nodata=None)
    part.values[:, 9, 9] += 400
    return part


def white(values: np.ndarray, components: int) -> np.ndarray:
    """Valid pixels (n, k) in the leading components at unit variance."""
    spectra = values[:, ~np.isnan(values).any(0)].T.astype(float)
    variances, vectors = np.linalg.eigh(np.cov(spectra.T))
    return (spectra - spectra.mean(0)) @ vectors[:, -components:] / np.sqrt(variances[-components:])


def gram(one: np.ndarray, other: np.ndarray, marks: np.ndarray, bandwidth: float) -> np.ndarray:
    apart = ((marks[:, None] - marks) ** 2).sum(2)[np.triu_indices(len(marks), 1)]
    median = np.sort(apart)[(len(apart) - 1) // 2]
    return np.exp(-((one[:, None] - other) ** 2).sum(2) / (2 * bandwidth**2 * median))


@pytest.mark.parametrize(("bandwidth", "shrinkage"), [(1.0, 0.1), (0.5, 1e-3)])
def test_with_all_pixels_as_landmarks_it_is_exact(bandwidth: float, shrinkage: float) -> None:
    """The covariance in the kernel's space has the eigenvalues of the centred Gram matrix; directions in which no pixel varies add nothing."""
    source = part_of(gaussian_scene())
    pixels = white(source.values, 4)
    count = len(pixels)
    centre = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(centre @ gram(pixels, pixels, pixels, bandwidth) @ centre)
    values = values.clip(min=0)
    variance = values / (count - 1)
    loaded = (1 - shrinkage) * variance + shrinkage * variance.sum() / count
    expected = (vectors**2 * values / loaded).sum(1)
    found = run(source, KernelRX(components=4, bandwidth=bandwidth, shrinkage=shrinkage))
    np.testing.assert_allclose(found[~np.isnan(found)], expected, rtol=1e-4)


def test_with_landmarks_it_is_rx_of_their_span_and_what_lies_beyond() -> None:
    """The covariance of the span, loaded in all directions: beyond the span it is the load alone."""
    source = gaussian_scene()
    rows, cols = np.nonzero(~np.isnan(source.values).any(0))
    pixels = white(source.values, 4)
    marks = pixels[np.argsort(split_mix(rows, cols, 5))[:60]]
    near, among = gram(pixels, marks, marks, 0.7), gram(marks, marks, marks, 0.7)
    features = np.linalg.solve(np.linalg.cholesky(among), near.T).T  # any root gives the same distances
    covariance = np.cov(features.T)
    level = 0.1 * np.trace(covariance) / 60
    centred = features - features.mean(0)
    within = np.einsum("ij,ji->i", centred, np.linalg.solve(0.9 * covariance + level * np.eye(60), centred.T))
    expected = within + (1 - (features**2).sum(1)) / level
    found = run(source, KernelRX(bandwidth=0.7, shrinkage=0.1, seed=5, **SMALL), tile=31)
    np.testing.assert_allclose(found[rows, cols], expected, rtol=1e-4)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(source.values[0]))


def test_what_is_unlike_all_landmarks_scores_highest() -> None:
    """However far it is: a Gaussian kernel alone would have it at zero."""
    source = gaussian_scene()
    source.values[:, 50, 30] += 1e5
    found = run(source, KernelRX(**SMALL))
    assert np.nanargmax(found) == 50 * 53 + 30


@settings(max_examples=6)
@given(st.integers(5, 80))
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    source = gaussian_scene()
    job = KernelRX(pfa=0.01, **SMALL).bind({"cube": source.info})
    whole, cut = (compute(job, {"cube": source}, layers=["scores"], tile=side) for side in (100, tile))
    expected = whole.layers["scores"]
    np.testing.assert_allclose(cut.layers["scores"], expected, rtol=0, atol=1e-5 * np.nanmax(expected))
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_a_bent_background_is_followed() -> None:
    """Pixels on a circle, one in its middle: at the mean, where plain RX sees nothing."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, (30, 30))
    values = np.stack((np.cos(angle), np.sin(angle), 0.1 * rng.normal(size=(30, 30)))) + 0.05 * rng.normal(size=(3, 30, 30))
    values[:, 12, 17] = 0
    found = run(Memory((100 * values + 1000).astype(np.float32), nodata=None), KernelRX(components=2, bandwidth=0.3))
    assert np.unravel_index(found.argmax(), found.shape) == (12, 17)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pfa": 2.0}, "--pfa"), ({"components": 0}, "components"), ({"landmarks": 1}, "landmarks"), ({"landmarks": 501}, "landmarks"),
        ({"bandwidth": 0.0}, "bandwidth"), ({"bandwidth": float("nan")}, "bandwidth"), ({"shrinkage": 0.0}, "shrinkage"), ({"shrinkage": 1.0}, "shrinkage"),
        ({"seed": -1}, "seed"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        KernelRX(**options)


def test_scenes_that_it_cannot_look_at_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match="has 12 good bands, and 20 components"):
        KernelRX().bind({"cube": source.info})
    values = source.values[:, :20, :20].copy()
    values[:, :15] = values[:, :1, :1]
    with pytest.raises(SceneError, match=r"most of the 400 pixels drawn from it are equal.* Use --method rx"):
        run(Memory(values, nodata=None), KernelRX(components=4))


def test_real_scene(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "abu-beach-1.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, KernelRX(landmarks=200)), found["map"]) > 0.95
