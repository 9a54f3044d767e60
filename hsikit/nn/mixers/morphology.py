"""Mixer `morphology`: dilation and erosion of the surroundings, a gate, then a state carried from pixel to pixel: MorpMamba as a mixer.

Paper: Ahmad et al., 2024, arXiv:2408.01372 (Neurocomputing 636:129995). There a window of 4 x 4 pixels gives one pixel's class; here a map goes
in and a map comes out, and the stages before take the place of its two streams and their cross attention. Two modes:

* `paper`: as the code that was released computes. "Dilation" is a depthwise convolution that starts with ones, "erosion" the same with the sign
  changed: both are linear. The gate comes from the middle row of the map. The state is a linear recurrence with one matrix for all pixels: nothing
  in it is selective. A pixel reads the state that it finds; there the last state alone is read. Trained to a matrix that magnifies, the state of a
  long map overflows.
* `fixed`: what the names mean. Maximum and minimum over a square, a gate from the pixel itself, and a selective scan (`scan.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.mixers.base import Context, Mixer, masked
from hsikit.nn.mixers.scan import ScanMixer

MODES = ("fixed", "paper")


class MorphologyMixer(Mixer):
    """Morphology, gate, state.

    Args:
        width: channels, a multiple of 4 with `fixed`.
        mode: one of `MODES`.
        kernel: pixels of the square along each side, odd, 3 or more.
        state: numbers of the state: of each channel with `fixed`, of all with `paper`.

    Raises:
        ValueError: another mode or kernel, a state below 1, or such a width.
    """

    def __init__(self, width: int, mode: str = "fixed", kernel: int = 5, state: int = 16) -> None:
        super().__init__()
        if mode not in MODES or kernel < 3 or kernel % 2 == 0 or state < 1:
            raise ValueError(f"mode '{mode}' must be one of {', '.join(MODES)}, kernel {kernel} odd and 3 or more, state {state} 1 or more")
        self.width, self.mode, self.kernel = width, mode, kernel
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False) if mode == "paper" else None
        self.merge = nn.Linear(2 * width, width)
        self.gate = nn.Linear(width, width)
        self.scan: Mixer = ScanMixer(width, state=state) if mode == "fixed" else LinearScan(width, state)
        if self.conv is not None:
            nn.init.ones_(self.conv.weight)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        shapes: Tensor = self.merge(torch.cat(self.morphology(x, context.valid), -1))
        told = x if self.mode == "fixed" else _middle_row(x, context.valid)
        gated = shapes * self.gate(told).sigmoid()
        out: Tensor = self.scan(gated, context)
        return out

    def morphology(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Dilation and erosion of a map (B, H, W, C) by the square, or what the paper's code calls so; only pixels that count are seen."""
        if self.conv is not None:
            summed = self.conv(masked(x, valid).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return summed, -summed
        return self._highest(x, valid), -self._highest(-x, valid)

    def _highest(self, x: Tensor, valid: Tensor | None) -> Tensor:
        least = torch.finfo(x.dtype).min
        seen = x if valid is None else x.masked_fill(~valid[..., None], least)
        highest = functional.max_pool2d(seen.permute(0, 3, 1, 2), self.kernel, 1, self.kernel // 2).permute(0, 2, 3, 1)
        return masked(highest, valid)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        pixels, conv = rows * cols, 0 if self.conv is None else self.conv.weight.numel()
        gates = 1 if self.mode == "paper" else pixels
        own = 2 * pixels * (conv + 2 * self.width**2) + 2 * gates * self.width**2
        return tokens * (own + self.scan.flops(rows, cols))


class LinearScan(Mixer):
    """The same linear recurrence for all pixels in the order of rows: s_t = A s_(t-1) + B x_t, y_t = C s_t.

    Args:
        width: channels.
        state: numbers of the state.
    """

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.carry = nn.Parameter(0.5 * torch.randn(state, state) / state**0.5)
        self.enter = nn.Linear(width, state)
        self.leave = nn.Linear(state, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        states = linear_scan(masked(self.enter(x), context.valid).flatten(1, 2), self.carry)
        out: Tensor = self.leave(states)
        return out.view(x.shape)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        pixels, state, doublings = rows * cols, len(self.carry), (rows * cols - 1).bit_length()
        return tokens * (4 * pixels * self.enter.weight.numel() + 2 * doublings * (pixels * state**2 + state**3))


def linear_scan(added: Tensor, carry: Tensor) -> Tensor:
    """All states of s_t = carry s_(t-1) + added_t, in as many steps as the length has doublings.

    Args:
        added: shape (n, L, state).
        carry: shape (state, state).

    Returns:
        Shape (n, L, state).
    """
    step = 1
    while step < added.shape[1]:
        added = added + functional.pad(added[:, :-step], (0, 0, step, 0)) @ carry.T
        carry, step = carry @ carry, 2 * step
    return added


def _middle_row(x: Tensor, valid: Tensor | None) -> Tensor:
    """The mean of the middle row's pixels that count, zero where none does: (B, H, W, C) to (B, 1, 1, C)."""
    middle = x.shape[1] // 2
    row, counted = x[:, middle], torch.ones_like(x[:, middle, :, :1]) if valid is None else valid[:, middle, :, None].to(x.dtype)
    return ((row * counted).sum(1) / counted.sum(1).clamp(min=1))[:, None, None]
