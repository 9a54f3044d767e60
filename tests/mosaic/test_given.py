"""Maps by way of STAC documents and ledgers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import OptionError
from hsikit.mosaic import make_mosaic
from hsikit.mosaic.given import maps_in
from tests.mosaic.maps import write_map


@pytest.fixture
def maps(tmp_path: Path) -> list[Path]:
    (tmp_path / "maps").mkdir()
    return [write_map(tmp_path / "maps" / f"{i}.tif", np.full((4, 4), i + 1), (0, 2 * i), confidence=np.full((4, 4), i)) for i in range(3)]


def test_items_collections_and_links_name_the_same_maps(tmp_path: Path, maps: list[Path]) -> None:
    items = [path.with_suffix(".json") for path in maps]
    documents = [json.loads(path.read_text()) for path in items]
    (tmp_path / "maps" / "all_items.json").write_text(json.dumps({"type": "FeatureCollection", "features": documents}))
    links = [{"rel": "item", "href": f"./maps/{path.name}"} for path in items]
    (tmp_path / "collection.json").write_text(json.dumps({"type": "Collection", "links": [{"rel": "root", "href": "x"}, *links]}))
    for given in (items, [tmp_path / "maps" / "all_items.json"], [tmp_path / "collection.json"], [*maps, *items]):
        assert [path.resolve() for path in maps_in(given)] == maps
    made = make_mosaic([tmp_path / "collection.json"], tmp_path / "all.tif", rule="most-confident")
    assert len(made.maps) == 3


def test_an_item_that_does_not_say_which_is_the_map(tmp_path: Path, maps: list[Path]) -> None:
    item = json.loads(maps[0].with_suffix(".json").read_text())
    item["assets"]["score"] = item["assets"].pop("map")
    (tmp_path / "maps" / "odd.json").write_text(json.dumps(item))
    with pytest.raises(OptionError, match=r"does not say which layer is the map: confidence, score"):
        maps_in([tmp_path / "maps" / "odd.json"])
    assert maps_in([tmp_path / "maps" / "odd.json"], "score") == [tmp_path / "maps" / "./0.tif"]


def test_one_layer_of_a_map_finds_the_item_of_its_map(tmp_path: Path, maps: list[Path]) -> None:
    layers = [path.with_name(f"{path.stem}_confidence.tif") for path in maps]
    made = make_mosaic(layers, tmp_path / "all.tif", rule="most-confident")
    assert made.ranked_by == "the confidence of each pixel (layer confidence)"
