"""Features of a spectrum that any sensor measures: integrals along the wavelength, over what its bands cover; and a network on them.

The weight of a band is a learned function of its wavelength, a sum of Gaussians, times the part of the axis that is the band's. So
sensors with the same coverage give the same features, whatever the number of their bands.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import known_widths

FIRST, LAST, STEP = 380.0, 2520.0, 20.0
"""Where the knots lie (nm); their deviation is the step."""
WIDTH, HIDDEN = 64, 128


class HyperWeights(nn.Module):
    """The integrals; has the signature of an adapter.

    Args:
        width: number of features.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width, count = width, round((LAST - FIRST) / STEP) + 1
        self.by_value = nn.Parameter(torch.randn(count, width) / count**0.5)
        self.by_cover = nn.Parameter(torch.randn(count, width) / count**0.5)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, width, H, W)."""
        weights, offset = integral_weights(self.by_value, self.by_cover, self.bias, wavelength[valid].double(), fwhm[valid].double())
        found: Tensor = torch.einsum("bchw,cf->bfhw", window[:, valid], weights) + offset[:, None, None]
        return found


def integral_weights(by_value: Tensor, by_cover: Tensor, bias: Tensor, wavelength: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (C, width) of the bands' standardised values, and what is added to the sum (width,): the parameters of `HyperWeights` at a sensor's bands."""
    knots = FIRST + STEP * torch.arange(len(by_value), dtype=torch.float64)
    share = spacing(wavelength, fwhm)
    # Times the knots, so that a sensor that covers all of them gives sums of weights of the usual size.
    near = torch.exp(-0.5 * ((wavelength[:, None] - knots) / STEP).square()) * (share / share.sum())[:, None] * (len(knots) / (2 * np.pi) ** 0.5)
    return near.to(by_value.dtype) @ by_value, near.sum(0).to(by_cover.dtype) @ by_cover + bias


def spacing(wavelength: Tensor, fwhm: Tensor) -> Tensor:
    """How much of the axis (nm) is nearest to each band, no more than its width on either side; at the ends half of it. Shape (C,)."""
    centres, order = wavelength.sort()
    widths = known_widths(wavelength, fwhm)[order]
    half = centres.diff() / 2
    cells = torch.cat([widths[:1] / 2, half]).minimum(widths) + torch.cat([half, widths[-1:] / 2]).minimum(widths)
    return torch.empty_like(cells).scatter_(0, order, cells)


class SpectrumNetwork(nn.Module):
    """Class logits of spectra.

    Args:
        adapter: of `hsikit.nn.adapters`, or with their signature.
        classes: K.
    """

    def __init__(self, adapter: nn.Module, classes: int) -> None:
        super().__init__()
        self.adapter, self.head = adapter, perceptron(int(adapter.width), classes)  # type: ignore[arg-type]

    def forward(self, spectra: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Maps standardised spectra (n, D) to (n, K)."""
        valid = torch.ones(len(wavelength), dtype=torch.bool)
        logits: Tensor = self.head(self.adapter(spectra[..., None, None], wavelength, fwhm, valid)[..., 0, 0])
        return logits


def perceptron(features: int, classes: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, classes))


def perceptron_shapes(features: int, classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the state of a `perceptron`, by name."""
    sizes = (features, HIDDEN, HIDDEN, classes)
    layers = [(f"{2 * k}", into, out) for k, (into, out) in enumerate(pairwise(sizes))]
    return {name: shape for layer, into, out in layers for name, shape in ((f"{layer}.weight", (out, into)), (f"{layer}.bias", (out,)))}


def network_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the state of a `SpectrumNetwork` of `HyperWeights`, by name."""
    weights = (round((LAST - FIRST) / STEP) + 1, WIDTH)
    head = {f"head.{name}": shape for name, shape in perceptron_shapes(WIDTH, classes).items()}
    return {"adapter.by_value": weights, "adapter.by_cover": weights, "adapter.bias": (WIDTH,), **head}


def perceptron_logits(layers: Mapping[str, Tensor], prefix: str, features: Tensor) -> Tensor:
    """What a `perceptron` answers, given its state by name: (n, features) to (n, K)."""
    for number in (0, 2, 4):
        features = functional.linear(features, layers[f"{prefix}{number}.weight"], layers[f"{prefix}{number}.bias"])
        features = functional.gelu(features) if number < 4 else features
    return features
