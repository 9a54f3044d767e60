"""Generated scenes: the same numbers in every format, and as much nodata as they promise."""

import numpy as np
import pytest

from benchmarks.scenes import FORMATS, NODATA, SCALE, STRIP, SURFACES, covered, drop_scene, make_scene, strips, surfaces
from hsikit.geo.grid import Window
from hsikit.scene import read_window
from hsikit.sensors import open_source

SHAPE = (5, STRIP + 37, 61)


def whole():
    return np.concatenate([values for _, values in strips(SHAPE)], 1)


def test_strips_cover_the_scene_and_repeat():
    firsts = [first for first, _ in strips(SHAPE)]
    assert firsts == [0, STRIP]
    assert whole().shape == SHAPE
    assert (whole() == whole()).all()


@pytest.mark.parametrize("shape", [(1, 500, 500), (1, 400, 900)])
def test_nodata_is_23_percent(shape):
    row, col = np.ogrid[0 : shape[1], 0 : shape[2]]
    assert covered(row, col, shape).mean() == pytest.approx(0.77, abs=0.005)


def test_every_surface_occurs():
    row, col = np.ogrid[0:600, 0:600]
    assert set(np.unique(surfaces(row, col))) == set(range(SURFACES))


@pytest.mark.parametrize("kind", list(FORMATS))
def test_every_format_holds_the_same_scene(kind, tmp_path):
    path = make_scene(tmp_path, kind, SHAPE)
    source = open_source(path)
    stored = whole()
    expected = np.where(stored == NODATA, np.nan, stored * np.float32(SCALE))
    found = read_window(source, Window(0, 0, *SHAPE[1:]))
    assert source.info.grid.shape == SHAPE[1:]
    assert source.info.grid.crs == "EPSG:32633"
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert source.info.bands.wavelength[0] == pytest.approx(420)
    source.close()
    assert make_scene(tmp_path, kind, SHAPE) == path
    drop_scene(path)
    assert not list(tmp_path.iterdir())


def test_tiled_and_striped_files_differ_in_blocks(tmp_path):
    blocks = [open_source(make_scene(tmp_path, kind, (2, 600, 600))).block for kind in ("geotiff-tiled", "geotiff-striped")]
    assert blocks[0] == (256, 256)
    assert blocks[1][1] == 600
