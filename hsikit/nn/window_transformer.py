"""LoLA-SpecViT's published shape, done right: a spectral convolution, then window attention over a pixel's surroundings.

Paper: arXiv:2506.17759 (JAG 144:104924). Slow: one window goes through the network for each pixel that is mapped, so that
`paper`, 181 million parameters, takes some 50 ms of a processor core a pixel. Where it differs from the code that was released:

* Bands lie on the spectral axis. There the data is transposed twice, so that the image's rows stand where bands should; it works
  only where window and components are equally many. Here any window and any number of bands fit.
* Adapters are low-rank alone (`lora.py`). There each has a dense gate and a dense residual beside it: 71 of 74 million trainable
  weights.
* The cyclic strength of adapters acts (`CyclicScale`). There no layer has what the loop wants to set.
* A base is frozen only once it has learned something (`freeze_base`), and stem, norms and head learn even then. There random
  weights are frozen.
* Tokens that only pad a grid to the window are masked, or are not there. There they take part in the attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.lora import PRETRAINED
from hsikit.nn.window_attention import WindowAttention

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"widths": (96, 192, 384), "depths": (3, 4, 19), "heads": (4, 8, 16), "front": (32, 64)},
    "paper-small": {"widths": (16, 32, 64), "depths": (1, 1, 1), "heads": (2, 4, 8), "front": (8, 8)},
}
"""Options of `WindowTransformer` by name."""

LORA_TARGETS = ("qkv", "proj", "enter", "leave")
"""The linear layers that adapters belong on."""

ATTENDED = 7
"""Tokens of an attention window along each side."""


class SqueezeExcite(nn.Module):
    """Weights channels by what they hold on the whole (Hu et al., 2018, arXiv:1709.01507).

    Args:
        channels: of the input.
        ratio: by which they are squeezed.
    """

    def __init__(self, channels: int, ratio: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(1, channels // ratio))
        self.excite = nn.Linear(max(1, channels // ratio), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, channels, ...) to the same shape."""
        weights = self.excite(functional.silu(self.squeeze(x.flatten(2).mean(2)))).sigmoid()
        out: Tensor = x * weights.view(*x.shape[:2], *[1] * (x.dim() - 2))
        return out


