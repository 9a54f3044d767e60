"""Filters for a gas in columns of a detector: each has its own background, so that no detector's offset looks like gas.

`mag1c` is Foote et al., 2020 (doi:10.1109/TGRS.2020.2976888): the gas is removed from the background's statistics again and again, pixels are
as bright as they are, and most have no gas. Removing the gas moves the background's mean and covariance by terms of rank one and two, which
are had from one product with the spectra: here they are, in place of all moments anew in each of its 30 rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PPM = 1e5
"""Absorption is counted per 1e5 ppm m within, for numbers near one."""
LOADING = 1e-6
"""Share of the mean variance that is added to all of them."""
ROUNDS = 30
STILL = 1.0 / PPM
"""A column is done when no pixel changes by more: 1 ppm m."""
TINY = 1e-9
GAS = 3.0
"""Answers above so many deviations are gas, and say nothing of the uncertainty."""
DARKEST = 1e-3
"""Least brightness of a pixel over that of the mean."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What was found, float64, each of shape (columns, pixels); what stands where pixels are not valid means nothing.

    Attributes:
        enhancement: ppm m.
        uncertainty: standard deviation (ppm m).
        sensitivity: answer to the gas over that above the mean spectrum.
    """

    enhancement: Tensor
    uncertainty: Tensor
    sensitivity: Tensor


@dataclass(frozen=True, eq=False)
class _Background:
    """Mean (k, B), covariance over the count (k, B, B), and the filter that follows: target t, C^-1 t, t'C^-1 t."""

    mean: Tensor
    covariance: Tensor
    target: Tensor
    filter: Tensor
    power: Tensor


def retrieve(spectra: Tensor, valid: Tensor, absorption: Tensor, *, iterative: bool, rounds: int = ROUNDS) -> Retrieval:
    """Gas in columns of a detector.

    Args:
        spectra: radiance, float64, shape (k, P, B).
        valid: which pixels count, bool (k, P); at least one in each column.
        absorption: unit absorption, 1/(ppm m), float64 (B,).
        iterative: mag1c; else the plain filter of each column, as EMIT's product has it.
        rounds: of mag1c, at most.
    """
    share = absorption * PPM
    weights = valid.to(spectra) / valid.sum(1, keepdim=True)
    spectra = torch.where(valid[..., None], spectra, 0.0)
    mean = torch.einsum("kp,kpb->kb", weights, spectra)
    centred = (spectra - mean[:, None]) * valid[..., None]
    covariance = centred.mT @ centred / valid.sum(1)[:, None, None]
    background = _background(mean, covariance, share)
    if iterative:
        amount, background = _mag1c(spectra, centred, weights, background, share, rounds)
    else:
        amount = _scores(spectra, background) / background.power
    answer = torch.einsum("kpb,kb->kp", spectra, background.filter * share).abs().clamp_(min=TINY)
    return Retrieval(amount * PPM, _spread(spectra, valid, background) / answer * PPM, answer / background.power)


def _spread(spectra: Tensor, valid: Tensor, background: _Background) -> Tensor:
    """Standard deviation of the filter's answer to what is no gas, by the brightness of each pixel, shape (k, P).

    Its square is a part that all pixels have and one that grows with the square of the brightness, as relative noise and the structure of the
    ground do; both by least squares over the pixels of the column that show no gas. A filter is quieter on the pixels that its covariance
    is of than it is in truth, by the share of its bands in them.
    """
    light = torch.einsum("kpb,kb->kp", spectra, background.mean) / (background.mean**2).sum(1, keepdim=True)
    answer = _scores(spectra, background)
    quiet = (valid & (answer < GAS * background.power.sqrt())).to(spectra)
    count = quiet.sum(1, keepdim=True).clamp_(min=1.0)
    squares = light**2
    mean_squares, mean_answer = (quiet * squares).sum(1, keepdim=True) / count, (quiet * answer**2).sum(1, keepdim=True) / count
    apart = quiet * (squares - mean_squares)
    slope = (apart * answer**2).sum(1, keepdim=True) / (apart * squares).sum(1, keepdim=True).clamp_(min=TINY)
    slope = torch.minimum(slope.clamp_(min=0.0), mean_answer / mean_squares.clamp(min=TINY))
    pixels, bands = valid.sum(1, keepdim=True), spectra.shape[2]
    return (mean_answer + slope * (squares - mean_squares)).clamp_(min=0.0).sqrt() * pixels / (pixels - bands)


def _background(mean: Tensor, covariance: Tensor, share: Tensor) -> _Background:
    bands = mean.shape[1]
    load = LOADING * covariance.diagonal(dim1=1, dim2=2).sum(1) / bands
    loaded = covariance + (load[:, None] + torch.finfo(mean.dtype).tiny).expand(-1, bands).diag_embed()
    target = share * mean
    solved = torch.cholesky_solve(target[..., None], torch.linalg.cholesky(loaded))[..., 0]
    return _Background(mean, covariance, target, solved, (target * solved).sum(1, keepdim=True))


def _scores(spectra: Tensor, background: _Background) -> Tensor:
    """(x - mean)' C^-1 t, shape (k, P)."""
    return torch.einsum("kpb,kb->kp", spectra, background.filter) - (background.mean * background.filter).sum(1, keepdim=True)


def _mag1c(spectra: Tensor, centred: Tensor, weights: Tensor, first: _Background, share: Tensor, rounds: int) -> tuple[Tensor, _Background]:
    """Rounds until each column is still; a column's answer does not depend on the others beside it."""
    light = torch.einsum("kpb,kb->kp", spectra, first.mean) / (first.mean**2).sum(1, keepdim=True)
    light = light.clamp(min=DARKEST)
    amount = (_scores(spectra, first) / (light * first.power)).clamp(min=0)
    moving = torch.ones(len(spectra), dtype=torch.bool, device=spectra.device)
    now = first
    for _ in range(rounds):
        after = _without_gas(centred, weights, first, now.target, light * amount, share)
        sparse = 1 / (light * (amount + TINY))
        changed = ((_scores(spectra, after) - sparse) / (light * after.power.clamp(min=1.0))).clamp(min=0)
        kept = moving[:, None]
        step = ((changed - amount).abs() * (weights > 0)).amax(1)
        amount = torch.where(kept, changed, amount)
        now = _Background(*(torch.where(kept.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in _both(after, now)))
        moving = moving & (step >= STILL)
        if not bool(moving.any()):
            break
    return amount, now


def _both(new: _Background, old: _Background) -> list[tuple[Tensor, Tensor]]:
    return [(getattr(new, name), getattr(old, name)) for name in ("mean", "covariance", "target", "filter", "power")]


def _without_gas(centred: Tensor, weights: Tensor, first: _Background, target: Tensor, gas: Tensor, share: Tensor) -> _Background:
    """The background of x - gas * target, from that of x.

    Args:
        centred: x less its mean, 0 where not valid (k, P, B).
        weights: 1 / count of each valid pixel, else 0 (k, P).
        first: the background of x.
        target: what a unit of gas takes away (k, B).
        gas: of each pixel (k, P).
        share: unit absorption (B,).
    """
    mean = (weights * gas).sum(1, keepdim=True)
    apart = (gas - mean) * weights
    along = torch.einsum("kp,kpb->kb", apart, centred)
    spread = (apart * (gas - mean)).sum(1)
    cross = along[:, :, None] * target[:, None, :]
    covariance = first.covariance - cross - cross.mT + spread[:, None, None] * target[:, :, None] * target[:, None, :]
    return _background(first.mean - mean * target, covariance, share)
