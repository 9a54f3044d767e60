"""`hsikit orthorectify` and `hsikit warp`."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from hsikit.convert.orthorectify import orthorectified
from hsikit.convert.warp import grid_for, warped
from hsikit.convert.write import write_scene
from hsikit.scene import read_window
from hsikit.sensors import open_source

from ..convert.scenes import scene
from ..convert.swaths import swath_scene
from ..products import prisma, sentinel2
from .verbs import run


@pytest.fixture(scope="module")
def swath(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("swath") / "granule.nc"
    write_scene(swath_scene(table=None), path)
    return path


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "scene.tif"
    write_scene(scene(70, 60), path)
    return path


def values_of(source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def test_a_swath_is_written_on_its_map(swath, tmp_path):
    out = tmp_path / "map.tif"
    done = run("orthorectify", swath, "-o", out)
    assert done.code == 0 and f"wrote {out}" in done.out and "statistics belong on the sensor's grid" in done.err
    wanted = orthorectified(open_source(swath))
    found = open_source(out)
    assert found.info.grid.transform == pytest.approx(wanted.info.grid.transform) and found.info.grid.crs == "EPSG:32633"
    np.testing.assert_array_equal(values_of(found), values_of(wanted))


def test_resolution_crs_and_radius_are_the_users(swath, tmp_path):
    assert run("orthorectify", swath, "-o", tmp_path / "map.tif", "--res", "0.002", "--crs", "EPSG:4326", "--radius", "150", "-q").out == ""
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.res == (0.002, 0.002) and file.crs.to_epsg() == 4326


def test_a_scene_on_a_map_is_no_swath(mapped, tmp_path):
    done = run("orthorectify", mapped, "-o", tmp_path / "map.tif")
    assert done.code == 2 and "hsikit warp" in done.err and not list(tmp_path.iterdir())


def test_an_output_that_exists_is_refused_unless_told(swath, mapped, tmp_path):
    out = tmp_path / "map.tif"
    for arguments in (("orthorectify", swath), ("warp", mapped, "--res", "60")):
        out.write_bytes(b"older")
        assert run(*arguments, "-o", out).code == 2 and out.read_bytes() == b"older"
        assert run(*arguments, "-o", out, "--overwrite").code == 0 and out.stat().st_size > 100


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
def test_a_scene_is_written_on_another_grid(resampling, mapped, tmp_path):
    out = tmp_path / "warped.tif"
    done = run("warp", mapped, "-o", out, "--dst-crs", "EPSG:3035", "--res", "50", "--resampling", resampling)
    assert done.code == 0
    source = open_source(mapped)
    wanted = warped(source, grid_for(source, crs="EPSG:3035", resolution=50.0), resampling)
    found = open_source(out)
    assert found.info.grid.transform == pytest.approx(wanted.info.grid.transform) and found.info.grid.crs == "EPSG:3035"
    np.testing.assert_array_equal(values_of(found), values_of(wanted))


def test_a_scene_is_written_on_the_grid_of_another(mapped, swath, tmp_path):
    write_scene(scene(10, 12, place="geographic"), tmp_path / "other.tif")
    assert run("warp", mapped, "-o", tmp_path / "a.tif", "--bounds", "400000", "5799000", "401000", "5800000").code == 0
    assert run("warp", mapped, "-o", tmp_path / "like.tif", "--like", tmp_path / "a.tif").code == 0
    assert open_source(tmp_path / "like.tif").info.grid == open_source(tmp_path / "a.tif").info.grid
    done = run("warp", mapped, "-o", tmp_path / "b.tif", "--like", swath)
    assert done.code == 2 and swath.name in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--dst-crs, --res, --bounds or --like"),
        (("--like", "x.tif", "--res", "3"), "as a whole"),
        (("--res", "60", "--resampling", "lanczos"), "nearest, bilinear, cubic, average"),
        (("--dst-crs", "EPSG:99"), "EPSG:99"),
        (("--res", "-3"), "no size"),
    ],
)
def test_what_makes_no_grid_is_refused(arguments, words, mapped, tmp_path):
    done = run("warp", mapped, "-o", tmp_path / "out.tif", *arguments)
    assert done.code == 2 and words in done.err and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def several_grids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentinel2.level_1(tmp_path_factory.mktemp("several")).path


@pytest.mark.parametrize(("words", "read"), [(("--scene-res", "10"), 10.0), (("--scene-res", "60"), 60.0), ((), None)], ids=["10", "60", "usual"])
def test_which_of_the_grids_of_a_product_is_read(words, read, several_grids, tmp_path):
    out = tmp_path / "warped.tif"
    done = run("warp", several_grids, "-o", out, "--res", "30", "--resampling", "average", *words)
    assert done.code == 0, done.err
    source = open_source(several_grids, resolution=read, inspect=False)
    assert source.info.grid.pixel_size[0] == (read or 20)
    wanted = warped(source, grid_for(source, resolution=30.0), "average")
    found = open_source(out)
    assert found.info.grid.pixel_size == (30, 30)
    np.testing.assert_array_equal(values_of(found), values_of(wanted))


@pytest.mark.parametrize("verb", [("warp", "--res", "30"), ("orthorectify",)], ids=["warp", "orthorectify"])
def test_a_grid_that_a_product_has_not_is_said_of_the_option_as_typed(verb, several_grids, tmp_path):
    for value, words in (("30", "--scene-res: Sentinel-2 is delivered at 10, 20 and 60 m, not 30"), ("-1", "--scene-res: -1.0 is no size of a pixel")):
        done = run(*verb, several_grids, "-o", tmp_path / "out.tif", "--scene-res", value)
        assert done.code == 2 and words in done.err and not list(tmp_path.iterdir())


def test_a_swath_of_one_grid_refuses_the_choice_of_one(tmp_path):
    built = prisma.product(tmp_path, "1")
    done = run("orthorectify", built.path, "-o", tmp_path / "map.tif", "--scene-res", "30")
    assert done.code == 2 and "--scene-res: PRISMA" in done.err and "no such choice" in done.err


def test_a_damaged_swath_leaves_nothing_behind(swath, tmp_path):
    broken = tmp_path / "broken.nc"
    broken.write_bytes(swath.read_bytes()[:2000])
    done = run("orthorectify", broken, "-o", tmp_path / "map.tif")
    assert done.code == 2 and "broken.nc" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["broken.nc"]
    assert h5py.is_hdf5(swath)
