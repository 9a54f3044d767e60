"""Adapter `conv`: convolutions along the spectrum, as SpectralEarth's encoders begin (Braham et al., 2024, arXiv:2408.08447).

Three strided convolutions along the spectral axis, then one pooling over what is left of it. Two forms:

* "canonical": the axis is wavelength. Bands are put on a canonical grid first, with their coverage as a second channel, so that a kernel
  sees the same stretch of the spectrum with every sensor. Each pixel is normalised by itself: batch normalisation would learn the mixture
  of sensors of its training, which no sensor has.
* "bands": the axis is the number of the band, as in the release, with its batch normalisation. Another sensor is a silent shift. For
  comparison, and for one sensor.

Unlike the release both read any number of bands, and every band: zeros after the last let each convolution reach the end. The release
fails at 64 bands and below, and elsewhere leaves out what its strides do not reach (of 202 bands the last 21). "bands" is the same as
the release at 75, 150, 225 ... bands.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.base import Adapter
from hsikit.nn.adapters.canonical import CanonicalGrid
from hsikit.nn.pooling import Pooling, build_pooling

Form = Literal["canonical", "bands"]

PADDING = 1
"""Zeros at both ends of each convolution, as in the release."""
CHANNELS = (32, 64)
"""Of the first two convolutions; the third has the adapter's width."""
GROUPS = 4
"""Of channels that share a power, with the pooling "ggem"."""


class ConvAdapter(Adapter):
    """Spectral convolutions and a pooling.

    Args:
        width: features of a pixel, which are the channels of the last convolution.
        form: what the spectral axis is; see the module.
        pool: over the spectral axis: "mean", "attention" (weighted by a learned score), or "ggem" (a power mean, its power learned for each of four
            groups of channels).

    Raises:
        ValueError: no such form or pooling.
    """

    def __init__(self, width: int = 128, form: Form = "canonical", pool: Pooling = "mean") -> None:
        super().__init__(width)
        if form not in get_args(Form):
            raise ValueError(f"no form '{form}'; there are {', '.join(get_args(Form))}")
        self.grid = CanonicalGrid() if form == "canonical" else None
        first, second = CHANNELS
        sizes = ((2 if self.grid else 1, first, 7, 5), (first, second, 7, 5), (second, width, 5, 3))
        self.layers = nn.Sequential(*[layer for size in sizes for layer in _layer(*size, own_norm=self.grid is not None)])
        self.pool = build_pooling(pool, width, GROUPS)

    def features(self, spectra: Tensor, bands: Bands) -> Tensor:
        """See `Adapter.features`."""
        places: Tensor = self.layers(self._axis(spectra, bands))
        pooled: Tensor = self.pool(places.transpose(1, 2))
        return pooled

    def _axis(self, spectra: Tensor, bands: Bands) -> Tensor:
        """What the first convolution runs along, shape (n, channels, places)."""
        if self.grid is None:
            return spectra[:, None]
        weights, coverage = (each.to(spectra.dtype) for each in self.grid.resampling(bands))
        values = spectra @ weights.T
        return torch.stack([values, coverage.to(values.dtype).expand_as(values)], 1)


class WholeConv(nn.Conv1d):
    """A convolution that reads all of its input, however long: zeros are added at the end until it does.

    Args:
        before: channels of its input.
        after: channels of its output.
        span: length of the kernel.
        stride: distance of two kernels, at most the span.
        bias: whether it has one.
    """

    def __init__(self, before: int, after: int, span: int, stride: int, bias: bool = True) -> None:
        super().__init__(before, after, span, stride, PADDING, bias=bias)
        self.reach, self.step = span - 2 * PADDING, stride

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, before, length) to (n, after, places), places 1 or more."""
        steps = max(0, -(-(x.shape[2] - self.reach) // self.step))
        return super().forward(functional.pad(x, (0, self.reach + steps * self.step - x.shape[2])))


def _layer(before: int, after: int, span: int, stride: int, own_norm: bool) -> tuple[nn.Module, ...]:
    """Convolution, normalisation of each pixel by itself or by the batch, ReLU."""
    # A batch normalisation takes off any bias before it, which would never learn.
    norm = nn.GroupNorm(1, after) if own_norm else nn.BatchNorm1d(after)
    return WholeConv(before, after, span, stride, bias=own_norm), norm, nn.ReLU()
