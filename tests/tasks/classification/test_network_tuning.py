from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsikit.nn.adapter_files import load_adapter
from hsikit.nn.lora import add_lora
from hsikit.nn.spectral_transformer import build_encoder
from hsikit.nn.tuning import Classifier
from hsikit.tasks.classification.network_tuning import HELD_OUT, RANK, held_out, tuned
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.spectral_network import SpectralNetwork, inputs_at, network_from
from tests.tasks.classification.networks import BANDS, labels, short, small, train

LOW_RANK = ("attention.qkv.weight", "attention.proj.weight", "mlp.0.weight", "mlp.2.weight")


@cache
def base() -> SpectralNetwork:
    """A network that has learned without labels."""
    return network_from(train(normalise="standardised").arrays, "tiny", "standardised")


@cache
def result(head: str) -> tuple[dict[str, np.ndarray], dict[str, list[float]], dict[str, Any]]:
    return tuned_anew(head)


def tuned_anew(head: str, pretrain: str = "object", seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, list[float]], dict[str, Any]]:
    marked, settings = [labels(25)], {"head": head, "pretrain": pretrain}
    with short(tuning=25):
        return tuned(marked, training_samples(marked), base(), settings, seed, None, lambda done, total, text: None)


def logits(arrays: dict[str, np.ndarray]) -> torch.Tensor:
    """Of the whole scene's valid pixels, by the network that the arrays hold."""
    network = network_from({**{name.removeprefix("tuned."): value for name, value in arrays.items()}, **scaling()}, "tiny", "standardised")
    return network.features(scene_inputs())


def scaling() -> dict[str, np.ndarray]:
    return {"input_mean": base().centre, "input_scale": base().scale}


def scene_inputs() -> torch.Tensor:
    scene, truth = small()
    rows, cols = (part.reshape(-1) for part in np.indices(truth.shape))
    inputs = inputs_at(scene, rows, cols, np.arange(BANDS), np.linspace(420, 2450, BANDS), "standardised")
    return torch.from_numpy(inputs[~np.isnan(inputs[:, 0, 0])])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=120), st.integers(0, 9))
def test_one_label_in_five_of_each_class_is_held_out(codes: list[int], seed: int) -> None:
    targets = np.array(codes)
    held = held_out(targets, seed)
    for target in np.unique(targets):
        assert held[targets == target].sum() == (targets == target).sum() // HELD_OUT
    np.testing.assert_array_equal(held, held_out(targets, seed))


def test_another_seed_holds_out_other_labels() -> None:
    targets = np.repeat([0, 1], 50)
    assert not np.array_equal(held_out(targets, 0), held_out(targets, 1))


def test_a_linear_head_leaves_the_network_as_it_was() -> None:
    before = {f"tuned.{name}": value for name, value in base().arrays().items() if name.startswith("encoder.")}
    arrays, losses, recorded = result("linear")
    for name, value in before.items():
        np.testing.assert_array_equal(arrays[name], value)
    assert arrays["tuned.top.weight"].shape == (4, 64)
    assert recorded == {"parameters": sum(value.size for value in arrays.values() if value.dtype != bool), "parameters_tuned": 4 * 64 + 4}
    assert losses["tuning"][-1] < 0.7 * losses["tuning"][0]
    assert len(losses["validation"]) == len(losses["tuning"])


def test_adapters_change_the_weights_by_a_low_rank() -> None:
    arrays, losses, recorded = result("lora")
    before = base().arrays()
    changes = {name: arrays[f"tuned.{name}"] - value for name, value in before.items() if name.endswith(LOW_RANK) and name.startswith("encoder.")}
    assert len(changes) == 16
    for change in changes.values():
        strengths = np.linalg.svd(change.astype(np.float64), compute_uv=False)
        assert strengths[0] > 1e-3
        assert (strengths[RANK:] < 1e-5 * max(1.0, strengths[0])).all()
    for name in ("encoder.blocks.0.attention.qkv.bias", "encoder.blocks.3.mlp.0.bias"):
        np.testing.assert_array_equal(arrays[f"tuned.{name}"], before[name])
    for name in ("encoder.norm.weight", "encoder.stem.weight"):
        assert (arrays[f"tuned.{name}"] != before[name]).any()
    assert recorded["adapter"]["r"] == RANK
    assert recorded["parameters_tuned"] == sum(value.size for name, value in arrays.items() if name.startswith("adapter.")) < recorded["parameters"]
    assert losses["tuning"][-1] < 0.7 * losses["tuning"][0]


def test_without_pretraining_all_weights_learn() -> None:
    arrays = tuned_anew("linear", "none")[0]
    before = base().arrays()
    learned = [name for name in before if name.startswith("encoder.") and name not in ("encoder.pretrained",)]
    assert all((arrays[f"tuned.{name}"] != before[name]).any() for name in learned)


@pytest.mark.parametrize("head", ["linear", "lora"])
def test_the_network_given_stays_as_it_is_and_a_seed_repeats(head: str) -> None:
    before = {name: value.copy() for name, value in base().arrays().items()}
    again = tuned_anew(head)[0]
    assert all(np.array_equal(value, base().arrays()[name]) for name, value in before.items())
    assert all(np.array_equal(value, again[name]) for name, value in result(head)[0].items())
    assert not np.array_equal(tuned_anew(head, seed=1)[0]["tuned.top.weight"], again["tuned.top.weight"])


def test_the_adapter_on_the_base_gives_the_tuned_logits() -> None:
    arrays, _, recorded = result("lora")
    config = recorded["adapter"]
    classifier = Classifier(build_encoder("tiny", BANDS, channels=2), 4)
    classifier.encoder.load_state_dict(base().encoder.state_dict())
    add_lora(classifier, config["target_modules"], config["r"], config["lora_alpha"])
    load_adapter(classifier, {name.removeprefix("adapter."): torch.from_numpy(value) for name, value in arrays.items() if name.startswith("adapter.")})
    with torch.inference_mode():
        found = classifier.eval()(base().scaled(scene_inputs()))
    torch.testing.assert_close(found, logits({name: value for name, value in arrays.items() if name.startswith("tuned.")}), atol=1e-3, rtol=1e-3)


def test_the_tuned_network_knows_its_labels() -> None:
    scene, truth = small()
    valid = np.isnan(scene.values).sum(0) <= 0.1 * BANDS
    for head in ("linear", "lora"):
        arrays = {name: value for name, value in result(head)[0].items() if name.startswith("tuned.")}
        assert (logits(arrays).argmax(1).numpy() + 1 == truth[valid]).mean() > 0.8


def test_few_labels_leave_none_to_watch() -> None:
    marked = [labels(3)]
    with short():
        losses = tuned(marked, training_samples(marked), base(), {"head": "lora", "pretrain": "object"}, 0, None, lambda done, total, text: None)[1]
    assert set(losses) == {"tuning"}
    assert len(losses["tuning"]) == 8
