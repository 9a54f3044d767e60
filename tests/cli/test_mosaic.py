"""`hsikit mosaic`: from the maps of a batch to one, what is said, and mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from .conftest import Field, Hsikit, codes_of


@pytest.fixture
def maps(place: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two scenes of different days that overlap."""
    monkeypatch.chdir(tmp_path)
    for name, shift, day in (("g1", 0, 1), ("g2", 20, 2)):
        shutil.copy(place.scene, f"{name}.tif")
        with rasterio.open(f"{name}.tif", "r+") as dataset:
            dataset.transform = dataset.transform * rasterio.Affine.translation(shift, 0)
            dataset.update_tags(acquired=f"2024-06-0{day}T10:00:00Z")
    return tmp_path


def test_from_a_batch_to_a_mosaic(maps: Path, place: Field, hsikit: Hsikit) -> None:
    done = hsikit("batch", "g1.tif", "g2.tif", "--model", place.model, "-o", "maps/{stem}.tif", "-p", "confidence=true", "--collection", "maps/all.json")
    assert done.code == 0, done.text
    with rasterio.open("maps/g2.tif") as dataset:
        assert dataset.tags()["acquired"] == "2024-06-02T10:00:00Z"
    one, two = codes_of(maps / "maps" / "g1.tif"), codes_of(maps / "maps" / "g2.tif")
    for given, name in (("maps", "a.tif"), ("maps/all.json", "b.tif")):
        made = hsikit("mosaic", given, "-o", name, "--rule", "latest", "--report", f"{name}.csv")
        assert made.code == 0, made.text
        assert "2 maps onto 72 x 80 pixels of EPSG:32633, ranked by the scenes' times of acquisition" in made.err
        both = (one[:, 20:] > 0) & (two[:, :40] > 0)
        assert f"g1.tif and g2.tif: {both.sum()} pixels" in made.out and " % agree (kappa " in made.out
        found = codes_of(maps / name)
        np.testing.assert_array_equal(found[:, 20:], np.where(two > 0, two, np.pad(one[:, 20:], ((0, 0), (0, 20)))))
        np.testing.assert_array_equal(found[:, :20], one[:, :20])
    confident = hsikit("mosaic", "maps", "-o", "c.tif", "--rule", "most-confident", "--source-layer", "--json")
    assert confident.code == 0 and json.loads(confident.out)["seams"][0]["mean_difference"] is None
    assert (maps / "c_source.tif").exists()


def test_mistakes_end_with_2(maps: Path, place: Field, hsikit: Hsikit) -> None:
    assert hsikit("classify", "g1.tif", "--model", place.model, "-o", "m1.tif", "-q").code == 0
    for words, said in (
        (("m1.tif", "-o", "all.png"), "all.png: no kind of mosaic has that ending"),
        (("m1.tif", "-o", "all.tif", "--rule", "best"), "--rule: 'best' is not known"),
        (("m1.tif", "-o", "all.tif", "--rule", "least-cloud"), "m1.tif: has neither a layer 'cloud' nor the cloud cover"),
        (("g1.tif", "-o", "all.vrt", "--masked", "go"), "--masked: 'go' is not known"),
        (("m1.tif", "-o", "all.vrt", "--source-layer"), "--source-layer: a virtual raster has no pixels of its own"),
        (("m1.tif", "-o", "m1.tif", "--overwrite"), "m1.tif: is one of the maps"),
        (("none", "-o", "all.tif"), "none: does not exist"),
    ):
        ended = hsikit("mosaic", *words)
        assert ended.code == 2 and said in ended.err, ended.text
    assert not [path for path in maps.iterdir() if path.name.startswith(("all", "."))]
