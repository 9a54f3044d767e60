from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hsikit.nn.fit import fit
from hsikit.nn.layer_decay import layers_in_order, rate_shares
from tests.nn.models import HeadedEncoder


def test_layers_come_from_the_input_to_the_output() -> None:
    model = HeadedEncoder()
    order = layers_in_order(model)
    assert order[0] == "encoder.stem"
    assert [path for path in order if "blocks" in path] == ["encoder.blocks.0", "encoder.blocks.1"]
    assert order[-1] == "head"


def test_each_layer_has_a_share_of_the_next_ones_rate() -> None:
    model = HeadedEncoder()
    order, shares = layers_in_order(model), rate_shares(model, 0.5)
    assert shares["head.weight"] == shares["head.bias"] == 1.0
    assert shares["encoder.stem.weight"] == 0.5 ** (len(order) - 1)
    assert shares["encoder.blocks.1.mlp.0.weight"] == shares["encoder.blocks.1.attention.qkv.bias"] == 2 * shares["encoder.blocks.0.mlp.0.weight"]
    model.encoder.requires_grad_(False)
    assert set(rate_shares(model, 0.5)) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("decay", [0.0, 1.5, float("nan")])
def test_a_senseless_decay_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        rate_shares(nn.Linear(1, 1), decay)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)

    def loss(self, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return (batch[0] * (self.first.weight + self.last.weight)).mean()


def test_the_training_takes_shares_of_the_rate() -> None:
    """One AdamW step has the length of the learning rate, whatever the gradient."""
    model = Two()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, (torch.ones(4, 1),), epochs=1, batch=4, lr=0.1, weight_decay=0.0, device="cpu", shares=rate_shares(model, 0.25))
    steps = {name: float((before[name] - value).abs()) for name, value in model.state_dict().items()}
    assert steps["last.weight"] == pytest.approx(0.1, rel=1e-4)
    assert steps["first.weight"] == pytest.approx(0.025, rel=1e-4)
