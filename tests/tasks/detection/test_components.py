import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from hsikit.geo.grid import Grid
from hsikit.tasks.detection.components import hits

masks = arrays(np.int8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 1))
GRID = Grid((14, 14), (2.0, 0.0, 100.0, 0.0, -2.0, 50.0), "EPSG:32633")


def cut(scores, rows):
    return ((row, scores[row : row + rows]) for row in range(0, len(scores), rows))


def as_rows(features):
    return sorted(zip(features.columns["pixels"].tolist(), *features.points.round(9).T.tolist(), strict=True))


@given(masks, st.integers(1, 14))
def test_any_mask_cut_into_any_strips_gives_the_groups_of_scipy(mask, rows):
    scores = np.where(mask, 5.0, np.nan).astype(np.float32)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    found = hits(cut(scores, rows), 1.0, GRID)
    centres = ndimage.center_of_mass(mask, labels, range(1, count + 1))
    expected = [(int((labels == i + 1).sum()), round(101 + 2 * c[1], 9), round(49 - 2 * c[0], 9)) for i, c in enumerate(centres)]
    np.testing.assert_allclose(np.reshape(as_rows(found), (-1, 3)), np.reshape(sorted(expected), (-1, 3)))
    boxes = ndimage.find_objects(labels)
    assert sorted(found.columns["left"]) == sorted(100 + 2 * b[1].start for b in boxes)
    assert sorted(found.columns["bottom"]) == sorted(50 - 2 * b[0].stop for b in boxes)


def test_a_spiral_is_one_group_and_nested_rings_are_two():
    spiral = ["#######", "......#", "#####.#", "#...#.#", "#.###.#", "#.....#", "#######"]
    rings = ["#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"]
    for picture, count in ((spiral, 1), (rings, 2)):
        scores = np.array([[float(c == "#") for c in line] for line in picture], np.float32)
        assert len(hits(cut(scores, 1), 0.5, GRID)) == count


def test_the_highest_peak_comes_first_and_nothing_gives_nothing():
    scores = np.array([[3, 0, 9, 0, 4], [0, 0, 0, 0, 0]], np.float32)
    assert hits(cut(scores, 2), 1.0, GRID).columns["peak"].tolist() == [9, 4, 3]
    empty = hits(cut(scores, 1), 10.0, GRID)
    assert len(empty) == 0 and empty.points.shape == (0, 2) and set(empty.columns) == {"pixels", "peak", "left", "bottom", "right", "top"}


def test_without_georeference_points_lie_on_the_picture():
    scores = np.zeros((5, 6), np.float32)
    scores[1:3, 2:5] = 4
    found = hits(cut(scores, 2), 1.0, Grid((5, 6)))
    assert found.points.tolist() == [[3.5, -2.0]] and found.crs is None
    assert [found.columns[name].tolist() for name in ("left", "bottom", "right", "top")] == [[2], [-3], [5], [-1]]
