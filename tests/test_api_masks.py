"""Masks in the Python API: what is hidden is neither trained on, nor scored, nor mapped."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import hsikit
from hsikit.errors import LabelError, OptionError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.scene import QUALITY_FLAGS, Quality, read_window
from tests.geo.swaths import tilted_positions
from tests.laws.scenes import NODATA, Scene, as_source, make_scene

CLOUD, SHADOW = QUALITY_FLAGS["cloud"], QUALITY_FLAGS["shadow"]


class Told:
    """A `Progress` that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, plan: str, total: int, done: int) -> None:
        pass

    def advance(self, stage: str, steps: int = 1) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)


def flags_of(shape: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, np.uint8)
    found[15:30, 10:40] |= CLOUD
    found[25:36, 20:44] |= SHADOW
    return found


@pytest.fixture(scope="module")
def made() -> Scene:
    return make_scene(60, 48, 9, seed=1, classes=3, side=12)


def flagged(made: Scene):
    source = made.source()
    flags = flags_of(made.truth.shape)
    source.info = source.info.with_(quality=Quality(("cloud", "shadow"), lambda window: flags[window.slices()]))
    return source


@pytest.fixture(scope="module")
def labels(made: Scene) -> np.ndarray:
    return made.labels(200)


@pytest.fixture(scope="module")
def model(made: Scene, labels: np.ndarray):
    return hsikit.train("mnf-lda", made.source(), labels, split="random", calibrate=False, components=4)


def map_of(model, source, path: Path, **options) -> np.ndarray:
    hsikit.run(model, source, path, **options)
    with rasterio.open(path) as found:
        return found.read(1)


def test_masked_and_nodata_stay_apart_in_a_map(made: Scene, model, tmp_path: Path) -> None:
    plain, told = map_of(model, made.source(), tmp_path / "plain.tif"), Told()
    got = map_of(model, flagged(made), tmp_path / "map.tif", mask="cloud,shadow", dilate=1, tile=17, progress=told)
    hidden = flags_of(plain.shape) > 0
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        hidden |= np.roll(flags_of(plain.shape) > 0, shift, (0, 1))
    assert (plain == 0).any() and (plain[hidden] == 0).any()
    np.testing.assert_array_equal(got == 255, hidden & (plain > 0))
    np.testing.assert_array_equal(got == 0, plain == 0)
    assert any(note.startswith(f"masked: {hidden.mean():.1%} of the pixels (cloud 15.6%, shadow") for note in told.notes)


def test_the_share_is_that_of_the_area_that_is_run(made: Scene, model, tmp_path: Path) -> None:
    left, top = 365_000.0, 5_808_000.0
    told = Told()
    hsikit.run(model, flagged(made), tmp_path / "m.tif", mask="cloud", bbox=(left, top - 30 * 30, left + 40 * 30, top - 15 * 30), progress=told)
    assert any(note.startswith("masked: 75.0% of the pixels (cloud 75.0%)") for note in told.notes)


def test_training_sees_nothing_of_what_is_hidden(made: Scene, labels: np.ndarray, tmp_path: Path) -> None:
    options = {"split": "random", "calibrate": False, "components": 4}
    got = hsikit.train("mnf-lda", flagged(made), labels, mask="cloud", **options)
    holes = made.values.copy()
    holes[:, flags_of(made.truth.shape) & CLOUD > 0] = NODATA
    expected = hsikit.train("mnf-lda", as_source(holes, made.nm, flagged(made).info.grid.transform, "scene.tif"), labels, **options)
    np.testing.assert_array_equal(map_of(got, made.source(), tmp_path / "a.tif"), map_of(expected, made.source(), tmp_path / "b.tif"))
    count = int((labels[15:30, 10:40] > 0).sum())
    assert f"labels (array): {count} of {(labels > 0).sum()} label pixels were left out, the mask hides them" in got.record.notes
    assert any(note.startswith("scene.tif: masked: 15.6% of the pixels") for note in got.record.notes)
    assert sum(len(used.rows) for used in got.record.used) == (labels > 0).sum() - count


def test_labelled_scenes_hold_no_hidden_pixel(made: Scene, labels: np.ndarray) -> None:
    labelled = hsikit.read_labels(flagged(made), labels, mask=["cloud", "shadow"], dilate=2)
    hidden = flags_of(made.truth.shape) > 0
    assert len(labelled) and not hidden[labelled.rows, labelled.cols].any()
    assert np.isnan(read_window(labelled.source, made.source().info.grid.whole)[:, hidden]).all()
    flags = np.full(made.truth.shape, CLOUD, np.uint8)
    source = made.source()
    source.info = source.info.with_(quality=Quality(("cloud",), lambda window: flags[window.slices()]))
    with pytest.raises(LabelError, match=r"labels \(array\): the mask hides all \d+ label pixels"):
        hsikit.read_labels(source, labels, mask="cloud")


def test_what_is_hidden_is_not_scored(made: Scene, model, labels: np.ndarray) -> None:
    others = np.where(labels > 0, 0, made.truth)
    hidden = flags_of(made.truth.shape) > 0
    whole = hsikit.evaluate(model, made.source(), others)
    told = Told()
    found = hsikit.evaluate(model, flagged(made), others, mask="cloud,shadow", progress=told)
    assert whole.tested - found.tested == (others[hidden] > 0).sum() > 0
    assert any("label pixels were left out, the mask hides them" in note for note in told.notes)


