"""The sweep that writes a map: the same map for any memory, each part of the scene read once."""

from __future__ import annotations

import time

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.convert.map_index import SIDES, MapIndex
from hsikit.convert.orthorectify import OrthorectifiedSource
from hsikit.convert.sweep import _Ring, plan_sweep, sweep_to_geotiff
from hsikit.convert.write import cube_layer
from hsikit.geo.grid import Grid
from hsikit.geo.swath import ArrayTable

from .swaths import MAP, ORDERS, gathered, swath_scene, turned_table


class Blocked:
    """A source whose file decodes blocks of rows, columns and bands; counts how often each number is read."""

    def __init__(self, base, block, band_block=None):
        self.base, self.info, self.block = base, base.info, block
        self.read_counts = np.zeros((len(base.info.bands), *base.info.grid.shape), int)
        if band_block:
            self.band_block = band_block

    def read(self, window, bands):
        self.read_counts[np.ix_(bands, *(np.arange(part.start, part.stop) for part in window.slices()))] += 1
        return self.base.read(window, bands)

    def close(self):
        """Nothing is open."""


def mapped_of(source):
    return OrthorectifiedSource(source, source.info.swath.table)


def swept(source, path, **options):
    mapped = mapped_of(source)
    sweep_to_geotiff(mapped, cube_layer(mapped.info), path, {}, **options)
    with rasterio.open(path) as file:
        return file.read(), file.block_shapes[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("budget", [1 << 30, 150_000, 40_000, 3_000])
def test_the_map_is_the_same_whatever_the_memory(order, budget, tmp_path):
    source = swath_scene(order=order, bands=7)
    values, block = swept(source, tmp_path / "map.tif", budget=budget)
    np.testing.assert_array_equal(values, gathered(source, np.nan, "float32"))
    assert block[0] == (128 if budget > 1 << 20 else block[0]) and block[0] in SIDES


@pytest.mark.parametrize(("block", "band_block"), [((1, 48), None), ((16, 48), None), ((16, 10), 3), ((75, 48), 2), ((20, 7), 7)])
def test_each_part_of_the_scene_is_read_once(block, band_block, tmp_path):
    source = Blocked(swath_scene(bands=7), block, band_block)
    values, _ = swept(source, tmp_path / "map.tif", budget=400_000)
    np.testing.assert_array_equal(values, gathered(source.base, np.nan, "float32"))
    counts = source.read_counts
    assert (counts[0, :2, :2] >= 2).all()  # a look at the order of axes, and at the factors
    counts[:, :2, :2] = np.minimum(counts[:, :2, :2], 1)
    assert (counts == 1).all()


def test_rows_are_kept_until_slow_tiles_have_used_them(tmp_path, monkeypatch):
    rng, gather = np.random.default_rng(0), _Ring.gather

    def slow(self, numbers, out, start):
        time.sleep(float(rng.uniform(0, 0.004)))
        gather(self, numbers, out, start)

    monkeypatch.setattr(_Ring, "gather", slow)
    source = swath_scene(bands=7)
    values, _ = swept(source, tmp_path / "map.tif", budget=60_000)
    np.testing.assert_array_equal(values, gathered(source, np.nan, "float32"))


@settings(max_examples=20)
@given(st.integers(0, 359), st.floats(0.5, 4), st.integers(1, 60), st.integers(1, 60), st.integers(2_000, 200_000))
def test_any_angle_size_and_memory(tmp_path_factory, angle, finer, rows, cols, budget):
    source = swath_scene((rows, cols), bands=3, table=ArrayTable(MAP, *turned_table((rows, cols), angle=angle, finer=finer)))
    values, _ = swept(source, tmp_path_factory.mktemp("map") / "map.tif", budget=budget)
    np.testing.assert_array_equal(values, gathered(source, np.nan, "float32"))


@pytest.mark.parametrize("budget", [60_000, 200_000, 1_000_000])
def test_a_plan_fits_the_memory(budget, tmp_path):
    source = swath_scene(bands=30)
    with MapIndex(source.info.swath.table, (75, 48), tmp_path, "granule") as index:
        plan = plan_sweep(source, np.dtype("f4"), index, budget)
    held = plan.rows * 48 + plan.strip * plan.width + 2 * plan.side**2
    assert held * plan.bands * 4 <= budget and plan.bands <= 30


def test_more_memory_makes_larger_tiles(tmp_path):
    source = swath_scene(bands=30)
    with MapIndex(source.info.swath.table, (75, 48), tmp_path, "granule") as index:
        sides = [plan_sweep(source, np.dtype("f4"), index, budget).side for budget in (200_000, 400_000, 2_000_000, 10_000_000)]
    assert sides == sorted(sides) and len(set(sides)) > 2


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("read", [1, 1 << 20])
def test_an_index_holds_the_table_tile_by_tile(side, read, tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.convert.map_index.READ_PIXELS", read)
    rows, cols = turned_table()
    numbers = np.full((128, 128), -1)
    numbers[:101, :90] = np.where(rows >= 0, rows * 48 + cols, -1)
    with MapIndex(ArrayTable(MAP, rows, cols), (75, 48), tmp_path, "granule") as index:
        index.arrange(side)
        first, last = index.rows_needed(side)
        down, across = index.tiles(side)
        for tile in range(down * across):
            row, col = tile // across * side, tile % across * side
            wanted = numbers[row : row + side, col : col + side]
            assert (index.tile(tile) == wanted.ravel()).all()
            used = wanted[wanted >= 0] // 48
            assert (last[tile], first[tile] if used.size else 0) == ((used.max(), used.min()) if used.size else (-1, 0))
    assert not list(tmp_path.iterdir())


def test_equal_input_makes_equal_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        swept(swath_scene(bands=6), tmp_path / name, budget=100_000)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_progress_ends_at_all_tiles(tmp_path):
    class Told:
        total = done = 0

        def begin(self, plan, total, done):
            self.total = total

        def advance(self, stage, steps=1):
            self.done += steps

        def note(self, message):
            """Nothing is noted."""

    told = Told()
    swept(Blocked(swath_scene(bands=7), (16, 10), 3), tmp_path / "map.tif", progress=told, budget=400_000)
    assert told.total == told.done > 0


def test_a_map_of_a_rotated_grid_keeps_its_transform(tmp_path):
    turned = Grid(MAP.shape, (50.0, 20.0, 3e5, 20.0, -50.0, 4e6), MAP.crs)
    swept(swath_scene(table=ArrayTable(turned, *turned_table())), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert tuple(file.transform)[:6] == turned.transform
