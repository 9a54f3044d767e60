"""`hsikit minerals`: entries of a library named where they are, with what lies beside the map."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.products.geotiff import write_geotiff
from tests.tasks.minerals.test_minerals import NAMES, NM, SPECTRA

from .verbs import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene whose rows are the library's entries half and half with grey, and the library."""
    folder = tmp_path_factory.mktemp("rocks")
    rng = np.random.default_rng(0)
    values = 0.5 * SPECTRA.T[:, :, None] + 0.15 + 0.002 * rng.standard_normal((len(NM), len(SPECTRA), 20))
    write_geotiff(folder / "scene.tif", np.round(values / 1e-4).astype(np.int16), NM, scale=1e-4, nodata=-9999)
    write_library(folder / "library.csv")
    return folder


def write_library(path: Path) -> None:
    lines = [",".join(("wavelength_nm", *NAMES)), *(f"{nm:g}," + ",".join(f"{value:.6f}" for value in row) for nm, row in zip(NM, SPECTRA.T, strict=True))]
    path.write_text("\n".join(lines))


def test_entries_are_named(made: Path, tmp_path: Path) -> None:
    done = run(
        "minerals", made / "scene.tif", "--library", made / "library.csv", "-o", tmp_path / "map.tif", "--noise", 0.002, "--quantity", "surface_reflectance"
    )
    assert done.code == 0, done.err
    assert "1 of 5 entries have no feature" in done.err and "such as flat" in done.err
    with rasterio.open(tmp_path / "map.tif") as file:
        index = file.read()
        assert file.descriptions[:2] == ("group 1 first", "group 1 second") and file.crs.to_epsg() == 32633
    assert (index[3, :2] == [[1], [2]]).all() and (index[0, 2:4] == [[3], [4]]).all() and (index[:, 4] == 0).all()
    depth, fit, sigma = (rasterio.open(tmp_path / f"map_{name}.tif").read() for name in ("depth", "fit", "uncertainty"))
    assert depth.shape == fit.shape == (6, 5, 20) and sigma.shape == (2, 5, 20)
    assert ((depth[0] > 0) == (index[0] > 0)).all() and fit[3, 0].min() > 0.8 and 0 < sigma[1, 0].min() < 0.02
    with (tmp_path / "map_entries.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(NAMES) and rows[0]["pixels_group_2"] == "20"


def test_masked_pixels_are_told_from_those_without_a_mineral(made: Path, tmp_path: Path) -> None:
    with rasterio.open(made / "scene.tif") as scene:
        place = {**scene.profile, "count": 1, "dtype": "uint8", "nodata": None}
        hidden = np.zeros(scene.shape, np.uint8)
    hidden[:, 5:9] = 1
    with rasterio.open(tmp_path / "cloud.tif", "w", **place) as file:
        file.write(hidden, 1)
    reading = ("--quantity", "surface_reflectance", "--noise", 0.002, "--mask", tmp_path / "cloud.tif")
    done = run("minerals", made / "scene.tif", "--library", made / "library.csv", "-o", tmp_path / "map.tif", *reading)
    assert done.code == 0, done.err
    np.testing.assert_array_equal(rasterio.open(tmp_path / "map_masked.tif").read(1), np.where(hidden, 255, 1))


def test_mistakes(made: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("a = 1")
    told = {
        ("--quantity", "radiance"): "holds surface_reflectance (1), and",
        ("--quantity", "surface_reflectance", "--features", tmp_path / "own.toml"): "holds no [[mineral]]",
        ("--quantity", "surface_reflectance", "--name", "kaolonite"): "Near are kaolinite",
        ("--quantity", "surface_reflectance", "--noise", -1): "is no standard deviation",
        ("--quantity", "surface_reflectance", "-p", "least_fit=2"): "least_fit: 2 is not a share",
        ("--quantity", "surface_reflectance", "-p", "table=2"): "'table' is no option of the method",
        ("--quantity", "surface_reflectance", "--library", tmp_path / "none.csv"): "does not exist",
    }  # fmt: skip
    for arguments, words in told.items():
        done = run("minerals", made / "scene.tif", "--library", made / "library.csv", *arguments, "-o", tmp_path / "map.tif")
        assert done.code == 2 and words in done.err, (arguments, done.err)
    assert [path.name for path in tmp_path.iterdir()] == ["own.toml"]
