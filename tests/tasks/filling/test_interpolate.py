"""Which bands are filled, what is flagged, and what the check says, held against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.tasks.filling.base import FILLED, HELD, MEASURED
from hsikit.tasks.filling.check import summaries
from hsikit.tasks.filling.interpolate import Interpolate

from .scenes import BANDS, COLS, NM, ROWS, fill, holed, set_aside, source, spectra, unnamed

BAD = (0, 5, 6)
NAMED = ((NM[9] - 1, NM[10] + 1),)
WHOLE = (0, 5, 6, 9, 10)


def interpolated(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line between what is there, and flags."""
    there = np.isfinite(spectrum)
    flags = np.where(there, MEASURED, FILLED)
    flags[: there.argmax()] = HELD
    flags[len(there) - there[::-1].argmax() :] = HELD
    return np.where(there, spectrum, np.interp(NM, NM[there], spectrum[there])), flags


def test_bands_and_gaps_are_filled_and_flagged_and_no_data_stays() -> None:
    values = holed(spectra())
    found = fill(Interpolate(bands=NAMED), source(values, BAD)).layers
    shown = values.copy()
    shown[list(WHOLE)] = np.nan
    nodata = np.isnan(values).all(0)
    assert nodata.sum() == 20
    for row, col in np.ndindex(ROWS, COLS):
        if nodata[row, col]:
            assert np.isnan(found["filled"][:, row, col]).all() and not found["flags"][:, row, col].any()
        else:
            wanted, flags = interpolated(shown[:, row, col])
            np.testing.assert_allclose(found["filled"][:, row, col], wanted, rtol=1e-5)
            np.testing.assert_array_equal(found["flags"][:, row, col], flags)


