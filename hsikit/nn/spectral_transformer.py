"""A small transformer along the spectrum of one pixel: groups of neighbouring bands are its tokens.

The idea of spectral tokens is SpectralFormer's (Hong et al., 2022, doi:10.1109/TGRS.2021.3130716), the adapters on attention and
perceptron LoLA-SpecViT's (arXiv:2506.17759); what is given beside the pixel's own spectrum (its neighbourhood's mean) comes as a
further channel. Any number of bands from 1 up. It sees no place and no window, so that a map of any tiling is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.blocks import Block
from hsikit.nn.lora import PRETRAINED

PRESETS: Mapping[str, Mapping[str, Any]] = {"tiny": {"group": 10, "width": 64, "depth": 4, "heads": 4, "ratio": 2}}
"""Options of `SpectralTransformer` by name; `tiny` has 0.16 million parameters for 200 bands."""

LORA_TARGETS = ("qkv", "proj", "mlp.0", "mlp.2")
"""The linear layers that adapters belong on: attention and perceptron of each block."""


class GroupStem(nn.Module):
    """Cuts spectra into groups of bands and makes a token of each, with weights and a position of its own.

    Args:
        bands: number of bands.
        channels: spectra of one pixel.
        group: bands of one token; the last token has what is left.
        width: channels of a token.
    """

    def __init__(self, bands: int, channels: int, group: int, width: int) -> None:
        super().__init__()
        self.bands, self.channels, self.group = bands, channels, group
        self.token_count = -(-bands // group)
        self.weight = nn.Parameter(torch.empty(self.token_count, channels * group, width))
        self.position = nn.Parameter(torch.empty(self.token_count, width))
        self.register_buffer("real", self.groups(torch.ones(1, channels, bands))[0], persistent=False)
        self.reset_parameters()

    real: Tensor

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Uniform weights by the number of real bands in each group, none for the padding; small normal positions."""
        bound = self.real.sum(1)[:, None, None].rsqrt()
        self.weight.uniform_(-1, 1).mul_(bound).mul_(self.real[:, :, None])
        nn.init.normal_(self.position, std=0.02)

    def groups(self, x: Tensor) -> Tensor:
        """Spectra (n, channels, bands) as groups (n, tokens, channels * group), padded with zeros after the last band."""
        padded = functional.pad(x, (0, self.token_count * self.group - self.bands))
        parted = padded.reshape(len(x), self.channels, self.token_count, self.group)
        return parted.transpose(1, 2).reshape(len(x), self.token_count, self.channels * self.group)

    def forward(self, x: Tensor) -> Tensor:
        """Maps spectra (n, channels, bands) to tokens (n, tokens, width)."""
        # Token first: one matrix product for each group of bands, over all pixels.
        tokens = torch.bmm(self.groups(x).transpose(0, 1), self.weight * self.real[:, :, None])
        return tokens.transpose(0, 1) + self.position


class SpectralTransformer(nn.Module):
    """An encoder of spectra.

    Args:
        bands: number of bands, 1 or more.
        channels: spectra given for each pixel, such as its own and its neighbourhood's mean.
        group: bands of one token.
        width: channels of a token, a multiple of `heads`.
        depth: number of blocks.
        heads: of each attention.
        ratio: hidden channels of each perceptron, as a multiple of the width.
        dropout: share of each branch dropped in training.

    Attributes:
        token_count: groups of bands.
        width: numbers that the encoder gives for a pixel.
        pretrained: buffer; whether the weights have learned something (`hsikit.nn.lora.mark_pretrained`).

    Raises:
        ValueError: a number below 1, or a width that is no multiple of the heads.
    """

    pretrained: Tensor

    def __init__(
        self, bands: int, channels: int = 2, group: int = 10, width: int = 64, depth: int = 4, heads: int = 4, ratio: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = {"bands": bands, "channels": channels, "group": group, "width": width, "depth": depth, "heads": heads, "ratio": ratio}
        if wrong := [f"{name} {value}" for name, value in sizes.items() if value < 1]:
            raise ValueError(f"{', '.join(wrong)}: must be 1 or more")
        self.width = width
        self.stem = GroupStem(bands, channels, group, width)
        self.blocks = nn.ModuleList(Block(width, heads, ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.register_buffer(PRETRAINED, torch.tensor(False))

    @property
    def token_count(self) -> int:
        """Number of tokens of a whole spectrum."""
        return self.stem.token_count

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """All tokens after the last normalisation.

        Args:
            x: spectra, float32, shape (n, channels, bands), finite.
            keep: indices of the tokens that are encoded, int64, shape (n, k); all tokens where None.

        Returns:
            Shape (n, tokens, width), or (n, k, width) in the order of `keep`.

        Raises:
            ValueError: other channels or bands than the encoder's.
        """
        if x.dim() != 3 or tuple(x.shape[1:]) != (self.stem.channels, self.stem.bands):
            raise ValueError(f"spectra of shape {tuple(x.shape)}; this encoder takes (n, {self.stem.channels}, {self.stem.bands})")
        tokens: Tensor = self.stem(x)
        if keep is not None:
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, self.width))
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """The mean of `tokens`: one row of features for each pixel, shape (n, width)."""
        return self.tokens(x, keep).mean(1)


def build_encoder(preset: str, bands: int, channels: int = 2, dropout: float = 0.0) -> SpectralTransformer:
    """An encoder of a preset.

    Args:
        preset: a key of `PRESETS`.
        bands: number of bands.
        channels: spectra given for each pixel.
        dropout: see `SpectralTransformer`.

    Raises:
        ValueError: no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset '{preset}'; there are {', '.join(PRESETS)}")
    return SpectralTransformer(bands, channels, dropout=dropout, **PRESETS[preset])
