"""Maps against points: the published example end to end, counts by hand, whose strata are used, points of every kind of file, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
from shapely.geometry import MultiPoint, Point, box

from hsikit.assess.accuracy import FROM_ANOTHER, FROM_THIS, POST, SIMPLE, assess_map
from hsikit.assess.sample import sample_map
from hsikit.errors import GridError, LabelError, MapError, OptionError
from hsikit.geo.grid import Grid
from hsikit.metrics.area_accuracy import area_accuracy
from tests.assess.maps import CLASSES, COUNTS, NAMES, answer, answer_from, quarters, write_example, write_map
from tests.laws.scenes import CRS, TRANSFORM, write_codes

MAP, TRUTH = quarters()
SIZES = [int((code == MAP).sum()) for code in (1, 2, 3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a map and an answered stratified sample of it."""
    folder = tmp_path_factory.mktemp("assess")
    write_map(folder / "map.tif", MAP)
    sample_map(folder / "map.tif", folder / "p.gpkg", per_class=40)
    answer_from(folder / "p.gpkg", TRUTH)
    return folder


def frame_of(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer="sample")


def counted(path: Path, found: np.ndarray = MAP, truth: np.ndarray = TRUTH) -> np.ndarray:
    """Points by map class and true class, counted from rows and columns alone."""
    frame, table = frame_of(path), np.zeros((3, 3), int)
    for row, col in zip(frame["row"], frame["col"], strict=True):
        table[found[row, col] - 1, truth[row, col] - 1] += 1
    return table


def test_the_worked_example_to_the_printed_digits(tmp_path: Path) -> None:
    write_example(tmp_path / "map.tif")
    sample_map(tmp_path / "map.tif", tmp_path / "p.gpkg", per_class=325)
    frame = frame_of(tmp_path / "p.gpkg")
    keep, answers = [], []
    for row, counts in enumerate(COUNTS):
        own = np.flatnonzero(frame["map_code"] == row + 1)[: counts.sum()]
        keep.append(own)
        answers.append(np.repeat(np.arange(1, 5), counts))
    frame = frame.iloc[np.concatenate(keep)]
    frame["reference"] = np.concatenate(answers)
    frame.to_crs(4326).to_file(tmp_path / "points.geojson")
    found = assess_map(tmp_path / "map.tif", tmp_path / "points.geojson")
    assert (found.strata, found.unit, found.points) == (POST, "ha", 640)
    np.testing.assert_array_equal(found.accuracy.counts, COUNTS)
    assert np.round(found.accuracy.users.value, 3).tolist() == [0.880, 0.733, 0.927, 0.963]
    assert np.round(found.accuracy.users.half_width, 3).tolist() == [0.074, 0.101, 0.040, 0.021]
    assert np.round(found.accuracy.producers.value, 3).tolist() == [0.749, 0.847, 0.935, 0.962]
    assert np.round(found.accuracy.producers.half_width, 3).tolist() == [0.213, 0.254, 0.034, 0.018]
    assert np.round(found.area.value).tolist() == [21158, 11686, 285770, 581386]
    assert np.round(found.area.half_width).tolist() == [6158, 3756, 15510, 16282]
    assert (round(float(found.accuracy.overall.value), 3), round(float(found.accuracy.overall.half_width), 3)) == (0.947, 0.018)
    assert np.round(found.mapped).tolist() == [18000, 13500, 288000, 580500]
    assert len(CLASSES) == len(found.accuracy.classes)


def test_a_sample_of_this_map(made: Path) -> None:
    found = assess_map(made / "map.tif", made / "p.gpkg")
    expected = area_accuracy(counted(made / "p.gpkg"), SIZES, list(NAMES.values()))
    assert found.strata == FROM_THIS and found.codes == (1, 2, 3) and found.accuracy.classes == ("water", "forest", "field")
    np.testing.assert_array_equal(found.accuracy.counts, expected.counts)
    np.testing.assert_allclose(found.accuracy.users.value, expected.users.value)
    # Sizes are geodesic areas: pixels of this grid differ by some millionths.
    np.testing.assert_allclose(found.accuracy.producers.error, expected.producers.error, rtol=1e-4)
    np.testing.assert_allclose(found.area.value, expected.share.value * found.mapped.sum(), rtol=1e-4)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["area"] == record["area_ha"] and record["points"] == 120


