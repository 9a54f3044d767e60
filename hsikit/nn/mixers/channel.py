"""Mixer `channel`: channels attend to channels over the whole map, in groups (heads).

After DaViT (Ding et al., 2022, arXiv:2204.03645). There logits are scaled by the head's width, and become a choice of one channel as the map
grows; here queries and keys are of unit length over the map, with a learned temperature (XCiT: El-Nouby et al., 2021, arXiv:2106.09681), so
that tiles of any size are alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.attention import check_heads
from hsikit.nn.mixers.base import Context, Mixer, masked


class ChannelMixer(Mixer):
    """Attention among the channels of each head.

    Args:
        width: channels, a multiple of `heads`.
        heads: groups of channels.

    Raises:
        ValueError: the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        check_heads(width, heads)
        self.width, self.heads = width, heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        images, rows, cols, width = x.shape
        # Masked after the projection: its bias is no zero.
        qkv = masked(self.qkv(x), context.valid).view(images, rows * cols, 3, self.heads, -1).permute(2, 0, 3, 4, 1)
        share = self.shares(qkv[0], qkv[1])
        out: Tensor = self.proj((share @ qkv[2]).permute(0, 3, 1, 2).reshape(images, rows, cols, width))
        return out

    def shares(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each channel takes of each other one of its head, (B, heads, C, C), from maps (B, heads, C, positions)."""
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        return (query @ key.transpose(-2, -1) * self.temperature).softmax(-1)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        return 2 * rows * cols * tokens * (4 * self.width**2 + 2 * self.width**2 // self.heads)
