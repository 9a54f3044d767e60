"""Adapter `ranges`: a bank of projections, each for a range of the spectrum, between which bands are interpolated.

After SMARTIES (Sumbul et al., 2025, arXiv:2506.19585), which has a projection for each of 17 ranges, gives a band in between the mean
of its two neighbours', and sums up by the plain mean over bands. Here

* ranges overlap as hat functions between anchors, and a band belongs to each by the overlap of its response with the hat: continuous in
  wavelength and width, and exactly a range's own projection where a narrow band lies at its anchor;
* the mean is taken within each range, by width, so that 200 bands do not drown a range that has three of them;
* each range also has two details, slope and curvature of the spectrum within it, which a mean would wash out; a flat spectrum has none,
  whichever bands are missing;
* how much of each range was covered is told to the features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hsikit.errors import WavelengthError
from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.base import LinearAdapter

FIRST, LAST = 380.0, 2520.0
"""The outermost anchors (nm)."""
DETAILS = 3
"""Mean, slope, curvature."""
FADE = 0.05
"""A range is told to the full where much more than this share of it is covered, and fades out below."""
NODES, REACH = 33, 3.0
"""Points at which a band's response is sampled, and how far out, in deviations."""


class RangesAdapter(LinearAdapter):
    """Means and details of overlapping ranges, each with its projection.

    Args:
        width: features of a pixel.
        ranges: number of ranges, 2 or more. Their anchors are spaced evenly in the logarithm of the wavelength: 20 ranges are 40 nm
            wide at 400 nm and 240 nm at 2400 nm, as multispectral bands are.

    Attributes:
        anchors: wavelengths (nm) in the middle of the ranges, shape (ranges,).

    Raises:
        ValueError: fewer than 2 ranges.
    """

    def __init__(self, width: int = 64, ranges: int = 20) -> None:
        super().__init__(width)
        if ranges < 2:
            raise ValueError(f"ranges {ranges} must be 2 or more")
        # No buffer: a module cast to bfloat16 must not round wavelengths.
        self.anchors = torch.logspace(math.log10(FIRST), math.log10(LAST), ranges, dtype=torch.float64)
        self.project = nn.Linear(DETAILS * ranges, width)
        self.cover = nn.Linear(ranges, width, bias=False)

    def band_weights(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """See `LinearAdapter.band_weights`."""
        details, coverage = self.details(bands)
        return details.to(self.project.weight.dtype) @ self.project.weight.T, self.project.bias + self.cover(coverage.to(self.cover.weight.dtype))

    def details(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """What mean, slope and curvature of each range are, as sums of the bands.

        Returns:
            Weights, shape (C, DETAILS * ranges), all means first; the share of each range that is covered, 0 to 1, shape (ranges,).

        Raises:
            WavelengthError: no band overlaps any range.
        """
        anchors = self.anchors.to(bands.wavelength.device)
        overlap = bands.fwhm[:, None, None] * range_overlap(bands, anchors)
        covered, size = overlap[..., 0].sum(0), _sizes(anchors)
        if not (covered > 0).any():
            wrong = f"no valid band lies in {FIRST:g} to {LAST:g} nm"
            raise WavelengthError("spectral adapter", wrong, "Use `hyper` in its form 'mlp', `channel` or `pixel`")
        share = 1.0 / (covered + FADE * size)
        mean = overlap[..., 0] / covered.where(covered > 0, torch.ones_like(covered))
        detail = overlap[..., 1:] - overlap[..., 1:].sum(0) * mean[..., None]
        parts = torch.cat([overlap[..., :1], detail], 2) * share[:, None]
        return parts.transpose(1, 2).flatten(1), (covered / size).clamp(max=1.0)


def range_overlap(bands: Bands, anchors: Tensor) -> Tensor:
    """Means over each band's response of the hat function between anchors, and of the hat times slope and curvature.

    Slope and curvature are polynomials of the place in the range, of mean 0 and variance 1 under the hat.

    Returns:
        Shape (C, ranges, DETAILS).
    """
    score = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64, device=anchors.device)
    response = torch.exp(-0.5 * score.square())
    samples = bands.wavelength[:, None] + bands.sigma[:, None] * score
    place = _place(samples, anchors)
    hat = (1.0 - place.abs()).clamp(min=0.0)
    polynomials = torch.stack([torch.ones_like(place), math.sqrt(6.0) * place, (place.square() - 1 / 6) / math.sqrt(7 / 180)], -1)
    return torch.einsum("s,csk,cskj->ckj", response / response.sum(), hat, polynomials)


def _place(samples: Tensor, anchors: Tensor) -> Tensor:
    """Where wavelengths (C, S) lie in each range, shape (C, S, ranges): -1 at the anchor before, 0 at its own, 1 at the next."""
    steps = anchors.diff()
    before, after = torch.cat([steps[:1], steps]), torch.cat([steps, steps[-1:]])
    distance = samples[..., None] - anchors
    return torch.where(distance < 0, distance / before, distance / after)


def _sizes(anchors: Tensor) -> Tensor:
    """Integrals (nm) of the hat functions, the outermost of which reach as far out as in."""
    steps = anchors.diff()
    return (torch.cat([steps[:1], steps]) + torch.cat([steps, steps[-1:]])) / 2
