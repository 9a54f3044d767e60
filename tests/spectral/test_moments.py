from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsikit.spectral.moments import covariance, merge_moments, moments


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_any_cut_gives_the_moments_of_the_whole(seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(1000, 3, (size, 4)) for size in sizes]
    folded = moments(torch.from_numpy(parts[0]))
    for part in parts[1:]:
        folded = merge_moments(folded, moments(torch.from_numpy(part)))
    whole = np.concatenate(parts)
    assert folded["count"] == len(whole)
    if len(whole) > 1:
        np.testing.assert_allclose(folded["mean"], whole.mean(0), rtol=1e-12)
        np.testing.assert_allclose(covariance(folded), np.cov(whole.T, bias=True), atol=1e-9)


def test_names_keep_several_moments_apart() -> None:
    first, second = torch.randn(9, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    merged = merge_moments(moments(first, "a_") | moments(second, "b_"), moments(second, "a_") | moments(first, "b_"))
    torch.testing.assert_close(merged["a_scatter"], merged["b_scatter"])
    np.testing.assert_allclose(covariance(merged, "a_"), np.cov(torch.cat([first, second]).T.numpy(), bias=True))


def test_nothing_is_neutral() -> None:
    some = moments(torch.randn(5, 3, dtype=torch.float64))
    merged = merge_moments(moments(torch.zeros(0, 3, dtype=torch.float64)), some)
    for key, value in some.items():
        torch.testing.assert_close(merged[key], value)
