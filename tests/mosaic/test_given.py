"""Maps by way of STAC documents and ledgers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from hsikit.batch import run_batch
from hsikit.batch.collection import write_collection
from hsikit.batch.orders import make_order
from hsikit.batch.status import read_status
from hsikit.errors import OptionError
from hsikit.mosaic import make_mosaic
from hsikit.mosaic.given import maps_in
from tests.laws.scenes import write_codes
from tests.mosaic.maps import read, write_map
from tests.products.geotiff import write_geotiff


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


def test_scores_with_their_masks_are_joined_by_the_items_and_the_ledger_of_a_batch(tmp_path: Path) -> None:
    """What the run of a batch with masks left: the scores are the map, and what was masked is a layer that can be joined."""
    values = np.random.default_rng(3).uniform(100, 200, (2, 4, 60, 60)).astype(np.float32)
    values[0, :, :5], values[1, :, -5:] = -9999, -9999
    orders = []
    for i, name in enumerate(("west", "east")):
        place = (30.0, 0.0, 500_000.0 + i * 40 * 30, 0.0, -30.0, 5_800_000.0)
        write_geotiff(tmp_path / f"{name}.tif", values[i], np.array([450.0, 550.0, 650.0, 850.0]), nodata=-9999, transform=place)
        hidden = np.zeros((60, 60))
        hidden[:, 30 - 20 * i : 50 - 20 * i] = 1
        write_codes(tmp_path / f"{name}_cloud.tif", hidden, transform=Affine(*place))
        options = {"mask": [str(tmp_path / f"{name}_cloud.tif")]}
        orders.append(make_order([str(tmp_path / f"{name}.tif")], "anomaly", str(tmp_path / "scores" / "{stem}.tif"), options, "x"))
    assert len(run_batch(orders).done) == 2
    assert write_collection(tmp_path / "all.json", read_status(tmp_path / "scores")) == 2
    scores = [tmp_path / "scores" / f"{name}.tif" for name in ("west", "east")]
    for given in ([tmp_path / "all.json"], [tmp_path / "scores"], [path.with_suffix(".json") for path in scores]):
        assert [path.resolve() for path in maps_in(given)] == scores
    assert [path.name for path in maps_in([tmp_path / "all.json"], "masked")] == ["west_masked.tif", "east_masked.tif"]
    make_mosaic([tmp_path / "all.json"], tmp_path / "scores.tif")
    make_mosaic([tmp_path / "all.json"], tmp_path / "masked.tif", layer="masked")
    seen, states = read(tmp_path / "scores.tif"), read(tmp_path / "masked.tif")
    assert states.shape == seen.shape == (60, 100)
    np.testing.assert_array_equal(np.isfinite(seen), states == 1)
    wanted = np.ones((60, 100))
    wanted[:5, :40] = wanted[55:, 60:] = 0
    wanted[5:, 30:40] = wanted[:55, 60:70] = 255  # what one map alone covers; where they overlap, the other one has a value
    wanted[:5, 50:60] = wanted[55:, 40:50] = 255  # masked in one, missing in the other
    np.testing.assert_array_equal(states, wanted)


def test_one_layer_of_a_map_finds_the_item_of_its_map(tmp_path: Path, maps: list[Path]) -> None:
    layers = [path.with_name(f"{path.stem}_confidence.tif") for path in maps]
    made = make_mosaic(layers, tmp_path / "all.tif", rule="most-confident")
    assert made.ranked_by == "the confidence of each pixel (layer confidence)"
