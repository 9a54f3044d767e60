"""Reading a map: its legend in every format, codes outside it, and what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

import hsikit
from hsikit.errors import MapError, ModelError
from hsikit.layers import Legend
from hsikit.report.gather import gather
from hsikit.report.mapfile import read_map

from .conftest import HOSTILE, Reported

LEGEND = Legend.of(dict(enumerate(HOSTILE, 1)))


@pytest.mark.parametrize("name", ["map.tif", "map.hdr"])
def test_every_format_states_its_classes(reported: Reported, tmp_path: Path, name: str) -> None:
    hsikit.run(reported.model, reported.scene, tmp_path / name)
    found = read_map(tmp_path / name)
    found.require_legend(LEGEND, "model")
    assert found.grid.shape == found.shown.shape == (72, 60) and found.fact("method") == "svm"
    assert sum(pixels for pixels, _ in found.areas.values()) + found.outside[0] == 72 * 60
    with pytest.raises(ModelError, match="are not those of the map"):
        found.require_legend(Legend.of({1: "a", 2: "b", 3: "c"}), "model")


def test_the_file_alone_is_enough(reported: Reported, tmp_path: Path) -> None:
    (tmp_path / "alone.tif").write_bytes(reported.map.read_bytes())
    found = read_map(tmp_path / "alone.tif")
    found.require_legend(LEGEND, "model")
    assert found.made == {} and found.fact("version") is None


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"properties": 3}', '{"inputs": ["a"], "parameters": 3}'])
def test_a_stranger_beside_it_is_no_provenance(reported: Reported, tmp_path: Path, text: str) -> None:
    (tmp_path / "map.tif").write_bytes(reported.map.read_bytes())
    (tmp_path / "map.json").write_text(text)
    found = read_map(tmp_path / "map.tif")
    assert found.table("inputs") == found.table("parameters") == {}
    content, _ = gather(tmp_path / "map.tif", reported.model)
    assert content.map.inputs == {} and content.title == "Class map of scene.tif"


def test_a_code_without_a_class_is_named(reported: Reported, tmp_path: Path) -> None:
    copy = tmp_path / "map.tif"
    with rasterio.open(reported.map) as data:
        codes, profile, tags = data.read(1), data.profile, data.tags()
    codes[5, 50] = 77
    with rasterio.open(copy, "w", **profile) as out:
        out.write(codes, 1)
        out.update_tags(**tags)
    with pytest.raises(ModelError, match="code 77"):
        read_map(copy).require_legend(LEGEND, "model")


def test_large_maps_are_shown_smaller(tmp_path: Path) -> None:
    codes = np.ones((2100, 30), np.uint8)
    with rasterio.open(tmp_path / "long.tif", "w", driver="GTiff", height=2100, width=30, count=1, dtype="uint8") as out:
        out.write(codes, 1)
        out.update_tags(classes=json.dumps(Legend.of({1: "rye"}).to_json()))
    found = read_map(tmp_path / "long.tif")
    assert found.shown.shape == (1024, 15) and found.areas == {1: (63_000, None)}


def test_a_missing_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(MapError, match=r"none\.tif"):
        read_map(tmp_path / "none.tif")
