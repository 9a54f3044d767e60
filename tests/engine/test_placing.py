"""Results of a swath: run on the sensor's grid, put on the map."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from pyproj import Transformer

from hsikit.engine import RunOptions, run_job
from hsikit.engine.options import Silent
from hsikit.errors import GridError, OptionError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid, Window
from hsikit.geo.nearest import Positions, make_table
from hsikit.geo.swath import ArrayTable, Swath, swath_of_arrays
from hsikit.geo.table import trimmed
from hsikit.layers import Layer, Legend, class_layer
from hsikit.method import Map

from ..convert.swaths import MAP, turned_table
from ..geo.swaths import tilted_positions
from .toys import BANDS, COLS, ROWS, Memory, brightest, finer, job, mean_filter, odd_scene

LON, LAT = tilted_positions((ROWS, COLS), lon=15.0, lat=36.0)


class Noting(Silent):
    """Keeps its notes."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def swath_source(table=True, swath=None):
    source = Memory(odd_scene(), Grid((ROWS, COLS)))
    own = ArrayTable(MAP, *turned_table((ROWS, COLS), finer=1.1)) if table else None
    source.info = source.info.with_(swath=swath or swath_of_arrays(LON, LAT, own))
    return source


def classes():
    """Classes 1 to 3 by the brightness of the first band."""

    def apply(tile, store):
        first = tile.inner("cube")[:1].nan_to_num()
        return {"map": (1 + (first > 1500).byte() + (first > 3000).byte()).to(torch.uint8)}

    return job([Map("map", ("cube",), ("map",), apply)], [class_layer(Legend.of({1: "dark", 2: "grey", 3: "bright"}))])


def run(make, path, source, **options):
    told = Noting()
    return run_job(make(), {"cube": source}, path, options=RunOptions(tile=20, threads=1, **options), progress=told), told.notes


def read(path):
    with rasterio.open(path) as file:
        return file.read(), Grid(file.shape, tuple(file.transform)[:6], file.crs and file.crs.to_string()), file.tags()


def test_a_map_is_the_sensors_layer_put_through_the_products_table(tmp_path):
    run(mean_filter, tmp_path / "sensor.tif", swath_source(), grid="sensor")
    run(mean_filter, tmp_path / "map.tif", swath_source())
    (sensor, grid, told), (values, map_grid, tags) = read(tmp_path / "sensor.tif"), read(tmp_path / "map.tif")
    assert grid.shape == (ROWS, COLS) and grid.crs is None and "sensor" in told["hsikit_grid"]
    table = trimmed(swath_source().info.swath.table)
    lookup = table.read(table.grid.whole)
    assert map_grid == table.grid and "product's lookup table" in tags["hsikit_grid"]
    np.testing.assert_array_equal(values, np.where(lookup.filled, sensor[:, lookup.rows, lookup.cols], np.float32(np.nan)))


def test_without_a_table_one_is_made_from_the_positions(tmp_path):
    run(mean_filter, tmp_path / "sensor.tif", swath_source(table=False), grid="sensor")
    run(mean_filter, tmp_path / "map.tif", swath_source(table=False))
    table = make_table(swath_of_arrays(LON, LAT))
    lookup = table.read(table.grid.whole)
    values, grid, tags = read(tmp_path / "map.tif")
    assert grid == table.grid and grid.crs == "EPSG:32633" and "positions" in tags["hsikit_grid"]
    sensor = read(tmp_path / "sensor.tif")[0]
    np.testing.assert_array_equal(values, np.where(lookup.filled, sensor[:, lookup.rows, lookup.cols], np.float32(np.nan)))


def test_a_known_pixel_lands_where_its_position_says(tmp_path):
    run(mean_filter, tmp_path / "sensor.tif", swath_source(table=False), grid="sensor")
    run(mean_filter, tmp_path / "map.tif", swath_source(table=False))
    sensor, values, grid = read(tmp_path / "sensor.tif")[0], *read(tmp_path / "map.tif")[:2]
    for row, col in ((60, 30), (75, 9), (50, 55)):
        x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(LON[row, col], LAT[row, col])
        at = int((y - grid.transform[5]) / grid.transform[4]), int((x - grid.transform[2]) / grid.transform[0])
        near = values[:, at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2].reshape(BANDS, -1).T
        assert any(np.array_equal(one, sensor[:, row, col]) for one in near)


