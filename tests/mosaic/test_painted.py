"""Mosaics over the files of maps, opened by GDAL."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import GridError, OptionError, OutputError
from hsikit.layers import Legend
from hsikit.mosaic import make_mosaic
from tests.mosaic.four import SHAPE, Four, make_four
from tests.mosaic.maps import NAMES, grid_at, read, write_map


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return make_four(tmp_path_factory.mktemp("four"))


@pytest.mark.parametrize("rule", ["first", "latest"])
@pytest.mark.parametrize("name", ["all.vrt", "all.gti.gpkg"])
def test_gdal_reads_what_the_rule_names(four: Four, tmp_path: Path, name: str, rule: str) -> None:
    make_mosaic(four.paths, tmp_path / name, rule=rule, masked="stay")
    scores = {"first": (0, -1, -2, -3), "latest": (1, 3, 2, 0)}[rule]
    with rasterio.open(tmp_path / name) as dataset:
        assert (dataset.crs.to_epsg(), dataset.nodata, dataset.shape) == (32633, 0, SHAPE)
        assert tuple(dataset.transform)[:6] == grid_at(0, 0, SHAPE).transform
        np.testing.assert_array_equal(dataset.read(1), four.expected(four.of_scenes(scores), masked_yields=False)[0])


@pytest.mark.parametrize("name", ["all.vrt", "all.gti.gpkg"])
def test_masked_pixels_that_would_hide_values_are_refused(four: Four, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"cannot let masked pixels yield.*--masked stay"):
        make_mosaic(four.paths, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_masked_pixels_that_hide_nothing_need_no_choice(four: Four, tmp_path: Path) -> None:
    bare = [write_map(tmp_path / f"{i}.tif", np.where(four.codes[i] == 255, 2 if i < 2 else 0, four.codes[i])) for i in range(4)]
    make_mosaic(bare, tmp_path / "all.vrt")
    make_mosaic(bare, tmp_path / "pixels.tif")
    np.testing.assert_array_equal(read(tmp_path / "all.vrt"), read(tmp_path / "pixels.tif"))
    assert (read(tmp_path / "all.vrt") == 2).any()


def test_a_folder_moves_as_a_whole(four: Four, tmp_path: Path) -> None:
    (tmp_path / "here" / "maps").mkdir(parents=True)
    maps = [Path(shutil.copy(path, tmp_path / "here" / "maps")) for path in four.paths]
    for name in ("all.vrt", "all.gti.gpkg"):
        make_mosaic(maps, tmp_path / "here" / name, masked="stay", overwrite=True)
    (tmp_path / "here").rename(tmp_path / "there")
    for name in ("all.vrt", "all.gti.gpkg"):
        np.testing.assert_array_equal(read(tmp_path / "there" / name), four.expected(four.of_scenes((0, -1, -2, -3)), False)[0])


def test_a_virtual_raster_says_what_it_holds(four: Four, tmp_path: Path) -> None:
    made = make_mosaic(four.paths, tmp_path / "all.vrt", masked="stay")
    assert [path.name for path in made.files] == ["all.vrt", "all.qml", "all.json"]
    with rasterio.open(tmp_path / "all.vrt") as dataset:
        tags, colours = dataset.tags(), dataset.colormap(1)
    legend = Legend.from_json(json.loads(tags["classes"]))
    assert legend == Legend.of(NAMES)
    assert (tags["mosaic_rule"], tags["hsikit_method"]) == ("first", "mosaic")
    assert {code: colours[code][:3] for code in legend.codes} == {entry.code: entry.colour for entry in legend.classes}
    item = json.loads((tmp_path / "all.json").read_text())
    assert list(item["properties"]["hsikit:inputs"].values()) == [str(path) for path in four.paths]
    assert item["assets"]["map"]["href"] == "./all.vrt"


def test_what_cannot_be_painted_is_refused(four: Four, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ranks single pixels .*Write a \.tif or \.zarr"):
        make_mosaic(four.paths, tmp_path / "all.vrt", rule="most-confident")
    with pytest.raises(OptionError, match="has no pixels of its own"):
        make_mosaic(four.paths, tmp_path / "all.vrt", source_layer=True)
    shifted = write_map(tmp_path / "shifted.tif", np.ones((9, 9)), (0.5, 0))
    with pytest.raises(GridError, match=r"shifted\.tif: does not lie on the pixels.*resamples nothing"):
        make_mosaic([*four.paths, shifted], tmp_path / "all.vrt", masked="stay", resampling="nearest")
    with pytest.raises(OutputError, match=r"Known are \.vrt, \.gti\.gpkg, \.tif and \.zarr"):
        make_mosaic(four.paths, tmp_path / "all.gpkg")
