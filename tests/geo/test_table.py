"""Layers put through tables, and parts of tables, beside plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import NOTHING, ArrayTable
from hsikit.geo.table import TablePart, around, gather, held, pieces, trimmed

GRID = (60.0, 0.0, 4e5, 0.0, -60.0, 5e6)


def random_table(seed, shape=(13, 17), sensor=(9, 8), empty=0.4):
    rng = np.random.default_rng(seed)
    nothing = rng.random(shape) < empty
    rows, cols = (np.where(nothing, NOTHING, rng.integers(0, size, shape)).astype(np.int32) for size in sensor)
    return ArrayTable(Grid(shape, GRID, "EPSG:32633"), rows, cols, ~nothing & (rng.random(shape) < 0.3))


class Counting:
    """A table as a product has it: not in memory; counts its reads."""

    def __init__(self, base):
        self.base, self.grid, self.reads = base, base.grid, 0

    def read(self, window):
        self.reads += 1
        return self.base.read(window)


@pytest.mark.parametrize("order", ["bands first", "bands last"])
@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 80))
def test_pieces_put_together_what_the_table_says(order, seed, most):
    table = random_table(seed)
    lookup = table.read(table.grid.whole)
    rng = np.random.default_rng(seed)
    values = rng.random((3, 9, 8)) if order == "bands first" else rng.random((9, 8, 3)).transpose(2, 0, 1)
    out = np.full((3, *lookup.rows.shape), -1.0)
    for part, pointed, needed in pieces(lookup, most):
        assert needed.size <= most or pointed.rows.size == 1
        piece = np.full((3, *pointed.rows.shape), -1.0)
        gather(values[(slice(None), *needed.slices())], pointed, (needed.row, needed.col), piece)
        out[(slice(None), *part)] = piece
    wanted = np.where(lookup.filled, values[:, lookup.rows, lookup.cols], -1.0)
    assert (out[:, lookup.filled] == wanted[:, lookup.filled]).all()


def test_nothing_is_needed_where_a_table_is_empty():
    table = random_table(0, empty=2.0)
    assert around(table.read(table.grid.whole)) is None and not list(pieces(table.read(table.grid.whole), 10))
    assert trimmed(table) is table


def test_around_is_the_smallest_window():
    rows = np.array([[3, NOTHING], [5, 4]], np.int32)
    cols = np.array([[7, NOTHING], [2, 2]], np.int32)
    table = ArrayTable(Grid((2, 2)), rows, cols)
    assert around(table.read(Window(0, 0, 2, 2))) == Window(3, 2, 3, 6)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_a_trimmed_table_loses_its_empty_margins_alone(seed):
    table = random_table(seed, (12, 11), empty=0.97)
    small = trimmed(table)
    found, whole = small.read(small.grid.whole), table.read(table.grid.whole)
    assert found.filled.sum() == whole.filled.sum()
    if whole.filled.any():
        assert all(edge.any() for edge in (found.filled[0], found.filled[-1], found.filled[:, 0], found.filled[:, -1]))
        row, col = np.argwhere(found.filled)[0]
        x, y = small.grid.centres(row, col)
        back = (x - GRID[2]) / 60 - 0.5, (GRID[5] - y) / 60 - 0.5
        assert whole.rows[round(back[1]), round(back[0])] == found.rows[row, col]


def test_a_part_of_a_table_keeps_its_place():
    table = random_table(1)
    part = TablePart(table, Window(2, 3, 6, 5))
    assert (part.read(Window(1, 1, 4, 2)).rows == table.read(Window(3, 4, 4, 2)).rows).all()
    assert part.grid.centres(0, 0) == table.grid.centres(2, 3)


def test_a_small_table_is_read_once_and_a_large_one_is_left_where_it_is(monkeypatch):
    base = random_table(2)
    stored = Counting(base)
    kept = held(stored)
    for _ in range(3):
        found = kept.read(base.grid.whole)
    assert stored.reads == 1 and (found.rows == base.read(base.grid.whole).rows).all() and (found.infill == base.read(base.grid.whole).infill).all()
    monkeypatch.setattr("hsikit.geo.table.HELD_BYTES", 100)
    assert held(stored) is stored
