"""Mixer `pool`: the mean of the surroundings less the pixel itself, as in PoolFormer (Yu et al., 2022, arXiv:2111.11418); nothing is learned.

Only pixels that count and lie inside the map are in a mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hsikit.nn.mixers.base import Context, Mixer, masked


class PoolMixer(Mixer):
    """Mean over a square, less the centre.

    Args:
        width: channels; any number will do.
        kernel: pixels along each side, odd, 3 or more: a square of one pixel less its centre is nothing.

    Raises:
        ValueError: another kernel.
    """

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel} pixels; give an odd number from 3 on")
        self.kernel, self.reach = kernel, kernel // 2

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        valid = context.valid if context.valid is not None else torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        counted = self._mean(valid[:, None].to(x.dtype)).clamp(min=0.5 / self.kernel**2)
        mean = self._mean(masked(x, valid).permute(0, 3, 1, 2)) / counted
        return mean.permute(0, 2, 3, 1) - x

    def _mean(self, x: Tensor) -> Tensor:
        """Sums over the square, divided by its pixels."""
        return functional.avg_pool2d(x, self.kernel, stride=1, padding=self.kernel // 2)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`: there are none of those that are counted."""
        return 0
