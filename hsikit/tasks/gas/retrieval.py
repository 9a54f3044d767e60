"""Filters for a gas in columns of a detector: each has its own background, so that no detector's offset looks like gas.

`mag1c` is Foote et al., 2020 (doi:10.1109/TGRS.2020.2976888): the gas is removed from the background's statistics again and again, pixels are
as bright as they are, and most have no gas. Removing the gas moves the background's mean and covariance by terms of rank one and two, which
are had from one product with the spectra: here they are, in place of all moments anew in each of its 30 rounds.

A covariance of few pixels costs a filter the share of bands in pixels of its signal to noise (Reed, Mallett and Brennan, 1974,
doi:10.1109/TAES.1974.307893). So a share of it gives way to what each band has of its own, its variance given all others: nearly its noise, where a
share of its whole variance would be far more. How much is had from the column itself, as Schaefer and Strimmer have it for correlations, 2005
(doi:10.2202/1544-6115.1175): the share of the squared partial correlations of bands that their errors alone account for. Much where ground is simple
beside the noise, little where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

PPM = 1e5
"""Absorption is counted per 1e5 ppm m within, for numbers near one."""
LOADING = 1e-6
"""Share of the mean variance that is added to all of them."""
MOST_SHRUNK = 0.8
"""Largest share of a covariance that gives way to the variances of single bands given all others."""
ROUNDS = 30
STILL = 1.0 / PPM
"""A column is done when no pixel changes by more: 1 ppm m."""
TINY = 1e-9
GAS = 3.0
"""Answers above so many deviations are gas, and say nothing of the uncertainty."""
FEWER = 0.7
"""Pixels without gas are left out of the rounds when at most this share of those before is left."""
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
    """Mean (k, B), and the filter that follows from it and the covariance C: target t, C^-1 t, t'C^-1 t."""

    mean: Tensor
    target: Tensor
    filter: Tensor
    power: Tensor


@dataclass(frozen=True, eq=False)
class _Columns:
    """What the rounds read.

    Attributes:
        centred: spectra less their mean, 0 where not valid (k, P, B).
        weights: 1 over the count for each valid pixel, else 0 (k, P).
        mean: (k, B).
        inverse: of the covariance that filters are made with (k, B, B).
        kept: share of the columns' own covariance in it (k, 1).
        learned: directions of it that follow the columns' own pixels, of B (k, 1).
        share: unit absorption (B,).
    """

    centred: Tensor
    weights: Tensor
    mean: Tensor
    inverse: Tensor
    kept: Tensor
    learned: Tensor
    share: Tensor


def retrieve(spectra: Tensor, valid: Tensor, absorption: Tensor, *, iterative: bool, rounds: int = ROUNDS) -> Retrieval:
    """Gas in columns of a detector.

    Args:
        spectra: radiance, float64, shape (k, P, B).
        valid: which pixels count, bool (k, P); more than B in each column.
        absorption: unit absorption, 1/(ppm m), float64 (B,).
        iterative: mag1c; else the plain filter of each column, as EMIT's product has it.
        rounds: of mag1c, at most.
    """
    columns = _columns(spectra, valid, absorption * PPM, MOST_SHRUNK if iterative else 0.0)
    centred, mean, inverse = columns.centred, columns.mean, columns.inverse
    target = columns.share * mean
    solved = _times(inverse, target)
    background = _Background(mean, target, solved, (target * solved).sum(1, keepdim=True))
    if iterative:
        amount, background = _mag1c(columns, background, rounds)
    else:
        amount = _times(centred, solved) / background.power
    weighed = background.filter * columns.share
    answer = (_times(centred, weighed) + (mean * weighed).sum(1, keepdim=True)).abs().clamp_(min=TINY)
    return Retrieval(amount * PPM, _spread(columns, valid, background) / answer * PPM, answer / background.power)


