"""Resampling weights, held against direct integration of responses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import WavelengthError
from hsikit.spectral.resample import FWHM_PER_SIGMA, gaussian_resampling, response_matrix, response_resampling


def measure(spectrum, grid, centres, fwhm):
    """What Gaussian bands measure of a finely sampled spectrum, by summing."""
    sigma = np.broadcast_to(fwhm, np.shape(centres))[:, None] / FWHM_PER_SIGMA
    response = np.exp(-0.5 * ((grid - np.asarray(centres)[:, None]) / sigma) ** 2)
    return (response / response.sum(axis=1, keepdims=True)) @ spectrum


def test_broad_bands_from_narrow_ones_equal_direct_integration():
    grid = np.arange(350.0, 2600.0, 0.05)
    spectrum = 0.3 + 0.2 * np.sin(grid / 90.0) - 0.25 * np.exp(-0.5 * ((grid - 1100.0) / 25.0) ** 2) + grid * 5e-5
    centres = np.cumsum(np.concatenate([[400.0], np.random.default_rng(3).uniform(4.0, 8.0, 330)]))
    targets, widths = np.array([480.0, 560.0, 1090.0, 1111.0, 1610.0]), np.array([65.0, 35.0, 20.0, 40.0, 90.0])
    weights = response_matrix(centres, 7.0, targets, widths)
    got = weights @ measure(spectrum, grid, centres, 7.0)
    truth = measure(spectrum, grid, targets, widths)
    np.testing.assert_allclose(got, truth, atol=1e-3)
    ignoring_widths = np.exp(-0.5 * ((centres - targets[:, None]) / (widths[:, None] / FWHM_PER_SIGMA)) ** 2)
    simple = ignoring_widths / ignoring_widths.sum(axis=1, keepdims=True) @ measure(spectrum, grid, centres, 7.0)
    assert np.abs(got - truth).max() < np.abs(simple - truth).max()


def test_integral_of_kernel_times_lines_is_exact():
    centres = np.array([400.0, 407.0, 420.0, 428.0, 441.0, 450.0])
    values = np.array([1.0, 3.0, -2.0, 5.0, 4.0, 0.0])
    grid = np.linspace(395.0, 455.0, 2_000_001)
    kernel = np.exp(-0.5 * ((grid - 424.0) / (np.sqrt(12.0**2 - 10.0**2) / FWHM_PER_SIGMA)) ** 2)
    direct = (kernel * np.interp(grid, centres, values)).sum() / kernel.sum()
    assert response_matrix(centres, 10.0, 424.0, 12.0)[0] @ values == pytest.approx(direct, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.floats(1.0, 12.0), min_size=1, max_size=40),
    fwhm=st.floats(0.5, 20.0), target=st.floats(380.0, 900.0), width=st.one_of(st.just(float("nan")), st.floats(0.0, 200.0)),
)  # fmt: skip
def test_rows_are_means_or_missing(steps, fwhm, target, width):
    weights = response_matrix(400.0 + np.cumsum(steps), fwhm, target, width)[0]
    if np.isnan(weights).any():
        assert np.isnan(weights).all()
    else:
        assert weights.sum() == pytest.approx(1.0, abs=1e-9) and (weights >= 0).all()


def test_to_its_own_bands_nothing_changes():
    centres, widths = np.array([420.0, 426.0, 440.0, 900.0]), np.array([7.0, 6.0, 8.0, 20.0])
    np.testing.assert_allclose(response_matrix(centres, widths, centres, widths), np.eye(4), atol=1e-6)


def test_narrower_than_the_source_is_interpolated():
    np.testing.assert_allclose(response_matrix([500.0, 510.0], 12.0, [502.0], [3.0]), [[0.8, 0.2]], atol=1e-6)
    np.testing.assert_allclose(response_matrix([500.0, 510.0], np.nan, [502.0], np.nan), [[0.8, 0.2]], atol=1e-6)


def test_lines_stay_lines():
    centres = np.arange(400.0, 1000.0, 6.0)
    targets = np.linspace(480.0, 900.0, 23)
    np.testing.assert_allclose(response_matrix(centres, 7.0, targets, 40.0) @ (2.0 * centres - 7.0), 2.0 * targets - 7.0, atol=0.02)


def test_outside_the_range_and_in_gaps_is_missing():
    centres = np.concatenate([np.arange(1000.0, 1340.0, 10.0), np.arange(1460.0, 1800.0, 10.0)])
    targets = [900.0, 1001.0, 1200.0, 1400.0, 1334.0, 1610.0, 1900.0]
    known = np.isfinite(response_matrix(centres, 10.0, targets, 10.0)).all(axis=1)
    assert known.tolist() == [False, True, True, False, True, True, False]
    broad = np.isfinite(response_matrix(centres, 10.0, [1400.0, 1290.0], [60.0, 90.0])).all(axis=1)
    assert broad.tolist() == [False, True]


def test_one_band_answers_for_itself_only():
    known = np.isfinite(response_matrix([650.0], [40.0], [650.0, 660.0, 700.0], [40.0, 40.0, 40.0])).all(axis=1)
    assert known.tolist() == [True, True, False]


@pytest.mark.parametrize(
    "arguments",
    [([500.0, 490.0], 5.0, [495.0], 5.0), ([500.0, np.nan], 5.0, [495.0], 5.0), ([500.0, 510.0], [5.0, 5.0, 5.0], [505.0], 5.0), ([500.0], -1.0, [505.0], 5.0)],
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(WavelengthError):
        response_matrix(*arguments)


def piecewise(centres, widths, values, grid):
    """The spectrum as resampling takes it: straight between the centres, level out to half a width beyond the last ones, nothing further."""
    inside = (grid >= centres[0] - widths[0] / 2) & (grid <= centres[-1] + widths[-1] / 2)
    return np.interp(grid, centres, values), inside


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), bands=st.integers(1, 40), samples=st.integers(2, 25), low=st.floats(380.0, 700.0), reach=st.floats(5.0, 300.0))
def test_measured_responses_equal_brute_force(seed, bands, samples, low, reach):
    rng = np.random.default_rng(seed)
    centres = 400.0 + np.cumsum(rng.uniform(2.0, 12.0, bands))
    widths, values = np.full(bands, 8.0), rng.uniform(-1.0, 1.0, bands)
    axis = np.sort(low + rng.choice(int(reach * 100), samples, replace=False) / 100) if reach * 100 > samples else low + np.arange(samples)
    curve = rng.random(samples) * (rng.random(samples) < 0.8)
    curve[rng.integers(samples)] = 1.0
    found = response_resampling(centres, widths, axis, curve)
    edges = np.unique(np.concatenate([axis, centres, [centres[0] - 4.0, centres[-1] + 4.0]]))
    edges = edges[(edges >= axis[0]) & (edges <= axis[-1])]
    # The midpoint rule on a fine grid that has all corners on its borders.
    grid, step = (np.concatenate(parts) for parts in zip(*(_fine(a, b) for a, b in pairwise(edges)), strict=True))
    spectrum, inside = piecewise(centres, widths, values, grid)
    response = np.interp(grid, axis, curve) * step
    assert found.coverage[0] <= (response[inside].sum() / response.sum()) + 1e-9
    if response[inside].sum() < 1e-9:
        assert found.weights.nnz == 0
        return
    direct = (response * spectrum)[inside].sum() / response[inside].sum()
    assert (found.weights @ values)[0] == pytest.approx(direct, abs=1e-6)


def _fine(a, b, count=400):
    step = (b - a) / count
    return a + step * (np.arange(count) + 0.5), np.full(count, step)


def test_the_share_of_a_response_that_was_measured():
    centres, widths = np.array([500.0, 510.0, 520.0, 600.0, 610.0]), 10.0
    box = np.array([[1.0, 1.0]])
    for low, high, share in [(500.0, 520.0, 1.0), (475.0, 515.0, 0.5), (515.0, 535.0, 0.5), (525.0, 595.0, 0.0), (615.0, 700.0, 0.0), (505.0, 605.0, 0.3)]:
        found = response_resampling(centres, widths, [low, high], box)
        assert found.coverage[0] == pytest.approx(share, abs=1e-9), (low, high)
    assert response_resampling(centres, widths, [700.0, 710.0], box).weights.nnz == 0


def test_both_kinds_agree_on_a_gaussian_where_the_source_is_narrow():
    centres = np.arange(400.0, 1000.0, 2.0)
    axis = np.arange(500.0, 800.0, 0.5)
    curve = np.exp(-0.5 * ((axis - 650.0) / (60.0 / FWHM_PER_SIGMA)) ** 2)
    spectrum = np.sin(centres / 30.0)
    one = (response_resampling(centres, 0.5, axis, curve).weights @ spectrum)[0]
    other = (gaussian_resampling(centres, 0.5, [650.0], [60.0]).weights @ spectrum)[0]
    assert one == pytest.approx(other, abs=2e-4)


def test_sparse_gaussian_weights_are_those_of_the_matrix():
    centres = np.arange(400.0, 1000.0, 6.0)
    targets, widths = np.array([450.0, 620.0, 850.0, 995.0, 1500.0]), np.array([30.0, 60.0, 110.0, 40.0, 20.0])
    dense = response_matrix(centres, 7.0, targets, widths, min_support=0.0)
    found = gaussian_resampling(centres, 7.0, targets, widths)
    np.testing.assert_allclose(found.weights.toarray()[:4], dense[:4], atol=2e-7)
    assert found.weights.nnz < 0.5 * dense[:4].size and found.weights[[4]].nnz == 0
    assert (found.coverage[:3] > 0.99).all() and 0.4 < found.coverage[3] < 0.8 and found.coverage[4] == 0
    filled = response_matrix(centres, 7.0, targets, widths, min_support=0.99)
    np.testing.assert_array_equal(np.isfinite(filled).all(axis=1), found.coverage >= 0.99)


@pytest.mark.parametrize(
    ("wavelength", "response"),
    [
        ([500.0], [[1.0]]),
        ([500.0, 510.0], [[1.0, 1.0, 1.0]]),
        ([510.0, 500.0], [[1.0, 1.0]]),
        ([500.0, 510.0], [[0.0, 0.0]]),
        ([500.0, 510.0], [[1.0, -1.0]]),
        ([500.0, np.nan], [[1.0, 1.0]]),
        ([500.0, 510.0], [[1.0, np.nan]]),
    ],
)
def test_responses_that_are_none_are_refused(wavelength, response):
    with pytest.raises(WavelengthError, match="response"):
        response_resampling([490.0, 500.0, 510.0], 10.0, wavelength, response)
    with pytest.raises(WavelengthError, match="ascend"):
        response_resampling([500.0, 490.0], 10.0, [500.0, 510.0], [[1.0, 1.0]])
