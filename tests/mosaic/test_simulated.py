"""From simulated scenes to a mosaic: what each rule ranks by comes from the scenes alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsikit.mosaic import RULES, make_mosaic
from tests.mosaic.four import Four, scores_of
from tests.mosaic.maps import read
from tests.mosaic.simulated import CLOUDS, TIMES, VIEW_ZENITH, WHOLE, make_simulated


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return make_simulated(tmp_path_factory.mktemp("simulated"))


def test_maps_say_when_and_how_their_scenes_were_seen(simulated: Four) -> None:
    import rasterio

    for path, time, cloud, angle in zip(simulated.paths, TIMES, CLOUDS, VIEW_ZENITH, strict=True):
        with rasterio.open(path) as found:
            tags = found.tags()
        assert (tags["acquired"], float(tags["view_zenith"])) == (time, angle)
        item = json.loads(path.with_suffix(".json").read_text())
        assert item["properties"]["eo:cloud_cover"] == float(tags["cloud_cover"]) == pytest.approx(100 * cloud, abs=0.1)


@pytest.mark.parametrize("masked", ["yield", "stay"])
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_gives_the_pixel_that_a_sort_names(simulated: Four, tmp_path: Path, rule: str, masked: str) -> None:
    make_mosaic(simulated.paths, tmp_path / "all.tif", rule=rule, masked=masked, source_layer=True)
    codes, numbers = simulated.expected(scores_of(simulated, rule), masked == "yield")
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), codes)
    np.testing.assert_array_equal(read(tmp_path / "all_source.tif"), numbers)
    assert codes.shape == WHOLE and set(np.unique(numbers)) >= {1, 2, 3, 4}


def test_no_two_rules_name_the_same_pixels(simulated: Four) -> None:
    found = [simulated.expected(scores_of(simulated, rule))[1] for rule in RULES if rule != "first"]
    assert all((one != other).sum() > 400 for i, one in enumerate(found) for other in found[:i])
