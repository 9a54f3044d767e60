"""Adapter `channel`: every band is a token with a code of its wavelength, above 32 bands every group of neighbours.

After ChannelViT (Bao et al., 2024, arXiv:2309.16108): one projection for all channels. What differs: the learned code of a channel's number is
one of its centre and width, so that any band has one; attention among 200 bands of each pixel, quadratic in their number, is avoided by
groups. A group is what lies in one interval of the wavelength axis, the same for every sensor: losing a band moves no other band into
another group. Its token carries the mean over its bands, weighted by width, and their slope and curvature, which a lone band has not.
Tokens are in ascending wavelength.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.base import TokenAdapter
from hsikit.nn.pooling import Pooling
from hsikit.nn.wavelength_code import FWHM_PER_SIGMA, WavelengthEmbedding

MOST_LONE_BANDS = 32
"""Above so many bands, groups are tokens."""
INTERVAL = math.log(2520.0 / 380.0) / 31
"""Length of a group's interval in the logarithm of the wavelength: at most 32 groups from 380 to 2520 nm."""
DETAILS = 3
"""Mean, slope, curvature."""


class ChannelAdapter(TokenAdapter):
    """Tokens of bands or groups of bands.

    Args:
        width: see `TokenAdapter`.
        depth: see `TokenAdapter`.
        heads: see `TokenAdapter`.
        encoder: see `TokenAdapter`.
        pool: see `TokenAdapter`.
    """

    def __init__(self, width: int = 64, depth: int = 1, heads: int = 4, encoder: nn.Module | None = None, pool: Pooling = "attention") -> None:
        super().__init__(width, depth, heads, encoder, pool)
        self.project = nn.Linear(DETAILS, width, bias=False)
        self.code = WavelengthEmbedding(width)

    def token_count(self, bands: Bands) -> int:
        """See `TokenAdapter.token_count`."""
        return len(group_bands(bands)[1])

    def make_tokens(self, spectra: Tensor, bands: Bands) -> Tensor:
        """See `TokenAdapter.make_tokens`."""
        details, groups = group_bands(bands)
        # Details first: one matrix from the bands to all tokens would take `width / DETAILS` times the work.
        parts = spectra @ details.to(spectra.dtype).flatten(1)
        tokens: Tensor = self.project(parts.view(len(spectra), len(groups), DETAILS))
        code: Tensor = self.code(groups.wavelength, groups.fwhm)
        return tokens + code


def group_bands(bands: Bands) -> tuple[Tensor, Bands]:
    """What is told of each group of bands, as sums of the bands.

    Returns:
        Weights of mean, slope and curvature, shape (C, groups, DETAILS); centre and width of each group, the width such that the variance
        is that of all its bands' responses together.
    """
    member = functional.one_hot(_groups(bands)).double()
    share = member * bands.fwhm[:, None]
    share = share / share.sum(0)
    centre = bands.wavelength @ share
    variance = (share * (bands.sigma.square()[:, None] + (bands.wavelength[:, None] - centre).square())).sum(0)
    place = (bands.wavelength[:, None] / centre - 1.0) / INTERVAL * 2.0
    shapes = torch.stack([place, place.square()], 2)
    mean = (share[..., None] * shapes).sum(0)
    details = torch.cat([share[..., None], share[..., None] * (shapes - mean)], 2)
    return details, Bands(centre, variance.sqrt() * FWHM_PER_SIGMA)


def _groups(bands: Bands) -> Tensor:
    """The number of each band's group, from 0 in ascending wavelength, shape (C,)."""
    if len(bands) <= MOST_LONE_BANDS:
        return torch.arange(len(bands), device=bands.wavelength.device)
    interval = ((bands.wavelength / 380.0).log() / INTERVAL).floor()
    groups: Tensor = torch.unique(interval, return_inverse=True)[1]
    return groups
