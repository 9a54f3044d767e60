"""Small networks that the tests of this folder share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsikit.nn.spectral_transformer import SpectralTransformer


def encoder(bands: int = 23, channels: int = 2, seed: int = 0, *, group: int = 5, dropout: float = 0.0) -> SpectralTransformer:
    torch.manual_seed(seed)
    return SpectralTransformer(bands, channels, group=group, width=16, depth=2, heads=2, dropout=dropout).eval()


def spectra(count: int = 7, bands: int = 23, channels: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, channels, bands, generator=torch.Generator().manual_seed(seed))


class HeadedEncoder(nn.Module):
    """An encoder with a linear head, as a classifier has."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.encoder = encoder()
        self.head = nn.Linear(self.encoder.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x))
        return out
