from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import hsikit
from hsikit.errors import OptionError
from hsikit.geo.grid import Window
from hsikit.tasks.classification.diffusion import advance
from hsikit.tasks.classification.edges import spectral_edges
from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.trend import place_terms
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source
from tests.tasks.classification.test_mnf_lda import plain_features
from tests.tasks.classification.test_smooth import plain_diffusion

STEPS, KEEP = 50, 0.02


def sloping(rows: int = 40, cols: int = 43) -> tuple[np.ndarray, np.ndarray]:
    """Fields under a trend across the scene that is no brightness alone; without holes."""
    values, truth = fields(rows, cols, 4, 15, noise=1.0, holes=False)
    across = np.linspace(-1, 1, cols)[None, None] * np.linspace(0, 3, 15)[:, None, None]
    return (values + across).astype(np.float32), truth


def detrended(channels: np.ndarray) -> np.ndarray:
    """Residuals of a least-squares fit on 1, c, c^2, r, r^2, put back to the mean; (rows, cols, M)."""
    rows, cols, count = channels.shape
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    design = np.stack([np.ones_like(row), col, col**2, row, row**2], -1).reshape(-1, 5).astype(float)
    flat = channels.reshape(-1, count)
    return (flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0] + flat.mean(0)).reshape(channels.shape)


def diffused(channels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """By the plain formula of the tests of smoothing; (rows, cols, M)."""
    around = np.pad(values, ((0, 0), (2, 2), (2, 2)))
    valid = np.pad(np.ones(values.shape[1:], bool), 2)
    edges = spectral_edges(torch.from_numpy(around), torch.from_numpy(valid)).numpy()
    edges[0, :, -1], edges[1, -1] = np.nan, np.nan
    median = float(np.nanmedian(edges))
    return plain_diffusion(channels.transpose(2, 0, 1), edges, median, STEPS, KEEP).transpose(1, 2, 0)


def box(channels: np.ndarray, radius: int) -> np.ndarray:
    rows, cols, _ = channels.shape
    out = np.empty_like(channels)
    for row in range(rows):
        for col in range(cols):
            out[row, col] = channels[max(0, row - radius) : row + radius + 1, max(0, col - radius) : col + radius + 1].mean((0, 1))
    return out


@pytest.mark.parametrize("detrend", [True, False])
def test_equals_the_chain_with_features_diffused_one_by_one(detrend: bool) -> None:
    values, truth = sloping()
    scene = source(values)
    labels = labelled(scene, truth, 12)
    model = MnfLdaEdge.train([labels], run=run_with(tile=16), components=9, width=3, detrend=detrend, steps=STEPS, keep=KEEP)
    components = plain_features(values, 9, 1)
    components = detrended(components) if detrend else components
    joined = np.zeros((40, 43, 4))
    for features in (diffused(components, values), box(components, 1)):
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[labels.rows, labels.cols], labels.codes)
        joined += oracle.predict_log_proba(features.reshape(-1, 9)).clip(-69).reshape(40, 43, 4)
    expected = diffused(joined, values)
    found = layers_of(model.with_options(extras=("log_probabilities",)).bind({"cube": scene.info}), scene, None, "map", "log_probabilities")
    normalised = expected - np.logaddexp.reduce(expected, axis=2, keepdims=True)
    np.testing.assert_allclose(found["log_probabilities"].transpose(1, 2, 0), normalised.clip(-69), rtol=2e-3, atol=0.02)
    ranked = np.sort(expected, 2)
    sure = ranked[..., -1] - ranked[..., -2] > 0.05
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(found["map"][0][sure], expected.argmax(2)[sure] + 1)


def test_takes_a_trend_away_that_misleads_without() -> None:
    values, truth = fields(60, 60, 4, 15, noise=1.0, holes=False)
    across = np.linspace(-1, 1, 60)[None, None] * (4 * np.cos(np.arange(15)))[:, None, None]
    scene = source((values + across).astype(np.float32))
    labels = labelled(scene, truth, 400)
    left = labels.take(labels.cols < 20)
    shares = []
    for detrend in (True, False):
        model = MnfLdaEdge.train([left], run=run_with(), components=8, width=3, detrend=detrend, steps=STEPS, keep=KEEP)
        found = layers_of(model.bind({"cube": scene.info}), scene, None, "map")["map"][0]
        shares.append(float((found == truth)[:, 40:].mean()))
    assert shares[0] > shares[1] + 0.1


def test_steps_in_parts_are_steps_in_one_go_and_holes_stay() -> None:
    rng = np.random.default_rng(2)
    data = torch.from_numpy(rng.normal(size=(3, 20, 21)).astype(np.float32))
    edges = torch.from_numpy(rng.uniform(0.1, 3, size=(2, 20, 21)).astype(np.float32))
    edges[0, 5, 6], edges[0, 5, 5], edges[1, 4, 6], edges[1, 5, 6] = (float("nan"),) * 4
    data[:, 5, 6] = float("nan")
    median = torch.tensor(1.0)
    once = advance(data, data, edges, median, 12, 0.1)
    parts = data
    for _ in range(3):
        parts = advance(parts, data, edges, median, 4, 0.1)
    torch.testing.assert_close(once, parts, equal_nan=True)
    assert torch.equal(once.isnan(), data.isnan())


def test_places_do_not_depend_on_the_window() -> None:
    whole = place_terms(Window(0, 0, 30, 40), (30, 40), "cpu")
    torch.testing.assert_close(place_terms(Window(7, 9, 5, 6), (30, 40), "cpu"), whole[:, 7:12, 9:15])
    assert float(whole[0].min()) == -1.0
    assert float(whole[2].max()) == 1.0


def test_comes_back_from_its_folder_and_may_be_smoothed(tmp_path) -> None:
    values, truth = sloping()
    scene = source(values)
    model = MnfLdaEdge.train([labelled(scene, truth, 12)], run=run_with(), components=6, width=3, steps=25)
    hsikit.save_method(model, tmp_path / "model")
    back = hsikit.load_method(tmp_path / "model")
    first, second = (layers_of(each.bind({"cube": scene.info}), scene, None, "map")["map"] for each in (model, back))
    np.testing.assert_array_equal(first, second)
    job = smooth(model.with_options(extras=("log_probabilities",)).bind({"cube": scene.info}))
    smoothed = layers_of(job, scene, None, "map")["map"]
    assert (smoothed == truth).mean() > 0.7
    assert (smoothed != first).any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 60}, "multiple of 25"),
        ({"keep": 0.0}, "share"),
        ({"components": 99}, "number of bands"),
        ({"width": 4}, "odd"),
        ({"detrend": 2}, "neither true nor false"),
        ({"trees": 3}, "no such training option"),
    ],
)
def test_says_which_option_makes_no_sense(options: dict[str, object], said: str) -> None:
    values, truth = fields(20, 20, 3, 10)
    scene = source(values)
    with pytest.raises(OptionError, match=said):
        MnfLdaEdge.train([labelled(scene, truth, 5)], run=run_with(), **options)
