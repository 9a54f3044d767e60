"""A sparse linear map from bands to bands: what resampling, derivatives and smoothing along the wavelength have in common.

Each band that comes out is a weighted sum of a few neighbouring bands. Only those are touched, so that a band that is missing
makes nothing missing but the sums that it belongs to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import WavelengthError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
SPECTRA_AT_ONCE = 512
"""Spectra that are turned to bands first in one go: what a processor's cache holds."""


@dataclass(frozen=True, eq=False)
class BandMatrix:
    """Weights of a sum over bands.

    Attributes:
        weights: float64 of shape (D, C), sparse: a row for each band that comes out, a column for each that goes in.
    """

    weights: csr_array

    @classmethod
    def of(cls, weights: ArrayLike) -> BandMatrix:
        """The map of a plain matrix of shape (D, C)."""
        from scipy.sparse import csr_array

        return cls(csr_array(np.asarray(weights, np.float64)))

    def rows(self, index: NDArray[np.intp]) -> tuple[BandMatrix, NDArray[np.intp]]:
        """The map to some of the bands that come out, from those alone that they need.

        Args:
            index: positions of the bands that come out.

        Returns:
            The smaller map, and the positions of the bands that go into it, ascending.
        """
        chosen = self.weights[index]
        needed = np.unique(chosen.indices).astype(np.intp)
        return BandMatrix(chosen[:, needed]), needed

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sums of spectra.

        Args:
            values: float32 of shape (..., C).

        Returns:
            Float32 of shape (..., D), NaN where a band that is needed is missing.

        Raises:
            WavelengthError: another number of bands than the map's.
        """
        self._check(values.shape[-1])
        spectra = values.reshape(-1, values.shape[-1])
        out = np.empty((len(spectra), self.weights.shape[0]), np.float32)
        weights = self.weights.astype(np.float32)
        for start in range(0, len(spectra), SPECTRA_AT_ONCE):
            part = slice(start, start + SPECTRA_AT_ONCE)
            out[part] = (weights @ np.ascontiguousarray(spectra[part].T, np.float32)).T
        return out.reshape(*values.shape[:-1], self.weights.shape[0])

    def apply_first(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same for bands along the first axis, which is quicker: (C, ...) to (D, ...)."""
        self._check(values.shape[0])
        flat = np.ascontiguousarray(values, np.float32).reshape(values.shape[0], math.prod(values.shape[1:]))
        return np.asarray(self.weights.astype(np.float32) @ flat, np.float32).reshape(self.weights.shape[0], *values.shape[1:])

    def _check(self, bands: int) -> None:
        if bands != self.weights.shape[1]:
            raise WavelengthError("spectra", f"have {bands} bands, and {self.weights.shape[1]} are expected", "Give the bands that the map was made for")
