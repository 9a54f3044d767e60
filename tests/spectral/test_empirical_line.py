"""Lines through targets: NumPy's own fit, band by band, and each target's residual by leaving it out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import OptionError
from hsikit.spectral.empirical_line import fit_lines


@given(seed=st.integers(0, 9999), targets=st.integers(2, 7), missing=st.integers(0, 6))
def test_lines_and_residuals_are_those_of_polyfit(seed: int, targets: int, missing: int) -> None:
    rng = np.random.default_rng(seed)
    values, reflectance = rng.uniform(1, 100, (targets, 5)), rng.uniform(0, 0.6, (targets, 5))
    values.flat[rng.integers(0, values.size, missing)] = np.nan
    found = fit_lines(values, reflectance)
    for band in range(5):
        has = np.isfinite(values[:, band])
        if has.sum() < 2:
            assert np.isnan(found.gain[band]) and np.isnan(found.residuals[:, band]).all()
            continue
        np.testing.assert_allclose((found.gain[band], found.offset[band]), np.polyfit(values[has, band], reflectance[has, band], 1), rtol=1e-6, atol=1e-8)
        for i in np.flatnonzero(has):
            others = has & (np.arange(targets) != i)
            if has.sum() > 2:
                want = np.polyval(np.polyfit(values[others, band], reflectance[others, band], 1), values[i, band]) - reflectance[i, band]
                np.testing.assert_allclose(found.residuals[i, band], want, rtol=1e-4, atol=1e-6)
            else:
                assert np.isnan(found.residuals[i, band])


def test_what_tells_no_line() -> None:
    same = fit_lines(np.array([[5.0, 1.0], [5.0, 2.0]]), np.array([[0.1, 0.1], [0.4, 0.4]]))
    assert np.isnan(same.gain[0]) and same.gain[1] == pytest.approx(0.3)
    with pytest.raises(OptionError, match="1 target; a line needs two"):
        fit_lines(np.ones((1, 3)), np.ones((1, 3)))
    with pytest.raises(OptionError, match=r"shape \(2, 3\) and reflectances of shape \(2, 4\)"):
        fit_lines(np.ones((2, 3)), np.ones((2, 4)))
