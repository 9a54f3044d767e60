"""Mixer `dwconv`: each channel is convolved with a kernel of its own, as in ConvNeXt (Liu et al., 2022, arXiv:2201.03545).

A pixel that does not count is what lies beyond the border: zero. Tiles with a halo of `reach` give the same as the whole map.
"""

from __future__ import annotations

from torch import Tensor, nn

from hsikit.nn.mixers.base import Context, Mixer, masked


class DepthwiseMixer(Mixer):
    """Depthwise convolution.

    Args:
        width: channels.
        kernel: pixels along each side, odd.

    Raises:
        ValueError: a kernel that is even or below 1: it has no centre.
    """

    def __init__(self, width: int, kernel: int = 7) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel} pixels has no centre; give an odd number")
        self.reach = kernel // 2
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        out: Tensor = self.conv(masked(x, context.valid).permute(0, 3, 1, 2))
        return out.permute(0, 2, 3, 1)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        return 2 * rows * cols * self.conv.weight.numel() * tokens
