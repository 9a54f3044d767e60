"""The spectral axis: who wins, what is refused, ties, tables of sensors and of users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import OptionError, WavelengthError
from hsikit.sensors import list_sensors, sensor_bands
from hsikit.sensors.bands import BandClaims, interpret
from hsikit.sensors.catalogue import TABLES, known_sensor, read_band_table


@given(st.lists(st.integers(400, 420), min_size=1, max_size=30), st.integers(0, 9))
def test_any_centres_become_strictly_ascending_and_stay_close(values: list[int], seed: int) -> None:
    found = interpret("x", BandClaims(len(values), values, "nm"))
    assert (np.diff(found.bands.wavelength) > 0).all()
    np.testing.assert_allclose(found.bands.wavelength, np.array(values)[found.order], rtol=0, atol=1e-3 * len(values))
    assert sorted(found.order.tolist()) == list(range(len(values)))


def test_the_users_centres_win_over_the_files_and_the_files_over_the_sensors() -> None:
    claims = BandClaims(7, np.linspace(500, 600, 7), "nm")
    np.testing.assert_array_equal(interpret("x", claims, None, np.linspace(700, 800, 7)).bands.wavelength, np.linspace(700, 800, 7))
    own = interpret("x", claims, "landsat-8")
    np.testing.assert_array_equal(own.bands.wavelength, np.linspace(500, 600, 7))
    assert own.sensor == "landsat-8"
    table = interpret("x", BandClaims(7), "Landsat 8")
    assert table.bands.names == tuple(f"B{i}" for i in range(1, 8))
    words = interpret("x", BandClaims(7, list("abcdefg"), "nm"), "landsat-8")
    np.testing.assert_array_equal(words.bands.wavelength, table.bands.wavelength)
    assert any("words" in notice for notice in words.notices)


def test_counts_must_fit() -> None:
    for call in (lambda: interpret("f.tif", BandClaims(6), "landsat-8"), lambda: interpret("f.tif", BandClaims(6), None, [450, 550])):
        with pytest.raises(WavelengthError, match=r"f\.tif: has 6 bands"):
            call()
    with pytest.raises(OptionError, match="landsat-8"):
        interpret("f.tif", BandClaims(6), "no-such-sensor")
    with pytest.raises(OptionError):
        known_sensor("../tables/emit")


def test_widths_and_bad_band_lists_that_make_no_sense_count_as_unknown() -> None:
    claims = BandClaims(3, [450, 550, 650], "nm", fwhm=[10, 0, 9999], good=[1, 0])
    found = interpret("x", claims)
    np.testing.assert_array_equal(found.bands.fwhm, [10, np.nan, np.nan])
    assert found.bands.good.all()
    assert len(found.notices) == 2
    assert interpret("x", BandClaims(3, [450, 550, 650], "nm", good=[0, 0, 0])).bands.good.all()
    assert interpret("x", BandClaims(3, [450, 550, 650], "nm", fwhm=[1, 2])).notices == ["2 band widths for 3 bands; they count as unknown"]


RANGES = ((1340.0, 1445.0), (1790.0, 1955.0))


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("um", 1e-3)])
def test_absorbed_bands_are_bad_with_one_notice_in_any_unit_and_order(unit: str, factor: float) -> None:
    centres = np.array([2200, 1340, 1339, 1445, 1446, 1900, 550])
    found = interpret("x", BandClaims(7, centres * factor, unit, absorbed=RANGES))
    np.testing.assert_array_equal(found.bands.wavelength[found.bands.good], [550, 1339, 1446, 2200])
    assert sum(notice.startswith("3 bands lie where water vapour absorbs (1340 to 1445 nm and 1790 to 1955 nm)") for notice in found.notices) == 1


def test_absorbed_bands_and_a_bad_band_list_count_both_and_none_twice() -> None:
    found = interpret("x", BandClaims(4, [550, 1380, 1900, 2200], "nm", good=[0, 0, 1, 1], absorbed=RANGES))
    assert found.bands.good.tolist() == [False, False, False, True]
    assert [notice.split(" where")[0] for notice in found.notices] == ["1 band lies"]
    assert interpret("x", BandClaims(2, [1380, 1900], "nm", absorbed=RANGES)).bands.good.all()
    assert interpret("x", BandClaims(3, [550, 1380, 1900], "nm", good=[0, 1, 1], absorbed=RANGES)).bands.good.tolist() == [False, True, True]


def test_the_users_table_says_whether_absorbed_bands_are_used(tmp_path: Path) -> None:
    claims, table = BandClaims(3, [550, 1380, 2200], "nm", absorbed=RANGES), tmp_path / "bands.csv"
    table.write_text("wavelength,good\n550,0\n1380,1\n2200,1\n")
    named = interpret("x", claims, wavelengths=table)
    assert (named.bands.good.tolist(), named.notices) == ([False, True, True], [])
    table.write_text("wavelength\n550\n1300\n1380\n")
    assert interpret("x", claims, wavelengths=table).bands.good.tolist() == [True, True, False]


@pytest.mark.parametrize("limits", [(700, 450), (0.45, 0.7), (450, 450)])
def test_pan_ranges_that_are_none(limits: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="--pan-range"):
        interpret("x", BandClaims(1), role="pan", pan_range=limits)
    with pytest.raises(OptionError, match="pan_range"):
        interpret("x", BandClaims(1, [550], "nm"), pan_range=(450, 700))


@pytest.mark.parametrize(
    "text",
    [
        "wavelength,fwhm\n450,8\n2200,10\n",
        "Wavelength;FWHM\n450;8\n2200;10\n",
        "# a comment\n\nname\twavelength_um\tfwhm\nx\t0.45\t0.008\ny\t2.2\t0.01\n",
        "450,8\n2200,10\n",
        "\ufeffwavelength,unit,fwhm\n0.45,um,0.008\n2.2,um,0.010\n",
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bands.csv"
    path.write_text(text, encoding="utf-8")
    table = read_band_table(path)
    np.testing.assert_allclose(table.wavelength, [450, 2200])
    np.testing.assert_allclose(table.fwhm, [8, 10])


@pytest.mark.parametrize("text", ["", "wavelength\n", "plot,crop\n1,2\n", "wavelength\nblue\n", "wavelength\n450\nnan\n", "wavelength\n4500000\n"])
def test_tables_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "bands.csv").write_text(text)
    with pytest.raises(WavelengthError, match=r"bands\.csv"):
        read_band_table(tmp_path / "bands.csv")
    with pytest.raises(WavelengthError, match=r"none\.csv: does not exist"):
        read_band_table(tmp_path / "none.csv")


def test_every_table_of_ours_is_whole() -> None:
    entries = {entry.name: entry for entry in list_sensors()}
    counts = {"aviris": 220, "aviris-indian-pines": 200, "enmap": 224, "emit": 285, "desis": 235, "sentinel-2": 13, "landsat-8": 7, "neon": 426}
    assert {name: entries[name].bands for name in counts} == counts
    assert len(entries) == len(list(TABLES.glob("*.csv")))
    for entry in entries.values():
        table = sensor_bands(entry.name)
        assert entry.description and 300 < entry.range[0] < entry.range[1] < 2600
        assert ((table.fwhm > 1) & (table.fwhm < 300)).all()


def test_neon_is_the_list_of_one_even_instrument() -> None:
    table = sensor_bands("NEON")
    np.testing.assert_allclose(table.wavelength, 382.2587 + 5.008687 * np.arange(426), atol=1e-3)
    assert (table.fwhm[0], table.fwhm.min(), table.fwhm[-1]) == (5.6785, 5.6323, 6.4291)
    assert np.abs(np.diff(table.fwhm, 2)).max() < 3e-4


def test_indian_pines_lacks_the_water_bands() -> None:
    whole, corrected = sensor_bands("aviris"), sensor_bands("aviris-indian-pines")
    gone = sorted(set(whole.wavelength) - set(corrected.wavelength))
    dropped = [*range(103, 108), *range(149, 163), 219]
    assert gone == sorted(whole.wavelength[dropped])