def _columns(spectra: Tensor, valid: Tensor, share: Tensor, most: float) -> _Columns:
    """What the rounds read, from what `retrieve` was given; at most a share `most` of the covariance gives way."""
    weights = valid.to(spectra) / valid.sum(1, keepdim=True)
    mean = _folded(weights, torch.where(valid[..., None], spectra, 0.0))
    centred = torch.where(valid[..., None], spectra - mean[:, None], 0.0)
    pixels, bands = valid.sum(1, keepdim=True), len(share)
    covariance = centred.mT @ centred / pixels[:, :, None]
    load = LOADING * covariance.diagonal(dim1=1, dim2=2).mean(1, keepdim=True) + torch.finfo(mean.dtype).tiny
    covariance.diagonal(dim1=1, dim2=2).add_(load)
    inverse, shrunk, learned = _inverse(covariance), mean.new_zeros(len(mean), 1), mean.new_full((len(mean), 1), float(bands))
    if most:
        shrunk, diagonal = _shrunk(inverse, pixels, most), inverse.diagonal(dim1=1, dim2=2)
        own = pixels / (pixels - bands) / diagonal  # variance of each band given all others
        covariance *= (1 - shrunk)[:, :, None]
        covariance.diagonal(dim1=1, dim2=2).add_(shrunk * own)
        inverse = _inverse(covariance)
        learned = bands - shrunk * (own * inverse.diagonal(dim1=1, dim2=2)).sum(1, keepdim=True)
    return _Columns(centred, weights, mean, inverse, 1 - shrunk, learned, share)


def _shrunk(inverse: Tensor, pixels: Tensor, most: float) -> Tensor:
    """Share of each covariance that gives way (k, 1), from its inverse.

    A partial correlation of n pixels and B bands that is none has a variance of 1 / (n - B).
    """
    bands, scale = inverse.shape[1], inverse.diagonal(dim1=1, dim2=2).rsqrt()
    partial = inverse * scale[:, :, None] * scale[:, None]
    found = partial.square().sum((1, 2))[:, None] - bands
    return (bands * (bands - 1) / (pixels - bands) / found.clamp(min=TINY)).clamp(max=most)


def _inverse(matrices: Tensor) -> Tensor:
    """Of symmetric positive matrices."""
    return torch.cholesky_inverse(torch.linalg.cholesky(matrices))


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Each matrix (k, P, B) by its vector (k, B), shape (k, P)."""
    return torch.bmm(matrices, vectors[:, :, None])[:, :, 0]


def _folded(weights: Tensor, matrices: Tensor) -> Tensor:
    """Sums of rows (k, P, B) by weights (k, P), shape (k, B)."""
    return torch.bmm(weights[:, None], matrices)[:, 0]


def _scores(columns: _Columns, background: _Background) -> Tensor:
    """(x - mean)' C^-1 t, shape (k, P)."""
    moved = ((columns.mean - background.mean) * background.filter).sum(1, keepdim=True)
    return _times(columns.centred, background.filter) + moved


def _light(columns: _Columns, mean: Tensor) -> Tensor:
    """Brightness of each pixel over that of a mean, shape (k, P)."""
    return (_times(columns.centred, mean) + (columns.mean * mean).sum(1, keepdim=True)) / (mean**2).sum(1, keepdim=True)


