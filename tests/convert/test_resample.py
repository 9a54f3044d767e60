"""Scenes resampled to other sensors: values, what is missing, what is said, and the file that comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.convert.resample import Target, resampled, target_of
from hsikit.convert.write import write_scene
from hsikit.errors import OptionError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import Bands, read_window
from hsikit.sensors import list_sensors, open_source, sensor_bands
from hsikit.sensors.responses import sensor_response
from hsikit.spectral.resample import gaussian_resampling, response_resampling

from .scenes import scene

NM = np.arange(420.0, 2460.0, 8.0)


def spectra(source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def test_measured_responses_are_used_where_there_are_some() -> None:
    source = scene(nm=NM)
    made = resampled(source, "Sentinel 2A")
    used, table, response = source.info.bands.used, sensor_bands("sentinel-2a"), sensor_response("sentinel-2a")
    assert response is not None
    means = response_resampling(NM[used], 10.5, response.wavelength, response.response).weights.toarray()
    found, values = spectra(made), spectra(source)[used]
    answered = made.info.bands.good
    np.testing.assert_allclose(found[answered], np.einsum("db,byx->dyx", means[answered], values), atol=1e-6)
    assert made.info.bands.names == table.names and made.info.sensor == "sentinel-2a" and made.info.attrs["responses"] == "measured"
    assert made.info.attrs["resampled_from"] == "enmap" and made.info.quantity == "surface_reflectance"
    assert made.info.notices[0] == "resampled to sentinel-2a by its measured responses"


def test_gaussians_stand_for_the_others_and_uncovered_bands_are_named() -> None:
    source = scene(nm=np.arange(450.0, 900.0, 5.0))
    made = resampled(source, "enmap")
    table, used = sensor_bands("enmap"), source.info.bands.used
    order = np.argsort(table.wavelength)
    means = gaussian_resampling(source.info.bands.wavelength[used], 10.5, table.wavelength[order], table.fwhm[order])
    np.testing.assert_array_equal(made.info.bands.good, means.coverage >= 0.8)
    found = spectra(made)
    assert np.isnan(found[~made.info.bands.good]).all() and np.isfinite(found[made.info.bands.good, 0, 0]).all()
    assert "Gaussians" in made.info.notices[0] and "missing: " in made.info.notices[1] and "and 1" in made.info.notices[1]


def test_less_coverage_is_had_for_the_asking() -> None:
    source = scene(nm=np.arange(500.0, 600.0, 5.0))
    wanted = Bands(np.array([550.0, 600.0]), np.array([40.0, 40.0]), np.ones(2, bool), ("a", "b"))
    assert resampled(source, wanted).info.bands.good.tolist() == [True, False]
    asked = resampled(source, wanted, min_coverage=0.3)
    share = float(asked.info.attrs["coverage"].split()[1])
    assert 0.3 < share < 0.8 and asked.info.notices[-1] == f"1 of 2 bands are covered whole, b to {share:.0%}"
    assert resampled(source, wanted).info.notices[-1] == "1 of 2 bands are covered whole"
    assert resampled(source, [550.0], 20.0).info.notices == ("resampled to 1 bands by Gaussians of the band widths",)
    many = resampled(source, np.arange(570.0, 601.0, 3.0), 40.0, min_coverage=0.3).info.notices[-1]
    assert "more, all to " in many and many.count(" to ") == 5
    assert asked.info.bands.good.all() and np.isfinite(spectra(asked)[1, 0, 0])
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(OptionError, match="min_coverage"):
            resampled(source, wanted, min_coverage=share)


def test_bands_missing_in_a_pixel_hand_their_weight_on_down_to_half() -> None:
    source = scene(nm=np.arange(500.0, 700.0, 5.0))
    source._values[:] = 4000  # a flat spectrum: any mean of it is the same
    used = source.info.bands.used
    source._values[used[8:10], 1, 1] = -9999
    source._values[used[4:20], 2, 2] = -9999
    found = spectra(resampled(source, [560.0], 60.0))[0]
    np.testing.assert_allclose(found[1, 1], 0.4, rtol=1e-6)
    assert np.isnan(found[2, 2]) and np.isfinite(found).sum() == found.size - 1


@settings(max_examples=25)
@given(data=st.data())
def test_any_window_is_the_same_part_of_the_whole(data: st.DataObject) -> None:
    made = resampled(scene(nm=NM, seed=1), data.draw(st.sampled_from(["sentinel-2", "landsat-8", "planetscope-superdove"])))
    rows, cols = made.info.grid.shape
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    window = Window(row, col, data.draw(st.integers(0, rows - row)), data.draw(st.integers(0, cols - col)))
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, len(made.info.bands) - 1), min_size=1))), np.intp)
    np.testing.assert_allclose(read_window(made, window, bands), spectra(made)[bands][(slice(None), *window.slices())], atol=1e-6)


@pytest.mark.parametrize("name", [entry.name for entry in list_sensors()])
def test_every_sensor_is_a_target_whose_responses_follow_its_bands(name: str) -> None:
    target: Target = target_of(name)
    assert target.sensor == name and (np.diff(target.bands.wavelength) > 0).all()
    if target.response is not None:
        peaks = target.response.wavelength[target.response.response.argmax(1)]
        assert (np.abs(peaks - target.bands.wavelength) < target.bands.fwhm).all()


def test_targets_as_people_give_them(tmp_path: Path) -> None:
    (tmp_path / "bands.csv").write_text("name,wavelength,fwhm\nnir,860,40\nred,660,30\n")
    for given_ in (tmp_path / "bands.csv", str(tmp_path / "bands.csv")):
        target = target_of(given_)
        assert target.bands.names == ("red", "nir") and target.bands.fwhm.tolist() == [30.0, 40.0] and target.response is None
    assert target_of([700.0, 600.0], 12.0).bands.wavelength.tolist() == [600.0, 700.0]
    for given_, said in [("no-such-sensor", "neither a known sensor"), ("", "neither")]:
        with pytest.raises(OptionError, match=said):
            target_of(given_)
    with pytest.raises(WavelengthError, match="does not exist"):
        target_of("nowhere.csv")
    for centres, widths, said in [([600.0, 600.0], None, "same"), (["red"], None, "no numbers"), ([600.0, 700.0], [1.0, 2.0, 3.0], "as many widths"),
                                  ([], None, "finite"), ([[600.0]], None, "finite"), ([600.0, np.nan], None, "finite"), (None, None, "finite")]:  # fmt: skip
        with pytest.raises(WavelengthError, match=said):
            target_of(centres, widths)


def test_names_of_spectra_are_no_names_of_bands() -> None:
    class Spectra:
        wavelength, fwhm, names = np.array([500.0, 600.0]), np.array([10.0, 10.0]), ("oak", "beech")

    assert target_of(Spectra()).bands.names == ("500 nm", "600 nm")


def test_scenes_that_cannot_be_resampled() -> None:
    source = scene(nm=np.arange(450.0, 900.0, 5.0))
    with pytest.raises(WavelengthError, match=r"scene\.dat.*cannot answer"):
        resampled(source, [2200.0], 20.0)
    bands = source.info.bands
    source.info = source.info.with_(bands=Bands(np.full(len(bands), np.nan), bands.fwhm, bands.good, bands.names))
    with pytest.raises(WavelengthError, match="no wavelengths"):
        resampled(source, "sentinel-2")
    source.info = source.info.with_(bands=Bands(bands.wavelength, bands.fwhm, np.zeros(len(bands), bool), bands.names))
    with pytest.raises(WavelengthError, match="marked bad"):
        resampled(source, "sentinel-2")


def test_written_and_read_again(tmp_path: Path) -> None:
    made = resampled(scene(nm=NM), "sentinel-2")
    write_scene(made, tmp_path / "s2.tif")
    read = open_source(tmp_path / "s2.tif")
    assert read.info.attrs["coverage"] == made.info.attrs["coverage"]
    assert read.info.sensor == "sentinel-2" and read.info.bands.names == made.info.bands.names
    np.testing.assert_array_equal(read.info.bands.good, made.info.bands.good)
    np.testing.assert_allclose(spectra(read), spectra(made), rtol=1e-6)
