"""What networks for any sensor learn from."""

from __future__ import annotations

import numpy as np
import torch

from hsikit.nn.sensor_lessons import learn_wiener, perceptron, perceptron_logits
from tests.nn.lessons import WAVELENGTH, lesson
from tests.tasks.classification.networks import short


def test_an_instrument_measures_beside_where_it_says() -> None:
    for drawn in lesson().instruments()[:5]:
        inside = (drawn.change.wavelength > 600) & (drawn.change.wavelength < 2200)
        off = ((drawn.measures - drawn.change.weights) @ WAVELENGTH)[inside]
        assert 1e-3 < np.abs(off).max() < 2.1 and np.ptp(off) < 0.2


def test_a_perceptron_is_the_same_by_its_state() -> None:
    network, features = perceptron(7, 3), torch.randn(5, 7)
    torch.testing.assert_close(perceptron_logits({f"a.{name}": tensor for name, tensor in network.state_dict().items()}, "a.", features), network(features))


def test_chance_outside_does_not_move_a_training_nor_is_moved_by_it() -> None:
    threads = torch.get_num_threads()
    with short():
        torch.manual_seed(1)
        _, first = learn_wiener(lesson())
        after = torch.rand(3)
        torch.manual_seed(2)
        _, again = learn_wiener(lesson())
        torch.manual_seed(1)
    torch.testing.assert_close(torch.rand(3), after)
    assert torch.get_num_threads() == threads
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
