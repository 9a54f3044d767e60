from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import LabelError
from hsikit.train.extract import drop_invalid, spectra_at, windows_at


@given(
    seed=st.integers(0, 2**32 - 1),
    radius=st.integers(0, 3),
    budget=st.sampled_from([40, 700, 5000, 1 << 20]),
    block=st.sampled_from([(1, 31), (4, 31), (8, 8), (23, 31), (5, 1)]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_equal_those_of_the_padded_cube(memory_source, seed, radius, budget, block):
    rng = np.random.default_rng(seed)
    cube = rng.normal(size=(5, 23, 31)).astype(np.float32)
    cube[rng.random(cube.shape) < 0.05] = np.nan
    count = int(rng.integers(0, 60))
    rows, cols = rng.integers(0, 23, count), rng.integers(0, 31, count)
    bands = np.array([0, 2, 3])
    padded = np.pad(cube[bands], ((0, 0), (radius, radius), (radius, radius)), constant_values=np.nan)
    seen = np.zeros(count, int)
    for index, values in windows_at(memory_source(cube=cube, block=block), rows, cols, bands, radius, budget=budget):
        assert values.dtype == np.float32
        assert len(index) == 1 or values.nbytes <= budget
        for i, window in zip(index, values, strict=True):
            seen[i] += 1
            expected = padded[:, rows[i] : rows[i] + 2 * radius + 1, cols[i] : cols[i] + 2 * radius + 1]
            assert np.array_equal(window, expected, equal_nan=True)
    assert (seen == 1).all()


def test_only_blocks_that_hold_labels_are_read(memory_source):
    source = memory_source((1000, 50), 3, block=(10, 50))
    spectra_at(source, np.array([5, 7, 995]), np.array([3, 4, 40]), np.arange(3), budget=10 * 50 * 3 * 4)
    assert [(w.row, w.rows) for w in source.windows] == [(5, 3), (995, 1)]


def test_reads_stay_within_the_budget(memory_source):
    source = memory_source((200, 60), 4, block=(8, 60))
    rows, cols = (g.ravel() for g in np.mgrid[:200, :60])
    spectra_at(source, rows, cols, np.arange(4), budget=20_000)
    assert max(w.size * 4 * 4 for w in source.windows) <= 20_000
    assert sum(w.size for w in source.windows) == 200 * 60  # nothing is read twice


def test_spectra_follow_the_rule_of_validity(memory_source):
    cube = np.tile(np.arange(20, dtype=np.float32)[:, None, None], (1, 2, 3))
    cube[[4, 5], 0, 0] = np.nan  # a tenth: interpolated
    cube[[4, 5, 9], 0, 1] = np.nan  # more: not valid
    cube[:3, 0, 2] = np.nan  # bands that are not good do not count
    source = memory_source(cube=cube)
    source.info.bands.good[:3] = False
    out = spectra_at(source, np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), np.arange(20))
    assert np.isnan(out[1]).all()
    source.info.bands.good[:] = True
    out = spectra_at(source, np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), np.arange(20))
    np.testing.assert_allclose(out[0], np.arange(20), rtol=1e-6)
    assert np.isnan(out[1]).all()
    assert np.isnan(out[2]).all()
    assert out[3].tolist() == list(range(20))


def test_labels_without_data_are_dropped_and_noted(memory_source, labelled):
    cube = np.ones((20, 6, 6), np.float32)
    cube[:, :2] = np.nan
    source = memory_source(cube=cube)
    scene = labelled(np.ones((6, 6), np.uint8), source=source)
    kept = drop_invalid(scene)
    assert kept.rows.min() == 2
    assert any("12 of 36" in note for note in kept.notes)
    assert drop_invalid(kept) is kept
    with pytest.raises(LabelError, match=r"labels\.tif: at all 12 label pixels the scene scene\.tif has no data"):
        drop_invalid(scene.take(scene.rows < 2))
