"""Any window of the lazy cube of any product equals the same slice of the loaded one."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.cube import to_cube
from hsikit.sensors import open_source
from tests.products.registry import CASES

FOLDER = tempfile.TemporaryDirectory()


@cache
def lazy_and_loaded(name: str):
    """The cube of a product, and all its values."""
    case = next(case for case in CASES if case.name == name)
    folder = Path(FOLDER.name) / name
    folder.mkdir()
    built = case.build(folder)
    cube = to_cube(open_source(built.path, inspect=False, **built.options))
    return cube, cube.values.copy()


def pick(data: st.DataObject, size: int, what: str):
    """A slice with a step, backwards too, or single positions in any order; never nothing."""
    if data.draw(st.booleans(), label=f"{what} by slice"):
        first = data.draw(st.integers(0, size - 1))
        last = data.draw(st.integers(first, size - 1))
        step = data.draw(st.sampled_from([1, 2, -1]))
        return slice(first, last + 1, step) if step > 0 else slice(last, first - 1 if first else None, step)
    return data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=4), label=what)


@settings(max_examples=80)
@given(data=st.data())
def test_any_window_equals_the_slice_of_the_loaded_cube(data: st.DataObject) -> None:
    cube, values = lazy_and_loaded(data.draw(st.sampled_from([case.name for case in CASES])))
    keys = [pick(data, size, dim) for dim, size in zip(cube.dims, cube.shape, strict=True)]
    found = cube.isel(dict(zip(cube.dims, keys, strict=True))).values
    expected = values
    for axis, key in enumerate(keys):
        expected = expected[(slice(None),) * axis + (key,)]
    np.testing.assert_array_equal(found, expected)
