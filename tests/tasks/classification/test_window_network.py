from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

import hsikit
from hsikit.errors import OptionError
from hsikit.tasks.classification import window_network
from hsikit.tasks.classification.lola_specvit import LolaSpecVit
from hsikit.tasks.classification.object_features import LinearProjector
from hsikit.tasks.classification.window_network import RADIUS, SLOW, WINDOW, WindowNetwork, WindowProjector, window_network_from, windows_of
from tests.tasks.classification.networks import BANDS, COLS, ROWS, USUAL, labels, short, small, train
from tests.tasks.classification.scenes import layers_of, run_with
from tests.tasks.classification.test_lola_specvit import Stops

WAVELENGTH = np.linspace(420, 2450, BANDS)


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Pretraining of a few seconds."""
    with (
        mock.patch.object(window_network, "PRETRAINING", {**window_network.PRETRAINING, "epochs": 1}),
        mock.patch.object(window_network, "MOST_PIXELS", 130),
    ):
        yield


@cache
def trained(head: str = "lora", pretrain: str = "object") -> LolaSpecVit:
    return train([labels(5)], epochs=(1, 3), preset="paper-small", head=head, pretrain=pretrain, normalise="standardised", objects="no")


def components() -> LinearProjector:
    rng = np.random.default_rng(0)
    return LinearProjector(rng.normal(size=BANDS), rng.normal(size=(4, BANDS)), True)


def gapless() -> tuple[np.ndarray, np.ndarray]:
    """Values of a scene whose pixels are whole or missing, and which are whole."""
    values = small()[0].values.copy()
    valid = ~np.isnan(values).any(0)
    values[:, ~valid] = np.nan
    return values, valid


def plain_windows(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """By NumPy: components of standardised spectra around each pixel, zero where missing or outside; (rows, cols, K, 15, 15)."""
    project = components()
    spectra = (values - values.mean(0)) / values.std(0)
    found = np.einsum("kc,chw->khw", project.matrix, spectra - project.mean[:, None, None])
    found = np.pad(np.where(valid, found, 0.0), ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)))
    rows, cols = valid.shape
    return np.stack([[found[:, row : row + WINDOW, col : col + WINDOW] for col in range(cols)] for row in range(rows)])


def test_a_window_holds_components_and_zeros_where_there_is_nothing() -> None:
    from tests.tasks.classification.scenes import source

    values, valid = gapless()
    rows, cols = (part.reshape(-1) for part in np.indices((ROWS, COLS)))
    found = windows_of(source(values), rows, cols, np.arange(BANDS), WAVELENGTH, components()).reshape(ROWS, COLS, 4, WINDOW, WINDOW)
    np.testing.assert_array_equal(np.isnan(found).all((2, 3, 4)), ~valid)
    np.testing.assert_allclose(found[valid], plain_windows(values, valid)[valid], rtol=1e-4, atol=1e-4)


def test_a_map_gives_the_network_the_same_windows() -> None:
    values, valid = gapless()
    valid[:, COLS // 2 :] = False  # half will do
    values[:, ~valid] = np.nan
    model = trained()
    encoder = model._network("").encoder
    network = WindowNetwork(encoder, None, encoder.width, "standardised", np.zeros((1, 4, 1, 1), np.float32), np.ones((1, 4, 1, 1), np.float32), components())
    linear = LinearProjector(np.zeros(BANDS), np.concatenate([np.zeros((encoder.width, BANDS)), np.ones((1, BANDS))]), False)
    around = ((RADIUS, RADIUS), (RADIUS, RADIUS))
    given = torch.from_numpy(np.pad(values, ((0, 0), *around), constant_values=np.nan)), torch.from_numpy(np.pad(valid, around))
    found = WindowProjector(linear, lambda device: network, 0)(*given).numpy()
    np.testing.assert_array_equal(np.isnan(found[0]), ~valid)
    said = network.features(torch.from_numpy(plain_windows(values, valid)[valid][:, None].astype(np.float32))).numpy()
    np.testing.assert_allclose(found[:-1, valid].T, said, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[-1, valid], values[:, valid].sum(0), rtol=1e-4)


@pytest.mark.parametrize(("head", "pretrain"), [("lora", "object"), ("linear", "none")])
def test_comes_back_from_its_folder_and_maps_tiles_as_the_whole(head: str, pretrain: str, tmp_path: Path) -> None:
    scene, _ = small()
    model = trained(head, pretrain)
    hsikit.save_method(model, tmp_path / "model")
    assert (tmp_path / "model/adapter").is_dir() == (head == "lora")
    back = hsikit.load_method(tmp_path / "model")
    assert isinstance(back, LolaSpecVit)
    whole, tiled = (
        layers_of(each.with_options(extras=("log_probabilities",)).bind({"cube": scene.info}), scene, tile, "log_probabilities")["log_probabilities"]
        for each, tile in ((model, None), (back, 13))
    )
    np.testing.assert_array_equal(np.isnan(whole[0]), np.isnan(scene.values).sum(0) > 0.1 * BANDS)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)
    assert np.nanstd(whole, axis=(1, 2)).min() > 1e-4


def test_tuning_learns_its_labels() -> None:
    with mock.patch.object(window_network, "MOST_PIXELS", 70):
        losses = train([labels(4)], epochs=(1, 12), preset="paper-small", pretrain="none", normalise="standardised").history["tuning"]
    assert losses[-1] < 0.7 * losses[0]


def test_a_refit_keeps_the_network() -> None:
    with short(1, 2):
        again = trained().refit([labels(6, seed=2)], run=run_with(), **{**USUAL, "objects": "no"}, preset="paper-small", normalise="standardised")
    assert again.settings["head"] == "lora"
    for name, value in trained().arrays.items():
        if name.startswith(("encoder.", "top.", "input_")):
            np.testing.assert_array_equal(again.arrays[name], value)
    assert any((again.arrays[name] != value).any() for name, value in trained().arrays.items() if name.startswith("tuned."))


def test_a_network_comes_back_from_its_arrays() -> None:
    network = trained()._network("")
    assert isinstance(network, WindowNetwork) and network.components is not None
    back = window_network_from(network.arrays(), "paper-small", "standardised", network.components)
    windows = torch.randn(3, 1, 15, WINDOW, WINDOW)
    assert torch.equal(back.features(windows), network.features(windows))


def test_says_before_it_starts_that_it_is_slow() -> None:
    told = Stops("pretraining", 1)
    with pytest.raises(InterruptedError):
        train([labels(5)], preset="paper-small", normalise="standardised", progress=told)
    assert told.notes == [SLOW]


@pytest.mark.parametrize("name", ["input_mean", "input_scale", "tuned.encoder.norm.weight", "tuned.top.bias", "encoder.norm.bias"])
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    arrays, facts = trained().state()
    with pytest.raises((ValueError, KeyError)):
        LolaSpecVit.from_state({key: value for key, value in arrays.items() if key != name}, facts)
    with pytest.raises(ValueError, match=r"shape|fit"):
        LolaSpecVit.from_state({**arrays, name: arrays[name][None]}, facts)


@pytest.mark.parametrize(
    ("options", "said"), [({"head": "lda"}, "tuned on the labels"), ({"pretrain": "masked"}, "does not learn"), ({"normalise": "both"}, "one kind of spectra")]
)
def test_says_what_it_does_not_have(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        train(preset="paper", **options)
