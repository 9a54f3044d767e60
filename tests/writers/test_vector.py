import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest

from hsikit.errors import MissingExtraError, OutputError
from hsikit.layers import Features
from hsikit.writers import write_vector

COLUMNS = {"score": np.array([1.5, 2.5]), "rank": np.array([1, 2]), "name": np.array(["Müll", "b"])}
HITS = Features(COLUMNS, np.array([[400015.0, 5799985.0], [400045.0, 5799955.0]]), "EPSG:32633")


def test_geopackage_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "hits.gpkg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_vector(HITS, path, layer_name="hits of rx") == [path]
    assert [p.name for p in tmp_path.iterdir()] == ["hits.gpkg"]
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["hits of rx"]
    back = geopandas.read_file(path)
    assert back.crs.to_epsg() == 32633
    assert HITS.points is not None
    np.testing.assert_array_equal(np.column_stack([back.geometry.x, back.geometry.y]), HITS.points)
    assert back["score"].tolist() == [1.5, 2.5] and back["rank"].tolist() == [1, 2] and back["name"].tolist() == ["Müll", "b"]


def test_an_older_file_is_replaced_not_extended(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_vector(HITS, tmp_path / "hits.gpkg", layer_name=name)
    assert pyogrio.list_layers(tmp_path / "hits.gpkg")[:, 0].tolist() == ["second"]


@pytest.mark.parametrize("name", ["hits.gpkg", "hits.geojson"])
def test_no_features_give_a_valid_empty_file(tmp_path: Path, name: str) -> None:
    empty = Features({"score": np.zeros(0), "rank": np.zeros(0, int)}, np.zeros((0, 2)), "EPSG:32633")
    write_vector(empty, tmp_path / name)
    back = geopandas.read_file(tmp_path / name)
    assert len(back) == 0
    if name.endswith("gpkg"):  # GeoJSON keeps columns in its features only
        assert back.columns.tolist() == ["score", "rank", "geometry"] and back.crs.to_epsg() == 32633
        assert pyogrio.read_info(tmp_path / name)["geometry_type"] == "Point"


def test_geojson_is_in_wgs84(tmp_path: Path) -> None:
    write_vector(HITS, tmp_path / "hits.geojson")
    back = geopandas.read_file(tmp_path / "hits.geojson")
    expected = geopandas.GeoSeries.from_xy(*np.asarray(HITS.points).T, crs=HITS.crs).to_crs(4326)
    assert back.crs.to_epsg() == 4326
    np.testing.assert_allclose(back.geometry.x, expected.x, atol=1e-6)
    np.testing.assert_allclose(back.geometry.y, expected.y, atol=1e-6)


@pytest.mark.parametrize("name", ["hits.gpkg", "hits.geojson"])
def test_points_without_crs_say_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_vector(Features({"score": np.array([1.0])}, np.array([[3.5, 4.5]])), path)
    back = geopandas.read_file(path)
    assert (back.geometry.x[0], back.geometry.y[0]) == (3.5, 4.5)
    text = json.loads(path.read_text())["description"] if name.endswith("json") else path.read_bytes().decode("latin-1")
    assert "no coordinate reference system" in text


def test_table_in_a_geopackage(tmp_path: Path) -> None:
    write_vector(Features({"a": np.array([1, 2])}), tmp_path / "t.gpkg")
    assert pyogrio.read_dataframe(tmp_path / "t.gpkg")["a"].tolist() == [1, 2]


def test_what_a_killed_run_has_left_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "hits.gpkg").write_bytes(b"SQLite format 3\0 torn")
    (tmp_path / "hits.gpkg-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    write_vector(HITS, tmp_path / "hits.gpkg")
    assert len(geopandas.read_file(tmp_path / "hits.gpkg")) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["hits.gpkg"]


def test_columns_of_any_type(tmp_path: Path) -> None:
    kinds = ["uint8", "int8", "uint16", "int32", "uint32", "int64", "float32", "float64", "bool"]
    columns = {kind: np.array([0, 1]).astype(kind) for kind in kinds}
    for name in ("a.gpkg", "a.geojson"):
        write_vector(Features(columns, HITS.points, HITS.crs), tmp_path / name)
        back = geopandas.read_file(tmp_path / name)
        assert all(back[kind].astype(float).tolist() == [0.0, 1.0] for kind in kinds)


@pytest.mark.parametrize("column", ["fid", "geom", "Geometry"])
def test_columns_that_the_format_keeps_are_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(OutputError, match=column.lower()):
        write_vector(Features({column: np.array([1, 2])}, HITS.points, HITS.crs), tmp_path / "a.gpkg")


def test_geoparquet_asks_for_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pyarrow" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"hits\.parquet.*pyarrow.*pip install"):
        write_vector(HITS, tmp_path / "hits.parquet")


def test_geoparquet_round_trip(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="GeoParquet needs pyarrow")
    write_vector(HITS, tmp_path / "hits.parquet")
    assert geopandas.read_parquet(tmp_path / "hits.parquet").crs.to_epsg() == 32633


@pytest.mark.parametrize(
    ("name", "crs", "words"), [("hits.shp", "EPSG:32633", "shp"), ("hits.gpkg", "EPSG:999999", r"hits\.gpkg"), ("no/hits.gpkg", "EPSG:32633", "no/hits")]
)
def test_what_cannot_be_written_is_named(tmp_path: Path, name: str, crs: str, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        write_vector(Features(HITS.columns, HITS.points, crs), tmp_path / name)
