from __future__ import annotations

from dataclasses import replace
from functools import cache
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.tasks.classification import spectral_network
from hsikit.tasks.classification.object_features import LinearProjector
from hsikit.tasks.classification.spectral_network import (
    BLOCK,
    NORMALISATIONS,
    RADIUS,
    NetworkProjector,
    SpectralNetwork,
    drawn_pixels,
    inputs_at,
    learn_without_labels,
    network_from,
    tile_inputs,
)
from tests.tasks.classification.networks import BANDS, COLS, ROWS, labels, short, small
from tests.tasks.classification.scenes import source
from tests.tasks.classification.test_mnf_lda_edge import box

WAVELENGTH = np.linspace(420, 2450, BANDS)


def padded(values: np.ndarray, valid: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """As the engine gives a tile that is the whole scene: with its halo."""
    around = ((RADIUS, RADIUS), (RADIUS, RADIUS))
    return torch.from_numpy(np.pad(values, ((0, 0), *around), constant_values=np.nan)), torch.from_numpy(np.pad(valid, around))


def plain_inputs(values: np.ndarray, normalise: str) -> np.ndarray:
    """By NumPy, of a scene without holes: (rows * cols, channels, C)."""
    cube, channels = values.transpose(1, 2, 0).astype(np.float64), []
    for standardised in NORMALISATIONS[normalise]:
        spectra = (cube - cube.mean(2, keepdims=True)) / cube.std(2, keepdims=True) if standardised else cube
        channels += [spectra, box(spectra, RADIUS)]
    return np.stack(channels, 2).reshape(-1, len(channels), len(values))


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_a_pixel_gives_its_spectrum_and_its_neighbourhoods_mean(normalise: str) -> None:
    scene, _ = small(holes=False)
    expected = plain_inputs(scene.values, normalise)
    rows, cols = (part.reshape(-1) for part in np.indices((ROWS, COLS)))
    found = inputs_at(scene, rows, cols, np.arange(BANDS), WAVELENGTH, normalise)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    filled = np.full_like(found, np.nan)
    for places, inputs in tile_inputs(*padded(scene.values, np.ones((ROWS, COLS), bool)), normalise):
        filled[places] = inputs.numpy()
    np.testing.assert_allclose(filled, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=10)
@given(rows=st.integers(1, 2 * BLOCK + 3), cols=st.integers(1, BLOCK + 2), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_each_valid_pixel_comes_once_and_missing_ones_count_nowhere(rows: int, cols: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, valid = rng.normal(size=(3, rows, cols)).astype(np.float32), rng.random((rows, cols)) < share
    values[:, ~valid] = np.nan
    seen = np.zeros(rows * cols, int)
    for places, inputs in tile_inputs(*padded(values, valid), "raw"):
        seen[places] += 1
        for place, (own, mean) in list(zip(places.tolist(), inputs.numpy(), strict=True))[:3]:
            row, col = divmod(place, cols)
            near = (slice(max(0, row - 2), row + 3), slice(max(0, col - 2), col + 3))
            np.testing.assert_array_equal(own, values[:, row, col])
            np.testing.assert_allclose(mean, values[:, near[0], near[1]][:, valid[near]].mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(seen, valid.reshape(-1).astype(int))


def test_pixels_with_holes_give_the_same_in_training_and_on_the_map() -> None:
    scene, _ = small()
    values, valid = scene.values.copy(), np.isnan(scene.values).sum(0) <= 0.1 * BANDS
    gaps = np.isnan(values) & valid
    assert gaps.any()
    rows, cols = (part.reshape(-1) for part in np.indices((ROWS, COLS)))
    found = inputs_at(scene, rows, cols, np.arange(BANDS), WAVELENGTH, "both")
    np.testing.assert_array_equal(np.isnan(found).any((1, 2)), ~valid.reshape(-1))
    values[gaps] = (np.roll(values, 1, 0) + np.roll(values, -1, 0))[gaps] / 2  # one missing band, of evenly spaced ones
    mapped = np.full_like(found, np.nan)
    for places, inputs in tile_inputs(*padded(values, valid), "both"):
        mapped[places] = inputs.numpy()
    np.testing.assert_allclose(mapped, found, rtol=1e-3, atol=1e-3)


def test_all_pixels_of_a_small_scene_are_drawn_once_though_it_is_labelled_twice() -> None:
    first, second = labels(), labels(seed=3)
    ((scene, rows, cols),) = drawn_pixels([first, second], 0)
    assert scene.source is first.source
    np.testing.assert_array_equal(rows * COLS + cols, np.arange(ROWS * COLS))


def test_a_part_of_large_scenes_is_drawn_evenly() -> None:
    scene, _ = small()
    other = source(np.concatenate([scene.values] * 3, 1), name="other.tif")
    marked = [labels(), replace(labels().take(np.arange(5)), source=other)]
    with mock.patch.object(spectral_network, "MOST_PIXELS", 400):
        parts, again, others = (drawn_pixels(marked, seed) for seed in (0, 0, 1))
    counts = [len(rows) for _, rows, _ in parts]
    assert sum(counts) == 400
    assert 60 < counts[0] < 140
    for (_, rows, cols), (_, same, _), (_, different, _) in zip(parts, again, others, strict=True):
        assert len(np.unique(rows * COLS + cols)) == len(rows)
        np.testing.assert_array_equal(rows, same)
        assert not np.array_equal(rows, different)


def learned(pretrain: str = "object", normalise: str = "standardised", seed: int = 0, epochs: int = 2) -> tuple[SpectralNetwork, list[float]]:
    """A network that predicts the first three bands of its pixel, which stand for an object's components."""
    settings_ = {"preset": "tiny", "pretrain": pretrain, "normalise": normalise}
    with short(epochs):
        return learn_without_labels(
            [labels()], lambda scene: np.arange(BANDS), WAVELENGTH, settings_, lambda scene, rows, cols: scene.values[:3, rows, cols].T,
            seed=seed, folder=None, tell=lambda done, total, text: None,
        )  # fmt: skip


@pytest.mark.parametrize(("pretrain", "width"), [("object", 3), ("masked", 64), ("none", 64)])
@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_a_network_comes_back_from_its_arrays(pretrain: str, width: int, normalise: str) -> None:
    network, losses = learned(pretrain, normalise)
    assert len(losses) == (0 if pretrain == "none" else 2)
    assert bool(network.encoder.pretrained) == (pretrain != "none")
    back = network_from(network.arrays(), "tiny", normalise)
    inputs = torch.randn(9, 2 * len(NORMALISATIONS[normalise]), BANDS)
    found = network.features(inputs)
    assert found.shape == (9, width)
    assert torch.equal(back.features(inputs), found)
    assert torch.equal(back.on(torch.device("cpu")).features(inputs), found)


def test_arrays_that_are_no_network_are_refused() -> None:
    arrays = learned()[0].arrays()
    wrong = {"encoder.norm.weight": np.ones(3, np.float32), "top.0.weight": np.ones((2, 2), np.float32), "input_mean": arrays["input_mean"][:, :4]}
    for name, array in wrong.items():
        with pytest.raises((ValueError, RuntimeError)):
            network_from({**arrays, name: array}, "tiny", "standardised")
    with pytest.raises(KeyError):
        network_from({name: value for name, value in arrays.items() if name != "input_scale"}, "tiny", "standardised")


def test_a_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, second, third = (learned(seed=seed)[0].arrays() for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["encoder.stem.weight"], third["encoder.stem.weight"])


def test_inputs_are_scaled_to_mean_0_and_deviation_1() -> None:
    scene, _ = small()
    network = learned("none", "both")[0]
    rows, cols = (part.reshape(-1) for part in np.indices((ROWS, COLS)))
    inputs = inputs_at(scene, rows, cols, np.arange(BANDS), WAVELENGTH, "both")
    scaled = network.scaled(torch.from_numpy(inputs[~np.isnan(inputs[:, 0, 0])])).double()
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4, BANDS, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(4, BANDS, dtype=torch.float64), atol=1e-3, rtol=0)


def test_an_input_that_never_changes_is_no_division_by_zero() -> None:
    flat = source(np.full((BANDS, ROWS, COLS), 3.0, np.float32))
    scenes = [replace(labels(), source=flat)]
    with short():
        network, losses = learn_without_labels(
            scenes, lambda scene: np.arange(BANDS), WAVELENGTH, {"preset": "tiny", "pretrain": "object", "normalise": "both"},
            lambda scene, rows, cols: scene.values[:3, rows, cols].T, seed=0, folder=None, tell=lambda done, total, text: None,
        )  # fmt: skip
    assert np.isfinite(losses).all()
    assert (network.scale == 1).all()


def test_what_the_network_says_is_added_to_what_is_linear() -> None:
    scene, _ = small()
    network, rng = learned("object", "raw")[0], np.random.default_rng(0)
    valid = ~np.isnan(scene.values).any(0)
    linear = LinearProjector(rng.normal(size=BANDS), rng.normal(size=(5, BANDS)), standardised=False)
    matrix = rng.normal(size=(4, 3))
    values, shown = padded(np.where(valid, scene.values, np.nan), valid)
    found = NetworkProjector(linear, matrix, network.on)(values, shown).numpy()
    expected = linear(torch.from_numpy(scene.values), torch.from_numpy(valid)).numpy().astype(np.float64)
    for places, inputs in tile_inputs(values, shown, "raw"):
        rows, cols = np.divmod(places.numpy(), COLS)
        expected[:4, rows, cols] += matrix @ network.features(inputs).numpy().T.astype(np.float64)
    assert found.shape == (5, ROWS, COLS)
    np.testing.assert_array_equal(np.isnan(found[0]), ~valid)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@cache
def learned_once() -> SpectralNetwork:
    return learned()[0]


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_the_order_of_the_neighbours_means_nothing(seed: int) -> None:
    """The network sees bands in their places, and neighbours by their mean alone."""
    rng = np.random.default_rng(seed)
    network = learned_once()
    window = rng.normal(size=(BANDS, 25)).astype(np.float32) + 5
    others = rng.permutation(np.delete(np.arange(25), 12))
    shuffled, bands = window[:, np.insert(others, 12, 12)], rng.permutation(BANDS)

    def said(values: np.ndarray) -> torch.Tensor:
        square = torch.from_numpy(np.ascontiguousarray(values.reshape(BANDS, 5, 5)))
        ((_, inputs),) = tile_inputs(square, torch.ones(5, 5, dtype=torch.bool), "standardised")
        return network.features(inputs)

    torch.testing.assert_close(said(shuffled), said(window), atol=1e-4, rtol=1e-3)
    if (bands != np.arange(BANDS)).sum() > BANDS // 2:
        assert (said(window[bands]) - said(window)).abs().max() > 1e-3
