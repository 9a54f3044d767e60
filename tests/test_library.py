"""The library: search, selection, resampling, plots, and files that open again as they were."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsikit.errors import OptionError, OutputError, WavelengthError
from hsikit.library import Library
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.libraries import open_library
from hsikit.sensors.responses import sensor_response

NM = np.arange(400.0, 2501.0, 10.0)
NAMES = ("Kaolinite CM9", "Alunite GDS84", "Green grass", "Green grass")
GREEN = {"kind": ("mineral", "mineral", "plant", "plant"), "place": ("Nevada", "", "Potsdam, north", "Potsdam")}


@pytest.fixture
def library() -> Library:
    rng = np.random.default_rng(0)
    spectra = (0.3 + 0.2 * np.sin(NM / 300 + rng.uniform(0, 6, (4, 1)))).astype(np.float32)
    spectra[0, 100:104] = np.nan
    return Library(spectra, NM, np.full(len(NM), 10.0), NAMES, GREEN, "made.sli")


def test_search_looks_for_all_words_in_names_and_metadata(library: Library) -> None:
    assert library.search("potsdam GREEN").names == ("Green grass", "Green grass")
    assert library.search("north").metadata["place"] == ("Potsdam, north",)
    assert library.search("kaol|alun", regex=True).names == NAMES[:2]
    assert len(library.search("quartz")) == 0 and library.search("quartz").spectra.shape == (0, len(NM))
    assert len(library.search("mineral", columns=["name"])) == 0
    with pytest.raises(OptionError, match="no regular expression"):
        library.search("(", regex=True)
    with pytest.raises(OptionError, match=r"no column 'colour'.*name, kind, place"):
        library.search("x", columns=["colour"])


def test_select_by_name_position_and_mask(library: Library) -> None:
    assert library.select("Alunite GDS84").metadata["place"] == ("",)
    np.testing.assert_array_equal(library.select([3, 0]).spectra, library.spectra[[3, 0]])
    np.testing.assert_array_equal(library.select(np.array([True, False, False, True])).spectra, library.spectra[[0, 3]])
    with pytest.raises(OptionError, match=r"2 spectra.*named 'Green grass'.*2, 3"):
        library.select("Green grass")
    with pytest.raises(OptionError, match="Near are Kaolinite CM9"):
        library.select("kaolinite")
    with pytest.raises(OptionError, match="positions 0 to 3"):
        library.select([4])


def test_resampling_is_brute_force_integration(library: Library) -> None:
    centres, widths = np.array([560.0, 865.0, 1610.0]), np.array([36.0, 21.0, 90.0])
    found = library.resample_to(centres, widths)
    fine = np.arange(400.0, 2500.0, 0.05)
    sigma = np.sqrt(widths**2 - 10.0**2) / (2 * np.sqrt(2 * np.log(2)))
    kernels = np.exp(-0.5 * ((fine - centres[:, None]) / sigma[:, None]) ** 2)
    dense = np.stack([np.interp(fine, NM[np.isfinite(row)], row[np.isfinite(row)]) for row in library.spectra])
    np.testing.assert_allclose(found.spectra, dense @ (kernels / kernels.sum(1, keepdims=True)).T, atol=1e-6)
    assert found.names == library.names and found.metadata == library.metadata


def test_a_deleted_channel_stays_with_its_own_spectrum(library: Library) -> None:
    found = library.resample_to(np.array([1420.0, 1800.0]), np.array([10.0, 10.0]))
    np.testing.assert_array_equal(np.isnan(found.spectra), [[True, False], [False, False], [False, False], [False, False]])


def test_to_sensors_and_anything_with_wavelengths(library: Library) -> None:
    sentinel = library.resample_to("sentinel-2")
    assert sentinel.spectra.shape == (4, 13)
    np.testing.assert_allclose(library.resample_to(sentinel).spectra, sentinel.spectra, atol=0.01)
    np.testing.assert_array_equal(library.resample_to(sentinel.bands).spectra, library.resample_to(sentinel).spectra)
    measured = sensor_response("sentinel-2")
    assert measured is not None
    fine = np.arange(400.0, 2500.0, 0.1)
    curves = np.stack([np.interp(fine, measured.wavelength, curve, left=0, right=0) for curve in measured.response])
    want = np.stack([np.interp(fine, NM, row) for row in library.spectra[1:]]) @ (curves / curves.sum(1, keepdims=True)).T
    order = np.argsort(sensor_bands("sentinel-2").wavelength)
    np.testing.assert_allclose(sentinel.spectra[1:], want[:, order], atol=1e-4)
    with pytest.raises(OptionError, match="neither a known sensor"):
        library.resample_to("no such sensor")
    with pytest.raises(WavelengthError, match=r"none of the bands.*from 400 to 2500"):
        library.resample_to([9000.0])
    with pytest.raises(WavelengthError, match="the same"):
        library.resample_to([500.0, 500.0])


def test_plot_breaks_where_no_spectrum_was_measured(library: Library) -> None:
    axes = library.select([0]).plot()
    drawn = axes.lines[0].get_ydata()
    assert np.isnan(drawn).sum() == 4 and axes.get_legend().texts[0].get_text() == "Kaolinite CM9"
    assert axes.get_ylabel() == "surface reflectance"


def test_places_under_their_usual_titles(library: Library) -> None:
    placed = replace(library, metadata={"Lon": ("13.5", "", "-2", "0"), "latitude": ("52.5", "", "1e1", "0")})
    np.testing.assert_array_equal(placed.places(), [[13.5, np.nan, -2, 0], [52.5, np.nan, 10, 0]])
    assert np.isnan(library.places()).all()
    with pytest.raises(OptionError, match=r"column 'lon'.*no number.*decimal degrees"):
        replace(library, metadata={"lon": ("13 E", "", "", "")}).places()
    with pytest.raises(OptionError, match="no wavelength"):
        replace(library, metadata={"splice_nm": ("here", "", "", "")}).splice_corrected()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="1 names; metadata that do not fit: \\['place'\\]"):
        Library(np.zeros((2, 3), np.float32), NM[:3], NM[:3], ("a",), {"place": ("x",)})
    with pytest.raises(WavelengthError, match="do not ascend"):
        Library(np.zeros((1, 3), np.float32), NM[2::-1], NM[:3], ("a",))


def same(one: Library, other: Library) -> None:
    np.testing.assert_array_equal(one.spectra, other.spectra)
    np.testing.assert_array_equal(one.wavelength, other.wavelength)
    np.testing.assert_array_equal(one.fwhm, other.fwhm)
    assert (one.names, dict(one.metadata), one.quantity) == (other.names, dict(other.metadata), other.quantity)


@pytest.mark.parametrize("ending", [".sli", ".csv"])
def test_saved_and_opened_again(library: Library, tmp_path: Path, ending: str) -> None:
    made = library.save(tmp_path / f"made{ending}")
    assert made[0] == tmp_path / f"made{ending}" and all(path.is_file() for path in made)
    same(library, open_library(tmp_path / f"made{ending}"))
    assert sorted(tmp_path.iterdir()) == sorted(made)


WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).map(lambda text: " ".join(text.split()) or "x")


@given(
    spectra=arrays(np.float32, (3, 4), elements=st.floats(-1, 9, width=32) | st.just(np.nan)),
    names=st.lists(WORDS, min_size=3, max_size=3),
    notes=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=9), min_size=3, max_size=3),
    ending=st.sampled_from([".sli", ".csv"]),
    quantity=st.sampled_from(["surface_reflectance", "radiance", "dn"]),
    wide=st.booleans(),
)
@settings(max_examples=40)
def test_any_library_survives_a_file(spectra: np.ndarray, names: list[str], notes: list[str], ending: str, quantity: str, wide: bool) -> None:
    metadata = {"note, in words": tuple(notes)} if any(notes) else {}
    made = Library(spectra, NM[:4] + 0.123456789, np.full(4, 9.87654321 if wide else np.nan), tuple(names), metadata, quantity=quantity)
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / f"any{ending}")
        same(made, open_library(Path(folder) / f"any{ending}"))


def test_no_file_is_damaged(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "made.sli")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("made.sli", "made.hdr"):
        with pytest.raises(OutputError, match="--overwrite"):
            library.select([0]).save(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    library.select([0]).save(tmp_path / "made.sli", overwrite=True)
    assert open_library(tmp_path / "made.hdr").names == ("Kaolinite CM9",)
    library.save(tmp_path / "table.csv")
    with pytest.raises(OutputError, match=r"table\.csv: exists, and the metadata"):
        library.save(tmp_path / "table.sli", overwrite=True)
    with pytest.raises(OutputError, match=r"ends in '.txt'"):
        library.save(tmp_path / "made.txt")
    with pytest.raises(OutputError, match="no spectrum"):
        library.search("quartz").save(tmp_path / "none.csv")
