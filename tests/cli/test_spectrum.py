"""`hsikit spectrum`: points, pixels and polygons, to the terminal, a table, a library and a plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import geopandas
import numpy as np
import pytest
from pyproj import Transformer
from shapely.geometry import box

from tests.products.geotiff import write_geotiff

from .verbs import run

STORED = np.random.default_rng(0).integers(200, 6000, (5, 9, 8)).astype(np.int16)
NM = [450.0, 550, 660, 850, 1650]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_geotiff(tmp_path / "scene.tif", STORED, NM, scale=1e-4, nodata=-9999)


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_several_places_to_the_terminal(scene: Path) -> None:
    done = run("spectrum", scene, "--pixel", "2,3", "--pixel", "0,0")
    assert done.code == 0 and done.err == ""
    rows = table(done.out)
    assert rows[0] == ["wavelength_nm", "good_band", "row 2 column 3", "row 0 column 0"]
    np.testing.assert_allclose(np.array(rows[1:], float)[:, 2:], STORED[:, [2, 0], [3, 0]] * 1e-4, rtol=1e-5)
    points = run("spectrum", scene, "--xy", "365095,5807935", "--xy", "365001, 5807999")
    assert [row[2:] for row in table(points.out)[1:]] == [row[2:] for row in rows[1:]]
    longitude, latitude = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(365095, 5807935)
    degrees = run("spectrum", scene, "--lonlat", f"{longitude},{latitude}")
    assert [row[2] for row in table(degrees.out)[1:]] == [row[2] for row in rows[1:]]


def test_polygons_to_files(scene: Path, tmp_path: Path) -> None:
    fields = geopandas.GeoDataFrame({"crop": ["oats"]}, geometry=[box(365000, 5807940, 365060, 5808000)], crs="EPSG:32633")
    fields.to_file(tmp_path / "fields.gpkg")
    done = run("spectrum", scene, "--polygons", tmp_path / "fields.gpkg", "--field", "crop", "-o", tmp_path / "out.csv", "--plot", tmp_path / "out.png")
    assert done.code == 0 and "wrote" in done.out, done.err
    rows = table((tmp_path / "out.csv").read_text())
    assert rows[0] == ["wavelength_nm", "good_band", "oats", "oats sd"]
    np.testing.assert_allclose(np.array(rows[1:], float)[:, 2], STORED[:, :2, :2].reshape(5, -1).mean(1) * 1e-4, rtol=1e-5)
    assert (tmp_path / "out.png").stat().st_size > 1000
    again = run("spectrum", scene, "--pixel", "0,0", "--plot", tmp_path / "out.png")
    assert again.code == 2 and "--overwrite" in again.err


def test_layers_without_wavelengths(scene: Path, tmp_path: Path) -> None:
    assert run("transform", scene, "--components", 2, "-o", tmp_path / "mnf.tif").code == 0
    rows = table(run("spectrum", tmp_path / "mnf.tif", "--pixel", "1,1").out)
    assert rows[0][0] == "band" and len(rows) == 3 and all(row[0] for row in rows[1:])
    done = run("spectrum", tmp_path / "mnf.tif", "--pixel", "1,1", "-o", tmp_path / "c.sli")
    assert done.code == 2 and "needs wavelengths" in done.err and not (tmp_path / "c.sli").exists()


def test_mistakes(scene: Path) -> None:
    told = {
        "": "no place given", "--pixel 1,1 --xy 1,2": "--xy and --pixel given", "--pixel 1": "is not ROW,COL", "--lonlat a,b": "is not LON,LAT",
        "--pixel 99,0": "outside", "--xy 1,2": "outside", "--pixel 1,1 --field crop": "names polygons", "--pixel 1,1 --plot x.gif": "ends in",
    }  # fmt: skip
    for arguments, words in told.items():
        done = run("spectrum", scene, *arguments.split())
        assert done.code == 2 and words in done.err, (arguments, done.err)
