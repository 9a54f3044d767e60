from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsikit.nn.adapted_layer import remove_adapters
from hsikit.nn.adaptformer import ParallelBottleneck, add_adaptformer
from hsikit.nn.lora import add_lora, freeze_base, mark_pretrained, merge_adapters, merged_state, set_scale
from tests.nn.models import HeadedEncoder, spectra


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 5))


def stirred(hidden: int = 3) -> ParallelBottleneck:
    made = ParallelBottleneck(perceptron(), hidden, 0.5)
    nn.init.normal_(made.up.weight)
    nn.init.normal_(made.up.bias)
    return made


def test_a_new_adapter_changes_nothing() -> None:
    x = torch.randn(2, 3, 5)
    assert torch.equal(ParallelBottleneck(perceptron(), 3, 0.1)(x), perceptron()(x))


def test_output_is_the_formula() -> None:
    made, x = stirred(), torch.randn(4, 5)
    made.scale = 0.7
    down, down_bias, up, up_bias = (tensor.detach().numpy().astype(float) for tensor in made.learned.values())
    narrow = np.maximum(x.numpy() @ down.T + down_bias, 0) @ up.T + up_bias
    np.testing.assert_allclose(made(x).detach().numpy(), perceptron()(x).detach().numpy() + 0.35 * narrow, rtol=1e-5, atol=1e-6)


def test_further_arguments_reach_the_base() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(5, 5)

        def forward(self, x: torch.Tensor, shift: float) -> torch.Tensor:
            return self.inner(x) + shift  # type: ignore[no-any-return]

    base = Shifted()
    x = torch.randn(2, 5)
    assert torch.equal(ParallelBottleneck(base, 2, 0.1)(x, 3.0), base.inner(x) + 3.0)


def test_only_what_is_beside_learns() -> None:
    model, x = HeadedEncoder().eval(), spectra()
    wanted = model(x)
    mark_pretrained(model)
    paths = add_adaptformer(model, ["mlp"], 2)
    assert paths == ["encoder.blocks.0.mlp", "encoder.blocks.1.mlp"]
    assert torch.equal(model(x), wanted)
    names = freeze_base(model)
    assert sum(".down." in name or ".up." in name for name in names) == 8
    assert not any(".mlp.base." in name for name in names)


def test_it_says_that_it_cannot_be_merged() -> None:
    model = HeadedEncoder().eval()
    add_lora(model, ["qkv"], 2, 4.0)
    add_adaptformer(model, ["mlp"], 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for ask in (merge_adapters, merged_state):
        with pytest.raises(ValueError, match=r"blocks\.0\.mlp.*AdaptFormer"):
            ask(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_strength_it_is_the_base() -> None:
    model, x = HeadedEncoder().eval(), spectra()
    wanted = model(x)
    for path in add_adaptformer(model, ["mlp"], 2):
        nn.init.normal_(model.get_submodule(path).up.weight)  # type: ignore[arg-type,union-attr]
    assert (model(x) - wanted).abs().max() > 1e-3
    set_scale(model, 0.0)
    assert torch.equal(model(x), wanted)
    remove_adapters(model)
    assert torch.equal(model(x), wanted)


@pytest.mark.parametrize(("hidden", "strength", "dropout"), [(0, 0.1, 0.0), (2, 0.0, 0.0), (2, 0.1, 1.0)])
def test_senseless_numbers_are_refused(hidden: int, strength: float, dropout: float) -> None:
    with pytest.raises(ValueError, match="hidden"):
        ParallelBottleneck(perceptron(), hidden, strength, dropout)


def test_what_is_no_perceptron_is_refused() -> None:
    for base in (nn.Linear(3, 4), nn.GELU()):
        with pytest.raises(ValueError, match="no perceptron"):
            ParallelBottleneck(base, 2, 0.1)
    with pytest.raises(ValueError, match="no layer is named"):
        add_adaptformer(HeadedEncoder(), ["feed"], 2)
