from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hsikit.nn.base_files import load_base
from hsikit.nn.body import TaskNetwork
from hsikit.tasks.band_scale import band_facts, scene_scale
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.encoder_readout import PLACES, RADIUS, _lattice, fit_both, principal_axes, read_out
from hsikit.tasks.classification.encoder_tuning import TEMPERATURES, discriminant_head
from hsikit.tasks.classification.network_tuning import held_out
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import fields, labelled, run_with, source


def test_principal_axes_are_those_of_the_scenes_features_and_no_label_moves_them(tmp_path: Path) -> None:
    values, truth = fields(34, 17, 3, 15)  # two squares of 17 x 17
    values[:, np.isnan(values).any(0)] = np.nan  # no pixel lacks a few bands alone
    cube = source(values)
    network = TaskNetwork(load_base(small_base(tmp_path / "base")), torch.nn.Identity()).eval()
    basis, scale = Basis.of(cube.info), scene_scale(cube, np.arange(15), run_with())
    scales = {id(cube): scale}
    axes = principal_axes([labelled(cube, truth, 5)], basis, network, scales)
    np.testing.assert_array_equal(principal_axes([labelled(cube, truth, 9)], basis, network, scales), axes)
    window = torch.from_numpy(cube.values)
    usable = window.isfinite().all(0)
    with torch.inference_mode():
        features = network.dense(scale.standardised(window)[None], band_facts(cube.info.bands, scale), usable[None])[0]
    found = features[:, usable].T.double().numpy()
    turned = np.cov((found @ axes).T)
    assert axes.shape == (16, 15)  # the norm before the last layer takes one dimension
    np.testing.assert_allclose(axes.T @ axes, np.eye(15), atol=1e-10)
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-5 * turned.max())
    assert (np.diff(np.diag(turned)) <= 1e-9).all()


def test_squares_lie_evenly_and_are_bounded() -> None:
    side = 2 * RADIUS + 1
    assert _lattice(1).tolist() == [0] and _lattice(side).tolist() == [RADIUS]
    assert _lattice(10 * side).tolist() == [RADIUS + side * k for k in range(10)]
    large = _lattice(100_000)
    assert len(large) == PLACES and large[0] > 0 and large[-1] < 100_000 and np.ptp(np.diff(large)) <= 1


def test_the_read_out_is_the_mean_of_two_discriminants() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.standard_normal((30, 6)).cumsum(1), np.arange(30) % 3
    axes = np.linalg.eigh(np.cov(features.T))[1]
    weights, offsets = fit_both(axes, features, targets, 3)
    (plain, first), (turned, second) = fit_lda(features, targets, 3), fit_lda(features @ axes, targets, 3)
    np.testing.assert_allclose(features @ weights.T + offsets, (features @ plain.T + first + features @ axes @ turned.T + second) / 2, rtol=1e-9)
    same = fit_both(np.eye(6), features, targets, 3)
    np.testing.assert_allclose(same[0], plain)
    np.testing.assert_allclose(same[1], first)


def test_classes_that_a_small_component_tells_apart_are_found_from_few_labels() -> None:
    rng = np.random.default_rng(1)
    direction = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    deviation = 10.0 * 0.6 ** np.arange(24)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        targets = np.arange(count) % 2
        parts = rng.standard_normal((count, 24)) * deviation
        parts[:, 12] += 6 * deviation[12] * (targets - 0.5)
        return parts @ direction.T, targets

    (train, known), (test, truth), (whole, _) = drawn(12), drawn(2000), drawn(3000)
    axes = np.linalg.eigh(np.cov(whole.T))[1]
    right = []
    for weights, offsets in (fit_lda(train, known, 2), fit_both(axes, train, known, 2)):
        right.append(((test @ weights.T + offsets).argmax(1) == truth).mean())
    assert right[0] < 0.7 < 0.9 < right[1], right


def test_the_width_of_the_square_is_that_of_clearly_better_features() -> None:
    values, truth = fields(30, 30, 3, 15)
    samples = training_samples([labelled(source(values), truth, 12)])
    rng = np.random.default_rng(2)
    good = np.eye(3)[samples.targets] * 5 + rng.standard_normal((len(samples.targets), 3))
    noise = rng.standard_normal(good.shape)
    for features, wanted in (({3: noise, 1: good}, 1), ({3: good, 1: noise}, 3), ({3: good, 1: good}, 3)):
        width, weights, offsets = read_out(features, samples, np.eye(3), [3, 1])
        assert width == wanted and weights.shape == (3, 3) and offsets.shape == (3,)


def test_a_head_that_is_tuned_starts_from_the_discriminants_of_the_labels_that_are_not_held_out() -> None:
    values, truth = fields(30, 30, 3, 15)
    samples = training_samples([labelled(source(values), truth, 10)])
    rng = np.random.default_rng(3)
    features = np.eye(3)[samples.targets] @ rng.standard_normal((3, 8)) * 4 + rng.standard_normal((len(samples.targets), 8))
    held = held_out(samples.targets, 4)
    weights, offsets = fit_both(np.eye(8), features[~held], samples.targets[~held], 3)
    head = discriminant_head(features, samples, np.eye(8), seed=4)
    logits = features @ weights.T + offsets
    got = head(torch.from_numpy(features).float()).detach().numpy()
    ratio = (logits / got).ravel()
    temperature = np.median(ratio)
    np.testing.assert_allclose(got * temperature, logits, atol=1e-3 * np.abs(logits).max())
    assert min(abs(temperature / each - 1) for each in TEMPERATURES) < 1e-3
    changed = features.copy()
    changed[held] += 1e-6
    np.testing.assert_allclose(
        discriminant_head(changed, samples, np.eye(8), seed=4).folded().weight.detach(), head.folded().weight.detach(), rtol=1e-3, atol=1e-5
    )
