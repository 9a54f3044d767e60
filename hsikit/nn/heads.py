"""Heads of tasks: numbers of bands (`BandHead`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import known_widths
from hsikit.nn.wavelength_code import WavelengthEmbedding


class BandHead(nn.Module):
    """One number for each of any bands out of features of pixels: how much each feature counts for a band follows from its wavelength.

    It answers for bands that were never measured as for others. At first all numbers are 0.

    Args:
        width: of the features.
        hidden: hidden channels of the perceptron that turns a band into weights.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.weights = WavelengthEmbedding(width + 1, hidden)
        last = self.weights.mlp[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Numbers of bands.

        Args:
            features: shape (B, width, H, W).
            wavelength: centres (nm), shape (Q,).
            fwhm: widths (nm), NaN where unknown: the spacing; shape (Q,).

        Returns:
            Shape (B, Q, H, W), float32.

        Raises:
            WavelengthError: a band has no centre in nanometres, or an impossible width.
        """
        centres = wavelength.to(features.device, torch.float64)
        weights: Tensor = self.weights(centres, known_widths(centres, fwhm.to(features.device, torch.float64)))
        numbers: Tensor = functional.linear(features.permute(0, 2, 3, 1), weights[:, :-1], weights[:, -1])
        return numbers.permute(0, 3, 1, 2).float()
