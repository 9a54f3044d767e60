"""Feed-forward parts of the encoder's blocks: what happens to each place's channels after the places were mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.mixers.base import Context, masked
from hsikit.nn.mixers.less import GridPool


class FeedForward(nn.Module):
    """Two linear layers with a nonlinearity between: each place by itself.

    Args:
        width: channels of the map.
        ratio: hidden channels, as a multiple of the width.

    Attributes:
        by_token: see `Mixer.by_token`.
        reach: see `Mixer.reach`.
        sees: see `Mixer.sees`.
    """

    by_token: ClassVar[bool] = False
    reach: int | None = 0
    sees: ClassVar[str] = "the whole map"

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, ratio * width)
        self.leave = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Maps (B, H, W, C) to the same shape."""
        out: Tensor = self.leave(functional.gelu(self.enter(x)))
        return out


class ConvFeedForward(FeedForward):
    """With a depthwise 3 x 3 convolution before the nonlinearity, as in PVTv2 (Wang et al., 2022, arXiv:2106.13797)."""

    reach = 1

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(width, ratio)
        self.conv = nn.Conv2d(ratio * width, ratio * width, 3, padding=1, groups=ratio * width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `FeedForward.forward`."""
        out: Tensor = self.leave(functional.gelu(convolved(self.conv, self.enter(x), context)))
        return out


class GatedFeedForward(FeedForward):
    """A gate that sees the neighbours times a value that does not: ConvGLU of TransNeXt (Shi, 2024, arXiv:2311.17132).

    Hidden channels are two thirds of `ratio * width`, so that it has the parameters of `FeedForward`.
    """

    reach = 1

    def __init__(self, width: int, ratio: int) -> None:
        nn.Module.__init__(self)
        hidden = max(1, 2 * ratio * width // 3)
        self.enter = nn.Linear(width, 2 * hidden)
        self.conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.leave = nn.Linear(hidden, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `FeedForward.forward`."""
        gate, value = self.enter(x).chunk(2, -1)
        out: Tensor = self.leave(functional.gelu(convolved(self.conv, gate, context)) * value)
        return out


class PooledFeedForward(FeedForward):
    """Tokens are pooled to a sequence of pixels and one of bands; each goes through a `FeedForward`, and a token gets the sum of its two.

    Its cost grows with pixels plus bands, not with their product: the mixer `less` done to the end (`hsikit.nn.mixers.less`).
    """

    by_token: ClassVar[bool] = True
    reach = None

    def __init__(self, width: int, ratio: int) -> None:
        nn.Module.__init__(self)
        self.width = width
        self.pool = GridPool(width)
        self.pixels = FeedForward(width, ratio)
        self.bands = FeedForward(width, ratio)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `FeedForward.forward`; the tokens of a pixel stand one after the other, C = T * width."""
        pixels, bands = self.pool(x, context.valid)
        grid: Tensor = self.pixels(pixels, context)[:, :, None] + self.bands(bands, context)[:, None]
        return grid.reshape(x.shape)


def convolved(conv: nn.Conv2d, x: Tensor, context: Context) -> Tensor:
    """A convolution of a map (B, H, W, C); pixels that do not count are zero, as what lies beyond the border."""
    out: Tensor = conv(masked(x, context.valid).permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1)


FEED_FORWARDS: Mapping[str, type[FeedForward]] = {"convglu": GatedFeedForward, "dw": ConvFeedForward, "mlp": FeedForward, "pooled": PooledFeedForward}
"""Feed-forward parts by name."""
