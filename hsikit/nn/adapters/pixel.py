"""Adapter `pixel`: a pixel is a sequence of patches of neighbouring bands, read by any encoder of sequences.

After the hyperspectral part of Meta-Transformer (Zhang et al., 2023, arXiv:2307.10802), where each of 200 bands is a token of a frozen
encoder of images: 34 GFLOP for a pixel. What differs: patches of bands (8 by default) cost an eighth or less; the learned position is a code
of the patch's centre and width; pooling takes every token; the last patch has what is left, with its empty places marked.
Patches go by rank: unlike the groups of `channel`, they adapt to a sensor's sampling, and a lost band moves those after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.base import TokenAdapter
from hsikit.nn.pooling import Pooling
from hsikit.nn.wavelength_code import WavelengthEmbedding


class PixelAdapter(TokenAdapter):
    """Tokens of patches of bands.

    Args:
        width: see `TokenAdapter`.
        patch: bands of a token, 1 or more.
        depth: see `TokenAdapter`.
        heads: see `TokenAdapter`.
        encoder: see `TokenAdapter`; a frozen one learns nothing, the tokens before and the pooling after it do.
        pool: see `TokenAdapter`.

    Raises:
        ValueError: a patch below 1.
    """

    def __init__(self, width: int = 64, patch: int = 8, depth: int = 2, heads: int = 4, encoder: nn.Module | None = None, pool: Pooling = "attention") -> None:
        super().__init__(width, depth, heads, encoder, pool)
        if patch < 1:
            raise ValueError(f"patch {patch} must be 1 or more")
        self.patch = patch
        # No bias: the weights of the marks of full places are one.
        self.project = nn.Linear(2 * patch, width, bias=False)
        self.code = WavelengthEmbedding(width)

    def token_count(self, bands: Bands) -> int:
        """See `TokenAdapter.token_count`."""
        return -(-len(bands) // self.patch)

    def make_tokens(self, spectra: Tensor, bands: Bands) -> Tensor:
        """See `TokenAdapter.make_tokens`."""
        by_value, by_mark = self.project.weight.chunk(2, 1)
        marks = self._patches(spectra.new_ones(1, len(bands)))
        code: Tensor = self.code(*self._places(bands))
        return functional.linear(self._patches(spectra), by_value) + functional.linear(marks, by_mark) + code

    def _patches(self, x: Tensor) -> Tensor:
        """Rows of bands (n, C) as patches (n, tokens, patch), zeros after the last band."""
        return functional.pad(x, (0, -x.shape[1] % self.patch)).view(len(x), -1, self.patch)

    def _places(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """Middle and length (nm) of what each patch covers, from the outer edge of its first band to that of its last."""
        low, high = bands.wavelength - bands.fwhm / 2, bands.wavelength + bands.fwhm / 2
        parts = zip(torch.split(low, self.patch), torch.split(high, self.patch), strict=True)
        edges = torch.stack([torch.stack([below.min(), above.max()]) for below, above in parts])
        return edges.mean(1), edges.diff(dim=1).flatten()
