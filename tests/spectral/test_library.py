"""Spectra at other bands: by hand, and with channels deleted here and there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import WavelengthError
from hsikit.spectral.library import channel_spacing, resample_spectra
from hsikit.spectral.resample import Resampling, gaussian_resampling, response_matrix

NM = np.arange(400.0, 1000.0, 5.0)


def to(centres: object, widths: object) -> Callable[[np.ndarray, np.ndarray], Resampling]:
    return lambda own, own_widths: gaussian_resampling(own, own_widths, centres, widths)


@given(seed=st.integers(0, 999), deleted=st.integers(0, 40))
def test_each_spectrum_is_resampled_as_if_alone(seed: int, deleted: int) -> None:
    rng = np.random.default_rng(seed)
    spectra = rng.uniform(0, 1, (5, len(NM))).astype(np.float32)
    spectra.flat[rng.integers(0, spectra.size, deleted)] = np.nan
    centres, widths = np.array([500.0, 655.0, 990.0]), np.array([20.0, 30.0, 12.0])
    found = resample_spectra(spectra, NM, 5.0, to(centres, widths))
    for row, got in zip(spectra, found, strict=True):
        own = np.isfinite(row)
        want = response_matrix(NM[own], np.full(own.sum(), 5.0), centres, widths) @ row[own]
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_unknown_widths_are_the_spacing_of_all_channels() -> None:
    np.testing.assert_array_equal(channel_spacing(np.array([1.0, 2.0, 3.0, 9.0])), [1.0, 1.0, 2.0, 2.0])
    assert channel_spacing(np.array([5.0])).tolist() == [1.0]
    line = np.where(np.isin(NM, NM[3:5]), np.nan, NM)[np.newaxis]
    assert resample_spectra(line, NM, np.nan, to([600.0], np.nan))[0, 0] == pytest.approx(600.0)


def test_a_spectrum_without_channels_gives_nothing() -> None:
    assert np.isnan(resample_spectra(np.full((1, len(NM)), np.nan), NM, 5.0, to([500.0], [10.0]))).all()


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(WavelengthError, match=r"\(2, 3\) for 120"):
        resample_spectra(np.zeros((2, 3)), NM, 5.0, to([500.0], [10.0]))
