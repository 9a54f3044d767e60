"""The parts of the encoder: blocks of a mixer and a feed-forward part, stages of blocks, and the step from one stage to the next.

Inside, a map is channels-last, and each token of a pixel is an image of its own: (B * T, H, W, C), the tokens of one image one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.errors import OptionError
from hsikit.nn.feed_forward import FEED_FORWARDS, FeedForward, convolved
from hsikit.nn.mixers import Context, Mixer, build_mixer
from hsikit.nn.mixers.base import filled, masked

MixerSpec = str | Mapping[str, Any]
"""A mixer by its name, or by its name (`name`) and its options."""


class EncoderBlock(nn.Module):
    """A mixer, then a feed-forward part, each after a LayerNorm and added to its input.

    Args:
        width: channels.
        mixer: see `MixerSpec`.
        feed_forward: a key of `FEED_FORWARDS`.
        ratio: hidden channels of the feed-forward part, as a multiple of the width.
        position: whether a depthwise 3 x 3 convolution is added first, which tells mixers of whole maps what is beside what (conditional
            position encoding: Chu et al., 2021, arXiv:2102.10882).
    """

    def __init__(self, width: int, mixer: MixerSpec, feed_forward: str, ratio: int, position: bool) -> None:
        super().__init__()
        named = {"name": mixer} if isinstance(mixer, str) else dict(mixer)
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width) if position else None
        self.norm_mixer = nn.LayerNorm(width)
        self.mixer: Mixer = build_mixer(named.pop("name"), width, **named)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward: FeedForward = FEED_FORWARDS[feed_forward](width, ratio)

    @property
    def reach(self) -> int | None:
        """Pixels around a place that its result depends on; see `Mixer.reach`."""
        if self.mixer.reach is None or self.feed_forward.reach is None:
            return None
        return self.mixer.reach + self.feed_forward.reach + (self.position is not None)

    def forward(self, x: Tensor, valid: Tensor | None, tokens: int = 1) -> Tensor:
        """Maps (B * tokens, H, W, C) to the same shape.

        Args:
            x: the map.
            valid: the pixels that count, bool, shape (B, H, W), all where None.
            tokens: of each pixel.
        """
        if self.position is not None:
            x = x + convolved(self.position, x, Context(token_validity(valid, tokens)))
        mixed = self.norm_mixer(x)
        if not self.mixer.masks:
            mixed = filled(mixed, token_validity(valid, tokens))
        x = x + _through(self.mixer, mixed, valid, tokens)
        out = x + _through(self.feed_forward, self.norm_feed_forward(x), valid, tokens)
        return masked(out, token_validity(valid, tokens))


def _through(part: Mixer | FeedForward, x: Tensor, valid: Tensor | None, tokens: int) -> Tensor:
    """What a part makes of a map (B * tokens, H, W, C): of each token's, or of all tokens of a pixel beside one another."""
    if not part.by_token:
        out: Tensor = part(x, Context(token_validity(valid, tokens)))
        return out
    mixed: Tensor = part(unfold_tokens(x, tokens).flatten(3), Context(valid))
    return fold_tokens(mixed.view(*mixed.shape[:3], tokens, -1))


