"""Openings by area against their definition, and that their reach is what they say; guided means against NumPy."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hsikit.geo.grid import Window
from hsikit.tasks.detection.area_filter import EDGES, LEVELS, guided_mean, levels_of, mirrored, smaller_than

pictures = arrays(np.int32, st.tuples(st.integers(4, 14), st.integers(4, 14)), elements=st.integers(0, 6))


def opened(picture: np.ndarray, area: int) -> np.ndarray:
    """Each pixel's highest level at which its group is large enough."""
    out = np.zeros_like(picture)
    for level in range(1, picture.max() + 1):
        groups, _ = ndimage.label(picture >= level, np.ones((3, 3)))
        sizes = np.bincount(groups.ravel())
        out[(groups > 0) & (sizes[groups] >= area)] = level
    return out


@settings(max_examples=40)
@given(pictures, st.integers(1, 9))
def test_an_opening_is_what_its_definition_says(picture: np.ndarray, area: int) -> None:
    bright = smaller_than(torch.from_numpy(picture), area, dark=False).numpy()
    np.testing.assert_array_equal(bright, picture - opened(picture, area))
    inverted = np.where(picture > 0, LEVELS + 1 - picture, 0)
    ranked = np.where(picture > 0, 7 - picture, 0)  # the same order, in fewer levels
    dark = smaller_than(torch.from_numpy(picture), area, dark=True).numpy() - bright
    lowered = opened(ranked, area)
    np.testing.assert_array_equal(dark, inverted - np.where(lowered > 0, LEVELS - 6 + lowered, 0))


@settings(max_examples=40)
@given(pictures, st.integers(1, 6), st.integers(0, 13), st.integers(0, 13))
def test_no_more_than_the_halo_is_seen(picture: np.ndarray, area: int, row: int, col: int) -> None:
    row, col, reach = row % len(picture), col % picture.shape[1], area - 1
    whole = smaller_than(torch.from_numpy(picture), area, dark=True)[row, col]
    top, left = max(0, row - reach), max(0, col - reach)
    near = picture[top : row + reach + 1, left : col + reach + 1]
    assert smaller_than(torch.from_numpy(near), area, dark=True)[row - top, col - left] == whole


def test_a_blob_stands_out_until_it_is_as_large_as_the_area() -> None:
    picture = torch.full((20, 20), 100, dtype=torch.int32)
    picture[5:8, 5:8], picture[12:14, 12:14] = 400, 30
    for area, sums in ((10, (9 * 300, 4 * 70)), (9, (0, 4 * 70)), (4, (0, 0))):
        found = smaller_than(picture, area, dark=True)
        assert (float(found[5:8, 5:8].sum()), float(found[12:14, 12:14].sum())) == sums
        assert float(found.sum()) == sum(sums)


def test_levels_span_the_scene_and_keep_0_for_what_is_missing() -> None:
    values = torch.tensor([[-2.0, 0.0, 6.0, 1.0]])
    valid = torch.tensor([[True, True, True, False]])
    assert levels_of(values, valid, torch.tensor(-2.0), torch.tensor(6.0)).tolist() == [[1, 257, 1024, 0]]
    assert levels_of(values, valid, torch.tensor(6.0), torch.tensor(6.0)).min() >= 0  # a constant picture


def test_guided_means_equal_numpy_with_a_hole() -> None:
    rng = np.random.default_rng(0)
    values, guide, valid = rng.normal(size=(2, 12, 11)), rng.uniform(size=(12, 11)), rng.random((12, 11)) > 0.2

    def mean(picture: np.ndarray) -> np.ndarray:
        total = ndimage.convolve(np.where(valid, picture, 0.0), np.ones((3, 3)), mode="constant")
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / ndimage.convolve(valid.astype(float), np.ones((3, 3)), mode="constant")

    found = guided_mean(torch.from_numpy(values), torch.from_numpy(guide), torch.from_numpy(valid)).numpy()
    for picture, own in zip(values, found, strict=True):
        slope = (mean(picture * guide) - mean(picture) * mean(guide)) / (mean(guide**2) - mean(guide) ** 2 + EDGES)
        shift = mean(picture) - slope * mean(guide)
        expected = (mean(slope) * guide + mean(shift))[2:-2, 2:-2]
        np.testing.assert_allclose(own[valid[2:-2, 2:-2]], expected[valid[2:-2, 2:-2]], atol=1e-10)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30), st.integers(0, 8), st.integers(0, 8))
def test_a_mirror_stands_on_the_border(rows: int, cols: int, halo: int, row: int, col: int) -> None:
    row, col = row % rows, col % cols
    picture = np.arange(rows * cols, dtype=float).reshape(rows, cols)
    expected = np.pad(picture, halo, mode="symmetric")[row : row + 2 * halo + 1, col : col + 2 * halo + 1]  # around one pixel
    seen = np.pad(picture, halo, constant_values=np.nan)[row : row + 2 * halo + 1, col : col + 2 * halo + 1]
    extent = {"first": torch.tensor([5, 7]), "last": torch.tensor([5 + rows - 1, 7 + cols - 1])}
    found = mirrored(torch.from_numpy(seen)[None], Window(5 + row - halo, 7 + col - halo, *seen.shape), extent)
    np.testing.assert_array_equal(found[0].numpy(), expected)
