"""`hsikit library` and `hsikit reflectance`: field spectra looked at, saved, matched, and a scene made reflectance by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import from_origin

from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.sensors.libraries import open_library
from tests.products.field_spectra import write_asd
from tests.products.geotiff import write_geotiff
from tests.products.libraries import write_sli

from .verbs import run

NM = np.arange(350.0, 2501.0)
BANDS = np.arange(450.0, 2400.0, 50.0)
PLACES = {(1, 2): 0.1, (5, 3): 0.3, (7, 6): 0.5}


def minutes(angle: float) -> float:
    return 100 * int(angle) + (angle - int(angle)) * 60


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """Three flat targets in pixels of `scene`."""
    folder = tmp_path / "field"
    folder.mkdir()
    for (row, col), level in PLACES.items():
        x, y = 365000 + 30 * (col + 0.4), 5808000 - 30 * (row + 0.6)
        longitude, latitude = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
        counts = 20_000 * level * np.where(NM > 1000, 1.0, 0.95)
        write_asd(folder / f"target {row}.asd", counts, np.full(len(NM), 20_000.0), position=(minutes(latitude), minutes(longitude)))
    return folder


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    level = np.full((9, 8), 0.2)
    for (row, col), value in PLACES.items():
        level[row, col] = value
    return write_geotiff(tmp_path / "scene.tif", np.round(500 + 4000 * np.broadcast_to(level, (len(BANDS), 9, 8))).astype(np.uint16), BANDS)


def test_a_library_is_looked_into(tmp_path: Path) -> None:
    names = [f"Mineral {i}" for i in range(30)]
    header = write_sli(tmp_path / "a.hdr", np.random.default_rng(0).uniform(10, 60, (30, 40)), np.linspace(0.4, 2.4, 40), names)
    done = run("library", header)
    assert done.code == 0 and "30 spectra, surface_reflectance, 40 channels from 400 to 2400 nm" in done.out and "and 10 more" in done.out
    assert "are taken as percent" in done.err
    assert run("library", header, "--all").out.count("Mineral") == 30
    found = run("library", header, "--search", "mineral [12]$", "--regex", "--to", "landsat-8", "-o", tmp_path / "few.csv", "--plot", tmp_path / "few.png")
    assert found.code == 0 and found.out.startswith("2 spectra"), found.err
    saved = open_library(tmp_path / "few.csv")
    assert saved.names == ("Mineral 1", "Mineral 2") and len(saved.wavelength) < 12 and (tmp_path / "few.png").exists()
    for arguments, words in {
        "--regex": "no --search",
        "--border 1000": "by --splice alone",
        "--splice": "where its detectors meet",
        "-o x.doc": "ends in",
    }.items():
        wrong = run("library", header, *arguments.split())
        assert wrong.code == 2 and words in wrong.err


def test_a_search_without_hits_says_so(campaign: Path, tmp_path: Path) -> None:
    done = run("library", campaign, "--search", "zzz", "--splice", "--border", 1000)
    assert done.code == 0 and "has 'zzz' in its name or metadata" in done.err and done.out.startswith("0 spectra")
    for words in (("-o", tmp_path / "x.sli"), ("--plot", tmp_path / "x.png")):
        wrong = run("library", campaign, "--search", "zzz", *words)
        assert wrong.code == 2 and "Try other words" in wrong.err and not list(tmp_path.glob("x.*"))


def test_a_scene_without_wavelengths_is_told_what_works(campaign: Path, tmp_path: Path) -> None:
    bare, table = tmp_path / "bare.tif", tmp_path / "bands.csv"
    with rasterio.open(
        bare, "w", driver="GTiff", height=9, width=8, count=3, dtype="uint16", crs="EPSG:32633", transform=from_origin(365000, 5808000, 30, 30)
    ) as made:
        made.write(np.arange(216, dtype=np.uint16).reshape(3, 9, 8))
    wrong = run("library", campaign, "--scene", bare)
    assert wrong.code == 2 and f"hsikit convert {bare} --wavelengths FILE.csv" in wrong.err
    table.write_text("wavelength\n500\n600\n700\n")
    assert run("convert", bare, "--wavelengths", table, "-o", tmp_path / "new.tif").code == 0
    done = run("library", campaign, "--scene", tmp_path / "new.tif")
    assert done.code == 0 and "3 spectra lie in the scene" in done.err


def test_resampling_tells_how_far_bands_are_covered(campaign: Path) -> None:
    (campaign.parent / "bands.csv").write_text("name,wavelength,fwhm\nedge,352,10\nred,660,30\n")
    done = run("library", campaign, "--to", campaign.parent / "bands.csv")
    assert done.code == 0 and "note: 1 of 2 bands are covered whole" in done.err


def test_field_spectra_are_matched_and_spliced(campaign: Path, scene: Path, tmp_path: Path) -> None:
    done = run("library", campaign, "--splice", "--scene", scene, "-o", tmp_path / "field.sli")
    assert done.code == 0, done.err
    assert "row 1, column 2: target 1" in done.out and "row 7, column 6: target 7" in done.out and "3 spectra lie in the scene, 0 outside" in done.err
    np.testing.assert_allclose(open_library(tmp_path / "field.sli").spectra, np.broadcast_to([[0.1], [0.3], [0.5]], (3, len(NM))), rtol=1e-5)


def test_a_scene_becomes_reflectance(campaign: Path, scene: Path, tmp_path: Path) -> None:
    done = run("reflectance", scene, "--spectra", campaign, "--splice", "-o", tmp_path / "out.tif")
    assert done.code == 0, done.err
    assert "3 targets, 39 of 39 bands have a line" in done.out and "target 5  residual 0.000" in done.out
    source = open_source(tmp_path / "out.tif")
    assert source.info.quantity == "surface_reflectance"
    values = read_window(source, source.info.grid.whole)
    np.testing.assert_allclose(values[:, [1, 5, 7, 0], [2, 3, 6, 0]], np.broadcast_to([0.1, 0.3, 0.5, 0.2], (39, 4)), atol=1e-3)
    again = run("reflectance", scene, "--spectra", campaign, "-o", tmp_path / "out.tif")
    assert again.code == 2 and "--overwrite" in again.err
    lone = run("reflectance", scene, "--spectra", campaign, "--field", "name", "-o", tmp_path / "b.tif")
    assert lone.code == 2 and "go together" in lone.err