class Reduction(nn.Module):
    """From one stage to the next: each cell of pixels becomes one pixel, by a convolution whose step is its size.

    Cells at the lower and right border are filled up with zeros, as are pixels that do not count; a cell counts if one of its pixels does.

    Args:
        before: channels of the map.
        after: channels of the result.
        factor: pixels of a cell along each side.
    """

    def __init__(self, before: int, after: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(before, after, factor, stride=factor)

    def forward(self, x: Tensor, valid: Tensor | None, tokens: int) -> tuple[Tensor, Tensor | None]:
        """Maps (B * tokens, H, W, before) and (B, H, W) to (B * tokens, ceil(H / factor), ceil(W / factor), after) and what counts there."""
        more = (0, -x.shape[2] % self.factor, 0, -x.shape[1] % self.factor)
        out: Tensor = self.conv(functional.pad(x.permute(0, 3, 1, 2), more)).permute(0, 2, 3, 1)
        if valid is None:
            return out, None
        cells = functional.max_pool2d(functional.pad(valid[:, None].to(x.dtype), more), self.factor)[:, 0] > 0
        return masked(out, token_validity(cells, tokens)), cells


class EncoderStage(nn.Module):
    """Blocks at one stride.

    Args:
        width: channels.
        depth: blocks.
        mixers: of the blocks, from the first on, and again.
        feed_forward: see `EncoderBlock`.
        ratio: see `EncoderBlock`.
        position: see `EncoderBlock`.
        reduction: the step to this stage; None where the map is taken as it is.
    """

    def __init__(self, width: int, depth: int, mixers: Sequence[MixerSpec], feed_forward: str, ratio: int, position: bool, reduction: Reduction | None) -> None:
        super().__init__()
        if feed_forward not in FEED_FORWARDS:
            raise OptionError("encoder", f"there is no feed-forward part '{feed_forward}'", f"There are {', '.join(FEED_FORWARDS)}")
        self.reduction = reduction
        self.blocks = nn.ModuleList(EncoderBlock(width, mixers[i % len(mixers)], feed_forward, ratio, position) for i in range(depth))

    @property
    def by_token(self) -> bool:
        """Whether a part of it works on the tokens of a pixel beside one another."""
        return any(part.by_token for part in self.modules() if isinstance(part, (Mixer, FeedForward)))

    @property
    def reach(self) -> int | None:
        """Pixels at this stride around a place that its result depends on; None where a mixer has no bound."""
        reaches = [block.reach for block in self.blocks if isinstance(block, EncoderBlock)]
        return None if None in reaches else sum(reach for reach in reaches if reach is not None)

    def forward(self, x: Tensor, valid: Tensor | None, tokens: int) -> tuple[Tensor, Tensor | None]:
        """The map of this stage, and which of its pixels count."""
        if self.reduction is not None:
            x, valid = self.reduction(x, valid, tokens)
        for block in self.blocks:
            x = block(x, valid, tokens)
        return x, valid


def fold_tokens(x: Tensor) -> Tensor:
    """Tokens of pixels (B, H, W, T, C) as images (B * T, H, W, C)."""
    return x.permute(0, 3, 1, 2, 4).flatten(0, 1)


def unfold_tokens(x: Tensor, tokens: int) -> Tensor:
    """The inverse of `fold_tokens`."""
    return x.view(-1, tokens, *x.shape[1:]).permute(0, 2, 3, 1, 4)


def token_validity(valid: Tensor | None, tokens: int) -> Tensor | None:
    """The pixels that count (B, H, W), for the image of each token: (B * tokens, H, W)."""
    return valid if valid is None or tokens == 1 else valid.repeat_interleave(tokens, 0)


def counted_pixels(window: Tensor, valid: Tensor, usable: Tensor | None) -> Tensor | None:
    """The pixels of a window that count: usable, with a value in every band that counts.

    Args:
        window: shape (B, C, H, W).
        valid: the bands that count, bool, shape (C,).
        usable: bool, shape (B, H, W), all where None.

    Returns:
        Shape (B, H, W); None where all do.

    Raises:
        ValueError: `usable` is not bool, or has another shape.
    """
    if usable is not None and (usable.dtype != torch.bool or usable.shape != (len(window), *window.shape[2:])):
        raise ValueError(f"usable {usable.dtype} of shape {tuple(usable.shape)}: it takes bool, shape (B, H, W), beside a window {tuple(window.shape)}")
    counted = window[:, valid.to(window.device)].isfinite().all(1)
    if usable is not None:
        counted &= usable.to(window.device)
    return None if bool(counted.all()) else counted
