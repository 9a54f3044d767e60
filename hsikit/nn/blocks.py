"""The pre-normalised transformer block (Xiong et al., 2020, arXiv:2002.04745) that encoders and decoders are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention over tokens.

    Args:
        width: channels of a token, a multiple of `heads`.
        heads: number of heads.

    Raises:
        ValueError: the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"a width of {width} is not divided by {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, tokens, width) to the same shape."""
        count, tokens, width = x.shape
        query, key, value = self.qkv(x).view(count, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, tokens, width))
        return out


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each after a LayerNorm and added to its input.

    Args:
        width: channels of a token.
        heads: of the attention.
        ratio: hidden channels of the perceptron, as a multiple of the width.
        dropout: share of each branch's outputs dropped in training.
    """

    def __init__(self, width: int, heads: int, ratio: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, tokens, width) to the same shape."""
        x = x + self.dropout(self.attention(self.norm_attention(x)))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out
