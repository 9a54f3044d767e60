from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import GridError, MapError, OptionError
from hsikit.mosaic import RULES, make_mosaic
from tests.mosaic.four import SHAPE, Four, make_four, scores_of
from tests.mosaic.maps import grid_at, read, write_map, write_numbers


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return make_four(tmp_path_factory.mktemp("four"))


@pytest.mark.parametrize("masked", ["yield", "stay"])
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_names_the_pixel_that_a_sort_names(four: Four, tmp_path: Path, rule: str, masked: str) -> None:
    made = make_mosaic(four.paths, tmp_path / "all.tif", rule=rule, masked=masked, source_layer=True)
    codes, numbers = four.expected(scores_of(four, rule), masked == "yield")
    assert made.grid == grid_at(0, 0, SHAPE)
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), codes)
    np.testing.assert_array_equal(read(tmp_path / "all_source.tif"), numbers)
    assert len(np.unique(numbers)) == 5


def test_order_of_the_arguments_is_the_order_of_first(four: Four, tmp_path: Path) -> None:
    make_mosaic(four.paths[::-1], tmp_path / "all.tif", rule="first")
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), four.expected(four.of_scenes((0, 1, 2, 3)))[0])


def test_scenes_are_ranked_by_a_number_where_a_map_lacks_the_layer(four: Four, tmp_path: Path) -> None:
    maps = [write_map(tmp_path / f"{i}.tif", four.codes[i], acquired="2024-05-01") for i in range(4)]
    table = tmp_path / "facts.csv"
    table.write_text("map,cloud_cover,view_zenith\n0.tif,30,-5\n1.tif,20,\n2.tif,10,2\n3.tif,40,9\n")
    made = make_mosaic(maps, tmp_path / "all.tif", rule="least-cloud", facts=table)
    assert made.ranked_by == "the cloud cover of each scene"
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), four.expected(four.of_scenes((-30, -20, -10, -40)))[0])
    with pytest.raises(MapError, match=r"1\.tif: has neither a layer 'view_zenith' nor the view zenith angle"):
        make_mosaic(maps, tmp_path / "other.tif", rule="nearest-nadir", facts=table)


def test_tags_of_a_map_say_when_and_at_what_angle(four: Four, tmp_path: Path) -> None:
    tags = [{"acquired": f"2024-0{5 + i % 2}-01T10:00:00", "view_zenith": str(9 - i)} for i in range(4)]
    maps = [write_map(tmp_path / f"{i}.tif", four.codes[i], tags=tags[i], item=False) for i in range(4)]
    make_mosaic(maps, tmp_path / "latest.tif", rule="latest")
    make_mosaic(maps, tmp_path / "nadir.tif", rule="nearest-nadir")
    np.testing.assert_array_equal(read(tmp_path / "latest.tif"), four.expected(four.of_scenes((0, 1, 0, 1)))[0])
    np.testing.assert_array_equal(read(tmp_path / "nadir.tif"), four.expected(four.of_scenes((0, 1, 2, 3)))[0])


def test_what_a_rule_lacks_is_named(tmp_path: Path) -> None:
    one = write_map(tmp_path / "one.tif", np.ones((4, 5)), acquired="2024-05-01", confidence=np.ones((4, 5)))
    two = write_map(tmp_path / "two.tif", np.ones((4, 5)), acquired="some day")
    with pytest.raises(MapError, match=r"two\.tif: does not say when its scene was acquired.*--facts"):
        make_mosaic([one, two], tmp_path / "all.tif", rule="latest")
    with pytest.raises(MapError, match=r"two\.tif: has no layer 'confidence'.*--confidence"):
        make_mosaic([one, two], tmp_path / "all.tif", rule="most-confident")
    with pytest.raises(OptionError, match="Known are first, latest"):
        make_mosaic([one, two], tmp_path / "all.tif", rule="newest")
    write_numbers(tmp_path / "two_confidence.tif", np.ones((4, 4)), "confidence", grid_at(0, 0, (4, 4)))
    with pytest.raises(GridError, match="does not lie on the grid of"):
        make_mosaic([one, two], tmp_path / "all.tif", rule="most-confident")
    assert not (tmp_path / "all.tif").exists()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("map,cloud_cover\nnone.tif,3\n", "'none.tif' names 0 of the maps"),
        ("map,clouds\none.tif,3\n", "has the columns"),
        ("map,cloud_cover\none.tif,much\n", "cloud_cover of 'one.tif' is 'much'"),
    ],
)
def test_a_table_that_says_nothing_is_refused(tmp_path: Path, text: str, wrong: str) -> None:
    one = write_map(tmp_path / "one.tif", np.ones((4, 5)))
    (tmp_path / "facts.csv").write_text(text)
    with pytest.raises(OptionError, match=wrong):
        make_mosaic([one], tmp_path / "all.tif", rule="least-cloud", facts=tmp_path / "facts.csv")
