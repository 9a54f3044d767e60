"""Adapter `hyper`: the weights of a band are made from its centre and width, so that any band has some.

A feature is the mean over what the sensor covers of value times weight: each band counts by its width. A second set of weights, made
alike, is summed without the values: it tells the features what was covered. Two ways to make weights:

* "knots": a weight is a learned function of wavelength, a sum of Gaussians at fixed knots, averaged over the band's response (the
  overlap of two Gaussians is exact). Few parameters, smooth, and a wide band gets the mean of what narrow ones would have.
* "mlp": a perceptron makes the weights from the integrated code of centre and width, as DOFA (Xiong et al., 2024, arXiv:2403.15356) and
  Copernicus-FM (arXiv:2503.11849) do with transformers. Any wavelength, up to the thermal infrared.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hsikit.errors import WavelengthError
from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.base import LinearAdapter
from hsikit.nn.wavelength_code import WavelengthEmbedding

Form = Literal["knots", "mlp"]

FIRST, LAST, STEP = 380.0, 2520.0, 20.0
"""Where the knots lie (nm): 108 of them. Their deviation is the step."""
HIDDEN = 128
"""Hidden channels of the perceptron."""


class HyperAdapter(LinearAdapter):
    """Band weights that are made from wavelength and width.

    Args:
        width: features of a pixel.
        form: "knots" or "mlp"; see the module.

    Raises:
        ValueError: no such form.
    """

    def __init__(self, width: int = 64, form: Form = "knots") -> None:
        super().__init__(width)
        if form not in get_args(Form):
            raise ValueError(f"no form '{form}'; there are {', '.join(get_args(Form))}")
        self.generate: nn.Module = KnotWeights(2 * width) if form == "knots" else WavelengthEmbedding(2 * width, HIDDEN)
        self.bias = nn.Parameter(torch.zeros(width))

    def band_weights(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """See `LinearAdapter.band_weights`."""
        counted = self.generate.counted(bands) if isinstance(self.generate, KnotWeights) else bands.fwhm
        made = self.generate(bands.wavelength, bands.fwhm)
        shares = (counted / counted.sum()).to(made.dtype)[:, None] * made
        by_value, by_cover = shares.chunk(2, 1)
        return by_value, self.bias + by_cover.sum(0)


class KnotWeights(nn.Module):
    """Learned functions of wavelength: as many times as there are knots, sums of Gaussians at fixed knots.

    Args:
        count: number of functions.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        # No buffer: a module cast to bfloat16 must not round wavelengths.
        self.knots = torch.arange(FIRST, LAST + STEP / 2, STEP, dtype=torch.float64)
        self.weight = nn.Parameter(torch.randn(len(self.knots), count) / math.sqrt(len(self.knots)))

    def forward(self, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Means of the functions over the responses of bands: centres and widths (nm), shape (C,), to (C, count)."""
        bands = Bands(wavelength, fwhm)
        spread = (bands.sigma.square() + STEP**2).sqrt()[:, None]
        # Times the knots, so that a mean over all of them is a sum of weights of the usual size, which optimisers expect.
        overlap = len(self.knots) * STEP / spread * torch.exp(-0.5 * ((wavelength[:, None] - self.knots.to(wavelength.device)) / spread).square())
        return overlap.to(self.weight.dtype) @ self.weight

    def counted(self, bands: Bands) -> Tensor:
        """Widths of the bands between the knots, 0 for others, shape (C,).

        Raises:
            WavelengthError: no band lies there.
        """
        inside = bands.within(FIRST - STEP, LAST + STEP)
        if not inside.any():
            wrong = f"no valid band lies in {FIRST:g} to {LAST:g} nm"
            raise WavelengthError("spectral adapter", wrong, "Use the form 'mlp', or another adapter")
        return torch.where(inside, bands.fwhm, 0.0)
