"""Pooling of tokens to one row of features, by name: the plain mean, one weighted by a learned score, or a power mean of a learned power."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hsikit.nn.attention import hidden

Pooling = Literal["mean", "attention", "ggem"]


class MeanPool(nn.Module):
    """The mean of all tokens."""

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps (n, tokens, width) to (n, width); the tokens that count are bool, shape (n, tokens), all where None."""
        if valid is None:
            return tokens.mean(1)
        return torch.where(valid[..., None], tokens, tokens.new_zeros(())).sum(1) / valid.sum(1, keepdim=True)


class SequencePool(nn.Module):
    """The mean of all tokens, weighted by a learned score (sequence pooling of CCT: Hassani et al., 2021, arXiv:2104.05704).

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # No bias: a constant added to all scores changes nothing, and would never learn.
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps (n, tokens, width) to (n, width); the tokens that count are bool, shape (n, tokens), all where None."""
        score: Tensor = self.score(tokens)
        if valid is not None:
            score = score + hidden(valid, score.dtype)[..., None]
        return (score.softmax(1) * tokens).sum(1)


class GGeM(nn.Module):
    """Group generalised mean pooling (Ko et al., 2022, arXiv:2212.04114): a power mean over tokens whose power is learned for each group of channels.

    With a power of 1 it is the mean, with a large one the maximum. Features of a transformer have signs, which a power mean has no place for:
    below `least` they count as `least`, as in GeM.

    Args:
        width: channels, a multiple of `groups`.
        groups: of channels that share a power, usually the heads.
        power: at first, above 0.
        least: the smallest value, above 0.

    Raises:
        ValueError: the width is no multiple of the groups, or a number that is not above 0.
    """

    def __init__(self, width: int, groups: int = 4, power: float = 3.0, least: float = 1e-6) -> None:
        super().__init__()
        if groups < 1 or width < 1 or width % groups or not power > 0 or not least > 0:
            raise ValueError(f"a width of {width} is not divided by {groups} groups, or power {power} or least {least} is not above 0")
        self.groups, self.least = groups, least
        self.log_power = nn.Parameter(torch.full((groups, 1), power).log())

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Maps (n, tokens, width) to (n, width); the tokens that count are bool, shape (n, tokens), all where None, at least one in each row."""
        power = self.log_power.exp()
        # In logarithms: a large power of a small value is no float.
        raised = tokens.clamp(min=self.least).log().view(*tokens.shape[:2], self.groups, -1) * power
        if valid is not None:
            raised = raised.masked_fill(~valid[..., None, None], float("-inf"))
        counted = torch.full((len(tokens),), tokens.shape[1], device=tokens.device) if valid is None else valid.sum(1)
        mean = raised.logsumexp(1) - counted.to(tokens.dtype).log()[:, None, None]
        return (mean / power).exp().flatten(1)


def build_pooling(name: str, width: int, groups: int) -> nn.Module:
    """A pooling with fresh weights, which maps (n, tokens, width) and what counts, bool (n, tokens), to (n, width).

    Args:
        name: one of `Pooling`: "attention" is `SequencePool`.
        width: channels of a token.
        groups: of channels, for `GGeM`.

    Raises:
        ValueError: no such pooling; see `GGeM`.
    """
    if name not in get_args(Pooling):
        raise ValueError(f"no pooling '{name}'; there are {', '.join(get_args(Pooling))}")
    return MeanPool() if name == "mean" else SequencePool(width) if name == "attention" else GGeM(width, groups)
