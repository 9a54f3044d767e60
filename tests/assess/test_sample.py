"""Drawing: the design's numbers, the same pixels however the file is cut, equal chances, what the file holds, refusals."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from hsikit.assess import map_raster
from hsikit.assess.class_map import open_class_map
from hsikit.assess.design import Design
from hsikit.assess.sample import _draw, _groups, sample_map
from hsikit.errors import MapError, OptionError, OutputError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid, Window
from tests.assess.maps import NAMES, quarters, write_map
from tests.laws.scenes import CRS, TRANSFORM, write_codes

CODES, _ = quarters()
COUNTED = {code: int((code == CODES).sum()) for code in (1, 2, 3)}


@pytest.fixture(scope="module")
def drawn_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_map(tmp_path_factory.mktemp("maps") / "map.tif", CODES)


def points_of(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer="sample")


def test_a_stratified_sample_holds_all_that_an_assessment_needs(drawn_from: Path, tmp_path: Path) -> None:
    sample = sample_map(drawn_from, tmp_path / "p.gpkg", per_class=20)
    frame, strata = points_of(tmp_path / "p.gpkg"), pyogrio.read_dataframe(tmp_path / "p.gpkg", layer="strata")
    assert list(frame.columns) == ["id", "map_code", "map_class", "row", "col", "reference", "geometry"]
    assert sorted(frame["id"]) == list(range(1, 61)) and frame["reference"].isna().all() and frame.crs == CRS
    assert len({*zip(frame["row"], frame["col"], strict=True)}) == 60
    np.testing.assert_array_equal(CODES[frame["row"], frame["col"]], frame["map_code"])
    assert [NAMES[code] for code in frame["map_code"]] == list(frame["map_class"])
    assert frame["map_code"].value_counts().to_dict() == {1: 20, 2: 20, 3: 20}
    np.testing.assert_allclose(frame.geometry.x, TRANSFORM[2] + 30 * (frame["col"] + 0.5))
    np.testing.assert_allclose(frame.geometry.y, TRANSFORM[5] - 30 * (frame["row"] + 0.5))
    # The order says nothing of the class: as many changes of class between neighbours as a shuffle makes (two of three, 39 of 59).
    assert 28 <= int((np.diff(frame["map_code"]) != 0).sum()) <= 50
    assert dict(zip(strata["code"], strata["pixels"], strict=True)) == COUNTED and list(strata["name"]) == list(NAMES.values())
    areas = class_areas([(Window.whole(CODES.shape), CODES)], Grid(CODES.shape, TRANSFORM, CRS))
    np.testing.assert_allclose(strata["hectares"], [areas[code][1] for code in (1, 2, 3)])
    assert dict(sample.outside) == {0: 24, 255: 100} and sample.points == 60


def test_only_the_seed_moves_the_points(drawn_from: Path, tmp_path: Path) -> None:
    places = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sample_map(drawn_from, tmp_path / f"{name}.gpkg", per_class=10, seed=seed)
        places.append(points_of(tmp_path / f"{name}.gpkg")[["id", "row", "col"]].to_numpy().tolist())
    assert places[0] == places[1] != places[2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 50), strip=st.integers(1, 900), tile=st.sampled_from([None, 16, 32]), simple=st.booleans())
def test_the_same_pixels_however_the_file_is_cut(tmp_path_factory: pytest.TempPathFactory, seed: int, strip: int, tile: int | None, simple: bool) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice([0, 1, 2, 9], rng.integers(5, 60, 2), p=[0.3, 0.4, 0.2, 0.1]).astype(np.uint8)
    codes[0, :5] = 1, 1, 2, 2, 9
    codes[1, 0] = 9
    layout = {"tiled": True, "blockxsize": tile, "blockysize": tile} if tile else {}
    path = write_codes(tmp_path_factory.mktemp("cut") / "map.tif", codes, **layout)
    design = Design(total=8, simple=True) if simple else Design(per_class=6)
    with pytest.MonkeyPatch.context() as patch, open_class_map(path) as found:
        census = found.census()
        groups, _ = _groups(design, census, "map", seed)
        patch.setattr(map_raster, "STRIP_PIXELS", strip)
        rows, cols, got = _draw(found, groups)
        again = found.census()
        assert [(s.code, s.pixels) for s in again.strata] == [(s.code, s.pixels) for s in census.strata] and again.outside == census.outside
    flat = [np.flatnonzero(np.isin(codes, group.codes))[group.ordinals] for group in groups]
    assert sorted(np.concatenate(flat)) == list(rows * codes.shape[1] + cols)
    np.testing.assert_array_equal(codes[rows, cols], got)


def test_every_pixel_of_a_class_has_the_same_chance(tmp_path: Path) -> None:
    codes = np.array([[1, 2, 1, 1], [2, 1, 0, 2], [1, 1, 2, 1]], np.uint8)
    hits = np.zeros(codes.shape)
    with open_class_map(write_codes(tmp_path / "map.tif", codes)) as found:
        census = found.census()
        for seed in range(600):
            rows, cols, _ = _draw(found, _groups(Design(per_class=2), census, "map", seed)[0])
            hits[rows, cols] += 1
    assert hits[1, 2] == 0
    for code in (1, 2):
        assert hits[codes == code].sum() == 1200 and chisquare(hits[codes == code]).pvalue > 1e-3


def test_a_total_is_shared_and_rare_classes_keep_their_minimum(drawn_from: Path, tmp_path: Path) -> None:
    sample = sample_map(drawn_from, tmp_path / "p.gpkg", total=300, minimum=80)
    points = {stratum.code: stratum.points for stratum in sample.strata}
    rest = 300 - 80
    assert points[1] == 80 and points[2] + points[3] == rest
    assert points[3] == pytest.approx(rest * COUNTED[3] / (COUNTED[2] + COUNTED[3]), abs=1)


def test_a_standard_error_gives_the_total(drawn_from: Path, tmp_path: Path) -> None:
    sample = sample_map(drawn_from, tmp_path / "a.gpkg", standard_error=0.02, expected_accuracy=0.8)
    assert sample.points == 400 and "needs 400 points" in sample.notes[0]
    by_class = {"water": 0.9, "forest": 0.5, 3: 0.8}
    sample = sample_map(drawn_from, tmp_path / "b.gpkg", standard_error=0.03, expected_accuracy=by_class, minimum=10)
    share = np.array(list(COUNTED.values())) / sum(COUNTED.values())
    assert sample.points == int(np.ceil((share @ np.sqrt([0.09, 0.25, 0.16]) / 0.03) ** 2))
    few = sample_map(drawn_from, tmp_path / "c.gpkg", standard_error=0.2, expected_accuracy=0.8)
    assert few.points == 150 and "needs 4 points; 50 for each of 3 classes make 150" in few.notes[0]
    simple = sample_map(drawn_from, tmp_path / "d.gpkg", standard_error=0.05, expected_accuracy=0.8, simple=True)
    assert simple.points == 64


def test_a_simple_random_sample_keeps_no_strata(drawn_from: Path, tmp_path: Path) -> None:
    sample = sample_map(drawn_from, tmp_path / "p.gpkg", total=100, simple=True)
    assert sample.points == 100 and sum(s.points for s in sample.strata) == 100
    assert set(pyogrio.list_layers(tmp_path / "p.gpkg")[:, 0]) == {"sample", "design"}
    assert pyogrio.read_dataframe(tmp_path / "p.gpkg", layer="design").loc[0, "design"] == "simple"


def test_a_blind_sample_shows_no_class(drawn_from: Path, tmp_path: Path) -> None:
    sample_map(drawn_from, tmp_path / "p.gpkg", per_class=5, blind=True)
    frame = points_of(tmp_path / "p.gpkg")
    assert list(frame.columns) == ["id", "row", "col", "reference", "geometry"]
    hidden = pyogrio.read_dataframe(tmp_path / "p.gpkg", layer="drawn").set_index("id")["map_code"]
    np.testing.assert_array_equal(hidden[frame["id"]], CODES[frame["row"], frame["col"]])


def test_a_class_of_few_pixels_is_drawn_whole(tmp_path: Path) -> None:
    codes = np.ones((20, 20), np.uint8)
    codes[3, 4:7] = 2
    sample = sample_map(write_map(tmp_path / "map.tif", codes), tmp_path / "p.gpkg", per_class=10)
    assert [stratum.points for stratum in sample.strata] == [10, 3]
    assert "forest has 3 pixels, and all are drawn, instead of 10 points" in sample.notes


def test_classes_that_hang_on_single_points_are_told(tmp_path: Path) -> None:
    codes = np.ones((100, 100), np.uint8)
    codes[3, :50] = 2
    path = write_map(tmp_path / "map.tif", codes)
    (note,) = sample_map(path, tmp_path / "few.gpkg", per_class=50).notes
    # A point of water stands for 9950 / 50 pixels; forest has 50. No point stands for more than 5 % of 50 pixels where 10000 / 2.5 are drawn.
    assert "stands for 199 pixels, 398% of all" in note and "area of forest may lie" in note and "4000 in proportion" in note
    assert sample_map(path, tmp_path / "many.gpkg", total=4050).notes == ()


@pytest.mark.parametrize("ending", [".tif", ".hdr", ".img"])
def test_maps_in_every_format_of_ours(tmp_path: Path, ending: str) -> None:
    path = write_map(tmp_path / f"map{ending}", CODES)
    sample = sample_map(path, tmp_path / "p.gpkg", per_class=4)
    assert [(s.name, s.pixels) for s in sample.strata] == [(NAMES[code], COUNTED[code]) for code in NAMES]
    assert points_of(tmp_path / "p.gpkg").crs == CRS


def test_a_raster_of_other_people(tmp_path: Path) -> None:
    codes = np.array([[-5, 311, 311], [0, -5, 311], [7, 7, 255]], np.int16)
    path = tmp_path / "corine.tif"
    with rasterio.open(path, "w", driver="GTiff", width=3, height=3, count=1, dtype="int16", nodata=7) as target:
        target.write(codes, 1)
    sample = sample_map(path, tmp_path / "p.gpkg", per_class=2)
    assert [(s.code, s.name, s.pixels, s.hectares) for s in sample.strata] == [(-5, "class -5", 2, None), (311, "class 311", 3, None)]
    assert dict(sample.outside) == {0: 1, 7: 2, 255: 1}
    frame = points_of(tmp_path / "p.gpkg")
    np.testing.assert_allclose(frame.geometry.y, -(frame["row"] + 0.5))
    with open_class_map(path, inside=[0, 255], outside=[311]) as found:
        assert {stratum.code: stratum.pixels for stratum in found.census().strata} == {-5: 2, 0: 1, 255: 1}


@pytest.mark.parametrize(("options", "fault"), [
    ({}, "not said"),
    ({"per_class": 5, "total": 50}, "--per-class, --total"),
    ({"per_class": 1}, "fewer than two"),
    ({"total": 1, "simple": True}, "fewer than two"),
    ({"total": 20}, "fewer than 50 for each of 3"),
    ({"standard_error": 0.1}, "expected_accuracy: it goes with"),
    ({"total": 500, "expected_accuracy": 0.8}, "expected_accuracy: it goes with"),
    ({"standard_error": 0.1, "expected_accuracy": {"water": 0.8}}, "'forest' .code 2. has none"),
    ({"standard_error": 0.1, "expected_accuracy": {"water": 0.8, 2: 0.8, "field": 0.8, "sea": 0.8}}, "no class 'sea'"),
    ({"standard_error": 0.1, "expected_accuracy": {"water": 0.8}, "simple": True}, "no heed"),
    ({"per_class": 5, "simple": True}, "no heed"),
    ({"per_class": 5, "seed": -1}, "seed: -1"),
    ({"per_class": 5, "inside": [3]}, "code 3 is inside"),
    ({"per_class": 5, "inside": [0]}, "code 0 is the map's nodata"),
    ({"per_class": 5, "inside": [254], "outside": [254]}, "code 254"),
])  # fmt: skip
def test_requests_that_make_no_sense(drawn_from: Path, tmp_path: Path, options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionError, match=fault):
        sample_map(drawn_from, tmp_path / "p.gpkg", **options)
    assert list(tmp_path.iterdir()) == []


def test_rasters_that_are_no_class_maps(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 60, "height": 60}
    made = {
        "bands.tif": np.ones((2, 60, 60), np.uint8),
        "real.tif": np.ones((1, 60, 60), np.float32),
        "ids.tif": np.arange(3600, dtype=np.int32)[None].reshape(1, 60, 60),
    }
    made |= {"empty.tif": np.zeros((1, 60, 60), np.uint8), "stray.tif": np.r_[2, np.ones(3599)].reshape(1, 60, 60).astype(np.uint8)}
    for name, values in made.items():
        with rasterio.open(tmp_path / name, "w", count=len(values), dtype=values.dtype, **profile) as target:
            target.write(values)
    (tmp_path / "text.tif").write_text("no raster")
    faults = {
        "bands.tif": "2 bands",
        "real.tif": "float32",
        "ids.tif": "1000 different",
        "empty.tif": "no class",
        "stray.tif": "--outside 2",
        "text.tif": "no raster",
        "none.tif": "missing",
    }
    for name, fault in faults.items():
        with pytest.raises(MapError, match=f"{name}.*{fault}"):
            sample_map(tmp_path / name, tmp_path / "p.gpkg", per_class=2)
    assert not (tmp_path / "p.gpkg").exists()


def test_an_existing_file_is_kept(drawn_from: Path, tmp_path: Path) -> None:
    sample_map(drawn_from, tmp_path / "p.gpkg", per_class=5)
    before = (tmp_path / "p.gpkg").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        sample_map(drawn_from, tmp_path / "p.gpkg", per_class=6)
    with pytest.raises(OutputError, match=r"\.gpkg"):
        sample_map(drawn_from, tmp_path / "p.shp", per_class=6)
    assert (tmp_path / "p.gpkg").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    sample_map(drawn_from, tmp_path / "p.gpkg", per_class=6, overwrite=True)
    assert len(points_of(tmp_path / "p.gpkg")) == 18


def test_a_damaged_map_leaves_the_older_sample(drawn_from: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    with rasterio.open(path, "w", driver="GTiff", width=500, height=500, count=1, dtype="uint8") as target:
        target.write(np.ones((1, 500, 500), np.uint8))
    path.write_bytes(path.read_bytes()[:100_000])
    sample_map(drawn_from, tmp_path / "p.gpkg", per_class=5)
    before = (tmp_path / "p.gpkg").read_bytes()
    with pytest.raises(MapError, match="truncated or damaged"):
        sample_map(path, tmp_path / "p.gpkg", per_class=5, overwrite=True)
    assert (tmp_path / "p.gpkg").read_bytes() == before
