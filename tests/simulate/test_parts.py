"""The parts of a simulated scene: library, light, plan, mixing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import OptionError
from hsikit.simulate.fields import labelled_fields
from hsikit.simulate.landscape import CLASSES, FINE, draw_landscape
from hsikit.simulate.library import library, resampled_library, sensor_bands
from hsikit.simulate.light import cosine_of_incidence, diffuse_share, lit
from hsikit.simulate.materials import RECIPES, object_spectra


def test_the_library_is_a_dozen_reflectances() -> None:
    wavelength, spectra, names = library()
    assert spectra.shape == (12, len(wavelength)) == (len(names), len(wavelength))
    assert np.all(np.diff(wavelength) > 0)
    assert 0.0 <= spectra.min() < spectra.max() <= 1.0


def test_resampling_keeps_a_straight_line_and_smooths_a_peak() -> None:
    wavelength, spectra, _ = library()
    at = np.array([900.0, 1200.0])
    narrow, wide = resampled_library(at, np.array([5.0, 5.0])), resampled_library(at, np.array([60.0, 60.0]))
    expected = np.stack([np.interp(at, wavelength, s) for s in spectra])
    np.testing.assert_allclose(narrow, expected, atol=0.01)
    fine = np.arange(600.0, 1600.0, 0.25)
    weights = np.exp(-4 * np.log(2) * ((fine - 900.0) / 60.0) ** 2)
    direct = [np.sum(weights * np.interp(fine, wavelength, s)) / weights.sum() for s in spectra]
    np.testing.assert_allclose(wide[:, 0], direct, atol=1e-4)


def test_an_unknown_sensor_is_refused() -> None:
    with pytest.raises(OptionError, match="no-such-sensor"):
        sensor_bands("no-such-sensor")


@given(st.floats(0, 80), st.floats(0, 360))
def test_flat_ground_is_lit_evenly(zenith: float, azimuth: float) -> None:
    np.testing.assert_allclose(cosine_of_incidence(np.full((4, 5), 7.0, np.float32), 30.0, zenith, azimuth), 1.0, rtol=1e-5)


@pytest.mark.parametrize(("azimuth", "axis", "sign"), [(90.0, 1, 1.0), (270.0, 1, -1.0), (0.0, 0, -1.0), (180.0, 0, 1.0)])
def test_slopes_that_fall_towards_the_sun_are_bright(azimuth: float, axis: int, sign: float) -> None:
    # Columns run east and rows south: ground that falls along an axis faces it.
    falls = -np.indices((6, 6))[axis].astype(np.float32) * 10.0 * sign
    tilt, zenith = np.arctan(10.0 / 30.0), np.radians(40.0)
    expected = np.cos(zenith - tilt) / np.cos(zenith)
    np.testing.assert_allclose(cosine_of_incidence(falls, 30.0, 40.0, azimuth), expected, rtol=1e-5)


def test_shade_is_blue() -> None:
    diffuse = diffuse_share(np.array([450.0, 2200.0]))
    dark = lit(np.ones((1, 1, 2), np.float32), np.zeros((1, 1), np.float32), diffuse)
    np.testing.assert_allclose(dark[0, 0], diffuse)
    assert dark[0, 0, 0] > 3 * dark[0, 0, 1]


def test_recipes_never_exceed_the_whole() -> None:
    assert set(RECIPES) == set(CLASSES)
    assert all(0.0 < sum(end.values()) <= 1.0 + 1e-9 for ends in RECIPES.values() for end in ends)


def test_a_mixed_pixel_is_the_mean_of_its_cells() -> None:
    rng = np.random.default_rng(0)
    land = draw_landscape(60, 50, rng)
    spectra = object_spectra(land, resampled_library(np.array([500.0, 900.0]), np.array([10.0, 10.0])), rng)
    mixed = spectra.mix(land, slice(10, 30), slice(5, 25))
    for row, col in ((10, 5), (17, 20), (29, 24)):
        members = land.objects[row * FINE : (row + 1) * FINE, col * FINE : (col + 1) * FINE].ravel()
        vigour = land.vigour[row, col]
        expected = (1 - vigour) * spectra.poor[members].mean(axis=0) + vigour * spectra.lush[members].mean(axis=0)
        np.testing.assert_allclose(mixed[row - 10, col - 5], expected, rtol=1e-4)


def test_the_truth_is_the_largest_share() -> None:
    land = draw_landscape(60, 50, np.random.default_rng(1))
    truth = land.truth()
    cells = land.classes[30 * FINE : 31 * FINE, 20 * FINE : 21 * FINE]
    assert np.bincount(cells.ravel(), minlength=11).max() == np.bincount(cells.ravel(), minlength=11)[truth[30, 20]]


def test_labelled_fields_hold_one_class_and_are_apart() -> None:
    land = draw_landscape(150, 150, np.random.default_rng(2))
    fields, classes = labelled_fields(land, 4, np.random.default_rng(0))
    truth = land.truth()
    assert len(classes) > 20
    for number, code in classes.items():
        assert set(truth[fields == number]) == {code}
