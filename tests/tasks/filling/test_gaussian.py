"""Gaps out of the scene's own covariance, and whole bands out of a library's, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import OptionError, SceneError
from hsikit.spectral.sensor_change import error_covariance, sensor_change
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.filling.base import FILLED
from hsikit.tasks.filling.check import summaries
from hsikit.tasks.filling.gaussian import Gaussian
from hsikit.tasks.filling.interpolate import Interpolate

from .scenes import BANDS, COLS, NM, ROWS, fill, holed, set_aside, source, spectra

RANGE = ((NM[7] - 1, NM[8] + 1),)
OTHERS = [band for band in range(BANDS) if band not in (7, 8)]


def library(count: int = 40, quantity: str = "surface_reflectance") -> TargetSpectra:
    """Spectra of other pixels of like materials."""
    values = spectra(rows=8, cols=8, seed=0).reshape(BANDS, -1).T[:count].astype(float)
    return TargetSpectra(tuple(f"s{k}" for k in range(count)), values, NM, np.full(BANDS, 12.0), quantity, "a library")


def learned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the pixels that lack nothing and are not set aside."""
    taken = values[:, ~np.isnan(values).any(0) & ~set_aside(ROWS, COLS)].astype(np.float64)
    return taken.mean(1), np.cov(taken)


def test_gaps_are_the_mean_given_what_the_pixel_has_and_sigma_its_deviation() -> None:
    values = holed(spectra())
    found = fill(Gaussian(sigma=True), source(values)).layers
    mean, covariance = learned(values)
    count = 0
    for row, col in np.ndindex(ROWS, COLS):
        missing = np.isnan(values[:, row, col])
        if missing.all():
            assert np.isnan(found["filled"][:, row, col]).all()
            continue
        there = ~missing
        gain = covariance[np.ix_(missing, there)] @ np.linalg.inv(covariance[np.ix_(there, there)])
        np.testing.assert_allclose(found["filled"][missing, row, col], mean[missing] + gain @ (values[there, row, col] - mean[there]), rtol=2e-4)
        variance = np.diag(covariance[np.ix_(missing, missing)] - gain @ covariance[np.ix_(there, missing)])
        np.testing.assert_allclose(found["sigma"][missing, row, col], np.sqrt(variance), rtol=1e-3)
        np.testing.assert_array_equal(found["filled"][there, row, col], values[there, row, col])
        assert (found["sigma"][there, row, col] == 0).all() and (found["flags"][missing, row, col] == FILLED).all()
        count += int(missing.sum())
    assert count > 200


def test_it_beats_interpolation_where_spectra_are_rough_and_says_how_sure_it_is() -> None:
    table = fill(Gaussian(), source(holed(spectra()))).features["check"].columns
    assert (table["rmse"] < 0.5 * table["interpolation_rmse"]).all()
    ratio = table["claimed_sigma"] / table["rmse"]
    assert 0.7 < np.median(ratio) < 1.4


def test_bands_that_no_pixel_has_are_refused_without_a_library() -> None:
    with pytest.raises(OptionError, match=r"2 bands .* are missing in all pixels: the scene's covariance says nothing of them. Take --method interpolate"):
        fill(Gaussian(bands=RANGE), source(spectra()))
    with pytest.raises(SceneError, match="no pixel has these bands: b3"):
        values = spectra()
        values[3] = np.nan
        fill(Gaussian(), source(values))


def test_bands_that_no_pixel_has_follow_from_a_library() -> None:
    values, known = spectra(), library()
    found = fill(Gaussian(bands=RANGE, library=known, sigma=True), source(values)).layers
    second = known.values.T @ known.values / len(known.values)
    same = sensor_change(NM, np.full(BANDS, 1e-3), NM, np.full(BANDS, 1e-3))
    np.testing.assert_allclose(same.weights, np.eye(BANDS), atol=1e-9)
    second += error_covariance(same, NM, known.values.mean(0))
    gain = second[np.ix_([7, 8], OTHERS)] @ np.linalg.inv(second[np.ix_(OTHERS, OTHERS)])
    np.testing.assert_allclose(found["filled"][7:9].reshape(2, -1), gain @ values[OTHERS].reshape(len(OTHERS), -1), rtol=2e-4)
    variance = np.diag(second[7:9, 7:9] - gain @ second[np.ix_(OTHERS, [7, 8])])
    np.testing.assert_allclose(found["sigma"][7:9], np.sqrt(variance)[:, None, None] * np.ones((1, ROWS, COLS)), rtol=1e-3)
    np.testing.assert_array_equal(found["filled"][OTHERS], values[OTHERS])