def test_a_newer_map_keeps_the_strata_of_the_older(made: Path, tmp_path: Path) -> None:
    newer = np.where(np.isin(MAP, (1, 2, 3)), TRUTH, MAP)
    newer[20:, :25] = np.where(np.isin(MAP, (1, 2, 3)), 1, MAP)[20:, :25]
    found = assess_map(write_map(tmp_path / "newer.tif", newer), made / "p.gpkg")
    frame, counts = frame_of(made / "p.gpkg"), np.zeros((3, 3, 3))
    for row, col in zip(frame["row"], frame["col"], strict=True):
        counts[MAP[row, col] - 1, newer[row, col] - 1, TRUTH[row, col] - 1] += 1
    expected = area_accuracy(counts, SIZES, list(NAMES.values()))
    assert found.strata == FROM_ANOTHER and found.notes[0] == FROM_ANOTHER
    np.testing.assert_allclose(found.accuracy.overall.error, expected.overall.error, rtol=1e-4)
    np.testing.assert_allclose(found.accuracy.users.value, expected.users.value, rtol=1e-4)
    # What is true does not depend on which map is assessed.
    np.testing.assert_allclose(found.area.value, assess_map(made / "map.tif", made / "p.gpkg").area.value)


def test_intervals_from_drawn_points_cover_what_is_true(tmp_path: Path) -> None:
    found, truth = quarters(150, 160, seed=4)
    path, valid = write_map(tmp_path / "map.tif", found), np.isin(found, (1, 2, 3))
    shares = np.array([(truth[valid] == code).mean() for code in NAMES])
    users = [(truth[found == code] == code).mean() for code in NAMES]
    covered = []
    for seed in range(30):
        sample_map(path, tmp_path / "p.gpkg", total=400, seed=seed, overwrite=True)
        got = assess_map(path, answer_from(tmp_path / "p.gpkg", truth))
        pairs = ((got.area, shares * got.mapped.sum()), (got.accuracy.users, users), (got.accuracy.overall, (truth == found)[valid].mean()))
        covered.append([np.mean(np.abs(of.value - true) <= of.half_width) for of, true in pairs])
    # 30 draws at 95 % have a standard deviation of 4 points.
    assert np.all(np.mean(covered, 0) > 0.83)


def test_blind_answers_by_code_and_in_any_case_give_the_same(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "blind.gpkg", per_class=40, blind=True)
    words = {1: "1", 2: " Forest", 3: "FIELD"}
    answer_from(tmp_path / "blind.gpkg", TRUTH, words)
    one, other = (assess_map(made / "map.tif", path) for path in (made / "p.gpkg", tmp_path / "blind.gpkg"))
    assert one.strata == other.strata
    np.testing.assert_array_equal(one.accuracy.counts, other.accuracy.counts)


@pytest.mark.parametrize("kind", ["points.geojson", "points.shp", "points.csv", "wgs.csv", "points.gpkg"])
def test_points_of_every_kind_of_file(made: Path, tmp_path: Path, kind: str) -> None:
    frame, path, crs = frame_of(made / "p.gpkg"), tmp_path / kind, None
    if kind.endswith(".csv"):
        crs = "EPSG:4326" if kind == "wgs.csv" else None
        placed = frame.to_crs(crs) if crs else frame
        pandas.DataFrame({"X": placed.geometry.x, "Y": placed.geometry.y, "reference": frame["reference"]}).to_csv(path, index=False)
    elif kind == "points.gpkg":
        frame.set_geometry([MultiPoint([shape]) for shape in frame.geometry], crs=CRS).to_crs(3035)[["reference", "geometry"]].to_file(path)
    else:
        frame.to_crs(4326).to_file(path)
    found = assess_map(made / "map.tif", path, crs=crs)
    assert found.strata == POST
    np.testing.assert_array_equal(found.accuracy.counts, counted(made / "p.gpkg"))
    assert any("map's CRS (EPSG:32633)" in note for note in found.notes) == (kind == "points.csv")


