"""What all spectral adapters share: one signature, and the three ways from spectra to features.

Every adapter works on each pixel by itself: a tile of any size gives the same features, without a halo.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import Bands, ordered_spectra
from hsikit.nn.blocks import Block
from hsikit.nn.pooling import Pooling, build_pooling

TOKEN_NUMBERS = 2**23
"""Numbers in the tokens of the pixels that are mixed at once; bounds memory."""


class Adapter(nn.Module):
    """From the bands of any sensor to features of one meaning.

    Args:
        width: features of a pixel, 1 or more.

    Attributes:
        width: as given.

    Raises:
        ValueError: a width below 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width {width} must be 1 or more")
        self.width = width

    def forward(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> Tensor:
        """Features of every pixel.

        Args:
            window: values of the bands, floating point, shape (B, C, H, W), finite in valid bands; a pixel with a missing value there
                has missing features. What stands in other bands is not looked at.
            wavelength: band centres (nm), in any order, shape (C,).
            fwhm: full widths at half maximum (nm), NaN where unknown; a band of width 0 is left out; shape (C,).
            valid: bool, the bands that count, shape (C,).

        Returns:
            Shape (B, width, H, W), a view of channels-last memory.

        Raises:
            WavelengthError: no usable band, centres or widths that make no sense, or none in the range that the adapter knows.
            ValueError: shapes that do not fit.
        """
        spectra, bands = ordered_spectra(window, wavelength, fwhm, valid)
        images, _, rows, cols = window.shape
        return self.features(spectra, bands).view(images, rows, cols, self.width).permute(0, 3, 1, 2)

    @abstractmethod
    def features(self, spectra: Tensor, bands: Bands) -> Tensor:
        """Maps spectra (n, C) of ascending bands to (n, width)."""


class LinearAdapter(Adapter):
    """An adapter whose features are weighted sums of the bands: the weights follow from the bands, once for a window."""

    def features(self, spectra: Tensor, bands: Bands) -> Tensor:
        """One matrix product; see `Adapter.features`."""
        weights, offset = self.band_weights(bands)
        return functional.linear(spectra, weights.to(spectra.dtype).T, offset.to(spectra.dtype))

    @abstractmethod
    def band_weights(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """Weights of each band, shape (C, width), and what is added, shape (width,)."""


class TokenAdapter(Adapter):
    """An adapter that makes tokens along the spectrum, mixes them, and pools them to features.

    Args:
        width: channels of a token, a multiple of `heads`.
        depth: transformer blocks over the tokens of a pixel.
        heads: of each attention.
        encoder: mixes the tokens instead of these blocks: maps (n, tokens, width) to the same shape, for any number of tokens. It may
            be frozen.
        pool: over the tokens: "attention" (weighted by a learned score), "mean", or "ggem" (a power mean, its power learned for each head's channels).
    """

    def __init__(self, width: int, depth: int, heads: int, encoder: nn.Module | None = None, pool: Pooling = "attention") -> None:
        super().__init__(width)
        self.encoder = encoder if encoder is not None else nn.Sequential(*[Block(width, heads, 2) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.pool = build_pooling(pool, width, heads)

    def tokens(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> Tensor:
        """Tokens of every pixel before they are mixed, in ascending wavelength; arguments and errors of `forward`.

        Returns:
            Shape (B, H, W, tokens, width).
        """
        spectra, bands = ordered_spectra(window, wavelength, fwhm, valid)
        images, _, rows, cols = window.shape
        return self.make_tokens(spectra, bands).view(images, rows, cols, -1, self.width)

    @abstractmethod
    def make_tokens(self, spectra: Tensor, bands: Bands) -> Tensor:
        """Maps spectra (n, C) of ascending bands to (n, tokens, width)."""

    @abstractmethod
    def token_count(self, bands: Bands) -> int:
        """Tokens of a pixel."""

    def features(self, spectra: Tensor, bands: Bands) -> Tensor:
        """Some pixels after the others; see `Adapter.features`."""
        pixels = max(1, TOKEN_NUMBERS // (self.token_count(bands) * self.width))
        return torch.cat([self.pool(self.norm(self.encoder(self.make_tokens(part, bands)))) for part in torch.split(spectra, pixels)])
