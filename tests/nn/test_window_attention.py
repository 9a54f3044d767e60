from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hsikit.nn.window_attention import WindowAttention


def attention(window: int = 3, seed: int = 0) -> WindowAttention:
    torch.manual_seed(seed)
    layer = WindowAttention(8, 2, window)
    torch.nn.init.normal_(layer.bias)
    return layer


def grid(rows: int, cols: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, rows, cols, 8, generator=torch.Generator().manual_seed(rows * 40 + cols))


def by_hand(layer: WindowAttention, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each real token over the real tokens of its window, one pair at a time."""
    rows, cols, width = x.shape
    size, heads = layer.window, layer.heads
    high, wide = min(size, rows), min(size, cols)
    weight, offset = layer.qkv.weight.detach().double().numpy(), layer.qkv.bias.detach().double().numpy()
    projected = (x @ weight.T + offset).reshape(rows, cols, 3, heads, width // heads)
    bias = layer.bias.detach().double().numpy()
    mixed = np.zeros((rows, cols, heads, width // heads))
    for row, col, head in np.ndindex(rows, cols, heads):
        others = [(r, c) for r in range(rows) for c in range(cols) if r // high == row // high and c // wide == col // wide]
        scores = [
            projected[row, col, 0, head] @ projected[r, c, 1, head] / np.sqrt(width // heads) + bias[head, row - r + size - 1, col - c + size - 1]
            for r, c in others
        ]
        shares = np.exp(scores) / np.exp(scores).sum()
        mixed[row, col, head] = sum(share * projected[r, c, 2, head] for share, (r, c) in zip(shares, others, strict=True))
    out = mixed.reshape(rows, cols, width) @ layer.proj.weight.detach().double().numpy().T
    return np.asarray(out + layer.proj.bias.detach().double().numpy())


@settings(max_examples=15)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
def test_a_token_attends_to_the_real_tokens_of_its_window_alone(rows: int, cols: int, window: int) -> None:
    """The released LoLA-SpecViT lets the padding take part."""
    layer, x = attention(window), grid(rows, cols)
    found = layer(x).detach().numpy()
    assert found.shape == x.shape
    for sample in range(2):
        np.testing.assert_allclose(found[sample], by_hand(layer, x[sample].double().numpy()), atol=1e-4)


def test_other_windows_are_not_seen() -> None:
    layer, x = attention(3), grid(7, 5)
    moved = x.clone()
    moved[:, :3] += 5
    assert torch.equal(layer(moved)[:, 3:], layer(x)[:, 3:])
    assert (layer(moved)[:, :3] != layer(x)[:, :3]).any()


def test_gradients_are_finite_where_tokens_are_masked() -> None:
    layer, x = attention(3), grid(4, 5).requires_grad_()
    layer(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [x, *layer.parameters()])


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="not divided"):
        WindowAttention(8, 3, 7)
