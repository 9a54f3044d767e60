"""Bands rebuilt by an encoder of the scene: what it learns from, and the score in float64 from the weights that it learned."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.nn.body import BandFacts
from hsikit.nn.encoder import build_encoder
from hsikit.nn.rebuilding import MaskedWindows
from hsikit.scene import Bands
from hsikit.tasks.detection.encoder_residual import RUNS, WEIGHTS, EncoderResidual
from tests.engine.toys import Memory
from tests.tasks.detection.test_drawn_pixels import split_mix

BANDS = 24


@cache
def smooth_scene() -> Memory:
    """Mixtures of two smooth spectra with noise, a hole, a constant band, and three pixels with a feature that no mixture has."""
    rng = np.random.default_rng(2)
    axis = np.linspace(0, 1, BANDS)
    pure = np.stack((300 + 200 * axis, 500 - 250 * axis + 60 * np.sin(9 * axis)))
    share = rng.uniform(size=(40, 33))
    values = np.einsum("mb,mrc->brc", pure, np.stack((share, 1 - share))) * rng.uniform(0.8, 1.2, size=(40, 33)) + 2 * rng.normal(size=(BANDS, 40, 33))
    for row, col in ((7, 9), (20, 28), (33, 4)):
        values[10:14, row, col] *= 0.6
    values[5] = 77
    values[:, 25:31, 10:18] = np.nan
    return Memory(values.astype(np.float32), nodata=None)


@cache
def whole(epochs: int = 4):
    return run(smooth_scene(), EncoderResidual(pfa=0.01, epochs=epochs), tile=64)


def run(source: Memory, method: EncoderResidual, **how: int):
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], **how)


def test_the_score_is_how_unusual_the_errors_of_hidden_bands_are() -> None:
    source, found = smooth_scene(), whole()
    there = ~np.isnan(source.values).any(0)
    sample = source.values.astype(float)[:, there]  # fewer than are drawn: all of them
    mean, deviation = sample.mean(1), sample.std(1)
    varies = deviation > 0
    module = MaskedWindows(build_encoder("tiny", mixers=(({"name": "dwconv", "kernel": 1},),)), pixels=0.0, agreement=0.0)
    learned = found.store["network"]
    module.load_state_dict({name.removeprefix(WEIGHTS): value for name, value in learned.items() if name.startswith(WEIGHTS)})
    module.double()
    facts = BandFacts(torch.from_numpy(source.info.bands.wavelength), torch.from_numpy(source.info.bands.fwhm), torch.from_numpy(varies))
    scaled = torch.from_numpy(np.where(varies[:, None], (sample - mean[:, None]) / np.where(varies, deviation, 1)[:, None], 0))
    parts = []
    with torch.no_grad():
        for hidden in np.array_split(np.flatnonzero(varies), RUNS):
            shown = varies.copy()
            shown[hidden] = False
            window = scaled.clone()
            window[hidden] = 1e9  # what is hidden is not looked at
            features = module.encoder.dense(window[None, :, None], facts.wavelength, facts.fwhm, torch.from_numpy(shown))
            parts.append((module.decode(features, facts)[0, :, 0].double() - scaled)[hidden].numpy())
    errors = np.concatenate(parts)
    covariance = np.cov(errors)
    loaded = 0.9 * covariance + 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    centred = errors - errors.mean(1, keepdims=True)
    expected = (centred * np.linalg.solve(loaded, centred)).sum(0)
    np.testing.assert_allclose(found.layers["scores"][0][there], expected, rtol=2e-3)
    np.testing.assert_array_equal(np.isnan(found.layers["scores"][0]), ~there)


@pytest.mark.parametrize("tile", [17, 29])
def test_tiles_of_any_size_give_the_same(tile: int) -> None:
    one, cut = whole(), run(smooth_scene(), EncoderResidual(pfa=0.01, epochs=4), tile=tile)
    for name, weights in one.store["network"].items():
        assert torch.equal(cut.store["network"][name], weights), "the training must not depend on the tiles to the last bit"
    expected = one.layers["scores"]
    np.testing.assert_allclose(cut.layers["scores"], expected, rtol=0, atol=1e-5 * np.nanmax(expected))
    np.testing.assert_allclose(cut.features["hits"].points, one.features["hits"].points)


def test_it_learns_and_finds_what_does_not_follow() -> None:
    """The feature alone is too small for brightness to tell."""
    found = whole()
    losses = found.store["network"]["losses"]
    assert losses[-1] < 0.7 * losses[0]
    truth = np.zeros((40, 33), bool)
    truth[[7, 20, 33], [9, 28, 4]] = True
    assert roc_area(found.layers["scores"][0], truth) > 0.98


def test_it_learns_from_the_pixels_drawn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import hsikit.tasks.detection.encoder_residual as module

    monkeypatch.setattr(module, "SAMPLE", 100)
    source = smooth_scene()
    rows, cols = np.nonzero(~np.isnan(source.values).any(0))
    order = np.argsort(split_mix(rows, cols, 6))[:100]
    found = run(source, EncoderResidual(epochs=1, seed=6), tile=16)
    np.testing.assert_array_equal(found.store["sample"]["spectra"], source.values[:, rows[order], cols[order]].T)


def test_the_metadata_say_what_was_learned() -> None:
    said = EncoderResidual().bind({"cube": smooth_scene().info}).provenance["learned_unlabelled"]
    assert said == "an encoder, from up to 4096 of the scene's unlabelled pixels, in 30 passes"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"pfa": 0.0}, "pfa"), ({"epochs": 0}, "epochs"), ({"epochs": 1001}, "epochs"), ({"shrinkage": 0.0}, "shrinkage"), ({"seed": -1}, "seed")],
)
def test_options_out_of_range_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        EncoderResidual(**options)


def with_bands(source: Memory, wavelength: np.ndarray) -> Memory:
    changed = Memory(source.values, nodata=None)
    changed.info = changed.info.with_(bands=Bands(wavelength, np.full(BANDS, 10.0), np.ones(BANDS, bool), source.info.bands.names))
    return changed


def test_scenes_that_it_cannot_look_at_are_named() -> None:
    source = smooth_scene()
    for wavelength in (np.full(BANDS, np.nan), np.linspace(8000, 12000, BANDS)):
        with pytest.raises(SceneError, match="0 of its good bands lie in 380 to 2520 nm, and 4 are needed"):
            EncoderResidual().bind({"cube": with_bands(source, wavelength).info})
    with pytest.raises(SceneError, match="fewer than 4 of its bands vary"):
        run(Memory(np.full((BANDS, 9, 9), 7, np.int16)), EncoderResidual(epochs=1))


def test_bands_beyond_what_encoders_see_are_left_out() -> None:
    job = EncoderResidual().bind({"cube": with_bands(smooth_scene(), np.linspace(450, 3000, BANDS)).info})
    assert job.inputs["cube"].bands == tuple(range(19))


def test_real_scene(shared_data: Path) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / "sandiego_58.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, EncoderResidual(epochs=3)).layers["scores"][0], found["map"]) > 0.93