def test_gaps_and_whole_bands_at_once_are_one_conditional_mean() -> None:
    """With the scene's covariance of known bands, and the library's regression of the others on these."""
    values, known = holed(spectra()), library()
    found = fill(Gaussian(bands=RANGE, library=known, sigma=True), source(values)).layers
    shown = values.copy()
    shown[7:9] = np.nan
    taken = values[OTHERS][:, ~np.isnan(values[OTHERS]).any(0) & ~set_aside(ROWS, COLS)].astype(np.float64)
    mean, own = taken.mean(1), np.cov(taken)
    same = sensor_change(NM, np.full(BANDS, 1e-3), NM, np.full(BANDS, 1e-3))
    second = known.values.T @ known.values / len(known.values) + error_covariance(same, NM, known.values.mean(0))
    gain = second[np.ix_([7, 8], OTHERS)] @ np.linalg.inv(second[np.ix_(OTHERS, OTHERS)])
    left = second[7:9, 7:9] - gain @ second[np.ix_(OTHERS, [7, 8])]
    joint = np.block([[own, own @ gain.T], [gain @ own, gain @ own @ gain.T + left]])
    order = [*OTHERS, 7, 8]
    for row, col in ((10, 11), (20, 11), (29, 11)):
        spectrum, centre = shown[order, row, col], np.concatenate([mean, gain @ mean])
        missing = np.isnan(spectrum)
        back = joint[np.ix_(missing, ~missing)] @ np.linalg.inv(joint[np.ix_(~missing, ~missing)])
        np.testing.assert_allclose(found["filled"][order, row, col][missing], centre[missing] + back @ (spectrum - centre)[~missing], rtol=5e-4)
        variance = np.diag(joint[np.ix_(missing, missing)] - back @ joint[np.ix_(~missing, missing)])
        np.testing.assert_allclose(found["sigma"][order, row, col][missing], np.sqrt(variance), rtol=2e-3)


def test_the_check_of_whole_bands_does_not_look_at_the_scene_s_covariance() -> None:
    """A library of nothing but smooth shapes must do badly on rough spectra, however well the scene knows them."""
    flat = TargetSpectra(tuple("abcdefghijklm"), np.linspace(0.2, 0.8, 13)[:, None] * np.ones(BANDS), NM, np.full(BANDS, 12.0), "surface_reflectance", "flat")
    done = fill(Gaussian(bands=RANGE, library=flat), source(holed(spectra())))
    table = done.features["check"].columns
    whole, gaps = table["hidden_everywhere"] == 1, table["hidden_everywhere"] == 0
    assert table["rmse"][whole].min() > 3 * table["rmse"][gaps].max()
    assert "which is better" not in summaries(done.store["check"])[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (library(quantity="radiance"), "holds radiance, and scene is surface_reflectance"),
        (library(5), "5 of its spectra have all the bands, and 10 are needed"),
        (TargetSpectra(("a",) * 12, np.ones((12, 3)), NM[:3], np.ones(3), "surface_reflectance", "x"), "not at the bands of scene"),
    ],
)
def test_libraries_that_do_not_fit(given: TargetSpectra, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        fill(Gaussian(bands=RANGE, library=given), source(spectra()))


def test_a_library_that_is_silent_where_it_is_asked() -> None:
    given = library()
    given.values[:, 8] = np.nan
    with pytest.raises(OptionError, match=f"no value at {NM[8]:.0f} nm"):
        fill(Gaussian(bands=RANGE, library=given), source(spectra()))


def test_too_few_complete_pixels_are_refused() -> None:
    with pytest.raises(SceneError, match="pixels lack no band, which is too few"):
        fill(Gaussian(), source(holed(spectra(), share=0.35)))


def test_both_methods_leave_measured_values_alone() -> None:
    values = holed(spectra())
    for method in (Gaussian(), Interpolate()):
        found = fill(method, source(values)).layers["filled"]
        np.testing.assert_array_equal(found[np.isfinite(values)], values[np.isfinite(values)])
