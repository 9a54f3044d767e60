"""`hsikit indices`: what a user types, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio

from tests.products.geotiff import write_geotiff

from .verbs import run

NM = np.linspace(420, 2450, 60)


def made(folder: Path) -> Path:
    return write_geotiff(folder / "scene.tif", np.random.default_rng(0).integers(200, 6000, (60, 9, 8)).astype(np.int16), NM, scale=1e-4, nodata=-9999)


def test_indices_become_named_bands(tmp_path: Path) -> None:
    scene = made(tmp_path)
    done = run("indices", scene, "ndvi", "SAVI", "ratio = b842 / b665", "-p", "L=0.5", "-o", tmp_path / "out.tif")
    assert done.code == 0, done.err
    assert "NDVI = (N - R)/(N + R); N: band at 833 nm" in done.out and "L = 0.5" in done.out and "wrote" in done.out
    with rasterio.open(tmp_path / "out.tif") as found:
        assert found.descriptions == ("NDVI", "SAVI", "ratio") and found.shape == (9, 8)
    again = run("indices", scene, "NDVI", "-o", tmp_path / "out.tif")
    assert again.code == 2 and "--overwrite" in again.err
    quiet = run("indices", scene, "NDVI", "-o", tmp_path / "out.tif", "--overwrite", "--quiet")
    assert quiet.code == 0 and quiet.text == ""


def test_radiance_is_warned_of(tmp_path: Path) -> None:
    done = run("indices", made(tmp_path), "NDVI", "-o", tmp_path / "out.tif", "--quantity", "radiance")
    assert done.code == 0 and "note: indices are made for reflectance, and the scene holds radiance" in done.err


def test_the_catalogue_is_listed(tmp_path: Path) -> None:
    done = run("indices", "--list")
    assert done.code == 0 and len(done.out.splitlines()) > 250 and "NDVI" in done.out and "doi.org" in done.out
    snow = run("indices", "--list", "--domain", "snow")
    assert 0 < len(snow.out.splitlines()) < 20 and all(" snow " in line for line in snow.out.splitlines())
    wrong = run("indices", "--list", "--domain", "dust")
    assert wrong.code == 2 and "Known are burn, clouds" in wrong.err


def test_the_list_of_what_a_scene_can_give(tmp_path: Path) -> None:
    vnir = write_geotiff(tmp_path / "vnir.tif", np.ones((4, 3, 3), np.int16), [490, 560, 665, 842])
    done = run("indices", vnir, "--list")
    names = {line.split()[0] for line in done.out.splitlines()}
    assert {"NDVI", "NDWI", "EVI"} <= names and not {"NBR", "MNDWI", "VVVHR", "kNDVI"} & names
    assert f"can be had from {vnir}" in done.err


def test_mistakes(tmp_path: Path) -> None:
    scene = made(tmp_path)
    for arguments, words in (
        (["NDVI"], "--list"),
        (["NDVY", "-o", "x.tif"], "Near are"),
        (["N.real", "-o", "x.tif"], "an attribute"),
        (["NDVI", "-o", "x.doc"], "ends in"),
    ):
        done = run("indices", scene, *arguments)
        assert done.code == 2 and words in done.err, done.err
    assert "needed" in run("indices").err and not (tmp_path / "x.tif").exists()
