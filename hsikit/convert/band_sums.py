"""Bands that are weighted sums of a scene's bands: what resampling, derivatives and smoothing give."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.by_spectrum import Change, SpectrumSource
from hsikit.scene import Indices, SceneInfo, Source
from hsikit.spectral.band_matrix import BandMatrix

LEAST_SHARE = 0.5
"""How much of a mean's weight must be present where the bands that are there take over from those that are missing."""


class BandSumSource(SpectrumSource):
    """A source whose bands are weighted sums of another's.

    Args:
        base: the other source.
        used: positions in its bands of those that go into the sums, ascending, C of them.
        sums: the weights, shape (D, C). A band without any weight is missing throughout.
        info: facts of the new scene, of D bands.
        shared: whether, where a band is missing, the others of a mean take over its weight, down to half of it; else the sum is
            missing.
    """

    def __init__(self, base: Source, used: Indices, sums: BandMatrix, info: SceneInfo, *, shared: bool) -> None:
        digest = hashlib.sha256(repr((used.tolist(), shared)).encode())
        for part in (sums.weights.data, sums.weights.indices, sums.weights.indptr, info.bands.wavelength):
            digest.update(part.tobytes())
        super().__init__(base, used, info, {"band_sums": digest.hexdigest()})
        self._sums, self._shared = sums, shared

    def _part(self, bands: Indices) -> tuple[Indices, Change]:
        sums, needed = self._sums.rows(bands)
        return needed, partial(_shared_out if self._shared else _summed, sums)


def _summed(sums: BandMatrix, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums, NaN where a band is missing, and where there is no weight at all."""
    out = sums.apply_first(values)
    out[np.diff(sums.weights.indptr) == 0] = np.nan
    return out


def _shared_out(means: BandMatrix, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted means; the weights of missing bands go to the others, down to `LEAST_SHARE`."""
    out = _summed(means, values)
    lacking = np.isnan(values).any(axis=0)
    if lacking.any():
        part = values[:, lacking]
        missing = np.isnan(part)
        share = means.apply_first((~missing).astype(np.float32))
        total = means.apply_first(np.where(missing, np.float32(0), part))
        out[:, lacking] = np.divide(total, share, out=np.full_like(total, np.nan), where=share >= LEAST_SHARE)
    return out
