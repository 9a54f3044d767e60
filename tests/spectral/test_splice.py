"""Jumps between detectors: taken out exactly where there are jumps, and nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import OptionError
from hsikit.spectral.splice import correct_splices

NM = np.arange(350.0, 2501.0)
BORDERS = (1000.0, 1830.0)
SMOOTH = 0.2 + 1e-4 * (NM - 350)
DETECTOR = np.digitize(NM, BORDERS, right=True)


@given(first=st.floats(0.8, 1.25), last=st.floats(0.8, 1.25), height=st.floats(0.05, 2))
def test_drifts_of_the_outer_detectors_are_undone(first: float, last: float, height: float) -> None:
    drift = np.array([first, 1.0, last])
    values, factors = correct_splices((height * SMOOTH * drift[DETECTOR])[np.newaxis], NM, BORDERS)
    np.testing.assert_allclose(values[0], height * SMOOTH, rtol=1e-6)
    np.testing.assert_allclose(factors[0], 1 / drift, rtol=1e-9)


@given(seed=st.integers(0, 999))
def test_within_a_detector_ratios_stay(seed: int) -> None:
    spectrum = np.random.default_rng(seed).uniform(0.1, 0.9, (2, len(NM)))
    values, factors = correct_splices(spectrum, NM, BORDERS)
    np.testing.assert_allclose(values / spectrum, factors[:, DETECTOR], rtol=1e-6)
    np.testing.assert_array_equal(factors[:, 1], 1.0)


def test_what_is_no_drift_is_left() -> None:
    step = np.where(NM > 1000, 3.0, 1.0)
    np.testing.assert_allclose(correct_splices(step[np.newaxis], NM, BORDERS)[1], [[1, 1, 1]], rtol=1e-12)
    gap = np.where((NM > 1000) & (NM < 1020), np.nan, SMOOTH)
    np.testing.assert_allclose(correct_splices(gap[np.newaxis], NM, BORDERS)[1][0, :2], [1, 1], rtol=1e-12)
    narrow = NM < 900
    np.testing.assert_array_equal(correct_splices(SMOOTH[np.newaxis, narrow], NM[narrow], BORDERS)[0][0], SMOOTH[narrow].astype(np.float32))


def test_borders_must_ascend() -> None:
    with pytest.raises(OptionError, match="1830, 1000 do not ascend"):
        correct_splices(SMOOTH[np.newaxis], NM, (1830, 1000))