def test_a_simple_random_sample_by_classes_and_in_one_stratum(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "p.gpkg", total=150, simple=True)
    answer_from(tmp_path / "p.gpkg", TRUTH)
    counts = counted(tmp_path / "p.gpkg")
    post, one = assess_map(made / "map.tif", tmp_path / "p.gpkg"), assess_map(made / "map.tif", tmp_path / "p.gpkg", simple=True)
    assert (post.strata, one.strata) == (POST, SIMPLE)
    share = counts.trace() / 150
    assert float(one.accuracy.overall.value) == pytest.approx(share)
    assert float(one.accuracy.overall.error) == pytest.approx(np.sqrt(share * (1 - share) / 149))
    np.testing.assert_allclose(one.area.value, counts.sum(0) / 150 * sum(one.mapped))
    np.testing.assert_allclose(post.accuracy.mapped, np.array(SIZES) / sum(SIZES), rtol=1e-4)


def test_a_map_without_georeference_has_pixels(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", MAP, grid=Grid(MAP.shape))
    sample_map(path, tmp_path / "p.gpkg", per_class=30)
    answer_from(tmp_path / "p.gpkg", TRUTH)
    found = assess_map(path, tmp_path / "p.gpkg")
    assert found.unit == "pixels" and found.accuracy.hectares is None and any("no hectares" in note for note in found.notes)
    np.testing.assert_array_equal(found.mapped, SIZES)
    assert found.area.value.sum() == pytest.approx(sum(SIZES))
    frame = frame_of(tmp_path / "p.gpkg")
    pandas.DataFrame({"x": frame["col"] + 0.5, "y": frame["row"] + 0.5, "reference": frame["reference"]}).to_csv(tmp_path / "p.csv")
    np.testing.assert_array_equal(assess_map(path, tmp_path / "p.csv").accuracy.counts, found.accuracy.counts)
    frame.set_crs(CRS, allow_override=True).to_file(tmp_path / "placed.gpkg")
    with pytest.raises(GridError, match=r"map\.tif: .*no coordinate reference system"):
        assess_map(path, tmp_path / "placed.gpkg")


def test_unanswered_points(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "p.gpkg", per_class=40)
    answer_from(tmp_path / "p.gpkg", TRUTH)
    frame = frame_of(tmp_path / "p.gpkg")
    frame.loc[[3, 5], "reference"] = [None, "  "]
    frame.drop(index=[0]).to_file(tmp_path / "p.gpkg", layer="sample", driver="GPKG")
    with pytest.raises(LabelError, match=r"2 of 119 points have no answer \(ids 4, 6\); 1 points that were drawn are missing"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    found = assess_map(made / "map.tif", tmp_path / "p.gpkg", allow_unanswered=True)
    assert (found.points, found.unanswered) == (117, 3)
    assert "2 of 119" in found.notes[1] and "1 points" in found.notes[2]


def test_answers_that_the_map_lacks(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "p.gpkg", per_class=40)
    answers = [NAMES[int(TRUTH[row, col])] for row, col in frame_of(tmp_path / "p.gpkg")[["row", "col"]].to_numpy()]
    answers[7] = answers[9] = "quarry"
    answer(tmp_path / "p.gpkg", answers)
    with pytest.raises(LabelError, match=r"p\.gpkg: the map has no class 'quarry' \(ids 8, 10\).*1 water, 2 forest, 3 field"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    found = assess_map(made / "map.tif", tmp_path / "p.gpkg", allow_unmapped=True)
    assert found.accuracy.classes == ("water", "forest", "field", "quarry") and found.codes == (1, 2, 3, None)
    assert found.accuracy.producers.value[3] == 0 and found.accuracy.counts[:, 3].sum() == 2 and found.mapped[3] == 0 < found.area.value[3]


def test_points_outside_are_named(made: Path, tmp_path: Path) -> None:
    frame = frame_of(made / "p.gpkg")
    places = list(frame.geometry)
    places[2], places[6] = Point(0, 0), Point(TRANSFORM[2] - 1e-3, TRANSFORM[5] - 50)
    frame.set_geometry(places).drop(columns="map_code").to_file(tmp_path / "p.gpkg")
    with pytest.raises(LabelError, match=r"2 of 120 points lie outside the map \(ids 3, 7\)"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    places[2] = places[6] = Point(TRANSFORM[2] + 15, TRANSFORM[5] - 15)
    frame.set_geometry(places).to_file(tmp_path / "p.gpkg")
    with pytest.raises(LabelError, match=r"2 points lie where the map has no class \(code 0; ids 3, 7\)"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")


def test_points_that_were_moved_are_named(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "p.gpkg", per_class=40)
    answer_from(tmp_path / "p.gpkg", TRUTH)
    frame = frame_of(tmp_path / "p.gpkg")
    at = int(np.flatnonzero((frame["row"] > 5) & (frame["row"] < 30))[0])
    frame.loc[at, "geometry"] = Point(frame.geometry[at].x, frame.geometry[at].y + 30)
    frame.to_file(tmp_path / "p.gpkg", layer="sample", driver="GPKG")
    with pytest.raises(LabelError, match=rf"1 points do not lie on the pixels that were drawn \(ids {at + 1}\)"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")


def test_points_in_one_pixel_are_told(made: Path, tmp_path: Path) -> None:
    frame = frame_of(made / "p.gpkg")[["reference", "geometry"]]
    pandas.concat([frame, frame.iloc[:2]]).to_file(tmp_path / "p.gpkg")
    assert any("2 points share their pixel" in note for note in assess_map(made / "map.tif", tmp_path / "p.gpkg").notes)


def test_fewer_than_two_points_name_the_classes(made: Path, tmp_path: Path) -> None:
    frame = frame_of(made / "p.gpkg")
    own = {code: np.flatnonzero(frame["map_code"] == code) for code in (1, 2, 3)}
    frame.iloc[[*own[1][:1], *own[3]]][["reference", "geometry"]].to_file(tmp_path / "p.gpkg")
    with pytest.raises(LabelError, match=r"p\.gpkg: fewer than two points in water \(1\), forest \(0\).*--simple"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    found = assess_map(made / "map.tif", tmp_path / "p.gpkg", simple=True)
    assert any("No answered point lies in the map's forest" in note for note in found.notes)


def broken(frame: geopandas.GeoDataFrame, kind: str) -> geopandas.GeoDataFrame:
    if kind == "polygons":
        return frame.set_geometry(frame.buffer(10))
    if kind == "nowhere":
        return frame.set_geometry([None, *frame.geometry[1:]], crs=CRS)
    if kind == "unplaced":
        return frame.set_crs(None, allow_override=True)
    return frame.iloc[:0] if kind == "empty" else frame.rename(columns={"reference": "truth"})


@pytest.mark.parametrize(("kind", "fault"), [
    ("polygons", "Polygon.*cluster"), ("nowhere", "1 points have no place"), ("unplaced", "CRS of the points is unknown"), ("empty", "holds no points"),
    ("renamed", "no field 'reference'.*--field.*truth"),
])  # fmt: skip
def test_files_that_do_not_serve(made: Path, tmp_path: Path, kind: str, fault: str) -> None:
    broken(frame_of(made / "p.gpkg").drop(columns=["map_code"]), kind).to_file(tmp_path / "p.shp")
    with pytest.raises((LabelError, GridError), match=rf"p\.shp: .*{fault}"):
        assess_map(made / "map.tif", tmp_path / "p.shp")


def test_strata_that_contradict_their_points(made: Path, tmp_path: Path) -> None:
    sample_map(made / "map.tif", tmp_path / "p.gpkg", per_class=40)
    answer_from(tmp_path / "p.gpkg", TRUTH)
    frame = frame_of(tmp_path / "p.gpkg")
    with pytest.raises(OptionError, match="drawn by strata"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg", simple=True)
    frame.assign(map_code=[None, *frame["map_code"][1:]]).to_file(tmp_path / "p.gpkg", layer="sample", driver="GPKG")
    with pytest.raises(LabelError, match=r"1 points have no stratum .*ids 1"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    frame.drop(columns="map_code").to_file(tmp_path / "p.gpkg", layer="sample", driver="GPKG")
    with pytest.raises(LabelError, match="not which point was drawn from which"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")
    pyogrio.write_dataframe(pandas.DataFrame({"code": [1]}), tmp_path / "p.gpkg", layer="strata")
    with pytest.raises(LabelError, match="lacks the column 'name'"):
        assess_map(made / "map.tif", tmp_path / "p.gpkg")


@pytest.mark.parametrize(("text", "fault"), [
    ("lon,lat,reference\n1,2,water\n", "no columns x and y; its columns are lon, lat, reference"),
    ("x;y;reference\n365015;5807985;water\n365015,5;3;water\n", "line 3: x is '365015,5'"),
    ("x,y,reference\n", "holds no points"),
])  # fmt: skip
def test_tables_that_do_not_serve(made: Path, tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(LabelError, match=rf"p\.csv: .*{fault}"):
        assess_map(made / "map.tif", tmp_path / "p.csv")


def test_files_and_options_that_do_not_fit(made: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"none\.gpkg: is missing"):
        assess_map(made / "map.tif", tmp_path / "none.gpkg")
    with pytest.raises(MapError, match=r"none\.tif: is missing"):
        assess_map(tmp_path / "none.tif", made / "p.gpkg")
    with pytest.raises(GridError, match="Leave out --crs"):
        assess_map(made / "map.tif", made / "p.gpkg", crs="EPSG:4326")
    frame_of(made / "p.gpkg").to_file(tmp_path / "two.gpkg", layer="a")
    frame_of(made / "p.gpkg").to_file(tmp_path / "two.gpkg", layer="b")
    with pytest.raises(LabelError, match=r"2 layers: a, b.*two\.gpkg\|layername=a'"):
        assess_map(made / "map.tif", tmp_path / "two.gpkg")
    assert assess_map(made / "map.tif", f"{tmp_path / 'two.gpkg'}|layername=b").points == 120
    with pytest.raises(LabelError, match="no layer of points 'c'"):
        assess_map(made / "map.tif", f"{tmp_path / 'two.gpkg'}|layername=c")
    geopandas.GeoDataFrame({"reference": ["water"]}, geometry=[box(0, 0, 1, 1)], crs=CRS).to_file(tmp_path / "area.gpkg")
    with pytest.raises(LabelError, match="cluster"):
        assess_map(made / "map.tif", tmp_path / "area.gpkg")


def test_two_classes_of_one_name_are_answered_by_code(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", MAP, {1: "water", 2: "crop", 3: "crop"})
    sample_map(path, tmp_path / "p.gpkg", per_class=30)
    answer_from(tmp_path / "p.gpkg", TRUTH, {1: "water", 2: "crop", 3: "3"})
    with pytest.raises(LabelError, match="2 classes called 'crop'"):
        assess_map(path, tmp_path / "p.gpkg")
    answer_from(tmp_path / "p.gpkg", TRUTH, {1: "1", 2: "2", 3: "3"})
    np.testing.assert_array_equal(assess_map(path, tmp_path / "p.gpkg").accuracy.counts, counted(tmp_path / "p.gpkg"))


def test_a_class_zero_of_other_people(tmp_path: Path) -> None:
    codes = (MAP == 3).astype(np.uint8)
    path = write_codes(tmp_path / "binary.tif", codes, nodata=None)
    sample_map(path, tmp_path / "p.gpkg", per_class=30, inside=[0])
    frame = frame_of(tmp_path / "p.gpkg")
    answer(tmp_path / "p.gpkg", frame["map_code"].to_numpy())
    found = assess_map(path, tmp_path / "p.gpkg", inside=[0])
    assert found.accuracy.classes == ("class 0", "class 1") and found.codes == (0, 1)
    np.testing.assert_array_equal(found.accuracy.counts, [[30, 0], [0, 30]])
