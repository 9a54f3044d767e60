"""Libraries as others write them: ENVI, ECOSTRESS, USGS text, CSV, MATLAB; in their true structure, and the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.sensors.libraries import open_library
from tests.products.containers import write_matlab73
from tests.products.libraries import write_ecostress, write_sli, write_usgs

UM = [0.45, 0.55, 0.65, 0.66, 0.655, 0.85, 1.65, 2.2]  # two detectors overlap
NM = np.sort(np.array(UM) * 1000)
DELETED = -1.23e34
SPECTRA = np.random.default_rng(4).uniform(0.05, 0.6, (3, len(UM))).astype(np.float32)
SORTED = SPECTRA[:, np.argsort(UM)]


def test_envi_in_every_scale(tmp_path: Path) -> None:
    for factor, fields in ((1, {}), (1, {"reflectance scale factor": 1}), (100, {}), (1e4, {}), (1e4, {"reflectance scale factor": 10000})):
        header = write_sli(tmp_path / "a.hdr", SPECTRA * factor, UM, "abc", **fields)
        for path in (header, header.with_suffix(".sli")):
            found = open_library(path)
            np.testing.assert_allclose(found.spectra, SORTED, rtol=1e-6)
            np.testing.assert_allclose(found.wavelength, NM)
    assert any("percent" in notice for notice in open_library(write_sli(tmp_path / "b.hdr", SPECTRA * 100, UM, "abc")).notices)
    np.testing.assert_allclose(open_library(header, scale=1e-5).spectra, SORTED / 10, rtol=1e-6)


def test_deleted_channels_and_their_neighbours(tmp_path: Path) -> None:
    spoilt = SPECTRA.copy()
    spoilt[0, :4] = DELETED, DELETED * (1 + 1e-6), np.inf, -1.1e33
    spoilt[1, 0], spoilt[2, 1] = -55.0, 0.0
    found = open_library(write_sli(tmp_path / "a.hdr", spoilt, UM, "abc", data_ignore_value=0))
    np.testing.assert_array_equal(np.isnan(found.spectra), np.array([[1, 1, 1, 1, 0, 0, 0, 0], [1, *[0] * 7], [0, 1, *[0] * 6]])[:, np.argsort(UM)])


def test_records_of_the_usgs_are_no_spectra(tmp_path: Path) -> None:
    rows = np.stack([UM, np.full(8, 0.01), np.arange(1, 9), SPECTRA[0], SPECTRA[1] / 50, SPECTRA[1]])
    names = ["Wavelengths in microns 8ch", "Resolution  in microns 8ch", "Data value _ channel number (8 ch)", "Acmite", "error bars to preceding", "Alunite"]
    found = open_library(write_sli(tmp_path / "a.hdr", rows, UM, names))
    assert found.names == ("Acmite", "Alunite") and "1 records of error bars are left out" in found.notices
    np.testing.assert_allclose(found.spectra, SORTED[:2])
    np.testing.assert_allclose(found.fwhm, 10.0)
    scipy.io.savemat(tmp_path / "a.mat", {"datalib": rows.T.astype(float), "names": np.array([list(n.ljust(40).encode()) for n in names], np.uint8)})
    found = open_library(tmp_path / "a.mat")
    assert found.names == ("Acmite", "Alunite")
    np.testing.assert_allclose(found.wavelength, NM)
    np.testing.assert_allclose(found.spectra, SORTED[:2], rtol=1e-6)


def test_metadata_beside_an_envi_library(tmp_path: Path) -> None:
    header = write_sli(tmp_path / "a.hdr", SPECTRA, UM, "abc")
    (tmp_path / "a.csv").write_text('spectra names,level_1\n"red tile, old",roof\ngrass,plant\nwater,\n')
    found = open_library(header)
    assert found.names == ("red tile, old", "grass", "water") and found.metadata == {"level_1": ("roof", "plant", "")}
    (tmp_path / "a.csv").write_text("something,else\n1,2\n")
    found = open_library(header)
    assert found.names == ("a", "b", "c") and any("a.csv beside it is no table" in notice for notice in found.notices)


def test_a_plain_envi_file_of_one_column(tmp_path: Path) -> None:
    fields = {"file type": "ENVI Standard", "samples": 1, "lines": 3, "bands": 8, "interleave": "bil", "spectra names": "{}"}
    header = write_sli(tmp_path / "a.hdr", SPECTRA, UM, "abc", suffix="", **fields)
    np.testing.assert_allclose(open_library(header).spectra, SORTED)
    np.testing.assert_allclose(open_library(tmp_path / "a").spectra, SORTED)
    with pytest.raises(SceneError, match="3 x 2 pixels, not a library"):
        open_library(write_sli(tmp_path / "b.hdr", SPECTRA, UM, "abc", **{**fields, "samples": 2, "bands": 4}))


def test_damaged_envi_libraries(tmp_path: Path) -> None:
    header = write_sli(tmp_path / "a.hdr", SPECTRA, UM, "ab")
    with pytest.raises(SceneError, match="names 2 spectra, and its data hold 3"):
        open_library(header)
    header.with_suffix(".sli").write_bytes(bytes(20))
    with pytest.raises(SceneError, match="has 20 bytes, and its header promises 96"):
        open_library(header)
    header.with_suffix(".sli").unlink()
    with pytest.raises(SceneError, match="not beside it"):
        open_library(header)
    with pytest.raises(SceneError, match="no header beside it"):
        open_library(_bytes(tmp_path / "lone.sli", SPECTRA.tobytes()))
    with pytest.raises(WavelengthError, match="no wavelengths"):
        open_library(write_sli(tmp_path / "b.hdr", SPECTRA, [], "abc"))


def test_ecostress_text(tmp_path: Path) -> None:
    path = write_ecostress(tmp_path / "asphalt.spectrum.txt", [2.5, 1.5, 0.5], [30, 20, 10.5])
    found = open_library(path)
    np.testing.assert_allclose(found.spectra, [[0.105, 0.2, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(found.wavelength, [500, 1500, 2500])
    assert found.names == ("Construction Asphalt",) and found.metadata["class"] == ("Road",)
    assert found.metadata["description"] == ("Gray asphalt.  Original file name 0095uuuasp was renamed",)
    fraction = write_ecostress(tmp_path / "b.txt", [0.5, 1.5], [0.105, 0.2], Y_Units="Reflectance (fraction)")
    np.testing.assert_allclose(open_library(fraction).spectra, [[0.105, 0.2]])
    with pytest.raises(SceneError, match=r"'Transmittance \(percent\)', not reflectance"):
        open_library(write_ecostress(tmp_path / "c.txt", [0.5, 1.5], [1, 2], Y_Units="Transmittance (percent)"))
    with pytest.raises(SceneError, match="no columns"):
        open_library(write_ecostress(tmp_path / "d.txt", [0.5], [1]).rename(tmp_path / "d.txt") and _cut(tmp_path / "d.txt"))


def _cut(path: Path) -> Path:
    path.write_text(path.read_text().rpartition("\n\n")[0])
    return path


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_usgs_text_finds_its_wavelengths(tmp_path: Path) -> None:
    chapter = write_usgs(tmp_path, UM, {"Acmite_NMNH133746": SPECTRA[0], "Alunite_GDS84": [DELETED, *SPECTRA[1, 1:]]}, [0.01] * 8)
    one = open_library(chapter / "splib07a_Acmite_NMNH133746_ASDFRb_AREF.txt")
    np.testing.assert_allclose(one.spectra, SORTED[:1], rtol=1e-6)
    np.testing.assert_allclose(one.fwhm, 10.0)
    assert one.names == ("Acmite NMNH133746",) and one.metadata["spectrometer"] == ("ASDFRb",) and one.metadata["record"] == ("100",)
    both = open_library(chapter)
    assert both.names == ("Acmite NMNH133746", "Alunite GDS84") and np.isnan(both.spectra).sum() == 1
    lone = _bytes(tmp_path / "elsewhere.txt", b" splib07a Record=5: X ASDFRb AREF\n 0.1\n 0.2\n")
    with pytest.raises(WavelengthError, match=r"no file of 2 wavelengths.*\*_Wavelengths_ASD_\*.txt"):
        open_library(lone)
    np.testing.assert_allclose(open_library(lone, wavelengths=[500, 600]).spectra, [[0.1, 0.2]])


def test_csv_either_way(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id;site;450.5;550;650\nS1;north;12;;30\nS2;south;11;22;33\n")
    found = open_library(path)
    np.testing.assert_allclose(found.spectra, [[0.12, np.nan, 0.3], [0.11, 0.22, 0.33]], rtol=1e-6)
    assert found.names == ("S1", "S2") and found.metadata == {"site": ("north", "south")}
    path.write_text("wavelength_um,grass,soil,fwhm\n0.65,0.1,0.3,0.01\n0.45,0.05,NaN,0.02\n")
    found = open_library(path)
    np.testing.assert_allclose(found.spectra, [[0.05, 0.1], [np.nan, 0.3]], rtol=1e-6)
    np.testing.assert_allclose((found.wavelength, found.fwhm), [[450, 650], [20, 10]])
    path.write_text("450,0.1\n550,0.2\n")
    assert open_library(path).names == ("spectrum 1",)
    refused = {"wavelength,a\n450,x\n550,1\n": "row 2 holds 'x'", "450,1\n": "no spectra", "wl,a\n450,1,2\n": "row 2 has 3 cells", "wl\n4\n": "one column"}
    for text, wrong in refused.items():
        path.write_text(text)
        with pytest.raises(SceneError, match=wrong):
            open_library(path)


def test_matlab_of_either_version(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"lib": SPECTRA.T.astype(float), "wavelength": np.array(UM), "names": np.array(["ab", "cd", "ef"])})
    write_matlab73(tmp_path / "b.mat", lib=SPECTRA.T.astype(float), wavelength=np.array(UM)[:, None])
    for name, names in (("a.mat", ("ab", "cd", "ef")), ("b.mat", ("spectrum 1", "spectrum 2", "spectrum 3"))):
        found = open_library(tmp_path / name)
        np.testing.assert_allclose(found.spectra, SORTED, rtol=1e-6)
        assert found.names == names
    scipy.io.savemat(tmp_path / "c.mat", {"lib": SPECTRA.T.astype(float), "other": np.ones((9, 9))})
    np.testing.assert_allclose(open_library(tmp_path / "c.mat", variable="lib", wavelengths=np.array(UM) * 1000).spectra, SORTED, rtol=1e-6)
    with pytest.raises(SceneError, match=r"no matrix 'nothing'.*lib, other"):
        open_library(tmp_path / "c.mat", variable="nothing")
    (tmp_path / "c.mat").write_bytes((tmp_path / "c.mat").read_bytes()[:200])
    with pytest.raises(SceneError, match="truncated or damaged"):
        open_library(tmp_path / "c.mat")


def test_what_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="does not exist"):
        open_library(tmp_path / "none.sli")
    with pytest.raises(SceneError, match="is empty"):
        open_library(_bytes(tmp_path / "empty.csv", b""))
    with pytest.raises(SceneError, match=r"no spectral library.*ENVI.*ASD"):
        open_library(_bytes(tmp_path / "words.doc", b"words"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SceneError, match="holds no spectra"):
        open_library(tmp_path / "folder")
    with pytest.raises(OptionError, match="scale"):
        open_library(tmp_path, scale=-1)
    with pytest.raises(OptionError, match="quantity"):
        open_library(tmp_path, quantity="colour")
    with pytest.raises(SceneError, match=r"up to 6e\+07, are no reflectances"):
        open_library(write_sli(tmp_path / "a.hdr", np.full((3, 8), 6e7), UM, "abc"))
    assert open_library(tmp_path / "a.hdr", quantity="dn").quantity == "dn"


REAL = [
    ("USGS_1995_Library.mat", 498, "Acmite NMNH133746", 383.15),
    ("s07_AV95_envi.hdr", 2457, "Acmite NMNH133746 Pyroxene BECKa AREF", 383.15),
    ("s07_AV95_envi.sli", 2457, "Acmite NMNH133746 Pyroxene BECKa AREF", 383.15),
    ("r06av18a_envi", 87, "Grass_dry+0.17%Na-Mont AMX35 r06av18a_a", 365.93),
    ("library_berlin.sli", 75, "red clay tile 1", 460.0),
    ("gamsberg_field_library", 27, "16_03_12_2_C1_mica_shist", 350.0),
    ("ecostress_library_with_mixtures.hdr", 2041, "spectrum 1", 375.59399),
]


@pytest.mark.parametrize(("name", "spectra", "first", "shortest"), REAL)
def test_real_libraries(shared_data: Path, name: str, spectra: int, first: str, shortest: float) -> None:
    found = open_library(shared_data / "libraries" / name)
    assert len(found) == spectra and found.names[0] == first and found.wavelength[0] == pytest.approx(shortest)
    assert np.nanmax(found.spectra) < 2 and np.nanmin(found.spectra) > -0.1
    assert np.isfinite(found.spectra).mean() > 0.8
