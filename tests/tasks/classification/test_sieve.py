from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import MethodError, OptionError
from hsikit.tasks.classification.sieve import sieve, sieve_codes
from hsikit.tasks.classification.svm import Svm
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


def patch_of(codes: np.ndarray, row: int, col: int) -> set[tuple[int, int]]:
    found, todo = set(), [(row, col)]
    while todo:
        r, c = todo.pop()
        if (r, c) in found or codes[r, c] != codes[row, col]:
            continue
        found.add((r, c))
        todo += [(i, j) for i, j in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)) if 0 <= i < codes.shape[0] and 0 <= j < codes.shape[1]]
    return found


def plain_sieve(codes: np.ndarray, size: int) -> np.ndarray:
    """The definition, pixel by pixel."""
    out = codes.copy()
    for row, col in np.argwhere((codes > 0) & (codes <= 250)):
        patch = patch_of(codes, row, col)
        if len(patch) >= size:
            continue
        border: dict[int, int] = {}
        for r, c in patch:
            for i, j in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                inside = 0 <= i < codes.shape[0] and 0 <= j < codes.shape[1] and (i, j) not in patch
                if inside and 0 < codes[i, j] <= 250 and len(patch_of(codes, i, j)) >= size:
                    border[int(codes[i, j])] = border.get(int(codes[i, j]), 0) + 1
        if border:
            out[row, col] = min(border, key=lambda code: (-border[code], code))
    return out


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_equals_the_definition(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.array([0, 1, 2, 7, 250, 254, 255], np.uint8), (9, 11), p=[0.05, 0.4, 0.3, 0.1, 0.05, 0.05, 0.05])
    np.testing.assert_array_equal(sieve_codes(codes, size), plain_sieve(codes, size))


@settings(max_examples=8)
@given(st.integers(5, 40), st.integers(2, 9))
def test_tiles_of_any_size_give_what_the_whole_gives(tile: int, size: int) -> None:
    scene, job = noisy_map()
    whole, tiled = (layers_of(sieve(job, size), scene, t, "map")["map"] for t in (None, tile))
    np.testing.assert_array_equal(whole, tiled)
    np.testing.assert_array_equal(whole[0], sieve_codes(layers_of(job, scene, None, "map")["map"][0], size))


def noisy_map() -> tuple:
    values, truth = fields(37, 33, 4, 6, noise=4.0)
    scene = source(values)
    return scene, Svm.train([labelled(scene, truth)], run=run_with()).bind({"cube": scene.info})


def test_says_what_it_cannot_do() -> None:
    _, job = noisy_map()
    for size in (1, 201, 2.5):
        with pytest.raises(OptionError, match="sieve"):
            sieve(job, size)  # type: ignore[arg-type]
    from dataclasses import replace

    with pytest.raises(MethodError, match="no class map"):
        sieve(replace(job, layers=()), 5)