def test_a_pixel_without_most_of_its_bands_is_no_data() -> None:
    values = spectra()
    values[: BANDS // 2 + 1, 9, 9] = np.nan
    values[: BANDS // 2, 10, 10] = np.nan
    found = fill(Interpolate(), source(values)).layers["filled"]
    assert np.isnan(found[:, 9, 9]).all() and np.isfinite(found[:, 10, 10]).all()


@pytest.mark.parametrize("mark_good", [False, True])
def test_the_output_keeps_the_axis_and_says_which_bands_are_good(mark_good: bool) -> None:
    scene = source(spectra(), BAD)
    job = Interpolate(bands=NAMED, mark_good=mark_good).bind({"cube": scene.info})
    layer = job.layer("filled")
    np.testing.assert_array_equal(layer.wavelength, NM)
    assert (layer.quantity, layer.unit, layer.band_names) == ("surface_reflectance", "1", scene.info.bands.names)
    np.testing.assert_array_equal(layer.good, [mark_good or band not in WHOLE for band in range(BANDS)])


def test_bad_bands_that_are_kept_stay_as_they_are_and_teach_nothing() -> None:
    values = spectra()
    found = fill(Interpolate(bands=NAMED, bad=False), source(values, BAD)).layers
    np.testing.assert_array_equal(found["filled"][list(BAD)], values[list(BAD)])
    assert (found["flags"][list(BAD)] == MEASURED).all()
    shown = values.copy()
    shown[list(WHOLE)] = np.nan
    np.testing.assert_allclose(found["filled"][9:11, 3, 8], interpolated(shown[:, 3, 8])[0][9:11], rtol=1e-5)
    job = Interpolate(bands=NAMED, bad=False).bind({"cube": source(values, BAD).info})
    np.testing.assert_array_equal(job.layer("filled").good, [band not in WHOLE for band in range(BANDS)])


def checked(values: np.ndarray, length: int, starts: list[int], everywhere: bool) -> dict[int, tuple[float, float, int]]:
    """Of each hidden band: squared errors, squares, values; by a loop over the pixels that were set aside."""
    found = {}
    where = np.argwhere(set_aside(ROWS, COLS) & ~np.isnan(values).all(0))
    for start in starts:
        for band in range(start, start + length):
            sums = [0.0, 0.0, 0]
            for row, col in where:
                truth = values[band, row, col]
                hidden = values[:, row, col].copy()
                hidden[list(WHOLE) if everywhere else []] = np.nan
                hidden[start : start + length] = np.nan
                if np.isfinite(truth):
                    sums = [sums[0] + (interpolated(hidden)[0][band] - truth) ** 2, sums[1] + truth**2, sums[2] + 1]
            found[band] = tuple(sums)
    return found


def test_the_check_hides_runs_as_long_as_those_that_are_filled() -> None:
    values = spectra()
    done = fill(Interpolate(bands=NAMED), source(values, BAD))
    table = done.features["check"].columns
    inner = (table["hidden_bands"] == 2) & (table["at_an_end"] == 0)
    # Known are 1 to 4, 7 and 8, 11 to 13: within them, 2 and 3 lie between known bands.
    wanted = checked(values, 2, [2], everywhere=True)
    assert table["band"][inner].tolist() == ["b2", "b3"]
    np.testing.assert_allclose(table["rmse"][inner], [np.sqrt(wanted[band][0] / wanted[band][2]) for band in (2, 3)], rtol=1e-4)
    np.testing.assert_allclose(table["relative_error"][inner], [np.sqrt(wanted[band][0] / wanted[band][1]) for band in (2, 3)], rtol=1e-4)
    np.testing.assert_allclose(table["rmse"], table["interpolation_rmse"])
    assert table["values"][inner].tolist() == [wanted[band][2] for band in (2, 3)]
    # The first band of all is filled: at the ends, one band is hidden beside what is known.
    assert table["band"][table["at_an_end"] == 1].tolist() == ["b1", "b13"]
    lines = summaries(done.store["check"])
    assert len(lines) == 2 and "2 known bands hidden everywhere: RMSE" in lines[0] and lines[1].startswith("1 known band hidden everywhere at an end")


def test_gaps_are_checked_one_by_one_where_single_values_are_missing() -> None:
    values = spectra()
    values[3, 20:25, 20] = np.nan
    table = fill(Interpolate(), source(values)).features["check"].columns
    wanted = checked(values, 1, list(range(1, BANDS - 1)), everywhere=False)
    assert table["band"].tolist() == [f"b{band}" for band in range(1, BANDS - 1)] and not table["hidden_everywhere"].any()
    np.testing.assert_allclose(table["rmse"], [np.sqrt(wanted[band][0] / wanted[band][2]) for band in sorted(wanted)], rtol=1e-4)


def test_what_cannot_be_checked_is_said() -> None:
    done = fill(Interpolate(bands=((NM[2] - 1, NM[9] + 1),)), source(spectra()))
    assert "8 known bands hidden everywhere: not checked" in summaries(done.store["check"])[0]
    assert len(done.features["check"]) == 0


@pytest.mark.parametrize(
    ("method", "scene", "error", "said"),
    [
        (lambda: Interpolate(), lambda: source(spectra()), SceneError, "there is nothing to fill"),
        (lambda: Interpolate(bad=False), lambda: source(spectra(), BAD), SceneError, "there is nothing to fill"),
        (lambda: Interpolate(bands=((3000.0, 3100.0),)), lambda: source(spectra()), OptionError, "no band of scene lies within 3000 to 3100 nm"),
        (lambda: Interpolate(bands=((900.0, 800.0),)), lambda: source(spectra()), OptionError, "no range of wavelengths"),
        (lambda: Interpolate(bands=((0.0, 2300.0),)), lambda: source(spectra()), SceneError, "of its bands are good and not to be filled"),
        (lambda: Interpolate(), lambda: unnamed(source(spectra())), WavelengthError, "have no wavelengths"),
    ],
)
def test_mistakes(method, scene, error, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=said):
        fill(method(), scene())
