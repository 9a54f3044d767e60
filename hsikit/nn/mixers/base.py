"""What all mixers share: one signature over maps of any size, and how pixels that do not count are kept out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Context:
    """What a mixer may know beside the map.

    Attributes:
        valid: the pixels that count, bool, shape (B, H, W); all of them where None.
    """

    valid: Tensor | None = None


class Mixer(nn.Module):
    """Lets the places of a map see one another.

    Attributes:
        masks: honours `Context.valid` by itself: what stands in a pixel that does not count changes nothing in the others. The encoder
            fills such pixels with the mean of the others before a mixer that does not.
        by_token: takes the tokens of each pixel one after the other, C = T * width for any T; any other mixer sees one token at a time.
        reach: pixels at its own stride around a place that what it gives there depends on; None where that depends on the whole map, or
            on where the map begins.
        sees: what that is, in words.
    """

    masks: ClassVar[bool] = True
    by_token: ClassVar[bool] = False
    reach: int | None = None
    sees: ClassVar[str] = "the whole map"

    @abstractmethod
    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Maps (B, H, W, C), finite, to the same shape, for any H and W, 1 x N included; what it gives where pixels do not count is left open."""

    @abstractmethod
    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """Operations for one map, two for a multiplication and addition; matrix products, convolutions and attention are counted."""


def masked(x: Tensor, valid: Tensor | None) -> Tensor:
    """A map (B, H, W, C) with zeros where pixels do not count, whatever stands there."""
    return x if valid is None else torch.where(valid[..., None], x, x.new_zeros(()))


def filled(x: Tensor, valid: Tensor | None) -> Tensor:
    """A map (B, H, W, C) with each image's mean over the pixels that count in the others."""
    if valid is None:
        return x
    counted = valid.sum((1, 2)).clamp(min=1).to(x.dtype)[:, None, None, None]
    return torch.where(valid[..., None], x, masked(x, valid).sum((1, 2), keepdim=True) / counted)
