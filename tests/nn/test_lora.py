from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hsikit.nn.lora import (
    CyclicScale,
    LoRALinear,
    add_lora,
    cyclic_scale,
    freeze_base,
    is_pretrained,
    lora_layers,
    mark_pretrained,
    set_scale,
    trained_parts,
)
from hsikit.nn.spectral_transformer import LORA_TARGETS
from tests.nn.models import HeadedEncoder, encoder, spectra


def adapted(rank: int = 3, alpha: float = 6.0, dropout: float = 0.0, seed: int = 0) -> LoRALinear:
    torch.manual_seed(seed)
    layer = LoRALinear(nn.Linear(5, 4), rank, alpha, dropout)
    nn.init.normal_(layer.lora_B.weight)
    return layer


def stirred(model: nn.Module, seed: int = 5) -> nn.Module:
    """The adapters' B are zero at first; here they are not."""
    torch.manual_seed(seed)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B.weight)
    return model


def test_a_new_adapter_changes_nothing() -> None:
    base = nn.Linear(5, 4)
    x = torch.randn(6, 5)
    wanted = base(x)
    assert torch.equal(LoRALinear(base, 2, 4.0)(x), wanted)


@given(st.integers(1, 6), st.floats(0.5, 32), st.floats(0, 2))
def test_output_is_the_formula(rank: int, alpha: float, scale: float) -> None:
    layer = adapted(rank, alpha)
    layer.scale = scale
    x = np.random.default_rng(rank).normal(size=(7, 5))
    weight, bias, low, high = (p.detach().numpy().astype(float) for p in (layer.base.weight, layer.base.bias, layer.lora_A.weight, layer.lora_B.weight))
    wanted = x @ weight.T + bias + scale * alpha / rank * (x @ low.T @ high.T)
    np.testing.assert_allclose(layer(torch.from_numpy(x).float()).detach().numpy(), wanted, rtol=2e-4, atol=2e-4)


def test_only_the_two_small_matrices_learn() -> None:
    layer = adapted(rank=2)
    assert {name: p.numel() for name, p in layer.named_parameters() if p.requires_grad} == {"lora_A.weight": 2 * 5, "lora_B.weight": 4 * 2}


def test_merging_changes_no_output_and_can_be_undone_to_the_bit() -> None:
    layer, x = adapted(), torch.randn(9, 5)
    weight, wanted = layer.base.weight.clone(), layer(x)
    layer.scale = 1.0
    layer.merge()
    layer.merge()
    torch.testing.assert_close(layer(x), wanted)
    torch.testing.assert_close(layer.base.weight, weight + layer.update())
    layer.unmerge()
    layer.unmerge()
    assert torch.equal(layer.base.weight, weight)
    assert torch.equal(layer(x), wanted)


def test_dropout_acts_in_training_only() -> None:
    layer, x = adapted(dropout=0.5), torch.randn(20, 5)
    assert not torch.equal(layer.train()(x), layer.train()(x))
    assert torch.equal(layer.eval()(x), layer.eval()(x))


@pytest.mark.parametrize(("rank", "alpha", "dropout"), [(0, 1.0, 0.0), (1, 0.0, 0.0), (1, float("nan"), 0.0), (1, 1.0, 1.0)])
def test_senseless_adapters_are_refused(rank: int, alpha: float, dropout: float) -> None:
    with pytest.raises(ValueError, match="rank"):
        LoRALinear(nn.Linear(2, 2), rank, alpha, dropout)


def test_targets_are_the_last_parts_of_paths() -> None:
    model = encoder()
    assert add_lora(model, ["qkv", "mlp.2"], 2, 4.0) == [f"blocks.{i}.{name}" for i in (0, 1) for name in ("attention.qkv", "mlp.2")]
    assert isinstance(model.blocks[0].attention.qkv, LoRALinear)
    assert isinstance(model.blocks[0].mlp[0], nn.Linear)


def test_adapters_change_no_output_until_they_learn() -> None:
    model, x = encoder(), spectra()
    wanted = model(x)
    add_lora(model, LORA_TARGETS, 2, 4.0)
    assert torch.equal(model(x), wanted)


@pytest.mark.parametrize("targets", [["nothing"], ["qkv", "kv"], ["stem"]])
def test_a_target_that_names_no_linear_layer_is_refused(targets: list[str]) -> None:
    model = encoder()
    with pytest.raises(ValueError, match="no linear layer is named"):
        add_lora(model, targets, 2, 4.0)
    assert not lora_layers(model)


