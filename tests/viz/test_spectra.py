"""Line plots: where lines break, and what is refused."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from hsikit.errors import OptionError
from hsikit.scene import Bands
from hsikit.viz.spectra import broken, plot_spectra


def bands(centres, bad=()):
    good = np.ones(len(centres), bool)
    good[list(bad)] = False
    return Bands(np.asarray(centres, float), np.full(len(centres), np.nan), good, ("",) * len(centres))


def test_lines_break_at_bad_bands_and_gaps():
    axis = bands([*range(500, 800, 10), 900, 910], bad=[1])
    wavelength, values = broken(axis, np.arange(64.0).reshape(2, 32))
    assert wavelength[28:].tolist() == [780, 790, 845, 900, 910]
    np.testing.assert_array_equal(values[:, :3], [[0, np.nan, 2], [32, np.nan, 34]])
    np.testing.assert_array_equal(values[:, 29:], [[29, np.nan, 30, 31], [61, np.nan, 62, 63]])


def test_few_bands_are_joined_across_gaps_as_points():
    ax = plot_spectra(bands([490, 560, 665, 842, 1610, 2190], bad=[2]), np.arange(6.0), ax=Figure().add_subplot())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 1, np.nan, 3, 4, 5])
    assert ax.lines[0].get_marker() == "."


def test_one_spectrum_one_band():
    ax = plot_spectra(bands([500]), np.array([0.3]), ax=Figure().add_subplot())
    assert ax.lines[0].get_ydata().tolist() == [0.3]


def test_axes_name_quantity_and_unit():
    ax = plot_spectra(bands([500, 510]), np.ones((2, 2)), ["a", "b"], quantity="radiance", units="W m-2 sr-1 um-1", ax=Figure().add_subplot())
    assert ax.get_ylabel() == "radiance (W m-2 sr-1 um-1)" and ax.get_xlabel() == "wavelength (nm)"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]


def test_numbers_that_differ_are_refused():
    with pytest.raises(OptionError, match="3 values for 2 bands"):
        plot_spectra(bands([500, 510]), np.ones(3))
    with pytest.raises(OptionError, match="1 labels for 2 spectra"):
        plot_spectra(bands([500, 510]), np.ones((2, 2)), ["a"])
