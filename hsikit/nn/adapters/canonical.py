"""A canonical sensor, on which adapters put the bands of every other one: the physics, in torch.

A canonical band's Gaussian response needs the kernel that the measured bands' responses lack: two Gaussians in a row are one with the
sum of their variances. The integral of that kernel times the spectrum, linear between the band centres, is exact (error function). It is
the rule of `hsikit.spectral.resample`, on the device of the network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hsikit.errors import WavelengthError
from hsikit.nn.adapters.bands import Bands
from hsikit.nn.wavelength_code import FWHM_PER_SIGMA

GAP_WIDTHS = 2.0
"""Two bands further apart than this many of their widths leave a gap in which nothing was measured."""
NARROWEST = 1e-6
"""Smallest width (nm) of the lacking kernel: keeps the arithmetic finite and changes nothing that can be measured."""


class CanonicalGrid:
    """Bands at even distances, each as wide as the distance.

    Args:
        first: centre of the first band (nm).
        last: no band lies beyond this (nm).
        step: distance and full width at half maximum of the bands (nm).

    Attributes:
        centres: of the bands (nm), float64, on the CPU, shape (G,).
        step: as given.

    Raises:
        ValueError: a range or step that gives no band.
    """

    def __init__(self, first: float = 400.0, last: float = 2500.0, step: float = 10.0) -> None:
        if not (0 < first <= last and step > 0):
            raise ValueError(f"first {first} and last {last} must ascend from above 0, step {step} be above 0")
        self.step = step
        # No buffer of a module, which would be rounded where the module is cast to bfloat16.
        self.centres = first + step * torch.arange(int((last - first) / step + 1e-9) + 1, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.centres)

    def resampling(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """The fixed layer from a sensor's bands to these: weights (G, C), whose rows sum to the coverage, and coverage (G,), 0 to 1.

        Raises:
            WavelengthError: no band of the grid is covered at all.
        """
        weights, coverage = resampling_weights(bands, self.centres.to(bands.wavelength.device), self.step)
        if not (coverage > 0).any():
            wrong = f"no valid band lies in {float(self.centres[0]):g} to {float(self.centres[-1]):g} nm"
            raise WavelengthError("spectral adapter", wrong, "Use an adapter that knows the sensor's range: `hyper` in its form 'mlp', `channel` or `pixel`")
        return weights * coverage[:, None], coverage


def resampling_weights(bands: Bands, targets: Tensor, fwhm: float) -> tuple[Tensor, Tensor]:
    """Weights from measured bands to Gaussian targets.

    Args:
        bands: that were measured.
        targets: centres that are wanted (nm), float64, shape (G,).
        fwhm: their width (nm).

    Returns:
        Weights of shape (G, C) whose rows sum to 1, or to 0 where nothing was measured; the share of each target that was measured.
    """
    centres = _parted(bands.wavelength)
    own = _interpolated(targets, centres, bands.fwhm)
    spread = (fwhm**2 - own.square()).clamp(min=NARROWEST**2).sqrt()[:, None] / FWHM_PER_SIGMA
    edges = torch.cat([centres[:1] - bands.fwhm[:1] / 2, centres, centres[-1:] + bands.fwhm[-1:] / 2])
    score = (edges - targets[:, None]) / spread
    mass = torch.special.ndtr(score).diff(dim=1)
    density = torch.exp(-0.5 * score.square()) / (math.sqrt(2.0 * math.pi) * spread)
    inner = mass[:, 1:-1]
    moment = targets[:, None] * inner - spread.square() * density[:, 1:-1].diff(dim=1)
    upper = ((moment - centres[:-1] * inner) / centres.diff()).clamp(min=0.0).minimum(inner)
    weights = torch.zeros(len(targets), len(centres), dtype=torch.float64, device=targets.device)
    weights[:, 0] += mass[:, 0]
    weights[:, -1] += mass[:, -1]
    weights[:, 1:] += upper
    weights[:, :-1] += inner - upper
    total = weights.sum(1, keepdim=True)
    return weights / total.where(total > 0, torch.ones_like(total)), _covered_share(centres, bands.fwhm, targets[:, None], spread)


def _parted(centres: Tensor) -> Tensor:
    """Centres without ties: bands of one centre but different widths are set a millionth of a nanometre apart."""
    return centres + 1e-6 * (torch.arange(len(centres), device=centres.device) - torch.searchsorted(centres, centres))


def _interpolated(at: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation, constant beyond the ends."""
    if len(places) == 1:
        return values.expand(len(at))
    above = torch.searchsorted(places, at).clamp(1, len(places) - 1)
    share = ((at - places[above - 1]) / (places[above] - places[above - 1])).clamp(0.0, 1.0)
    return torch.lerp(values[above - 1], values[above], share)


def _covered_share(centres: Tensor, widths: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """The share of each kernel between close bands, or within half a width of any."""
    starts, ends = centres - widths / 2, centres + widths / 2
    bridged = (centres.diff() <= GAP_WIDTHS * (widths[:-1] + widths[1:]) / 2) | (starts[1:] <= ends[:-1])
    first = torch.cat([bridged.new_ones(1), ~bridged])
    last = torch.cat([~bridged, bridged.new_ones(1)])
    below: Tensor = torch.special.ndtr((starts[first] - mean) / spread)
    above: Tensor = torch.special.ndtr((ends[last] - mean) / spread)
    return (above - below).sum(1).clamp(0.0, 1.0)
