"""Pooling of tokens to one row of features (`GGeM`, beside `SequencePool` in `hsikit/nn/adapters/base.py`), and numbers of bands (`BandHead`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import known_widths
from hsikit.nn.wavelength_code import WavelengthEmbedding


class GGeM(nn.Module):
    """Group generalised mean pooling (Ko et al., 2022, arXiv:2212.04114): a power mean over tokens whose power is learned for each group of channels.

    With a power of 1 it is the mean, with a large one the maximum. Features of a transformer have signs, which a power mean has no place for:
    below `least` they count as `least`, as in GeM.

    Args:
        width: channels, a multiple of `groups`.
        groups: of channels that share a power, usually the heads.
        power: at first, above 0.
        least: the smallest value, above 0.

    Raises:
        ValueError: the width is no multiple of the groups, or a number that is not above 0.
    """

    def __init__(self, width: int, groups: int = 4, power: float = 3.0, least: float = 1e-6) -> None:
        super().__init__()
        if groups < 1 or width < 1 or width % groups or not power > 0 or not least > 0:
            raise ValueError(f"a width of {width} is not divided by {groups} groups, or power {power} or least {least} is not above 0")
        self.groups, self.least = groups, least
        self.log_power = nn.Parameter(torch.full((groups, 1), power).log())

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps (n, tokens, width) to (n, width); the tokens that count are bool, shape (n, tokens), all where None, at least one in each row."""
        power = self.log_power.exp()
        # In logarithms: a large power of a small value is no float.
        raised = tokens.clamp(min=self.least).log().view(*tokens.shape[:2], self.groups, -1) * power
        if valid is not None:
            raised = raised.masked_fill(~valid[..., None, None], float("-inf"))
        counted = torch.full((len(tokens),), tokens.shape[1], device=tokens.device) if valid is None else valid.sum(1)
        mean = raised.logsumexp(1) - counted.to(tokens.dtype).log()[:, None, None]
        return (mean / power).exp().flatten(1)


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
