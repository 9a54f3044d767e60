"""Quality flags as masks, what the user may say, and scenes in which the hidden is missing."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import QUALITY_FLAGS, Quality, read_window
from hsikit.sensors.masking import MaskedSource, open_masks
from tests.geo.test_mask import write
from tests.laws.scenes import make_scene

SHAPE = (24, 20)
TOLD = ("cloud", "shadow", "cirrus")


def flags(seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 8, (6, 5)).astype(np.uint8)
    return np.kron(coarse, np.ones((4, 4), np.uint8))


def quality(values, told=TOLD):
    return Quality(told, lambda window: values[window.slices()])


@pytest.fixture
def source():
    found = make_scene(*SHAPE, 6, seed=3).source()
    found.info = found.info.with_(quality=quality(flags()))
    return found


def bit(name):
    return (flags() & QUALITY_FLAGS[name]) > 0


def test_nothing_said_hides_nothing(source):
    assert open_masks(source.info) is None


@pytest.mark.parametrize("said", ["cloud,shadow", "cloud, shadow", ["cloud", "shadow"], ["shadow,cloud", "cloud"]])
def test_flags_hide_their_pixels_and_each_share_is_told(source, said):
    mask = open_masks(source.info, said)
    assert mask is not None
    expected = bit("cloud") | bit("shadow")
    assert not expected.all()
    np.testing.assert_array_equal(mask.read(source.info.grid.whole), expected)
    assert mask.shares() == pytest.approx({"all": expected.mean(), "cloud": bit("cloud").mean(), "shadow": bit("shadow").mean()})
    part = Window(3, 5, 10, 8)
    assert mask.shares(part)["all"] == expected[part.slices()].mean()
    assert mask.told().startswith(f"masked: {expected.mean():.1%} of the pixels (") and f"cloud {bit('cloud').mean():.1%}" in mask.told()


def test_flags_and_files_and_an_area_together(source, tmp_path: Path):
    grid = source.info.grid
    extra = np.zeros(SHAPE, np.uint8)
    extra[3, 4] = 1
    write(tmp_path / "more.tif", extra, grid)
    left, bottom, _, top = grid.bounds
    geopandas.GeoDataFrame(geometry=[shapely.box(left, bottom, left + 300, top)], crs=grid.crs).to_file(tmp_path / "area.gpkg")
    mask = open_masks(source.info, ["cirrus", tmp_path / "more.tif"], 1, tmp_path / "area.gpkg")
    assert mask is not None
    seed = bit("cirrus") | (extra > 0)
    grown = seed.copy()
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        grown |= np.roll(np.pad(seed, 1), shift, (0, 1))[1:-1, 1:-1]
    grown[:, 10:] = True
    np.testing.assert_array_equal(mask.read(grid.whole), grown)
    assert set(mask.shares()) == {"all", "cirrus", str(tmp_path / "more.tif"), "outside the area"}
    mask.close()


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("snow", r"does not tell 'snow'\. Its flags are cloud, shadow, cirrus"),
        ("cloud,fog", r"'fog' is no quality flag"),
        ("fog", r"fog: is neither a file that exists nor a list of quality flags\. The flags are cloud, shadow"),
        ("clouds.tif", r"clouds\.tif: is neither a file"),
    ],
)
def test_what_cannot_be_told_is_refused(source, said, wrong):
    with pytest.raises(OptionError, match=wrong):
        open_masks(source.info, said)


def test_a_scene_without_flags_says_so(source):
    with pytest.raises(OptionError, match=r"'cloud' cannot be told: scene\.tif holds no quality flags"):
        open_masks(source.info.with_(quality=None), "cloud")


@pytest.mark.parametrize(("masks", "dilate", "wrong"), [(None, 3, "no mask to grow"), ("cloud", -1, "no number of pixels"), ("cloud", 10_000, "Give 0 to")])
def test_growing_that_makes_no_sense(source, masks, dilate, wrong):
    with pytest.raises(OptionError, match=rf"--dilate.*{wrong}"):
        open_masks(source.info, masks, dilate)


def test_flags_of_another_input_are_put_on_this_ones_grid(source):
    grid = source.info.grid
    a, _, c, _, e, f = grid.transform
    fine = Grid((SHAPE[0] * 3, SHAPE[1] * 3), (a / 3, 0.0, c, 0.0, e / 3, f), grid.crs)
    pan = source.info.with_(name="pan.tif", grid=fine, quality=None)
    mask = open_masks(pan, "cloud", others=[source.info])
    assert mask is not None
    np.testing.assert_array_equal(mask.read(Window(10, 7, 40, 33)), np.kron(bit("cloud"), np.ones((3, 3), bool))[10:50, 7:40])
    with pytest.raises(OptionError, match="one of them has no map grid"):
        open_masks(pan.with_(grid=Grid(fine.shape)), "cloud", others=[source.info])


@settings(max_examples=20)
@given(row=st.integers(0, 23), col=st.integers(0, 19), rows=st.integers(1, 24), cols=st.integers(1, 20))
def test_what_is_hidden_is_missing_and_the_rest_is_untouched(row, col, rows, cols):
    base = make_scene(*SHAPE, 6, seed=3).source()
    base.info = base.info.with_(quality=quality(flags()))
    mask = open_masks(base.info, "cloud")
    assert mask is not None
    masked = MaskedSource(base, mask)
    window = Window(row, col, rows, cols).intersect(base.info.grid.whole)
    bands = np.array([0, 3, 5])
    got, plain = read_window(masked, window, bands), read_window(base, window, bands)
    hidden = bit("cloud")[window.slices()]
    assert np.isnan(got[:, hidden]).all()
    np.testing.assert_array_equal(got[:, ~hidden], plain[:, ~hidden])
    assert masked.info.identity != base.info.identity and masked.info.dtype == "float32"


def test_quality_of_a_part_follows_it(source):
    part = Window(4, 6, 9, 7)
    cropped = source.info.quality.crop(part)
    np.testing.assert_array_equal(cropped.read(Window(1, 2, 3, 4)), flags()[5:8, 8:12])


def test_flags_of_a_real_landsat_scene(shared_data: Path, tmp_path: Path):
    import hsikit
    from hsikit.errors import HsikitError
    from hsikit.sensors import open_source

    path = shared_data / "sensors" / "landsat8_l2sr"
    source = open_source(path)
    quality = source.info.quality
    assert quality is not None
    mask = open_masks(source.info, "cloud")
    assert mask is not None
    np.testing.assert_array_equal(mask.read(Window(100, 90, 300, 200)), quality.read(Window(100, 90, 300, 200)) & QUALITY_FLAGS["cloud"] > 0)
    assert 0.4 < mask.shares()["cloud"] < 0.6
    with pytest.raises(HsikitError, match="left by --bbox and --mask"):
        hsikit.run(hsikit.make_method("rx"), path, tmp_path / "rx.tif", mask="cloud,no-data")
