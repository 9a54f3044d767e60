"""Mixer `less`: attention among pixels times attention among bands, as in LESS ViT (arXiv:2605.18541; code in GeospatialFM).

The tokens of a map, N pixels with T tokens each, are pooled to a sequence of N and one of T; each attends to itself, and the Kronecker product of
the two, summed over some ranks, is the result for all N * T tokens: attention costs N^2 + T^2, not (N T)^2. What differs: pooling is attention
pooling alone (`SequencePool`), without the extra row and column of class tokens, for which a map has no place; no mask by physical distance; no
band is dropped here, in training or after. The feed-forward part `pooled` works on the same two sequences.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from hsikit.nn.attention import attend
from hsikit.nn.mixers.base import Context, Mixer
from hsikit.nn.pooling import SequencePool


class GridPool(nn.Module):
    """The tokens of a map as a sequence of its pixels and one of its bands, each the mean over the other weighted by a learned score.

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.over_bands = SequencePool(width)
        self.over_pixels = SequencePool(width)

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Maps (B, H, W, T * width) to (B, H * W, width) and (B, T, width); only the pixels in `valid` count for the bands."""
        grid = x.reshape(len(x), -1, x.shape[3] // self.width, self.width)
        images, _, tokens, _ = grid.shape
        counted = None if valid is None else valid.flatten(1).repeat_interleave(tokens, 0)
        pixels: Tensor = self.over_bands(grid.flatten(0, 1))
        bands: Tensor = self.over_pixels(grid.transpose(1, 2).flatten(0, 1), counted)
        return pixels.view(images, -1, self.width), bands.view(images, tokens, self.width)


class SequenceAttention(nn.Module):
    """Attention of a sequence to itself, to other channels than it has.

    Args:
        width: channels of the sequence.
        own: channels of the result, a multiple of `heads`.
        heads: of the attention.
    """

    def __init__(self, width: int, own: int, heads: int) -> None:
        super().__init__()
        self.own, self.heads = own, heads
        self.qkv = nn.Linear(width, 3 * own)

    def forward(self, sequence: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps (B, n, width) to (B, n, own); the places that count are bool, shape (B, n), all where None."""
        query, key, value = self.qkv(sequence).chunk(3, -1)
        return attend(query, key, value, self.heads, valid)

    def flops(self, places: int) -> int:
        """Operations for one sequence; see `Mixer.flops`."""
        return 2 * places * self.qkv.weight.numel() + 4 * places**2 * self.own


class LessMixer(Mixer):
    """Kronecker product of spatial and spectral attention.

    Args:
        width: channels of a token, a multiple of `heads * spectral`: each head has `spectral` channels for the bands, and as many for the
            pixels as make up the width.
        heads: of both attentions.
        spectral: channels of a head for the bands.
        rank: products that are summed.

    Raises:
        ValueError: the width is no such multiple, or a number is below 1.
    """

    by_token: ClassVar[bool] = True

    def __init__(self, width: int, heads: int = 4, spectral: int = 4, rank: int = 1) -> None:
        super().__init__()
        if min(heads, spectral, rank) < 1 or width < 1 or width % (heads * spectral):
            raise ValueError(f"a width of {width} is not divided by {heads} heads times {spectral} channels, or the rank {rank} is below 1")
        self.width, self.heads, self.rank = width, heads, rank
        self.pool = GridPool(width)
        self.spatial = SequenceAttention(width, rank * width // spectral, rank * heads)
        self.spectral = SequenceAttention(width, rank * heads * spectral, rank * heads)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        pixels, bands = self.pool(x, context.valid)
        valid = None if context.valid is None else context.valid.flatten(1)
        over_space = self._by_head(self.spatial(pixels, valid))
        over_bands = self._by_head(self.spectral(bands))
        # (B, heads, N * spatial, rank) times (B, heads, rank, T * spectral): the products of all channels, summed over the ranks.
        product = over_space.flatten(2, 3) @ over_bands.flatten(2, 3).transpose(2, 3)
        grid = product.view(len(x), self.heads, pixels.shape[1], -1, bands.shape[1], over_bands.shape[3])
        out: Tensor = self.proj(grid.permute(0, 2, 4, 1, 3, 5).flatten(3))
        return out.view(x.shape)

    def _by_head(self, sequence: Tensor) -> Tensor:
        """A sequence (B, n, rank * heads * channels) as (B, heads, n, channels, rank)."""
        return sequence.view(*sequence.shape[:2], self.rank, self.heads, -1).permute(0, 3, 1, 4, 2)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        pixels = rows * cols
        pooled = 4 * pixels * tokens * self.width
        return pooled + self.spatial.flops(pixels) + self.spectral.flops(tokens) + 2 * pixels * tokens * self.width * (self.rank + self.width)
