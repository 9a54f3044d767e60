"""Supervised tuning of a body on chips: small windows in which some pixels have a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import known_widths
from hsikit.nn.band_sampling import drop_bands, sample_bands
from hsikit.nn.body import BandFacts, TaskNetwork

UNLABELLED = -1
"""Code of a chip's pixel without a label."""
FIRST, LAST = 400.0, 2500.0
"""What every spectral adapter sees (nm)."""


class StandardisedHead(nn.Module):
    """A linear head on standardised features, so that it learns at one pace whatever the body's scales.

    Args:
        centre: mean of each feature, shape (width,).
        scale: deviation of each feature, above 0.
        weight: of standardised features, shape (K, width); where the learning starts.
        bias: shape (K,).
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, centre: Tensor, scale: Tensor, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre.float())
        self.register_buffer("scale", scale.float())
        self.linear = nn.Linear(weight.shape[1], weight.shape[0])
        self.linear.weight.data.copy_(weight)
        self.linear.bias.data.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (..., width) to (..., K)."""
        out: Tensor = self.linear((features - self.centre) / self.scale)
        return out

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The same as one linear layer."""
        weight = self.linear.weight.double() / self.scale.double()
        plain = nn.Linear(weight.shape[1], weight.shape[0])
        plain.weight.copy_(weight)
        plain.bias.copy_(self.linear.bias.double() - weight @ self.centre.double())
        return plain


class DenseClassifier(nn.Module):
    """A body with a linear head, and the loss by which it is tuned.

    In training, noise is added and bands are dropped, so that what is tuned on one instrument leans on no single band of it; or any number of
    bands is drawn, so that it does not lean on there being many either.

    Args:
        network: its head gives K logits.
        bands: of the chips.
        weights: of each class in the loss, shape (K,).
        smoothing: share of each label that is spread over all classes, from 0 to below 1.
        noise: standard deviation of normal noise, in deviations of each band.
        dropped: share of the bands that are dropped, from 0 to below 1.
        sampled: whether instead bands are drawn by `hsikit.nn.band_sampling.sample_bands`, one at least that every adapter sees.
    """

    weights: Tensor

    def __init__(self, network: TaskNetwork, bands: BandFacts, weights: Tensor, smoothing: float, noise: float, dropped: float, sampled: bool = False) -> None:
        super().__init__()
        self.network, self.bands = network, _with_widths(bands) if sampled else bands
        self.smoothing, self.noise, self.dropped, self.sampled = smoothing, noise, dropped, sampled
        self.register_buffer("weights", weights.detach().float().clone(), persistent=False)

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The cross-entropy, weighted by class and averaged over the labelled pixels.

        Args:
            batch: standardised values (n, C, H, W), usable pixels bool (n, H, W), classes int64 (n, H, W) with -1 where unlabelled.
            generator: draws noise and bands.
        """
        values, usable, codes = batch
        bands = self.bands.on(values.device)
        if self.training:
            values = values + self.noise * torch.randn(values.shape, generator=generator).to(values.device)
            bands = bands.only(self._kept(bands, generator))
        labelled = codes != UNLABELLED
        logits = self.network(values, bands, usable).movedim(1, -1)[labelled].float()
        each = functional.cross_entropy(logits, codes[labelled], reduction="none", label_smoothing=self.smoothing)
        return (self.weights[codes[labelled]] * each).sum() / labelled.sum().clamp(min=1)

    def _kept(self, bands: BandFacts, generator: Generator) -> Tensor:
        """The bands of one step, bool (C,)."""
        if not self.sampled:
            return drop_bands(bands.valid, self.dropped, generator)
        seen = (bands.wavelength >= FIRST) & (bands.wavelength <= LAST) & (bands.fwhm > 0)
        return sample_bands(bands.valid, generator, least=1 + int((bands.valid & ~seen).sum()))


def _with_widths(bands: BandFacts) -> BandFacts:
    """With the spacing of all bands in place of unknown widths: that of a few would be another."""
    widths = bands.fwhm.double().clone()
    widths[bands.valid] = known_widths(bands.wavelength[bands.valid].double(), widths[bands.valid])
    return replace(bands, fwhm=widths)
