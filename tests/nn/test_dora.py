from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hsikit.nn.dora import DoRALinear, add_dora
from hsikit.nn.lora import freeze_base, mark_pretrained, merge_adapters, unmerge_adapters
from hsikit.nn.spectral_transformer import LORA_TARGETS
from tests.nn.models import HeadedEncoder, spectra


def layer(rank: int = 3, alpha: float = 6.0, seed: int = 0, dropout: float = 0.0) -> DoRALinear:
    """An adapter whose every part has moved from its start."""
    torch.manual_seed(seed)
    made = DoRALinear(nn.Linear(5, 4), rank, alpha, dropout)
    nn.init.normal_(made.lora_B.weight)
    nn.init.uniform_(made.magnitude, 0.5, 2.0)
    return made


def test_a_new_adapter_changes_nothing() -> None:
    base, x = nn.Linear(5, 4), torch.randn(6, 5)
    wanted = base(x)
    torch.testing.assert_close(DoRALinear(base, 2, 4.0)(x), wanted)


@given(st.integers(1, 6), st.floats(0.5, 32), st.floats(0.1, 2))
def test_rows_have_the_direction_of_the_update_and_the_learned_length(rank: int, alpha: float, scale: float) -> None:
    made = layer(rank, alpha)
    made.scale = scale
    weight, bias, low, high, length = (
        p.detach().numpy().astype(float) for p in (made.base.weight, made.base.bias, made.lora_A.weight, made.lora_B.weight, made.magnitude)
    )
    turned = weight + scale * alpha / rank * high @ low
    wanted = length[:, None] * turned / np.linalg.norm(turned, axis=1, keepdims=True)
    x = np.random.default_rng(rank).normal(size=(7, 5))
    np.testing.assert_allclose(made(torch.from_numpy(x).float()).detach().numpy(), x @ wanted.T + bias, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose((made.base.weight + made.update()).detach().numpy(), wanted, rtol=2e-4, atol=2e-4)


def test_merging_changes_no_output_and_can_be_undone_to_the_bit() -> None:
    made, x = layer(), torch.randn(9, 5)
    weight, wanted = made.base.weight.clone(), made(x)
    merge_adapters(made)
    assert made.merged
    torch.testing.assert_close(made(x), wanted, rtol=1e-5, atol=1e-5)
    unmerge_adapters(made)
    assert torch.equal(made.base.weight, weight)
    assert torch.equal(made(x), wanted)


def test_no_gradient_goes_through_the_length() -> None:
    """With it, the update of a row would have no part along the row itself."""
    made, x = layer(), torch.randn(9, 5)
    made(x).square().sum().backward()
    other = layer()
    weight = other.base.weight + other.low_rank()
    constant_length = weight.norm(dim=1, keepdim=True).detach()
    (x @ (other.magnitude[:, None] * weight / constant_length).T + other.base.bias).square().sum().backward()
    for mine, theirs in zip(made.learned.values(), other.learned.values(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_row_of_zeros_stays_one() -> None:
    base = nn.Linear(5, 4)
    nn.init.zeros_(base.weight)
    assert torch.equal(DoRALinear(base, 2, 4.0)(torch.randn(3, 5)), base.bias.expand(3, 4))


def test_what_learns_is_two_matrices_and_the_lengths() -> None:
    made = layer(rank=2)
    assert {name: p.numel() for name, p in made.named_parameters() if p.requires_grad} == {"magnitude": 4, "lora_A.weight": 10, "lora_B.weight": 8}
    model, x = HeadedEncoder().eval(), spectra()
    wanted = model(x)
    mark_pretrained(model)
    paths = add_dora(model, LORA_TARGETS, 2, 4.0)
    torch.testing.assert_close(model(x), wanted)
    assert sum(name.endswith("magnitude") for name in freeze_base(model)) == len(paths)


def test_dropout_acts_in_training_only() -> None:
    made, x = layer(dropout=0.5), torch.randn(20, 5)
    assert not torch.equal(made.train()(x), made.train()(x))
    assert torch.equal(made.eval()(x), made.eval()(x))


def test_senseless_adapters_are_refused() -> None:
    with pytest.raises(ValueError, match="rank 0"):
        DoRALinear(nn.Linear(2, 2), 0, 1.0)
