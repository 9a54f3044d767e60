"""Mixer `window`: attention within windows, by turns shifted ones, as in the Swin transformer (Liu et al., 2021, arXiv:2103.14030).

A shifted map is padded at its upper and left border, and what is padded masked, instead of rolled and masked by regions: the windows are the
same. Windows begin where the map begins, so a tile sees other windows than the whole map: no halo makes tiles exact.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from hsikit.nn.mixers.base import Context, Mixer
from hsikit.nn.window_attention import WindowAttention


class WindowMixer(Mixer):
    """Attention within windows.

    Args:
        width: channels, a multiple of `heads`.
        heads: of the attention.
        window: pixels along each side.
        shift: pixels by which the first window is cut short, 0 to below `window`; not along a side where one window covers the map.

    Raises:
        ValueError: a shift out of range, a window below 1, or a width that is no multiple of the heads.
    """

    sees: ClassVar[str] = "windows that begin where the map begins"

    def __init__(self, width: int, heads: int = 4, window: int = 7, shift: int = 0) -> None:
        super().__init__()
        if not 0 <= shift < window:
            raise ValueError(f"window {window} must be 1 or more, shift {shift} from 0 to below it")
        self.width, self.window, self.shift = width, window, shift
        self.attention = WindowAttention(width, heads, window)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        up, left = (self._pad(side) for side in x.shape[1:3])
        if not up and not left:
            out: Tensor = self.attention(x, context.valid)
            return out
        valid = context.valid if context.valid is not None else torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        moved: Tensor = self.attention(functional.pad(x, (0, 0, left, 0, up, 0)), functional.pad(valid, (left, 0, up, 0)))
        return moved[:, up:, left:]

    def _pad(self, side: int) -> int:
        """Rows or columns put before the first."""
        return self.shift if side > self.window else 0

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        high, wide = min(self.window, rows), min(self.window, cols)
        windows = -(-(rows + self._pad(rows)) // high) * -(-(cols + self._pad(cols)) // wide)
        return tokens * windows * high * wide * (8 * self.width**2 + 4 * high * wide * self.width)
