from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.spectral.standardise import standardise


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [0, 1])
def test_equals_numpy(dtype: torch.dtype, dim: int) -> None:
    values = np.random.default_rng(0).normal(5, 2, (6, 7, 3))
    expected = (values - values.mean(dim, keepdims=True)) / values.std(dim, keepdims=True)
    np.testing.assert_allclose(standardise(torch.from_numpy(values).to(dtype), dim), expected, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.1, 1e4, -3.3e-5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_spectra_become_zero(level: float, dtype: torch.dtype) -> None:
    assert (standardise(torch.full((200, 4), level, dtype=dtype)) == 0).all()


def test_brightness_drops_out() -> None:
    values = torch.rand(12, 5, dtype=torch.float64) + 1
    torch.testing.assert_close(standardise(values * 3.7 + 2), standardise(values))


def test_missing_stays_missing() -> None:
    values = torch.rand(8, 2)
    values[3, 1] = torch.nan
    answer = standardise(values)
    assert answer[:, 1].isnan().all() and not answer[:, 0].isnan().any()
