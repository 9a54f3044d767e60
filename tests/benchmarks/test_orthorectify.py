"""The simulated granule of `benchmarks.orthorectify` is like a real one."""

import numpy as np
import pytest

from benchmarks.orthorectify import BANDS, LARGE, SMALL, chunks_of, table


def test_chunks_are_those_that_netcdf_chooses():
    assert chunks_of((1280, 1242, 285)) == (256, 249, 57)


@pytest.mark.parametrize("case", [SMALL, LARGE])
def test_a_third_of_the_filled_pixels_are_repeats_and_some_measurements_vanish(case):
    (rows, cols), mapped, _ = case
    row, col = table(case)
    filled = row >= 0
    assert row.shape == col.shape == mapped and row.max() == rows - 1 and col.max() == cols - 1
    kept = len(np.unique((row * cols + col)[filled]))
    assert 0.25 < 1 - kept / filled.sum() < 0.4 and 0.85 < kept / (rows * cols) < 1
    assert BANDS == 285
