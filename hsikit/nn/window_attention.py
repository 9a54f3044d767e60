"""Attention within windows of a grid of tokens, with a bias by relative position (Liu et al., 2021, arXiv:2103.14030), unshifted.

A grid that the window does not divide is padded; padded tokens are masked, as are those that do not count: no other attends to them. Where
the grid is smaller than the window, the window is the grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.attention import check_heads, hidden


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows.

    Args:
        width: channels of a token, a multiple of `heads`.
        heads: number of heads.
        window: tokens of a window along each side.

    Raises:
        ValueError: the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.bias = nn.Parameter(0.02 * torch.randn(heads, 2 * window - 1, 2 * window - 1))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps a grid (n, rows, cols, width) to the same shape; the tokens that count are bool, shape (n, rows, cols), all where None."""
        count, rows, cols, width = x.shape
        high, wide = min(self.window, rows), min(self.window, cols)
        padded = functional.pad(x, (0, 0, 0, -cols % wide, 0, -rows % high))
        down, across = padded.shape[1] // high, padded.shape[2] // wide
        parted = padded.view(count, down, high, across, wide, width).transpose(2, 3).reshape(-1, high * wide, width)
        query, key, value = self.qkv(parted).view(len(parted), high * wide, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = self.relative_bias(high, wide)[None]
        if valid is not None or padded.shape != x.shape:
            counted = valid if valid is not None else torch.ones(count, rows, cols, dtype=torch.bool, device=x.device)
            mask = mask + hidden(_windows(counted, high, wide), mask.dtype)[:, None, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, mask.to(query.dtype))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(len(parted), high * wide, width))
        grid = out.view(count, down, across, high, wide, width).transpose(2, 3).reshape(padded.shape)
        return grid[:, :rows, :cols]

    def relative_bias(self, rows: int, cols: int) -> Tensor:
        """The bias between all tokens of a window, shape (heads, rows * cols, rows * cols)."""
        row = torch.arange(rows, device=self.bias.device)
        col = torch.arange(cols, device=self.bias.device)
        down = (row[:, None] - row[None] + self.window - 1)[:, None, :, None].expand(rows, cols, rows, cols)
        across = (col[:, None] - col[None] + self.window - 1)[None, :, None].expand(rows, cols, rows, cols)
        return self.bias[:, down, across].reshape(self.heads, rows * cols, rows * cols)


def _windows(counted: Tensor, high: int, wide: int) -> Tensor:
    """Which tokens of each window count, padded ones do not: from (n, rows, cols) to (n * windows, high * wide)."""
    count, rows, cols = counted.shape
    padded = functional.pad(counted, (0, -cols % wide, 0, -rows % high))
    down, across = padded.shape[1] // high, padded.shape[2] // wide
    return padded.view(count, down, high, across, wide).transpose(2, 3).reshape(-1, high * wide)
