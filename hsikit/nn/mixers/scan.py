"""Mixer `scan`: a selective state space model over the pixels of a map, one after the other, from all four sides, in plain torch.

A state is carried from pixel to pixel: how much of it is kept and what is added, each pixel decides (Mamba: Gu and Dao, 2023, arXiv:2312.00752).
Decay is one number for each head, as in Mamba-2 (Dao and Gu, 2024, arXiv:2405.21060), so that a chunk of pixels is one matrix product and only
the state goes from chunk to chunk; no kernel for one kind of GPU is needed. Rows and columns are read forward and backward (VMamba: Liu et al.,
2024, arXiv:2401.10166), with the same weights, and the four results averaged. A pixel that does not count is passed over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.attention import check_heads
from hsikit.nn.mixers.base import Context, Mixer

CHUNK = 64
"""Pixels that are one matrix product."""
ORDERS = 4
"""Rows forward and backward, columns forward and backward."""


class ScanMixer(Mixer):
    """Selective scan from four sides.

    Args:
        width: channels, a multiple of `heads`.
        heads: parts of the channels, each with a decay of its own.
        state: numbers that each channel carries along, 1 or more.

    Raises:
        ValueError: the width is no multiple of the heads, or the state is below 1.
    """

    def __init__(self, width: int, heads: int = 4, state: int = 16) -> None:
        super().__init__()
        check_heads(width, heads)
        if state < 1:
            raise ValueError(f"a state of {state} numbers must be 1 or more")
        self.width, self.heads, self.state = width, heads, state
        self.enter = nn.Linear(width, 2 * width + 2 * state + heads)
        self.leave = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.log_rate = nn.Parameter(torch.linspace(1.0, 16.0, heads).log())
        self.skip = nn.Parameter(torch.ones(heads, 1))
        with torch.no_grad():  # steps from 0.001 to 0.1 at first, as in Mamba: the state spans ten to a thousand pixels
            steps = torch.logspace(-3, -1, heads)
            self.enter.bias[-heads:] = steps.expm1().log()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        images, rows, cols, width = x.shape
        gate, value, read, write, step = self.enter(x).split([width, width, self.state, self.state, self.heads], -1)
        step = functional.softplus(step)
        if context.valid is not None:
            step = step * context.valid[..., None]
        value = value.reshape(images, rows, cols, self.heads, -1)
        # Pixels in the order of rows, then of columns; both are read from either end.
        put, steps, to, out_of = (torch.cat([each.flatten(1, 2), each.transpose(1, 2).flatten(1, 2)]) for each in (value, step, write, read))
        rate = self.log_rate.exp()
        forth = selective_scan(put, steps, to, out_of, rate)
        back = selective_scan(put.flip(1), steps.flip(1), to.flip(1), out_of.flip(1), rate).flip(1)
        by_row, by_col = (forth + back).chunk(2)
        total = by_row.view(value.shape) + by_col.view(images, cols, rows, self.heads, -1).transpose(1, 2)
        mixed = (total / ORDERS + self.skip * value).flatten(3)
        out: Tensor = self.leave(self.norm(mixed) * functional.silu(gate))
        return out

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        pixels, chunk = rows * cols, min(CHUNK, rows * cols)
        padded = -(-pixels // chunk) * chunk
        within = 2 * padded * chunk * (self.state + self.width)
        between = 4 * padded * self.state * self.width
        linear = 2 * pixels * self.width * (self.enter.out_features + self.width)
        return tokens * (linear + ORDERS * (within + between))


def selective_scan(value: Tensor, step: Tensor, write: Tensor, read: Tensor, rate: Tensor, chunk: int = CHUNK) -> Tensor:
    """What a state tells at each of a sequence of places: s_t = exp(-rate step_t) s_(t-1) + step_t value_t write_t', y_t = s_t read_t.

    Args:
        value: what is put into the state, shape (n, L, heads, channels).
        step: 0 or more; 0 passes a place over; shape (n, L, heads).
        write: where in the state it is put, shape (n, L, state).
        read: what of the state is told, shape (n, L, state).
        rate: above 0, shape (heads,).
        chunk: places that are computed at once.

    Returns:
        Shape (n, L, heads, channels).
    """
    count, length, heads, channels = value.shape
    chunk = min(chunk, length)
    given = value * step[..., None]
    parts = [_chunks(each, chunk) for each in (given, step, write, read)]
    given, step, write, read = parts[0].transpose(2, 3), parts[1].transpose(2, 3), parts[2], parts[3]
    # Logarithm of what is left, since the chunk began, of a state as it was then: (n, chunks, heads, chunk).
    kept = (-rate[:, None] * step).to(torch.promote_types(value.dtype, torch.float32)).cumsum(3)
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=value.device).triu(1)
    decay = (kept[..., :, None] - kept[..., None, :]).masked_fill(later, float("-inf")).exp().to(value.dtype)
    within = ((read @ write.transpose(2, 3))[:, :, None] * decay) @ given
    remaining = (kept[..., -1:] - kept).exp().to(value.dtype)
    added = (given * remaining[..., None]).transpose(3, 4) @ write[:, :, None]
    before = _carried(added, kept[..., -1].exp().to(value.dtype))
    carried = (read[:, :, None] @ before.transpose(3, 4)) * kept.exp().to(value.dtype)[..., None]
    return (within + carried).transpose(2, 3).reshape(count, -1, heads, channels)[:, :length]


def _chunks(x: Tensor, chunk: int) -> Tensor:
    """A sequence (n, L, ...) as (n, chunks, chunk, ...), zeros after its end."""
    padded = functional.pad(x, (0, 0) * (x.dim() - 2) + (0, -x.shape[1] % chunk))
    return padded.view(len(x), -1, chunk, *x.shape[2:])


def _carried(added: Tensor, left: Tensor) -> Tensor:
    """The state (n, chunks, heads, channels, state) that each chunk finds, from what the chunks add to it and leave of it."""
    states = [torch.zeros_like(added[:, 0])]
    for i in range(added.shape[1] - 1):
        states.append(left[:, i, :, None, None] * states[-1] + added[:, i])
    return torch.stack(states, 1)
