"""Where a band lies and how wide it is, as numbers that a network can use.

Sine and cosine of the wavelength at many periods, as positions of tokens are coded (Vaswani et al., 2017, arXiv:1706.03762), but
averaged over the band's response: for a Gaussian of deviation s, a wave of angular frequency w is damped by exp(-w^2 s^2 / 2).
That is the integrated code of mip-NeRF (Barron et al., 2021, arXiv:2103.13415), used for spectral bands by Panopticon
(arXiv:2503.10845). Two bands with one centre but different widths thus have different codes, and what varies faster than a band
can resolve is not told to it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
SHORTEST, LONGEST = 40.0, 16000.0
"""Periods of the fastest and the slowest wave (nm): four bands of an imaging spectrometer, and more than the thermal infrared."""


def wavelength_code(wavelength: Tensor, fwhm: Tensor, width: int, shortest: float = SHORTEST, longest: float = LONGEST) -> Tensor:
    """Codes of bands.

    Args:
        wavelength: band centres (nm), shape (C,).
        fwhm: full widths at half maximum of their Gaussian responses (nm), 0 or more, shape (C,).
        width: numbers of a code: even, 4 or more.
        shortest: period of the fastest wave (nm).
        longest: period of the slowest wave (nm).

    Returns:
        Sines, then cosines, from the fastest wave to the slowest, in [-1, 1], float64, shape (C, width).

    Raises:
        ValueError: a width or periods out of range.
    """
    if width < 4 or width % 2 or not 0 < shortest < longest:
        raise ValueError(f"width {width} must be even and 4 or more, periods {shortest} and {longest} ascending and above 0")
    periods = torch.logspace(math.log10(shortest), math.log10(longest), width // 2, dtype=torch.float64, device=wavelength.device)
    frequency = 2.0 * math.pi / periods
    phase = wavelength.double()[:, None] * frequency
    damping = torch.exp(-0.5 * (fwhm.double()[:, None] / FWHM_PER_SIGMA * frequency).square())
    return torch.cat([phase.sin() * damping, phase.cos() * damping], 1)


class WavelengthEmbedding(nn.Module):
    """A code of bands, learned from `wavelength_code` by a small perceptron.

    Args:
        width: numbers given for a band.
        hidden: hidden channels of the perceptron.
        code: numbers of the fixed code that it sees.
    """

    def __init__(self, width: int, hidden: int = 64, code: int = 64) -> None:
        super().__init__()
        self.code = code
        self.mlp = nn.Sequential(nn.Linear(code, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Maps centres and widths (nm), shape (C,), to (C, width)."""
        out: Tensor = self.mlp(wavelength_code(wavelength, fwhm, self.code).to(next(self.parameters())))
        return out
