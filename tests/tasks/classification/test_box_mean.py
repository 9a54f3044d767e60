from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.tasks.classification.box_mean import box_mean


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_is_the_mean_of_the_valid_pixels(radius: int) -> None:
    rng = np.random.default_rng(radius)
    values, valid = rng.normal(size=(2, 11, 12)), rng.random((11, 12)) > 0.6
    values[:, ~valid] = np.nan
    answer = box_mean(torch.from_numpy(values), torch.from_numpy(valid), radius).numpy()
    assert answer.shape == (2, 11 - 2 * radius, 12 - 2 * radius)
    for row in range(answer.shape[1]):
        for col in range(answer.shape[2]):
            square = values[:, row : row + 2 * radius + 1, col : col + 2 * radius + 1]
            kept = square[:, valid[row : row + 2 * radius + 1, col : col + 2 * radius + 1]]
            expected = kept.mean(1) if kept.size else np.full(2, np.nan)
            np.testing.assert_allclose(answer[:, row, col], expected)
