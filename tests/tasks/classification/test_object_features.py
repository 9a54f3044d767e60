from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.tasks.classification.object_features import (
    CHUNK,
    FAR_NOW,
    GUIDES,
    NEAR,
    PROJECTED,
    LinearProjector,
    feature_job,
    feature_layers,
    features_at,
    guides_of,
    stage_cost,
    with_guides,
)
from hsikit.tasks.classification.samples import training_samples
from tests.tasks.classification.networks import BANDS, COLS, labels, small
from tests.tasks.classification.scenes import labelled, run_with, source

SETTINGS = {"width": 3, "detrend": True, "edges": "spectra", "steps": 25, "keep": 0.1}
PARTS = (slice(0, 2), slice(2, None))


def projector(channels: int = 5, *, standardised: bool = True) -> LinearProjector:
    rng = np.random.default_rng(0)
    return LinearProjector(rng.normal(size=BANDS), rng.normal(size=(channels, BANDS)), standardised)


@settings(max_examples=8)
@given(pixels=st.integers(1, 2 * CHUNK + 5), standardised=st.booleans(), share=st.floats(0, 1))
def test_channels_are_linear_in_the_spectra(pixels: int, standardised: bool, share: float) -> None:
    rng = np.random.default_rng(pixels)
    values, valid = rng.uniform(0, 1, (BANDS, 1, pixels)).astype(np.float32), rng.random((1, pixels)) < share
    project = projector(standardised=standardised)
    spectra = values[:, 0].astype(np.float64)
    spectra = (spectra - spectra.mean(0)) / spectra.std(0) if standardised else spectra
    expected = np.where(valid[0], project.matrix @ (spectra - project.mean[:, None]), np.nan)
    found = project(torch.from_numpy(values), torch.from_numpy(valid)).numpy()[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("edges", "components", "guides"), [("spectra", 20, 0), ("components", 20, GUIDES), ("components", 4, 4)])
def test_guides_are_the_last_channels(edges: str, components: int, guides: int) -> None:
    rng = np.random.default_rng(0)
    matrix, vectors = rng.normal(size=(3, BANDS)), rng.normal(size=(BANDS, components))
    found = with_guides(matrix, vectors, {"edges": edges})
    assert guides_of({"edges": edges}, components) == guides
    np.testing.assert_array_equal(found[:3], matrix)
    np.testing.assert_array_equal(found[3:], vectors.T[:guides])


def test_no_scratch_layer_is_delivered() -> None:
    assert not any(layer.delivered for layer in feature_layers(4, 2, 2, 3))
    assert {layer.name: layer.bands for layer in feature_layers(4, 2, 3, 0)}[PROJECTED] == 4
    assert "guide" not in {layer.name for layer in feature_layers(4, 2, 2, 0)}


@pytest.mark.parametrize("edges", ["spectra", "components"])
def test_features_at_pixels_are_those_of_whole_layers(edges: str) -> None:
    """For pixels of two scenes in any order, each in its own scene."""
    scene, truth = small()
    second = source(np.ascontiguousarray(scene.values[:, ::-1]), name="second.tif")
    marked = [labels(6), labelled(second, truth[::-1], 9, seed=4)]
    samples, chosen = training_samples(marked), {**SETTINGS, "edges": edges}
    project = projector(8)
    guides = 3 if edges == "components" else 0
    far, near = features_at(marked, samples, project, guides, PARTS, chosen, run_with(), None)
    assert far.shape == (len(samples.codes), 2)
    assert near.shape == (len(samples.codes), 8 - guides - 2)
    for number, each in enumerate(marked):
        job = feature_job(each.source.info, np.arange(BANDS), project, guides, PARTS, chosen)
        layers = compute(job, {"cube": each.source}, layers=(FAR_NOW, NEAR), threads=1, tile=16).layers
        mine = samples.scene == number
        place = (slice(None), samples.rows[mine], samples.cols[mine])
        np.testing.assert_allclose(far[mine], layers[FAR_NOW][place].T, atol=1e-4)
        np.testing.assert_allclose(near[mine], layers[NEAR][place].T, atol=1e-4)


def test_a_scene_without_samples_is_not_read() -> None:
    marked = [labels(6), labelled(source(np.full((BANDS, 40, COLS), np.nan, np.float32)), np.ones((40, COLS), np.uint8), 0)]
    samples = training_samples(marked[:1])
    far, _ = features_at(marked, samples, projector(), 0, PARTS, SETTINGS, run_with(), None)
    assert np.isfinite(far).all()


def test_cost_grows_with_the_tile_and_the_steps() -> None:
    small_, large, longer = (stage_cost(shape, BANDS, projector(), 5, steps) for shape, steps in (((64, 64), 25), ((512, 512), 25), ((64, 64), 500)))
    assert 0 < small_.bytes < large.bytes
    assert 0 < small_.flops < longer.flops < large.flops * 20
