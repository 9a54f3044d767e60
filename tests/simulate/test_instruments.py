"""Instruments drawn by chance, and scenes whose materials are new."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.simulate.instruments import FEWEST, MOST, SNR, WATER, draw_instrument, seen_by_chance
from hsikit.simulate.library import sensor_bands
from hsikit.simulate.varied import draw_materials, draw_scene


def test_instruments_of_few_and_many_bands() -> None:
    drawn = [draw_instrument(np.random.default_rng(seed)) for seed in range(300)]
    counts = [len(each.wavelength) for each in drawn]
    assert min(counts) >= FEWEST and max(counts) <= MOST and min(counts) < 8 and max(counts) > 150
    assert all((np.diff(each.wavelength) > 0).all() and (each.fwhm > 0).all() for each in drawn)
    assert all(each.wavelength[0] >= 370 and each.wavelength[-1] <= 2510 and SNR[0] <= each.snr <= SNR[1] and abs(each.shift) <= 2 for each in drawn)
    assert any(each.wavelength[-1] < 1100 for each in drawn) and any(each.wavelength[0] > 900 for each in drawn)
    fine = [each for each in drawn if len(each.wavelength) > 60 and each.wavelength[-1] > 2300 and each.wavelength[0] < 800]
    without = [not ((each.wavelength > WATER[1][0]) & (each.wavelength < WATER[1][1])).any() for each in fine]
    assert 0.4 < np.mean(without) < 1
    widths = np.concatenate([each.fwhm[1:] / np.diff(each.wavelength) for each in drawn])
    assert (widths > 1.2).mean() > 0.1 and (widths < 0.8).mean() > 0.1


def test_the_same_seed_gives_the_same_instrument() -> None:
    one, again, other = (draw_instrument(np.random.default_rng(seed), real=("prisma", "sentinel-2")) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.wavelength, again.wavelength)
    assert one.snr == again.snr != other.snr


def test_real_instruments_are_taken_as_they_are() -> None:
    wavelength, fwhm = sensor_bands("prisma")
    drawn = draw_instrument(np.random.default_rng(0), real=("prisma",), share=1.0)
    place = np.searchsorted(wavelength, drawn.wavelength)
    np.testing.assert_array_equal(wavelength[place], drawn.wavelength)
    np.testing.assert_array_equal(fwhm[place], drawn.fwhm)


def test_scenes_differ_and_repeat() -> None:
    wavelength, fwhm = sensor_bands("desis")
    one, again, other = (draw_scene(48, wavelength, fwhm, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.noisy, again.noisy)
    assert one.clean.shape == (48, 48, len(wavelength)) and one.clean.min() > 0 and np.isfinite(one.noisy).all()
    assert not np.allclose(one.clean.mean((0, 1)), other.clean.mean((0, 1)), rtol=0.05)
    noise = (one.noisy - one.clean).reshape(-1, len(wavelength))
    assert 0 < noise.std() < 0.2 * one.clean.std() and abs(noise.mean()) < 0.1 * noise.std()


def test_scenes_have_more_than_a_few_directions() -> None:
    wavelength, fwhm = sensor_bands("enmap")
    ranks = []
    for seed in range(5):
        spectra = draw_scene(48, wavelength, fwhm, (7, seed)).clean.reshape(-1, len(wavelength)).astype(float)
        variance = np.linalg.eigvalsh(np.corrcoef(spectra.T))[::-1]
        ranks.append((variance > 1e-4 * variance.sum()).sum())
    assert np.mean(ranks) > 12


def test_materials_are_reflectances() -> None:
    wavelength, fwhm = sensor_bands("emit")
    made = draw_materials(wavelength, fwhm, 30, np.random.default_rng(0))
    assert made.shape == (30, len(wavelength)) and made.min() > 0 and made.max() <= 1
    assert np.abs(np.corrcoef(made) - np.eye(30)).min() < 0.5


def test_too_small_a_scene() -> None:
    with pytest.raises(ValueError, match="32 pixels"):
        draw_scene(16, *sensor_bands("enmap"), 0)


def test_another_instrument_sees_the_same_spectra() -> None:
    wavelength = np.linspace(420.0, 2450.0, 200)
    line = 0.1 + 1e-4 * wavelength
    for seed in range(20):
        instrument, weights = seen_by_chance(wavelength, np.full(200, 11.0), np.random.default_rng(seed), ("landsat-8", "emit"))
        np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
        np.testing.assert_allclose(weights @ line, 0.1 + 1e-4 * (instrument.wavelength + instrument.shift), atol=5e-3)


def test_a_scene_of_few_bands_is_seen_by_some_of_them() -> None:
    wavelength = np.array([480.0, 560.0, 660.0, 840.0])
    for seed in range(10):
        instrument, weights = seen_by_chance(wavelength, np.full(4, 5.0), np.random.default_rng(seed), ())
        assert len(instrument.wavelength) == len(weights) >= 3
