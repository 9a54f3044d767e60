"""Integrals along the wavelength, and networks on them."""

from __future__ import annotations

import torch

from hsikit.nn.hyper_weights import HyperWeights, SpectrumNetwork, network_shapes, perceptron, perceptron_logits, perceptron_shapes


def test_bands_are_known_by_wavelength_and_not_by_number() -> None:
    torch.manual_seed(0)
    model, window = HyperWeights(8), torch.randn(5, 7, 1, 1)
    centres, widths, valid = torch.tensor([450.0, 560, 665, 842, 900, 1610, 2190]), torch.tensor([60.0, 40, 30, 110, 20, 90, 180]), torch.ones(7, dtype=bool)
    plain = model(window, centres, widths, valid)
    assert plain.shape == (5, 8, 1, 1)
    order = torch.randperm(7)
    torch.testing.assert_close(model(window[:, order], centres[order], widths[order], valid), plain)
    twice = torch.tensor([0, 1, 2, 2, 3, 4, 5, 6, 6])
    torch.testing.assert_close(model(window[:, twice], centres[twice], widths[twice], valid[torch.zeros(9, dtype=int)]), plain)
    assert not torch.allclose(model(window, centres + 100, widths, valid), plain, atol=1e-2)


def test_a_perceptron_is_the_same_by_its_state() -> None:
    network, features = perceptron(7, 3), torch.randn(5, 7)
    torch.testing.assert_close(perceptron_logits({f"a.{name}": tensor for name, tensor in network.state_dict().items()}, "a.", features), network(features))


def test_the_shapes_of_a_state_are_known_without_the_network() -> None:
    for features, classes in ((60, 16), (8, 2)):
        assert perceptron_shapes(features, classes) == {name: tuple(value.shape) for name, value in perceptron(features, classes).state_dict().items()}
        network = SpectrumNetwork(HyperWeights(), classes)
        assert network_shapes(classes) == {name: tuple(value.shape) for name, value in network.state_dict().items()}
