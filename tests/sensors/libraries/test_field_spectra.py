"""Field spectra of three makers, against files built from their published formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import HsikitError, OptionError, SceneError
from hsikit.sensors.libraries import open_library
from hsikit.sensors.libraries.places import degrees, iso_time
from tests.products.field_spectra import BASE, FORE_OPTIC, LAMP, write_asd, write_sed, write_sig

NM = np.arange(350.0, 2501.0)
REFLECTANCE = 0.1 + 0.3 * np.exp(-(((NM - 1100) / 500) ** 2))
WHITE = 20_000 + 5_000 * np.cos(NM / 200)
COUNTS = WHITE * REFLECTANCE


@pytest.mark.parametrize("version", range(2, 9))
@pytest.mark.parametrize("kind", ["raw", "reflectance"])
def test_asd_reflectance_is_the_ratio_to_the_white_reference(tmp_path: Path, version: int, kind: str) -> None:
    path = write_asd(tmp_path / "oak.asd", COUNTS, WHITE, version=version, kind=kind, constituents=version % 3, variables=version % 2)
    found = open_library(path)
    np.testing.assert_allclose(found.spectra[0], REFLECTANCE, rtol=1e-6)
    np.testing.assert_array_equal(found.wavelength, NM)
    assert found.names == ("oak",) and found.quantity == "surface_reflectance" and not found.notices
    assert found.metadata["time"] == ("2023-06-16T10:30:07",) and found.metadata["comment"] == ("oak, sunlit",)
    assert found.metadata["splice_nm"] == ("1000 1830",) and found.metadata["instrument"] == ("18042",)


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_asd_stored_types_and_version_1(tmp_path: Path, stored: int) -> None:
    counts = np.round(COUNTS)
    found = open_library(write_asd(tmp_path / "a.asd", counts, WHITE, version=1, stored=stored))
    np.testing.assert_allclose(found.spectra[0], counts, rtol=1e-6)
    assert found.quantity == "dn" and "without what would turn it" in found.notices[0]
    found = open_library(write_asd(tmp_path / "b.asd", counts, np.round(WHITE), version=7, stored=stored))
    np.testing.assert_allclose(found.spectra[0], counts / np.round(WHITE), rtol=1e-6)


def test_asd_counts_where_no_reference_was_taken(tmp_path: Path) -> None:
    assert open_library(write_asd(tmp_path / "a.asd", COUNTS, None)).quantity == "dn"
    assert open_library(write_asd(tmp_path / "b.asd", REFLECTANCE, None, kind="reflectance")).quantity == "surface_reflectance"
    dead = WHITE.copy()
    dead[5] = 0
    assert np.flatnonzero(np.isnan(open_library(write_asd(tmp_path / "c.asd", COUNTS, dead)).spectra[0])).tolist() == [5]


@pytest.mark.parametrize(("version", "constituents", "variables"), [(7, 0, 0), (7, 2, 3), (8, 1, 0), (8, 0, 2)])
def test_asd_radiance_by_its_calibration(tmp_path: Path, version: int, constituents: int, variables: int) -> None:
    lamp, panel, optic = 0.2 + NM * 1e-4, np.full_like(NM, 0.98), 500 + NM
    series = {BASE: (panel, 0, (0, 0)), LAMP: (lamp, 0, (0, 0)), FORE_OPTIC: (optic, 544, (1000, 2000))}
    extra = {"version": version, "constituents": constituents, "variables": variables}
    path = write_asd(tmp_path / "a.asd", COUNTS, WHITE, kind="radiance", integration=68, gains=(250, 500), calibrations=series, **extra)
    found = open_library(path)
    assert found.quantity == "radiance"
    for nm, lamp_gain, gain in (
        (500, 544, 68),
        (1000, 544, 68),
        (1001, 2048 / 1000, 2048 / 250),
        (1830, 2048 / 1000, 2048 / 250),
        (2200, 2048 / 2000, 2048 / 500),
    ):
        i = nm - 350
        want = lamp[i] / np.pi * panel[i] / (optic[i] / lamp_gain) * COUNTS[i] / gain * 1000
        assert found.spectra[0, i] == pytest.approx(want, rel=1e-6)
    assert open_library(write_asd(tmp_path / "b.asd", COUNTS, WHITE, kind="radiance", version=6)).quantity == "dn"


def test_asd_position_in_degrees_and_minutes(tmp_path: Path) -> None:
    found = open_library(write_asd(tmp_path / "a.asd", COUNTS, WHITE, position=(5223.76, -1303.96)))
    longitude, latitude = found.places()
    np.testing.assert_allclose((longitude[0], latitude[0]), (-(13 + 3.96 / 60), 52 + 23.76 / 60), rtol=1e-9)
    assert np.isnan(open_library(write_asd(tmp_path / "b.asd", COUNTS, WHITE)).places()).all()


@given(size=st.integers(0, 40_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_truncated_asd_file_is_refused(tmp_path: Path, size: int) -> None:
    whole = write_asd(tmp_path / "a.asd", COUNTS, WHITE, version=7, kind="radiance", calibrations={LAMP: (NM, 1, (1, 1))}).read_bytes()
    (tmp_path / "b.asd").write_bytes(whole[:size])
    if size in (484 + 8 * len(NM), len(whole)) or size > len(whole):
        return
    with pytest.raises(SceneError, match=r"is empty|ends after"):
        open_library(tmp_path / "b.asd")


@given(seed=st.integers(0, 10**6), flips=st.integers(1, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
def test_a_damaged_asd_file_never_crashes(tmp_path: Path, seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    path = write_asd(tmp_path / "a.asd", COUNTS[:50], WHITE[:50], version=8, kind="radiance", calibrations={LAMP: (NM[:50], 1, (1, 1))}, constituents=1)
    data = bytearray(path.read_bytes())
    for place in rng.integers(3, len(data), flips):
        data[place] = rng.integers(256)
    path.write_bytes(bytes(data))
    try:
        found = open_library(path)
    except HsikitError:
        return
    assert found.spectra.shape == (1, len(found.wavelength)) and (np.diff(found.wavelength) > 0).all()


def test_svc(tmp_path: Path) -> None:
    found = open_library(write_sig(tmp_path / "HR.0003.sig", [350.5, 360.1, 2500.0], [10.5, 20.0, 41.0]))
    np.testing.assert_allclose(found.spectra, [[0.105, 0.2, 0.41]], rtol=1e-6)
    assert found.names == ("HR.0003",) and found.metadata["time"] == ("2023-06-16T10:30:07",) and found.metadata["comment"] == ("oak",)
    np.testing.assert_allclose(np.ravel(found.places()), (13 + 3.96 / 60, 52 + 23.76 / 60))
    west = open_library(write_sig(tmp_path / "b.sig", [350, 360], [1, 2], longitude="11121.2335,W, 11121.2324,W", latitude="", time=""))
    assert west.places()[0][0] == pytest.approx(-(111 + 21.2324 / 60)) and np.isnan(west.places()[1][0])


def test_svc_detectors_that_overlap_are_joined_in_the_middle(tmp_path: Path) -> None:
    wavelength = [900, 950, 1000, 980, 990, 1005, 1500, 1890, 1920, 1880, 1900, 2000]
    percent = [10, 11, 12, 20, 21, 22, 23, 24, 25, 34, 35, 36]
    found = open_library(write_sig(tmp_path / "a.sig", wavelength, percent))
    np.testing.assert_allclose(found.wavelength, [900, 950, 1005, 1500, 1890, 2000])
    np.testing.assert_allclose(found.spectra[0], [0.10, 0.11, 0.22, 0.23, 0.24, 0.36], rtol=1e-6)
    assert found.metadata["splice_nm"] == ("990 1900",)
    stated = open_library(write_sig(tmp_path / "b.sig", [900, 1100], [1, 2], factors="1.0, 1.0, 1.0 [Overlap: Remove @ 990,1900, Matching Type: None]"))
    assert stated.metadata["splice_nm"] == ("990 1900",)


@pytest.mark.parametrize(
    ("title", "factor", "quantity"),
    [("Reflect. %", 100, "surface_reflectance"), ("Tgt./Ref. %", 100, "surface_reflectance"), ("Reflect. [1.0]", 1, "surface_reflectance"),
     ("Rad. (Target)", 1e-3, "radiance"), ("Norm. DN (Target)", 1, "dn")],
)  # fmt: skip
def test_spectral_evolution(tmp_path: Path, title: str, factor: float, quantity: str) -> None:
    found = open_library(write_sed(tmp_path / "oak.sed", {"Wvl": [350, 351, 352], "Rad. (Ref.)": [1, 1, 1], title: np.array([0.1, 0.2, 0.3]) * factor}))
    np.testing.assert_allclose(found.spectra, [[0.1, 0.2, 0.3]], rtol=1e-6)
    assert found.names == ("oak",) and found.quantity == quantity and found.metadata["time"] == ("2023-06-16T10:30:07",)
    np.testing.assert_allclose(np.ravel(found.places()), (13.066, 52.396))


def test_damaged_text_of_field_spectrometers(tmp_path: Path) -> None:
    sig, sed = write_sig(tmp_path / "a.sig", [350, 360], [1, 2]), write_sed(tmp_path / "a.sed", {"Wvl": [350, 351], "Reflect. %": [1, 2]}, Latitude="n/a")
    assert np.isnan(open_library(sed).places()[1][0])
    text = sig.read_text()
    for broken, wrong in (
        (text.partition("data=")[0], "no data"),
        (text + "370\n", "no columns"),
        (text.replace("  2.000", ""), "differ"),
        (text + "a b c d", "words"),
    ):
        sig.write_text(broken)
        with pytest.raises(SceneError, match=wrong):
            open_library(sig)
    text = sed.read_text()
    for broken, wrong in (
        (text.partition("Data:")[0], "no data"),
        (text.replace("Reflect. %", "Colour"), "none of the columns"),
        (text.replace("\tReflect. %", ""), "names 1"),
    ):
        sed.write_text(broken)
        with pytest.raises(SceneError, match=wrong):
            open_library(sed)


def test_a_folder_is_one_library(tmp_path: Path) -> None:
    write_asd(tmp_path / "1.asd", COUNTS, WHITE, position=(5223.76, 1303.96))
    (tmp_path / "day two").mkdir()
    write_asd(tmp_path / "day two" / "2.asd", COUNTS / 2, WHITE)
    write_sig(tmp_path / "3.sig", [350.5, 1000.2, 2499.5], [10, 30, 20])
    (tmp_path / "notes.doc").write_text("words")
    found = open_library(tmp_path)
    assert found.names == ("1", "3", "2") and found.metadata["file"] == ("1.asd", "3.sig", "day two/2.asd")
    np.testing.assert_allclose(found.spectra[2], REFLECTANCE / 2, rtol=1e-6)
    np.testing.assert_allclose(found.spectra[1, 200], np.interp(550, [350.5, 1000.2], [0.1, 0.3]), rtol=1e-5)
    assert any("1 spectra of other channels are interpolated to those of 1.asd" in notice for notice in found.notices)
    write_asd(tmp_path / "white.asd", WHITE)
    with pytest.raises(SceneError, match=r"several quantities.*white\.asd"):
        open_library(tmp_path)


def test_splices_are_corrected_by_choice(tmp_path: Path) -> None:
    jump = np.where(NM > 1000, 1.0, 0.93)
    found = open_library(write_asd(tmp_path / "a.asd", COUNTS * jump, WHITE))
    np.testing.assert_allclose(found.spectra[0], REFLECTANCE * jump, rtol=1e-6)
    np.testing.assert_allclose(found.splice_corrected().spectra[0], REFLECTANCE, rtol=2e-3)
    np.testing.assert_array_equal(found.splice_corrected((1000, 1830)).spectra, found.splice_corrected().spectra)
    with pytest.raises(OptionError, match="does not say where its detectors meet"):
        open_library(write_sed(tmp_path / "a.sed", {"Wvl": [350, 351], "Reflect. %": [1, 2]})).splice_corrected()


def test_spectral_evolution_tells_where_detectors_meet(tmp_path: Path) -> None:
    own = np.concatenate([np.linspace(350, 1000, 512), np.linspace(1003, 1900, 256), np.linspace(1903, 2500, 256)])
    jump = np.where(own > 1001, 40.0, 38.0)
    found = open_library(write_sed(tmp_path / "own.sed", {"Wvl": own, "Reflect. %": jump}))
    assert found.metadata["splice_nm"] == ("1000 1900",)
    np.testing.assert_allclose(found.splice_corrected().spectra, 0.4, rtol=1e-5)
    over = np.concatenate([np.linspace(350, 1010, 512), np.linspace(970, 1900, 256), np.linspace(1903, 2500, 256)])
    for detectors, want in (("512,256,256", "990 1900"), ("512,512", "990")):
        joined = open_library(write_sed(tmp_path / "over.sed", {"Wvl": over, "Reflect. %": np.full(1024, 40.0)}, Detectors=detectors))
        assert joined.metadata["splice_nm"] == (want,) and len(joined.wavelength) < 1024
    for detectors in ("512,256,256", "512,256", "n/a", "2151"):
        even = write_sed(tmp_path / "even.sed", {"Wvl": np.arange(350.0, 2501.0), "Reflect. %": np.full(2151, 40.0)}, Detectors=detectors)
        with pytest.raises(OptionError, match="does not say where its detectors meet"):
            open_library(even).splice_corrected()
    downwards = open_library(write_sed(tmp_path / "down.sed", {"Wvl": own[::-1], "Reflect. %": jump[::-1]}, Detectors="n/a"))
    assert len(downwards.wavelength) == 1024


@pytest.mark.parametrize(
    ("text", "axis", "want"),
    [("5223.76N", "latitude", 52.396), ("52.396", "latitude", 52.396), ("-52.396", "latitude", -52.396), ("01303.96,W", "longitude", -13.066),
     ("13.066 W", "longitude", -13.066), ("S 0005.5", "latitude", -5.5 / 60), ("n/a", "latitude", None), ("95", "latitude", None), ("", "longitude", None)],
)  # fmt: skip
def test_angles_in_their_many_spellings(text: str, axis: str, want: float | None) -> None:
    found = degrees(text, axis)
    assert (found == "") if want is None else float(found) == pytest.approx(want, abs=1e-9)


def test_times() -> None:
    assert iso_time(["6/16/2023 10:30:07PM"]) == "2023-06-16T22:30:07"
    assert iso_time(["06/16/2023", "10:30:07.9"]) == "2023-06-16T10:30:07"
    assert iso_time(["some day"]) == iso_time([]) == ""
