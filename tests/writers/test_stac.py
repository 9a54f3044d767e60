import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from pyproj import Transformer
from pystac.validation.local_validator import get_local_schema_cache
from shapely.geometry import Point, shape

from hsikit.errors import OutputError
from hsikit.geo.footprint import footprint
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import Asset, Provenance, write_item, write_provenance
from tests.writers.arrays import LEGEND, UTM, class_map, cube

MADE = Provenance("svm", {"cube": "scene.hdr"}, "model/", {"C": np.float64(2.0), "bands": np.arange(3), "gamma": float("nan")}, "0.1.0", ("two bands are bad",))


def item_of(path: Path) -> dict[str, Any]:
    """A file as JSON, held against the STAC schemas that pystac carries."""
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource

    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    schemas = get_local_schema_cache()
    registry: Registry[Any] = Registry().with_resources([(uri, Resource.from_contents(schema)) for uri, schema in schemas.items()])
    item_schema = next(schema for uri, schema in schemas.items() if uri.endswith("/item.json"))
    errors = [f"{list(e.absolute_path)}: {e.message}" for e in Draft7Validator(item_schema, registry=registry).iter_errors(facts)]
    assert errors == []
    return facts


def test_item_is_valid_and_tells_all(tmp_path: Path) -> None:
    assets = [
        Asset("map", tmp_path / "map.tif", class_map()[0], cog=True),
        Asset("cube", tmp_path / "cube.tif", cube()[0]),
        Asset("style", tmp_path / "map.qml"),
    ]
    path = tmp_path / "stage.json"
    assert write_item(path, UTM, assets, MADE, acquired="2022-07-24T12:00:00+02:00", final=tmp_path / "map.json") == [path]
    facts = item_of(path)
    assert pystac.Item.from_dict(facts).id == "map"
    told = facts["properties"]
    assert told["datetime"] == "2022-07-24T10:00:00Z" and told["hsikit:datetime_source"] == "acquisition of the scene"
    assert told["proj:code"] == "EPSG:32633" and told["proj:shape"] == [333, 517] and told["proj:transform"][:6] == list(UTM.transform)
    assert told["hsikit:inputs"] == {"cube": "scene.hdr"} and told["hsikit:model"] == "model/" and told["processing:software"] == {"hsikit": "0.1.0"}
    assert told["hsikit:parameters"] == {"C": 2.0, "bands": [0, 1, 2], "gamma": "nan"} and told["hsikit:notices"] == ["two bands are bad"]
    asset = facts["assets"]["map"]
    assert asset["href"] == "./map.tif" and asset["type"].endswith("cloud-optimized") and asset["roles"] == ["data"]
    assert [row["value"] for row in asset["classification:classes"]] == [0, 1, 3, 7, 254, 255]
    assert asset["classification:classes"][2]["title"] == LEGEND.classes[1].name
    assert [band["eo:center_wavelength"] for band in facts["assets"]["cube"]["bands"]][:2] == [0.4501, 0.4604]
    assert facts["assets"]["style"]["roles"] == ["metadata"]


def test_clouds_are_stated_where_they_are_known(tmp_path: Path) -> None:
    write_item(tmp_path / "a.json", UTM, [], MADE, cloud_cover=12.5)
    facts = item_of(tmp_path / "a.json")
    assert facts["properties"]["eo:cloud_cover"] == 12.5 and any("/eo/" in uri for uri in facts["stac_extensions"])
    write_item(tmp_path / "a.json", UTM, [], MADE)
    assert "eo:cloud_cover" not in item_of(tmp_path / "a.json")["properties"]


@pytest.mark.parametrize("acquired", ["", "last summer"])
def test_unknown_time_is_the_time_of_creation_and_says_so(tmp_path: Path, acquired: str) -> None:
    created = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    write_item(tmp_path / "a.json", UTM, [], MADE, acquired=acquired, created=created)
    told = item_of(tmp_path / "a.json")["properties"]
    assert told["datetime"] == "2026-01-02T03:04:05Z" and "unknown" in told["hsikit:datetime_source"]


def test_crs_without_a_code_is_given_as_wkt(tmp_path: Path) -> None:
    grid = Grid((50, 40), (500.0, 0.0, 0.0, 0.0, -500.0, 0.0), "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m +type=crs")
    write_item(tmp_path / "a.json", grid, [], MADE)
    told = item_of(tmp_path / "a.json")["properties"]
    assert told["proj:code"] is None and "Lambert" in told["proj:wkt2"]


def test_footprint_follows_curved_edges() -> None:
    grid = Grid((2000, 4000), (500.0, 0.0, 2e6, 0.0, -500.0, 4e6), "EPSG:3035")
    geometry, bbox = footprint(grid)
    assert geometry is not None and bbox is not None
    outline = shape(geometry)
    lonlat = Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)
    inside = [Point(*lonlat.transform(2e6 + 500 * col, 4e6 - 500 * row)) for row in (5, 1000, 1995) for col in (5, 1300, 3995)]
    assert all(outline.contains(point) for point in inside)
    assert outline.bounds == pytest.approx(bbox, abs=1e-6) and outline.exterior.is_ccw


@pytest.mark.parametrize("lon", [179.5, -180.5])
def test_footprint_across_the_antimeridian(lon: float) -> None:
    geometry, bbox = footprint(Grid((10, 10), (0.1, 0.0, lon, 0.0, -0.1, 1.0), "EPSG:4326"))
    assert geometry is not None and bbox == pytest.approx([179.5, 0.0, -179.5, 1.0])
    parts = sorted(shape({"type": "Polygon", "coordinates": part}).bounds for part in geometry["coordinates"])
    np.testing.assert_allclose(parts, [(-180, 0, -179.5, 1), (179.5, 0, 180, 1)], atol=1e-6)


def test_utm_scene_across_the_antimeridian() -> None:
    geometry, bbox = footprint(Grid((100, 400), (1000.0, 0.0, 600_000.0, 0.0, -1000.0, 200_000.0), "EPSG:32660"))
    assert geometry is not None and bbox is not None and geometry["type"] == "MultiPolygon"
    assert bbox[0] == pytest.approx(177.9, abs=0.1) and bbox[2] == pytest.approx(-178.5, abs=0.1)
    west, east = sorted(shape({"type": "Polygon", "coordinates": part}).bounds for part in geometry["coordinates"])
    assert (west[0], east[2]) == (-180, 180) and west[2] == pytest.approx(bbox[2], abs=1e-6) and east[0] == pytest.approx(bbox[0], abs=1e-6)


def test_no_georeference_has_no_item_but_provenance(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="georeferenced"):
        write_item(tmp_path / "a.json", Grid((5, 5)), [], MADE)
    write_provenance(tmp_path / "p.json", MADE, ["map.tif"])
    facts = json.loads((tmp_path / "p.json").read_text())
    assert facts["method"] == "svm" and facts["files"] == ["map.tif"] and facts["georeferenced"] is False and facts["parameters"]["gamma"] == "nan"


def test_missing_folder_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"p\.json"):
        write_provenance(tmp_path / "no" / "p.json", MADE)


def test_layer_without_legend_needs_no_classification(tmp_path: Path) -> None:
    write_item(tmp_path / "a.json", UTM, [Asset("scores", tmp_path / "s.tif", Layer("scores", unit="K"))], MADE)
    facts = item_of(tmp_path / "a.json")
    assert not any("classification" in uri for uri in facts["stac_extensions"])
    assert facts["assets"]["scores"]["unit"] == "K" and facts["assets"]["scores"]["nodata"] == "nan"
