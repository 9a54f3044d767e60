"""`hsikit warp`, `convert` and `info` of rasters without wavelengths: class maps, label rasters, heights, scores, indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.convert.write import write_scene
from hsikit.geo.grid import Grid
from hsikit.layers import Layer, Legend, class_layer, legend_in
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.writers import write_raster

from ..convert.scenes import UTM, scene
from ..convert.swaths import swath_scene
from ..writers.arrays import ArrayPixels
from .verbs import run

GRID = Grid((40, 30), UTM, "EPSG:32633")
LEGEND = Legend.of({1: "barley", 7: "rye, winter"}, {7: (1, 2, 3)})
CODES = np.random.default_rng(1).choice(np.array([0, 1, 7, 254, 255], np.uint8), GRID.shape)
OURS = {"hsikit_version": "0"}
SUFFIXES = (".tif", ".nc", ".hdr", ".zarr")


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    return write_raster(class_layer(LEGEND), GRID, ArrayPixels(CODES[np.newaxis]), tmp_path / "map.tif", tags=OURS)[0]


def foreign(path: Path, values: np.ndarray, colours: dict[int, tuple[int, int, int, int]] | None = None, **profile: object) -> Path:
    """A raster of another program."""
    told = {"driver": "GTiff", "height": GRID.shape[0], "width": GRID.shape[1], "crs": GRID.crs, "transform": GRID.affine, **profile}
    with rasterio.open(path, "w", count=len(values), dtype=values.dtype.name, **told) as file:
        file.write(values)
        if colours:
            file.write_colormap(1, colours)
    return path


def legend_of(path: Path) -> Legend | None:
    with rasterio.open(path) as data:
        return legend_in(data.tags().get("classes", ""))


def halved(values: np.ndarray) -> np.ndarray:
    """What stands at the centres of pixels of twice the size, which lie on corners: the pixel below and to the right."""
    return values[..., 1::2, 1::2]


def test_a_class_map_stays_a_class_map_on_another_grid(class_map, tmp_path):
    out = tmp_path / "warped.tif"
    assert run("warp", class_map, "-o", out, "--res", "60").code == 0
    with rasterio.open(out) as found, rasterio.open(class_map) as told:
        assert found.dtypes == ("uint8",) and found.nodata == 0 and found.res == (60, 60)
        assert found.colormap(1) == told.colormap(1) and found.colormap(1)[7] == (1, 2, 3, 255)
        np.testing.assert_array_equal(found.read(1), halved(CODES))
    assert legend_of(out) == LEGEND


def test_where_a_map_does_not_reach_it_has_its_fill_value(class_map, tmp_path):
    out = tmp_path / "moved.tif"
    assert run("warp", class_map, "-o", out, "--bounds", "399970", "5798800", "400900", "5800030").code == 0
    with rasterio.open(out) as found:
        np.testing.assert_array_equal(found.read(1), np.pad(CODES, ((1, 0), (1, 0))))


@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
def test_codes_with_a_legend_are_not_mixed(resampling, class_map, tmp_path):
    coloured = foreign(tmp_path / "coloured.tif", CODES[np.newaxis], {code: (code, 2, 3, 255) for code in range(256)})
    for path in (class_map, coloured):
        done = run("warp", path, "-o", tmp_path / "out.tif", "--res", "60", "--resampling", resampling)
        assert done.code == 2 and path.name in done.err and "not mixed" in done.err and not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_what_only_looks_like_codes_is_mixed_by_name_and_told(kind, tmp_path):
    labels, out = foreign(tmp_path / "labels.tif", CODES[np.newaxis].astype(kind), nodata=-1), tmp_path / "out.tif"
    done = run("warp", labels, "-o", out, "--res", "60", "--resampling", "average")
    assert done.code == 0 and "its whole numbers look like codes (5 different ones, none negative), and are mixed" in done.err
    with rasterio.open(out) as found:
        np.testing.assert_allclose(found.read(1), CODES.astype(float).reshape(20, 2, 15, 2).mean(axis=(1, 3)), rtol=1e-6)


@pytest.mark.parametrize("resampling", ["nearest", "average"])
def test_whole_metres_of_height_are_measurements(resampling, tmp_path):
    heights = np.random.default_rng(4).integers(-20, 1500, GRID.shape).astype(np.int16)
    out = tmp_path / "out.tif"
    done = run("warp", foreign(tmp_path / "dem.tif", heights[np.newaxis]), "-o", out, "--res", "60", "--resampling", resampling)
    assert done.code == 0 and "its whole numbers are taken for measurements" in done.err
    wanted = halved(heights) if resampling == "nearest" else heights.astype(float).reshape(20, 2, 15, 2).mean(axis=(1, 3))
    with rasterio.open(out) as found:
        assert found.dtypes == ("float32",) and np.isnan(found.nodata)
        np.testing.assert_allclose(found.read(1), wanted, rtol=1e-6)


@pytest.mark.parametrize(("kind", "nodata", "fill"), [("uint8", 255, 255), ("int16", -1, -1), ("uint16", None, 0)])
def test_a_label_raster_of_another_program_stays_what_it_is(kind, nodata, fill, tmp_path):
    colours = {code: (code % 7, 255 - code, 9, 255) for code in range(256)} if kind == "uint8" else None
    labels, out = foreign(tmp_path / "labels.tif", CODES[np.newaxis].astype(kind), colours, nodata=nodata), tmp_path / "out.tif"
    assert run("warp", labels, "-o", out, "--bounds", "399970", "5798800", "400900", "5800030").code == 0
    with rasterio.open(out) as found:
        assert found.dtypes == (kind,) and found.nodata == fill
        np.testing.assert_array_equal(found.read(1), np.pad(CODES.astype(kind), ((1, 0), (1, 0)), constant_values=fill))
        if colours:
            with rasterio.open(labels) as told:
                assert found.colormap(1) == told.colormap(1) and found.colormap(1)[9][:3] == (2, 246, 9)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("resampling", ["nearest", "average"])
def test_layers_of_another_program_are_put_on_another_grid(count, resampling, tmp_path):
    values = np.random.default_rng(2).normal(size=(count, *GRID.shape)).astype(np.float32)
    heights, out = foreign(tmp_path / "heights.tif", values, nodata=-9999), tmp_path / "out.tif"
    assert run("warp", heights, "-o", out, "--res", "60", "--resampling", resampling).code == 0
    wanted = halved(values) if resampling == "nearest" else values.reshape(count, 20, 2, 15, 2).mean(axis=(2, 4))
    with rasterio.open(out) as found:
        np.testing.assert_allclose(found.read(), wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["labels.tif", "heights.asc", "picture.img", "map.nc"])
def test_the_grid_of_any_raster_is_taken_over(name, tmp_path):
    write_scene(scene(70, 60), tmp_path / "scene.tif")
    small, values = Grid((10, 8), (60.0, 0.0, 400_060.0, 0.0, -60.0, 5_799_900.0), "EPSG:32633"), np.ones((1, 10, 8), np.uint8)
    like = tmp_path / name
    if name == "map.nc":
        write_raster(class_layer(LEGEND), small, ArrayPixels(values), like)
    else:
        driver = {".tif": "GTiff", ".asc": "AAIGrid", ".img": "HFA"}[like.suffix]
        plain = foreign(tmp_path / "plain.tif", values, height=10, width=8, transform=small.affine)
        rasterio.shutil.copy(plain, like, driver=driver)
    done = run("warp", tmp_path / "scene.tif", "-o", tmp_path / "out.tif", "--like", like)
    assert done.code == 0, done.err
    assert open_source(tmp_path / "out.tif").info.grid == small


def test_what_has_no_grid_is_refused_by_its_name(tmp_path):
    write_scene(scene(70, 60), tmp_path / "scene.tif")
    nowhere = tmp_path / "nowhere.png"
    with rasterio.open(nowhere, "w", driver="PNG", height=4, width=4, count=1, dtype="uint8") as file:
        file.write(np.ones((1, 4, 4), np.uint8))
    (tmp_path / "text.tif").write_text("none")
    for like in (nowhere, tmp_path / "text.tif", tmp_path / "missing.tif"):
        done = run("warp", tmp_path / "scene.tif", "-o", tmp_path / "out.tif", "--like", like)
        assert done.code == 2 and like.name in done.err and not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("names", [(), ("NDVI",), ("NDVI", "NDWI")], ids=["one", "one named", "two"])
def test_layers_open_again_in_every_format(suffix, names, tmp_path):
    count = max(1, len(names))
    values = np.random.default_rng(3).normal(size=(count, *GRID.shape)).astype(np.float32)
    values[:, 3, 4] = np.nan
    layer = Layer("scores", bands=count, band_names=names, unit="ppm m", description="what was found")
    first = write_raster(layer, GRID, ArrayPixels(values), tmp_path / "scores.tif", tags=OURS)[0]
    out = tmp_path / f"copy{suffix}"
    assert run("convert", first, "-o", out).code == 0
    done = run("info", out)
    assert done.code == 0, done.err
    found = open_source(out)
    np.testing.assert_array_equal(read_window(found, GRID.whole), values)
    assert found.info.grid == GRID and not found.info.bands.spectral and found.info.codes is None
    assert found.info.bands.names == (names or ("scores",)) and found.info.attrs["layer"] == "scores"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_class_map_opens_again_in_every_format(suffix, class_map, tmp_path):
    out = tmp_path / f"copy{suffix}"
    assert run("convert", class_map, "-o", out).code == 0
    found = open_source(out)
    assert found.info.dtype == "uint8" and found.info.nodata == 0 and found.info.codes is not None
    told = legend_in(found.info.codes.classes)
    assert told is not None and told.codes == LEGEND.codes and told.classes[1].colour == (1, 2, 3)
    assert suffix == ".hdr" or told == LEGEND  # an ENVI header has no commas in names
    np.testing.assert_array_equal(found.read(GRID.whole, np.zeros(1, np.intp)).values[0], CODES)
    assert run("convert", out, "-o", tmp_path / "back.tif").code == 0
    with rasterio.open(tmp_path / "back.tif") as back, rasterio.open(class_map) as first:
        assert back.colormap(1) == first.colormap(1)
        np.testing.assert_array_equal(back.read(1), CODES)


@pytest.mark.parametrize("suffix", [".nc", ".hdr", ".zarr"])
def test_what_is_no_layer_of_ours_still_needs_wavelengths(suffix, tmp_path):
    path = write_raster(Layer("scores", bands=2), GRID, ArrayPixels(np.ones((2, *GRID.shape), np.float32)), tmp_path / f"scores{suffix}")[0]
    done = run("info", path)
    assert done.code == 2 and "no wavelengths" in done.err
    assert run("warp", path, "-o", tmp_path / "out.tif", "--res", "60").code == 0


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_class_map_of_a_swath_stays_one_on_the_map(suffix, tmp_path):
    info = swath_scene(table=None).info
    codes = np.full((1, *info.grid.shape), 7, np.uint8)
    path = write_raster(class_layer(LEGEND), info.grid, ArrayPixels(codes), tmp_path / f"map{suffix}", tags=OURS, swath=info.swath)[0]
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    assert run("orthorectify", path, "-o", first).code == 0
    assert run("warp", path, "-o", second, "--like", first).code == 0
    for out in (first, second):
        with rasterio.open(out) as found:
            assert found.dtypes == ("uint8",) and found.nodata == 0 and set(np.unique(found.read(1))) == {0, 7}
        assert legend_of(out) == LEGEND