def test_a_benchmark_leaves_out_what_is_hidden_and_keeps_its_cells_apart(made: Scene, labels: np.ndarray, tmp_path: Path) -> None:
    asked = {"splits": ["random"], "seeds": [0]}
    plain = hsikit.benchmark(flagged(made), labels, ["svm"], tmp_path / "one", **asked)
    hidden = hsikit.benchmark(flagged(made), labels, ["svm"], tmp_path / "one", mask="cloud", **asked)
    fresh = hsikit.benchmark(flagged(made), labels, ["svm"], tmp_path / "two", mask="cloud", **asked)
    scores = [{row.row: row.measures["overall"].mean for row in table} for table in (plain, hidden, fresh)]
    assert scores[1] == scores[2] != scores[0]


def test_flags_of_the_cube_hide_pixels_of_the_sharpened_one(made: Scene, tmp_path: Path) -> None:
    a, _, c, _, e, f = made.source().info.grid.transform
    pan = np.kron(made.values[3:4], np.ones((1, 2, 2), made.values.dtype))
    fine = as_source(pan, made.nm[3:4], (a / 2, 0.0, c, 0.0, e / 2, f), "pan.tif")
    hsikit.run(hsikit.make_method("brovey", pan_range=(400.0, 2500.0)), {"hs": flagged(made), "pan": fine}, tmp_path / "p.tif", mask="cloud")
    with rasterio.open(tmp_path / "p.tif") as found:
        values, valid = found.read(1), found.read_masks(1)
    hidden = np.kron(flags_of(made.truth.shape) & CLOUD > 0, np.ones((2, 2), bool))
    assert values.shape == hidden.shape and not valid[hidden].any() and valid[~hidden].mean() > 0.5
    with rasterio.open(tmp_path / "p_masked.tif") as states:
        codes = states.read(1)
    np.testing.assert_array_equal(codes, np.where(pan[0] == NODATA, 0, np.where(hidden, 255, 1)))
    assert (codes == 0).any() and not valid[codes != 1].any()


def test_flags_that_nobody_tells_are_refused_before_any_work(made: Scene, model, labels: np.ndarray, tmp_path: Path) -> None:
    for call in (
        lambda: hsikit.run(model, made.source(), tmp_path / "m.tif", mask="cloud"),
        lambda: hsikit.train("svm", made.source(), labels, mask="cloud"),
        lambda: hsikit.evaluate(model, made.source(), labels, mask="cloud"),
    ):
        with pytest.raises(OptionError, match="holds no quality flags"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_swath_is_trained_and_scored_on_polygons_inside_an_area(made: Scene, tmp_path: Path) -> None:
    lon, lat = tilted_positions(made.truth.shape)
    source = flagged(made)
    source.info = source.info.with_(grid=Grid(made.truth.shape), swath=swath_of_arrays(lon, lat))
    corners = [(r, c) for r in range(0, 60, 12) for c in range(0, 48, 12)]
    fields = [shapely.Polygon([(lon[r + i, c + j], lat[r + i, c + j]) for i, j in ((2, 2), (2, 9), (9, 9), (9, 2))]) for r, c in corners]
    codes = [int(made.truth[r : r + 12, c : c + 12].max()) for r, c in corners]
    frame = geopandas.GeoDataFrame({"code": codes}, geometry=fields, crs=4326)
    geopandas.GeoDataFrame(geometry=[shapely.box(lon.min(), lat.min(), lon.max(), lat[40, 20])], crs=4326).to_file(tmp_path / "area.gpkg")
    options = {"class_field": "code", "mask": "cloud", "aoi": tmp_path / "area.gpkg"}
    labelled = hsikit.read_labels(source, frame, **options)
    assert lat[labelled.rows, labelled.cols].max() < lat[40, 20] and (flags_of(made.truth.shape)[labelled.rows, labelled.cols] & CLOUD).sum() == 0
    model = hsikit.train("svm", source, frame, split="leave-polygon-out", **options)
    used = model.record.used[0]
    np.testing.assert_array_equal(np.column_stack([used.rows, used.cols]), np.column_stack([labelled.rows, labelled.cols]))
    assert hsikit.evaluate(model, source, frame, class_field="code", mask="cloud").tested > 0


def test_a_map_of_a_swath_on_the_sensors_grid(made: Scene, model, tmp_path: Path) -> None:
    lon, lat = tilted_positions(made.truth.shape)
    source = flagged(made)
    source.info = source.info.with_(grid=Grid(made.truth.shape), swath=swath_of_arrays(lon, lat))
    disc = shapely.Point(lon[40, 20], lat[40, 20]).buffer(0.006)
    geopandas.GeoDataFrame(geometry=[disc], crs=4326).to_file(tmp_path / "town.gpkg")
    plain = map_of(model, source, tmp_path / "plain.tif", grid="sensor")
    got = map_of(model, source, tmp_path / "map.tif", grid="sensor", mask=["cloud", tmp_path / "town.gpkg"], tile=13)
    hidden = (flags_of(plain.shape) & CLOUD > 0) | shapely.contains_xy(disc, lon, lat)
    np.testing.assert_array_equal(got == 255, hidden & (plain > 0))
    box = (float(lon[30, 20]) - 0.004, float(lat[30, 20]) - 0.004, float(lon[30, 20]) + 0.004, float(lat[30, 20]) + 0.004)
    part = map_of(model, source, tmp_path / "part.tif", grid="sensor", bbox=box)
    rows, cols = np.nonzero((lon >= box[0]) & (lon <= box[2]) & (lat >= box[1]) & (lat <= box[3]))
    assert part.shape == (np.ptp(rows) + 1, np.ptp(cols) + 1)
    np.testing.assert_array_equal(part == 0, plain[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] == 0)
