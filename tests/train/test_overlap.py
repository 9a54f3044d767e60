"""Scenes over one another on the ground."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hsikit.geo.grid import Grid
from hsikit.train.overlap import overlap_notes, overlap_share

UTM33, UTM32, LATLON = "EPSG:32633", "EPSG:32632", "EPSG:4326"


def grid(left=500_000.0, top=5_600_000.0, shape=(20, 30), size=30.0, crs=UTM33):
    return Grid(shape, (size, 0.0, left, 0.0, -size, top), crs)


@given(right=st.integers(-40, 40), down=st.integers(-30, 30))
def test_share_is_that_of_counted_pixels(right, down):
    rows, cols = 20, 30
    there = np.zeros((100, 120), bool)
    there[35 : 35 + rows, 45 : 45 + cols] = True
    common = there[35 + down : 35 + down + rows, 45 + right : 45 + right + cols].sum()
    found = overlap_share(grid(), grid(500_000.0 + 30 * right, 5_600_000.0 - 30 * down))
    assert found == pytest.approx(common / (rows * cols))


def test_a_small_scene_inside_a_large_one_is_covered():
    assert overlap_share(grid(shape=(200, 300)), grid(501_000.0, 5_599_000.0, (10, 12))) == pytest.approx(1.0)


@given(left=st.floats(300_000, 700_000), top=st.floats(1_000_000, 8_000_000))
def test_one_place_in_two_zones_overlaps_and_places_afar_do_not(left, top):
    from pyproj import Transformer

    x, y = Transformer.from_crs(UTM33, UTM32, always_xy=True).transform(left, top)
    assume(np.isfinite([x, y]).all())
    here = grid(left, top, (200, 200))
    assert overlap_share(here, grid(x, y, (200, 200), crs=UTM32)) > 0.5
    assert overlap_share(here, grid(x + 50_000, y, (200, 200), crs=UTM32)) == 0.0


def test_degrees_are_put_into_metres():
    degrees = Grid((20, 30), (0.0004, 0.0, 15.0, 0.0, -0.0003, 50.55), LATLON)  # 15 E is the middle of zone 33
    assert overlap_share(grid(), degrees) > 0.5
    assert overlap_share(degrees, grid()) > 0.5


@pytest.mark.parametrize("other", [Grid((20, 30)), Grid((20, 30), (30.0, 0, 5e5, 0, -30.0, 5.6e6), None), grid(crs='LOCAL_CS["mine"]')])
def test_what_has_no_known_place_overlaps_nothing(other):
    assert overlap_share(grid(), other) == overlap_share(other, grid()) == 0.0


def test_notes_name_both_scenes(labelled, memory_source):
    codes = np.ones((20, 30), int)
    here, beside = (30.0, 0.0, 5e5, 0.0, -30.0, 5.6e6), (30.0, 0.0, 5e5 + 15 * 30, 0.0, -30.0, 5.6e6)
    afar = (30.0, 0.0, 5e5 + 30 * 30, 0.0, -30.0, 5.6e6)
    scenes = [labelled(codes, source=memory_source((20, 30), transform=t, name=f"{n}.tif")) for t, n in ((here, "one"), (beside, "two"), (afar, "three"))]
    notes = overlap_notes(scenes)
    assert [("one.tif" in note, "two.tif" in note, "three.tif" in note) for note in notes] == [(True, True, False), (False, True, True)]
    assert "50%" in notes[0]
    assert overlap_notes(scenes[:1]) == []
    assert overlap_notes([scenes[0], scenes[2]]) == []
