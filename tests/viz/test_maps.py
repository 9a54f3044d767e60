"""Class maps as pictures: colours, legend entries, and what is refused."""

import json

import numpy as np
import pytest
import rasterio
from matplotlib.figure import Figure
from matplotlib.image import imread

from hsikit.api import draw_quicklook
from hsikit.errors import OptionError, OutputError, SceneError
from hsikit.geo.grid import Grid
from hsikit.layers import Legend, class_layer
from hsikit.viz.maps import class_map, draw_class_map
from hsikit.writers import write_raster

from ..writers.arrays import ArrayPixels

GRID = Grid((40, 60), (30.0, 0.0, 300_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
LEGEND = Legend.of({1: "water", 3: "wood", 9: "town"}, {1: (0, 0, 255), 3: (0, 128, 0), 9: (200, 0, 0)})


def codes():
    values = np.zeros(GRID.shape, np.uint8)
    values[:, 10:30], values[:, 30:50], values[:5], values[35:] = 1, 3, 254, 77
    return values


def write(path, values):
    with rasterio.open(path, "w", driver="GTiff", height=40, width=60, count=1, dtype=values.dtype, crs=GRID.crs, transform=GRID.affine) as out:
        out.write(values, 1)
    return path


def test_colours_and_legend_of_what_occurs():
    ax = draw_class_map(codes(), LEGEND, GRID.transform, "mine", Figure().add_subplot())
    image = ax.images[0].get_array()
    assert image[20, 15].tolist() == [0, 0, 255, 255] and image[20, 40].tolist() == [0, 128, 0, 255]
    assert image[20, 0].tolist() == [0, 0, 0, 0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["water", "wood", "code 77", "unknown"]
    assert ax.get_xlim() == (300_000.0, 301_800.0) and ax.get_ylim() == (5_798_800.0, 5_800_000.0)


@pytest.mark.parametrize("suffix", [".tif", ".hdr", ".nc", ".zarr"])
def test_a_quicklook_of_a_class_map_of_any_format_has_its_colours(suffix, tmp_path):
    path = write_raster(class_layer(LEGEND), GRID, ArrayPixels(codes()[None]), tmp_path / f"map{suffix}", tags={"hsikit_version": "0"})[0]
    assert draw_quicklook(path, tmp_path / "map.png", max_size=20) == "classes of the map"
    picture = (imread(tmp_path / "map.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    assert {(0, 0, 255), (0, 128, 0), (160, 160, 160)} <= set(map(tuple, np.unique(picture, axis=0).tolist()))


def test_missing_and_masked_pixels_do_not_look_alike():
    masked = codes()
    masked[20, 50:55] = 255
    ax = draw_class_map(masked, LEGEND, GRID.transform, "mine", Figure().add_subplot())
    image = ax.images[0].get_array()
    assert image[20, 0].tolist() != image[20, 52].tolist() == [255, 255, 255, 255] and image[20, 0, 3] == 255
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["water", "wood", "code 77", "no data", "unknown", "masked"]


def test_png_is_written_whole_and_shrunk(tmp_path):
    class_map(write(tmp_path / "map.tif", codes()), LEGEND, tmp_path / "map.png", max_size=20)
    picture = (imread(tmp_path / "map.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    assert {(0, 0, 255), (0, 128, 0)} <= set(map(tuple, np.unique(picture, axis=0).tolist()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.png", "map.tif"]


def test_refusals_name_the_file(tmp_path):
    with pytest.raises(SceneError, match=r"none\.tif"):
        class_map(tmp_path / "none.tif", LEGEND, tmp_path / "map.png")
    with pytest.raises(SceneError, match=r"f\.tif.*float32"):
        class_map(write(tmp_path / "f.tif", codes().astype(np.float32)), LEGEND, tmp_path / "map.png")
    with pytest.raises(OutputError, match=r"map\.png.*does not exist"):
        class_map(write(tmp_path / "map.tif", codes()), LEGEND, tmp_path / "no" / "map.png")
    with pytest.raises(OptionError, match="0 is not a size"):
        class_map(write(tmp_path / "map.tif", codes()), LEGEND, tmp_path / "map.png", max_size=0)


def test_a_quicklook_of_a_class_map_has_its_colours(tmp_path):
    path = write(tmp_path / "map.tif", codes())
    with rasterio.open(path, "r+") as data:
        data.update_tags(hsikit_version="0", classes=json.dumps(LEGEND.to_json()))
    assert draw_quicklook(path, tmp_path / "map.png", max_size=20) == "classes of the map"
    picture = (imread(tmp_path / "map.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    assert {(0, 0, 255), (0, 128, 0)} <= set(map(tuple, np.unique(picture, axis=0).tolist()))
    with pytest.raises(OptionError, match="0 is not a size"):
        draw_quicklook(path, tmp_path / "none.png", max_size=0)
