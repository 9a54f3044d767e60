"""Adapter `grid`: the physics. Every sensor's bands become those of one canonical sensor, and how far they could is told beside.

The resampling is fixed (`canonical`); what learns is one linear layer, from canonical values and their coverage to features. A band that
nobody measured has value 0 and coverage 0.
"""

from __future__ import annotations

from torch import Tensor, nn

from hsikit.nn.adapters.bands import Bands, ordered_spectra
from hsikit.nn.adapters.base import LinearAdapter
from hsikit.nn.adapters.canonical import CanonicalGrid


class GridAdapter(LinearAdapter):
    """Resamples to a canonical grid of bands, then one linear layer.

    Args:
        width: features of a pixel.
        first: see `CanonicalGrid`.
        last: see `CanonicalGrid`.
        step: see `CanonicalGrid`.

    Attributes:
        grid: the canonical bands.

    Raises:
        ValueError: a range or step that gives no band.
    """

    def __init__(self, width: int = 64, first: float = 400.0, last: float = 2500.0, step: float = 10.0) -> None:
        super().__init__(width)
        self.grid = CanonicalGrid(first, last, step)
        self.project = nn.Linear(2 * len(self.grid), width)

    def resample(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The window as the canonical sensor would have measured it; arguments and errors of `forward`.

        Returns:
            Values times coverage, shape (B, G, H, W), and coverage, 0 to 1, shape (G,).
        """
        spectra, bands = ordered_spectra(window, wavelength, fwhm, valid)
        weights, coverage = self.grid.resampling(bands)
        images, _, rows, cols = window.shape
        values = spectra @ weights.to(spectra.dtype).T
        return values.view(images, rows, cols, -1).permute(0, 3, 1, 2), coverage.to(spectra.dtype)

    def band_weights(self, bands: Bands) -> tuple[Tensor, Tensor]:
        """The fixed layer and the learned one in one; see `LinearAdapter.band_weights`."""
        resampling, coverage = self.grid.resampling(bands)
        by_value, by_coverage = self.project.weight.chunk(2, 1)
        return resampling.to(by_value.dtype).T @ by_value.T, self.project.bias + by_coverage @ coverage.to(by_value.dtype)
