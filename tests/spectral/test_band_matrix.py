"""Sparse maps of bands, held against plain matrix products."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import WavelengthError
from hsikit.spectral import band_matrix
from hsikit.spectral.band_matrix import BandMatrix

RNG = np.random.default_rng(2)
WEIGHTS = RNG.normal(size=(4, 7)) * (RNG.random((4, 7)) < 0.5)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 3, 5)])
def test_both_axes_equal_the_plain_product(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(band_matrix, "SPECTRA_AT_ONCE", 4)
    values = RNG.normal(size=(*shape, 7)).astype(np.float32)
    found = BandMatrix.of(WEIGHTS).apply(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values @ WEIGHTS.T, rtol=1e-5, atol=1e-6)
    first = BandMatrix.of(WEIGHTS).apply_first(np.moveaxis(values, -1, 0))
    np.testing.assert_allclose(np.moveaxis(first, 0, -1), found, rtol=1e-6, atol=1e-6)


def test_a_missing_band_makes_its_own_sums_missing_and_no_others() -> None:
    for band in range(7):
        values = np.ones(7, np.float32)
        values[band] = np.nan
        np.testing.assert_array_equal(np.isnan(BandMatrix.of(WEIGHTS).apply(values)), WEIGHTS[:, band] != 0)


def test_some_rows_need_their_own_bands_only() -> None:
    part, needed = BandMatrix.of(WEIGHTS).rows(np.array([2, 0]))
    assert needed.tolist() == sorted(set(np.flatnonzero(WEIGHTS[2])) | set(np.flatnonzero(WEIGHTS[0])))
    np.testing.assert_array_equal(part.weights.toarray(), WEIGHTS[[2, 0]][:, needed])


def test_another_number_of_bands_is_refused() -> None:
    for call in (BandMatrix.of(WEIGHTS).apply, BandMatrix.of(WEIGHTS).apply_first):
        with pytest.raises(WavelengthError, match="6 bands, and 7"):
            call(np.ones((6, 6), np.float32))
