"""Mixer `reduced`: every pixel attends to the means of cells: spatial reduction, as in PVTv2 (Wang et al., 2022, arXiv:2106.13797).

There a strided convolution makes the cells; the mean over a cell's pixels that count needs no padding, and knows what does not count. The cost
stays quadratic in the pixels, divided by the pixels of a cell: for larger maps, larger cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.attention import attend, check_heads
from hsikit.nn.mixers.base import Context, Mixer, masked


class ReducedMixer(Mixer):
    """Attention of pixels to cells.

    Args:
        width: channels, a multiple of `heads`.
        heads: of the attention.
        cell: pixels of a cell along each side, 1 or more.

    Raises:
        ValueError: a cell below 1, or a width that is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int = 4, cell: int = 4) -> None:
        super().__init__()
        check_heads(width, heads)
        if cell < 1:
            raise ValueError(f"a cell of {cell} pixels must be 1 or more")
        self.width, self.heads, self.cell = width, heads, cell
        self.query = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        cells, valid = self.cells(x, context.valid)
        key, value = self.key_value(self.norm(cells)).chunk(2, -1)
        out: Tensor = self.proj(attend(self.query(x).flatten(1, 2), key, value, self.heads, valid))
        return out.view(x.shape)

    def cells(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The means of all cells, shape (B, cells, C), and which hold a pixel that counts, shape (B, cells), all where None."""
        counted = valid if valid is not None else torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        share = self._mean(counted[..., None].to(x.dtype))
        mean = self._mean(masked(x, valid)) / share.clamp(min=0.5 / self.cell**2)
        return mean, None if valid is None else share[..., 0] > 0

    def _mean(self, x: Tensor) -> Tensor:
        """Sums over cells, divided by a whole cell's pixels: (B, H, W, C) to (B, cells, C)."""
        padded = functional.pad(x.permute(0, 3, 1, 2), (0, -x.shape[2] % self.cell, 0, -x.shape[1] % self.cell))
        return functional.avg_pool2d(padded, self.cell).flatten(2).transpose(1, 2)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        pixels, cells = rows * cols, -(-rows // self.cell) * -(-cols // self.cell)
        return tokens * (4 * (pixels + cells) * self.width**2 + 4 * pixels * cells * self.width)