class SpectralFront(nn.Module):
    """Convolutions along spectrum and place, of unchanged size, then the mean along the spectrum.

    Args:
        channels: of the three convolutions; their kernels span 7, 5 and 3 bands and 3 x 3 pixels.
        band_drop: share of the positions along the spectrum that are dropped in training.
    """

    def __init__(self, channels: Sequence[int], band_drop: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, span in zip((1, *channels[:-1]), channels, (7, 5, 3), strict=True):
            layers += [nn.Conv3d(before, after, (span, 3, 3), padding="same", bias=False), nn.BatchNorm3d(after), nn.SiLU()]
        self.convolve = nn.Sequential(*layers)
        self.band_drop = band_drop
        self.weigh = SqueezeExcite(channels[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, 1, bands, rows, cols) to (n, channels, rows, cols)."""
        x = self.convolve(x)
        share = functional.dropout(x.new_ones(len(x), 1, x.shape[2], 1, 1), self.band_drop, self.training)
        out: Tensor = self.weigh(x * share).mean(2)
        return out


class WindowStem(nn.Module):
    """From a window of spectra to a grid of tokens with learned positions.

    Args:
        front: channels of the first two convolutions.
        width: channels of a token.
        window: rows and cols of the window; the grid has half as many, rounded down.
    """

    def __init__(self, front: Sequence[int], width: int, window: int) -> None:
        super().__init__()
        self.front = SpectralFront((*front, width))
        self.embed = nn.Conv2d(width, width, 4, stride=2, padding=1)
        self.position = nn.Parameter(0.02 * torch.randn(window // 2, window // 2, width))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, 1, bands, rows, cols) to (n, rows // 2, cols // 2, width)."""
        out: Tensor = self.dropout(self.embed(self.front(x)).permute(0, 2, 3, 1) + self.position)
        return out


class SwiGlu(nn.Module):
    """A perceptron with a gated middle (Shazeer, 2020, arXiv:2002.05202), four times as wide.

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 4 * width
        self.enter, self.leave = nn.Linear(width, inner), nn.Linear(inner, width)
        self.value, self.gate, self.mix = nn.Linear(inner, inner), nn.Linear(inner, inner), nn.Linear(inner, inner)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., width) to the same shape."""
        x = self.enter(x)
        out: Tensor = self.leave(self.mix(functional.silu(self.gate(x)) * self.value(x)))
        return out


class WindowBlock(nn.Module):
    """Window attention, then a gated perceptron, each after a LayerNorm and added to its input.

    Args:
        width: channels of a token.
        heads: of the attention.
        drop_path: share of the samples for which a branch is left out in training.
    """

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, ATTENDED)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = SwiGlu(width)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Maps a grid (n, rows, cols, width) to the same shape."""
        x = x + self._path(self.attention(self.norm_attention(x)))
        return x + self._path(self.mlp(self.norm_mlp(x)))

    def _path(self, branch: Tensor) -> Tensor:
        return branch * functional.dropout(branch.new_ones(len(branch), 1, 1, 1), self.drop_path, self.training)


class Downsample(nn.Module):
    """Half the grid, rounded up, and twice the channels.

    Args:
        width: channels before.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.weigh = SqueezeExcite(width)
        self.widen = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.halve = nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps a grid (n, rows, cols, width) to (n, (rows + 1) // 2, (cols + 1) // 2, 2 * width)."""
        x = self.weigh(functional.silu(self.depthwise(x.permute(0, 3, 1, 2))))
        out: Tensor = self.halve(self.norm(self.widen(x))).permute(0, 2, 3, 1)
        return out


class WindowTransformer(nn.Module):
    """An encoder of windows.

    Args:
        window: rows and cols of a window, odd, from 3 to 31.
        widths: channels of the tokens in each stage, each twice those before.
        depths: blocks of each stage.
        heads: of the attention in each stage.
        front: channels of the first two spectral convolutions; the third has `widths[0]`.
        drop_path: of the last block; it rises evenly from 0.

    Attributes:
        width: numbers that the encoder gives for a window.
        pretrained: buffer; whether the weights have learned something.

    Raises:
        ValueError: an even window or one out of range, or stages that do not fit one another.
    """

    pretrained: Tensor

    def __init__(self, window: int, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], front: Sequence[int], drop_path: float = 0.2) -> None:
        super().__init__()
        if window % 2 == 0 or not 3 <= window <= 31:
            raise ValueError(f"a window of {window} pixels: give an odd number from 3 to 31")
        if not len(widths) == len(depths) == len(heads) or list(widths) != [widths[0] * 2**stage for stage in range(len(widths))]:
            raise ValueError(f"stages of widths {widths}, depths {depths} and heads {heads}: one of each, and each width twice the one before")
        self.window, self.width = window, widths[-1]
        self.stem = WindowStem(front, widths[0], window)
        rates = torch.linspace(0, drop_path, sum(depths), device="cpu").tolist()
        self.stages = nn.ModuleList(
            nn.Sequential(*(WindowBlock(width, count, rates[sum(depths[:stage]) + block]) for block in range(depth)))
            for stage, (width, depth, count) in enumerate(zip(widths, depths, heads, strict=True))
        )
        self.downs = nn.ModuleList(Downsample(width) for width in widths[:-1])
        self.norm = nn.LayerNorm(self.width)
        self.register_buffer(PRETRAINED, torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        """Features of each window's centre pixel.

        Args:
            x: windows, float32, shape (n, 1, bands, window, window), finite; any number of bands, or of components.

        Returns:
            Shape (n, width).

        Raises:
            ValueError: another shape.
        """
        if x.dim() != 5 or x.shape[1] != 1 or tuple(x.shape[3:]) != (self.window, self.window):
            raise ValueError(f"windows of shape {tuple(x.shape)}; this encoder takes (n, 1, bands, {self.window}, {self.window})")
        grid: Tensor = self.stem(x)
        for number, stage in enumerate(self.stages):
            grid = stage(self.downs[number - 1](grid) if number else grid)
        out: Tensor = self.norm(grid).mean((1, 2))
        return out


def build_window_encoder(preset: str, window: int) -> WindowTransformer:
    """An encoder of a preset.

    Args:
        preset: a key of `PRESETS`.
        window: rows and cols of a window, odd, from 3 to 31.

    Raises:
        ValueError: no such preset, or a window out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset '{preset}'; there are {', '.join(PRESETS)}")
    return WindowTransformer(window, **PRESETS[preset])
