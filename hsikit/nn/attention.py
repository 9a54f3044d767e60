"""Attention of several heads in which some keys do not count."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, valid: Tensor | None = None) -> Tensor:
    """Scaled dot product attention of several heads.

    Args:
        query: shape (n, Q, width).
        key: shape (n, K, width).
        value: shape (n, K, width).
        heads: divide the width.
        valid: the keys that count, bool, shape (n, K). Where none counts, the result is finite and means nothing.

    Returns:
        Shape (n, Q, width).
    """
    count = len(query)
    asked, known, told = (each.reshape(count, each.shape[1], heads, -1).transpose(1, 2) for each in (query, key, value))
    mask = None if valid is None else hidden(valid, asked.dtype)[:, None, None]
    return functional.scaled_dot_product_attention(asked, known, told, mask).transpose(1, 2).flatten(2)


def hidden(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to logits so that only what is valid counts; finite, so that a softmax over nothing valid is no NaN."""
    return torch.zeros(valid.shape, dtype=dtype, device=valid.device).masked_fill_(~valid, torch.finfo(dtype).min / 2)


def check_heads(width: int, heads: int) -> None:
    """Refuses heads that do not divide the width.

    Raises:
        ValueError: they do not.
    """
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(f"a width of {width} is not divided by {heads} heads")