def _mag1c(columns: _Columns, first: _Background, rounds: int) -> tuple[Tensor, _Background]:
    """Rounds until each column is still; a column's answer does not depend on the others beside it.

    A pixel without gas stays so, since its weight is all but infinite: rounds look at the others, which are soon few.
    """
    light = _light(columns, first.mean).clamp_(min=DARKEST)
    amount = (_times(columns.centred, first.filter) / (light * first.power)).clamp_(min=0) * (columns.weights > 0)
    out, place = torch.zeros_like(amount), torch.arange(amount.shape[1], device=amount.device).expand_as(amount)
    moving = torch.ones(len(amount), 1, dtype=torch.bool, device=amount.device)
    now = first
    for _ in range(rounds):
        most = int((amount > 0).sum(1).amax())
        if most < FEWER * amount.shape[1]:
            kept = (amount > 0).to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : max(most, 1)]
            amount, light, place, weights = (values.gather(1, kept) for values in (amount, light, place, columns.weights))
            centred = columns.centred.gather(1, kept[:, :, None].expand(-1, -1, columns.centred.shape[2]))
            columns = replace(columns, centred=centred, weights=weights)
        after = _without_gas(columns, now.target, light * amount)
        sparse = 1 / (light * (amount + TINY))
        changed = ((_scores(columns, after) - sparse) / (light * after.power.clamp(min=1.0))).clamp_(min=0) * (amount > 0)
        still = (changed - amount).abs().amax(1, keepdim=True) < STILL
        amount = torch.where(moving, changed, amount)
        now = _Background(*(torch.where(moving, getattr(after, name), getattr(now, name)) for name in ("mean", "target", "filter", "power")))
        moving = moving & ~still
        if not bool(moving.any()):
            break
    return out.scatter_(1, place, amount), now


def _without_gas(columns: _Columns, target: Tensor, gas: Tensor) -> _Background:
    """The background of x - gas * target, from that of x.

    With c the covariance of x and the gas, and v the variance of the gas, its covariance is C - c t' - t c' + v t t': a change of rank two, through which the
    inverse is had by two-by-two systems (Woodbury). Of the matrix that filters are made with the kept share of C changes, and the rest is no gas's.

    Args:
        columns: x.
        target: what a unit of gas takes away (k, B).
        gas: of each pixel (k, P).
    """
    mean = (columns.weights * gas).sum(1, keepdim=True)
    # The centred spectra of a column sum to 0, so that the gas's mean takes no part; and pixels without gas count in its spread.
    along, spread = _folded(columns.weights * gas, columns.centred), (columns.weights * gas**2).sum(1) - mean[:, 0] ** 2
    moved = columns.mean - mean * target
    after = columns.share * moved
    sides = torch.stack([along, target, after], 2)
    solved = columns.inverse @ sides
    products = sides[:, :, :2].mT @ solved
    a, b, d = products[:, 0, 0] - spread / columns.kept[:, 0], products[:, 0, 1] - 1 / columns.kept[:, 0], products[:, 1, 1]
    p, q, scale = products[:, 0, 2], products[:, 1, 2], a * d - b**2
    shares = torch.stack([(d * p - b * q) / scale, (a * q - b * p) / scale], 1)
    answer = solved[:, :, 2] - _times(solved[:, :, :2], shares)
    return _Background(moved, after, answer, (after * answer).sum(1, keepdim=True))


def _spread(columns: _Columns, valid: Tensor, background: _Background) -> Tensor:
    """Standard deviation of the filter's answer to what is no gas, by the brightness of each pixel, shape (k, P).

    Its square is a part that all pixels have and one that grows with the square of the brightness, as relative noise and the structure of the
    ground do; both by least squares over the pixels of the column that show no gas. A filter is quieter on the pixels that its covariance
    is of than it is in truth, by the share in them of the directions that it learned from them.
    """
    light, answer = _light(columns, background.mean), _scores(columns, background)
    quiet = (valid & (answer < GAS * background.power.sqrt())).to(answer)
    count = quiet.sum(1, keepdim=True).clamp_(min=1.0)
    squares = light**2
    mean_squares, mean_answer = (quiet * squares).sum(1, keepdim=True) / count, (quiet * answer**2).sum(1, keepdim=True) / count
    apart = quiet * (squares - mean_squares)
    slope = (apart * answer**2).sum(1, keepdim=True) / (apart * squares).sum(1, keepdim=True).clamp_(min=TINY)
    slope = torch.minimum(slope.clamp_(min=0.0), mean_answer / mean_squares.clamp(min=TINY))
    pixels = valid.sum(1, keepdim=True)
    return (mean_answer + slope * (squares - mean_squares)).clamp_(min=0.0).sqrt() * pixels / (pixels - columns.learned)
