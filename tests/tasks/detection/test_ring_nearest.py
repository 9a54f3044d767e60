"""Distances to the nearest pixels of a ring against a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hsikit.tasks.detection.ring_nearest import ring_nearest


def brute_force(white: np.ndarray, valid: np.ndarray, inner: int, outer: int, share: float) -> np.ndarray:
    reach = outer // 2
    rows, cols = (side - 2 * reach for side in valid.shape)
    out = np.zeros((rows, cols))
    for row in range(rows):
        for col in range(cols):
            ring = valid[row : row + outer, col : col + outer].copy()
            ring[reach - inner // 2 : reach + inner // 2 + 1, reach - inner // 2 : reach + inner // 2 + 1] = False
            own = white[:, row + reach, col + reach]
            near = np.sort(((white[:, row : row + outer, col : col + outer][:, ring] - own[:, None]) ** 2).sum(0))
            out[row, col] = near[max(1, math.ceil(share * len(near))) - 1] if len(near) else (own**2).sum()
    return out


@pytest.mark.parametrize(("inner", "outer", "share"), [(3, 7, 0.05), (1, 5, 0.26), (5, 7, 1e-4)])
def test_equals_a_loop(inner: int, outer: int, share: float) -> None:
    rng = np.random.default_rng(0)
    valid = rng.random((20, 23)) > 0.3
    valid[:9, :9] = False
    valid[4, 4] = True  # alone
    white = rng.normal(size=(3, 20, 23)) * valid
    found = ring_nearest(torch.from_numpy(white), torch.from_numpy(valid), inner, outer, share).numpy()
    np.testing.assert_allclose(found, brute_force(white, valid, inner, outer, share), rtol=1e-5)


def test_an_edge_between_covers_is_small_and_an_object_is_not() -> None:
    rng = np.random.default_rng(1)
    white = 0.1 * rng.normal(size=(2, 30, 30))
    white[0, :, 15:] += 5
    white[1, 14, 8] += 3
    found = ring_nearest(torch.from_numpy(white), torch.ones(30, 30, dtype=torch.bool), 3, 9, 0.05)
    assert found[10, 4] > 8 and found[:, 10:12].max() < 0.1  # the pixels on both sides of the edge, without the halo