def test_a_layer_is_adapted_once() -> None:
    model = encoder()
    add_lora(model, ["qkv"], 2, 4.0)
    with pytest.raises(ValueError, match="already"):
        add_lora(model, ["base"], 2, 4.0)
    with pytest.raises(ValueError, match="not the string"):
        add_lora(model, "qkv", 2, 4.0)


def test_the_scale_really_acts() -> None:
    """The released LoLA-SpecViT looks for a setter that no layer has: its cyclic strength never changed anything."""
    model, x = encoder(), spectra()
    plain = model(x)
    add_lora(model, LORA_TARGETS, 2, 4.0)
    stirred(model)
    full = model(x)
    set_scale(model, 0.5)
    half = model(x)
    set_scale(model, 0.0)
    assert torch.equal(model(x), plain)
    assert (half - full).abs().max() > 1e-3
    assert (half - plain).abs().max() > 1e-3


def test_a_scale_without_adapters_or_with_merged_ones_is_refused() -> None:
    model = encoder()
    with pytest.raises(ValueError, match="add_lora"):
        set_scale(model, 0.5)
    add_lora(model, ["qkv"], 2, 4.0)
    lora_layers(model)["blocks.1.attention.qkv"].merge()
    with pytest.raises(ValueError, match=r"blocks\.1\.attention\.qkv: merged"):
        set_scale(model, 0.5)


@given(st.integers(0, 10_000), st.integers(1, 500), st.floats(0, 1), st.floats(1, 2))
def test_the_cycle_is_a_cosine_between_its_bounds(step: int, period: int, least: float, most: float) -> None:
    value = cyclic_scale(step, period, least, most)
    middle, swing = (least + most) / 2, (most - least) / 2
    assert value == pytest.approx(middle - swing * math.cos(2 * math.pi * step / period), abs=1e-6)
    assert value == cyclic_scale(step + period, period, least, most)
    assert CyclicScale(period, least, most).at(step) == value


def test_the_cycle_begins_low_and_is_highest_half_way() -> None:
    assert [cyclic_scale(step, 4) for step in range(5)] == pytest.approx([0.5, 0.75, 1.0, 0.75, 0.5])


@pytest.mark.parametrize("values", [(0, 0.5, 1.0), (3, 1.0, 0.5), (3, -0.1, 1.0), (3, 0.0, 0.0)])
def test_senseless_cycles_are_refused(values: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="period"):
        CyclicScale(*values)
    with pytest.raises(ValueError, match="cycle"):
        cyclic_scale(3, 0)


def test_a_random_base_is_not_frozen() -> None:
    """The released LoLA-SpecViT froze weights that had never learned anything."""
    model = HeadedEncoder()
    add_lora(model, LORA_TARGETS, 2, 4.0)
    with pytest.raises(ValueError, match="not pretrained"):
        freeze_base(model)
    assert all(p.requires_grad for name, p in model.named_parameters() if "base" not in name)
    with pytest.raises(ValueError, match="not pretrained"):
        freeze_base(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no encoder"):
        mark_pretrained(nn.Linear(2, 2))


def test_a_frozen_base_leaves_adapters_norms_stem_and_head() -> None:
    model = HeadedEncoder()
    mark_pretrained(model)
    add_lora(model, ["qkv", "proj"], 2, 4.0)
    names = freeze_base(model)
    assert names == [name for name, p in model.named_parameters() if p.requires_grad]
    kinds = {"stem": 0, "norm": 0, "head": 0, "lora_A": 0, "lora_B": 0}
    for name in names:
        kind = next(kind for kind in kinds if f".{kind}" in f".{name}")
        kinds[kind] += 1
    assert kinds == {"stem": 2, "norm": 10, "head": 2, "lora_A": 4, "lora_B": 4}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {"encoder.blocks.0.attention.qkv.base.weight", "encoder.blocks.0.mlp.0.weight"} <= frozen


def test_the_mark_travels_with_the_weights() -> None:
    first, second = encoder(), encoder(seed=9)
    assert not is_pretrained(first)
    mark_pretrained(first)
    second.load_state_dict(first.state_dict())
    assert is_pretrained(second)
    assert not is_pretrained(nn.ModuleList([first, encoder()]))


def test_trained_parts_are_the_outermost() -> None:
    model = nn.ModuleDict({"head": nn.ModuleDict({"norm": nn.LayerNorm(2)}), "norm_last": nn.LayerNorm(2), "normal": nn.Linear(1, 1), "stem": nn.GELU()})
    assert [path for path, _ in trained_parts(model)] == ["head", "norm_last"]
