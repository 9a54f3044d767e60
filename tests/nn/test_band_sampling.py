from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from hsikit.nn.band_sampling import drop_bands, sample_bands


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


TRANSFORMS: dict[str, Callable[[Tensor, Generator, int], Tensor]] = {
    "sample": sample_bands,
    "drop": lambda valid, generator, least: drop_bands(valid, 0.6, generator, least),
}


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any), st.integers(1, 8), st.integers(0, 999), st.sampled_from(sorted(TRANSFORMS)))
def test_only_valid_bands_are_left_and_enough_of_them(mask: list[bool], least: int, seed: int, name: str) -> None:
    valid = torch.tensor(mask)
    kept = TRANSFORMS[name](valid, seeded(seed), least)
    assert kept.shape == valid.shape
    assert not (kept & ~valid).any()
    assert kept.sum() >= min(least, int(valid.sum()))
    assert torch.equal(kept, TRANSFORMS[name](valid, seeded(seed), least))


def test_the_number_of_sampled_bands_is_uniform_and_each_band_alike() -> None:
    """1200 draws: 200 of each number and 700 of each band are expected, with deviations of 13 and 17."""
    generator, valid = seeded(0), torch.ones(6, dtype=torch.bool)
    kept = torch.stack([sample_bands(valid, generator) for _ in range(1200)])
    assert (torch.bincount(kept.sum(1), minlength=7)[1:] - 200).abs().max() < 60
    assert (kept.sum(0) - 700).abs().max() < 80


def test_bands_are_dropped_by_their_share() -> None:
    valid = torch.ones(4000, dtype=torch.bool)
    assert abs(int(drop_bands(valid, 0.3, seeded(0)).sum()) - 2800) < 120
    assert drop_bands(valid, 0.0, seeded(0)).all()


def test_draws_differ() -> None:
    generator, valid = seeded(0), torch.ones(40, dtype=torch.bool)
    for transform in TRANSFORMS.values():
        assert not torch.equal(transform(valid, generator, 1), transform(valid, generator, 1))


def test_what_makes_no_sense_is_refused() -> None:
    valid = torch.ones(3, dtype=torch.bool)
    with pytest.raises(ValueError, match="share 1"):
        drop_bands(valid, 1.0, seeded(0))
    for wrong in (~valid, valid.float(), valid[None]):
        with pytest.raises(ValueError, match="valid must be a mask"):
            sample_bands(wrong, seeded(0))
    with pytest.raises(ValueError, match="least 0"):
        drop_bands(valid, 0.5, seeded(0), least=0)
