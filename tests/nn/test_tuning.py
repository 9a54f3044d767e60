from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from hsikit.nn.adapter_files import adapter_state
from hsikit.nn.fit import fit
from hsikit.nn.lora import CyclicScale, lora_layers, mark_pretrained
from hsikit.nn.tuning import Classifier, adapt, balanced_weights, in_chunks, probe
from tests.nn.models import encoder, spectra


def classifier(classes: int = 3, *, pretrained: bool = True, **options: float) -> Classifier:
    base = encoder()
    if pretrained:
        mark_pretrained(base)
    torch.manual_seed(2)
    return Classifier(base, classes, **options)  # type: ignore[arg-type]


def labelled(count: int = 60) -> tuple[Tensor, Tensor]:
    """Spectra whose class is where their maximum over three parts lies."""
    x = spectra(count)
    codes = torch.arange(count) % 3
    for code in range(3):
        x[codes == code, :, code * 7 : code * 7 + 7] += 1.5
    return x, codes


@given(st.integers(2, 6), st.floats(0, 0.9), st.integers(0, 99))
def test_the_loss_is_the_weighted_smoothed_cross_entropy(classes: int, smoothing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(classes)
    model = Classifier(encoder(), classes, torch.from_numpy(weights), smoothing).eval()
    x, codes = spectra(), rng.integers(0, classes, 7)
    logits = model(x).detach().double().numpy()
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = (1 - smoothing) * np.eye(classes)[codes] + smoothing / classes
    wanted = (weights[codes] * -(target * logs).sum(1)).mean()
    assert model.loss((x, torch.from_numpy(codes)), torch.Generator()).item() == pytest.approx(wanted, rel=1e-4)


def test_noise_is_there_in_training_only_and_comes_from_the_generator() -> None:
    model, batch = classifier(noise=0.5), labelled()

    def loss(seed: int) -> float:
        return model.loss(batch, torch.Generator().manual_seed(seed)).item()

    model.eval()
    assert loss(1) == loss(2)
    model.train()
    assert loss(1) == loss(1) != loss(2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learn_s(codes: list[int]) -> None:
    found = balanced_weights(torch.tensor(codes), 6)
    present = np.unique(codes)
    np.testing.assert_allclose(found.numpy()[present], compute_class_weight("balanced", classes=present, y=np.array(codes)), rtol=1e-6)
    assert not np.delete(found.numpy(), present).any()
    assert found[torch.tensor(codes)].mean().item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("codes", [[], [-1, 0], [0, 3]])
def test_codes_out_of_range_are_refused(codes: list[int]) -> None:
    with pytest.raises(ValueError, match="from 0 to 2"):
        balanced_weights(torch.tensor(codes, dtype=torch.int64), 3)


@pytest.mark.parametrize("cyclic", [None, CyclicScale(6)])
def test_adapters_norms_stem_and_head_learn_the_labels_on_a_frozen_base(cyclic: CyclicScale | None) -> None:
    model, (x, codes) = classifier(), labelled()
    names = adapt(model, rank=2, alpha=4.0)
    assert len(lora_layers(model)) == 8
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, (x, codes), epochs=12, batch=20, lr=1e-2, device="cpu", cyclic=cyclic)
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == set(names)
    assert (model(x).argmax(1) == codes).float().mean() > 0.95
    assert len(adapter_state(model)) == 2 * 8 + 2 + 2 * 5 + 2


def test_a_probe_trains_the_head_alone() -> None:
    model = classifier()
    assert probe(model) == ["head.weight", "head.bias"]
    before = in_chunks(model.encoder, spectra())
    fit(model, labelled(), epochs=2, batch=20, lr=1e-1, device="cpu")
    assert torch.equal(in_chunks(model.encoder, spectra()), before)


def test_a_random_base_is_refused_and_left_as_it_was() -> None:
    model = classifier(pretrained=False)
    for freeze in (adapt, probe):
        with pytest.raises(ValueError, match="not pretrained"):
            freeze(model)
    assert not lora_layers(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("options", [{"classes": 1}, {"smoothing": 1.0}, {"noise": -1.0}, {"weights": torch.ones(2)}, {"weights": torch.tensor([1.0, -1, 1])}])
def test_senseless_classifiers_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Classifier(encoder(), **{"classes": 3, **options})  # type: ignore[arg-type]


@given(st.integers(0, 40), st.integers(1, 50))
def test_chunks_do_not_show(count: int, chunk: int) -> None:
    model, x = encoder(), spectra(count)
    found = in_chunks(model, x, chunk)
    assert found.shape == (count, 16)
    torch.testing.assert_close(found, model(x).detach(), atol=1e-5, rtol=1e-5)


def test_a_pixel_has_the_same_features_to_the_bit_wherever_it_is_cut_off() -> None:
    model, x = encoder(), spectra(300)
    assert torch.equal(in_chunks(model, x)[:200], in_chunks(model, x[:200]))
