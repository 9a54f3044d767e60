from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hsikit.geo.grid import Window
from hsikit.tasks.filling.drills import SetAside, drills, families, runs_of

sizes = st.integers(1, 300)
band_sets = st.sets(st.integers(0, 29), max_size=20).map(sorted)


@given(sizes, sizes, st.integers(-20, 300), st.integers(-20, 300), st.integers(1, 60), st.integers(1, 60))
def test_what_is_set_aside_does_not_depend_on_the_window(rows: int, cols: int, row: int, col: int, high: int, wide: int) -> None:
    aside, window = SetAside.of((rows, cols)), Window(row, col, high, wide)
    found = np.zeros(window.shape, bool)
    for square in aside.squares(window):
        place = square.slices((row, col))
        assert not found[place].any()
        found[place] = True
    np.testing.assert_array_equal(found, aside.within(window))


@given(st.integers(8, 5000), st.integers(8, 5000))
def test_little_of_a_scene_is_set_aside(rows: int, cols: int) -> None:
    squares = len(SetAside.of((rows, cols)).squares(Window(0, 0, rows, cols)))
    assert 1 <= squares <= 2 * 144 + (rows + cols) // 8
    assert SetAside.of((rows, cols)).period >= 3


@given(band_sets)
def test_runs_are_neighbours(bands: list[int]) -> None:
    runs = runs_of(bands)
    assert [band for run in runs for band in run] == bands
    assert all(np.diff(run).tolist() == [1] * (len(run) - 1) for run in runs)
    assert all(after[0] - before[-1] > 1 for before, after in pairwise(runs))


@given(band_sets, st.sampled_from([0.0, 1.0, 2.6]), st.integers(1, 9))
def test_drills_hide_known_bands_between_known_ones(whole: list[int], gap: float, most: int) -> None:
    kinds = families(whole, 30, gap)
    assert (gap > 0) == any(not kind.everywhere for kind in kinds)
    known = set(range(30)) - set(whole)
    found = drills(kinds, whole, 30, most)
    for number, kind in enumerate(kinds):
        own = [drill for drill in found if drill.family == number]
        assert len(own) <= max(most, 2)
        used = [band for drill in own for band in drill.bands]
        assert len(used) == len(set(used)) or kind.beyond
        for drill in own:
            assert len(drill.bands) == kind.length and set(drill.bands) <= known
            beside = {drill.bands[0] - 1, drill.bands[-1] + 1} & known
            assert len(beside) == 2 or (kind.beyond and len(beside) == 1)


def test_lengths_are_those_of_what_is_filled() -> None:
    kinds = families([0, 5, 6, 7, 12, 20, 21], 30, 0.0)
    assert {(kind.length, kind.beyond) for kind in kinds} == {(1, False), (2, False), (3, False), (1, True)}
    assert all(kind.everywhere for kind in kinds)