def test_areas_are_those_of_the_map(tmp_path):
    report, _ = run(classes, tmp_path / "map.tif", swath_source())
    codes, grid, _ = read(tmp_path / "map.tif")
    assert report.areas["map"] == class_areas([(grid.whole, codes[0])], grid)
    on_sensor, _ = run(classes, tmp_path / "sensor.tif", swath_source(), grid="sensor")
    assert {code: hectares for code, (_, hectares) in on_sensor.areas["map"].items()} == {0: None, 1: None, 2: None, 3: None}
    assert sum(pixels for pixels, _ in on_sensor.areas["map"].values()) == ROWS * COLS


def test_a_part_of_a_swath_gets_the_map_of_that_part(tmp_path):
    area = Window(30, 20, 25, 22)
    run(classes, tmp_path / "sensor.tif", swath_source(), grid="sensor")
    run(classes, tmp_path / "map.tif", swath_source(), area=area)
    whole, (codes, grid, _) = read(tmp_path / "sensor.tif")[0], read(tmp_path / "map.tif")
    rows, cols = turned_table((ROWS, COLS), finer=1.1)
    inside = (rows >= 30) & (rows < 55) & (cols >= 20) & (cols < 42)
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert grid == MAP.crop(Window(down[0], across[0], np.ptp(down) + 1, np.ptp(across) + 1))
    wanted = np.where(inside, whole[0][rows, cols], 0)[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    np.testing.assert_array_equal(codes[0], wanted)


@pytest.mark.parametrize("area", [None, Window(40, 10, 30, 40)])
def test_hits_get_their_place_from_the_positions(area, tmp_path):
    run(brightest, tmp_path / "first.tif", swath_source(), area=area)
    values = odd_scene()[0].astype(float)
    part = values if area is None else values[area.slices()]
    row, col = np.unravel_index(part.argmax(), part.shape)
    row, col = row + (0 if area is None else area.row), col + (0 if area is None else area.col)
    found = geopandas.read_file(tmp_path / "first_peak.gpkg")
    assert found.crs.to_string() == "EPSG:32633"
    back = found.to_crs("EPSG:4326").geometry.iloc[0]
    assert (back.x, back.y) == pytest.approx((LON[row, col], LAT[row, col]), abs=1e-7)
    assert found.value.tolist() == [part.max()]


def test_hits_without_a_position_are_left_out_and_that_is_said(tmp_path):
    lost = Swath((ROWS, COLS), lambda window: (np.full(window.shape, np.nan), np.full(window.shape, np.nan)), swath_source().info.swath.table)
    _, notes = run(brightest, tmp_path / "first.tif", swath_source(swath=lost))
    assert len(geopandas.read_file(tmp_path / "first_peak.gpkg")) == 0
    assert any("1 points" in note and "no position" in note for note in notes)


def test_finer_layers_stay_on_the_sensors_grid_and_that_is_said(tmp_path):
    _, notes = run(lambda: finer(2), tmp_path / "fine.tif", swath_source())
    values, grid, tags = read(tmp_path / "fine.tif")
    assert values.shape == (2, 2 * ROWS, 2 * COLS) and grid.crs is None and "sensor" in tags["hsikit_grid"]
    assert any("stays on the sensor's grid" in note for note in notes)


def test_the_item_beside_the_products_says_where_they_lie(tmp_path):
    run(classes, tmp_path / "map.tif", swath_source())
    item = json.loads((tmp_path / "map.json").read_text())
    table = trimmed(swath_source().info.swath.table)
    assert item["properties"]["proj:shape"] == list(table.grid.shape) and "lookup table" in item["properties"]["hsikit:parameters"]["grid"]
    run(classes, tmp_path / "sensor.tif", swath_source(), grid="sensor")
    told = json.loads((tmp_path / "sensor.json").read_text())
    assert told["georeferenced"] is False and "sensor" in told["parameters"]["grid"]


def test_a_scene_on_a_map_grid_is_written_as_before(tmp_path):
    run(mean_filter, tmp_path / "a.tif", Memory(odd_scene()))
    run(mean_filter, tmp_path / "b.tif", Memory(odd_scene()), grid="sensor")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert "hsikit_grid" not in read(tmp_path / "a.tif")[2]


def test_a_swath_without_positions_is_refused_before_any_work(tmp_path):
    lost = Swath((ROWS, COLS), lambda window: (np.full(window.shape, np.nan), np.full(window.shape, np.nan)))
    source = swath_source(swath=lost)
    with pytest.raises(GridError, match=r"memory.*--grid sensor"):
        run(mean_filter, tmp_path / "map.tif", source)
    assert not source.reads and not list(tmp_path.iterdir())
    run(mean_filter, tmp_path / "map.tif", source, grid="sensor")


def test_an_unknown_grid_is_refused():
    with pytest.raises(OptionError, match=r"grid.*map, sensor"):
        RunOptions(grid="utm")


def test_a_layer_of_many_bands_is_read_in_pieces(monkeypatch, tmp_path):
    run(mean_filter, tmp_path / "a.tif", swath_source())
    monkeypatch.setattr("hsikit.engine.placing.LAYER_BYTES", 500)
    run(mean_filter, tmp_path / "b.tif", swath_source())
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_nodata_and_masked_pixels_stay_what_they_are(tmp_path):
    class Hidden:
        identity = ("hidden",)

        def read(self, window):
            rows = np.arange(window.row, window.row_end)
            return np.repeat((rows[:, None] // 10) % 2 == 1, window.cols, axis=1)

    run(classes, tmp_path / "map.tif", swath_source(), mask=Hidden())
    codes = read(tmp_path / "map.tif")[0][0]
    table = trimmed(swath_source().info.swath.table)
    lookup = table.read(table.grid.whole)
    assert (codes[~lookup.filled] == 0).all()
    masked = lookup.filled & ((lookup.rows // 10) % 2 == 1) & (odd_scene()[0] != -9999)[lookup.rows, lookup.cols]
    assert masked.any() and (codes[masked] == 255).all()


def test_positions_are_read_no_more_than_once_where_a_table_is_made():
    reads = []

    def locate(window):
        reads.append(window.size)
        return LON[window.slices()], LAT[window.slices()]

    Positions.read(Swath((ROWS, COLS), locate))
    assert sum(reads) == ROWS * COLS


def test_scratch_layers_are_not_put_on_the_map(tmp_path):
    def apply(tile, store):
        return {"a": tile.inner("cube")[:1], "b": tile.inner("cube")[1:2]}

    make = lambda: job([Map("copy", ("cube",), ("a", "b"), apply)], [Layer("a"), Layer("b", delivered=False)])  # noqa: E731
    report, _ = run(make, tmp_path / "a.tif", swath_source())
    assert sorted(path.name for path in report.files) == ["a.json", "a.tif"]


@pytest.mark.parametrize("table", [True, False])
def test_placing_reads_the_scene_no_further_time(table, tmp_path):
    counted = []
    for grid in ("sensor", "map"):
        source = swath_source(table=table)
        run(classes, tmp_path / f"{grid}.tif", source, grid=grid)
        counted.append(source.reads)
    assert counted[0] == counted[1]


@pytest.mark.parametrize("table", [True, False])
def test_what_was_masked_is_told_on_the_map_and_on_the_sensors_grid(table, tmp_path):
    class Hidden:
        identity = ("hidden",)

        def read(self, window):
            rows = np.arange(window.row, window.row_end)
            return np.repeat((rows[:, None] // 10) % 2 == 1, window.cols, axis=1)

    for grid in ("sensor", "map"):
        report, _ = run(mean_filter, tmp_path / f"{grid}.tif", swath_source(table), grid=grid, mask=Hidden())
        assert tmp_path / f"{grid}_masked.tif" in report.files
    sensor = read(tmp_path / "sensor_masked.tif")[0][0]
    wanted = np.where((odd_scene() == -9999).any(axis=0), 0, np.where((np.arange(ROWS)[:, None] // 10) % 2 == 1, 255, 1))
    np.testing.assert_array_equal(sensor, wanted)
    codes, grid, tags = read(tmp_path / "map_masked.tif")
    made = trimmed(swath_source().info.swath.table) if table else make_table(swath_of_arrays(LON, LAT))
    lookup = made.read(made.grid.whole)
    np.testing.assert_array_equal(codes[0], np.where(lookup.filled, sensor[lookup.rows, lookup.cols], 0))
    assert grid == made.grid == read(tmp_path / "map.tif")[1] and tags["hsikit_grid"] == read(tmp_path / "map.tif")[2]["hsikit_grid"]
    assert report.areas["masked"] == class_areas([(grid.whole, codes[0])], grid)
