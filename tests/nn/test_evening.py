from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsikit.nn.encoder import Encoder, build_encoder
from hsikit.nn.evening import even_features, feature_moments

BANDS = (torch.linspace(450.0, 2300.0, 12), torch.full((12,), 90.0), torch.ones(12, dtype=torch.bool))


def drawn(**changes: object) -> tuple[Encoder, Tensor]:
    torch.manual_seed(0)
    encoder = build_encoder("tiny", **{"channels": (16,), "depths": (1,), "width": 10, "band_width": 8, **changes}).eval()
    return encoder, torch.randn(3, 12, 8, 8)


@pytest.mark.parametrize(
    "changes", [{}, {"channels": (8, 16), "depths": (1, 1), "strides": (1, 2), "mixers": (("dwconv",), ("dwconv",))}], ids=["one stage", "two"]
)
def test_features_become_even_and_bands_are_rebuilt_as_before(changes: dict[str, object]) -> None:
    encoder, window = drawn(**changes)
    usable = torch.ones(3, 8, 8, dtype=torch.bool)
    with torch.no_grad():
        before = encoder.dense(window, *BANDS)
        rebuilt = encoder.query(before, BANDS[0], BANDS[1])
        even_features(encoder, *feature_moments(before, usable), floor=1e-9)
        after = encoder.dense(window, *BANDS)
        torch.testing.assert_close(encoder.query(after, BANDS[0], BANDS[1]), rebuilt, atol=1e-4, rtol=1e-3)
    mean, covariance = feature_moments(after, usable)
    torch.testing.assert_close(mean, torch.zeros(10).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(covariance, torch.eye(10).double(), atol=0.02, rtol=0)


def test_the_floor_bounds_what_is_magnified() -> None:
    encoder, _ = drawn()
    covariance = torch.diag(torch.tensor([1.0] * 9 + [1e-12])).double()
    weight = encoder.fuse[0].weight.detach().clone()  # type: ignore[union-attr]
    even_features(encoder, torch.zeros(10).double(), covariance, floor=0.01)
    grown = encoder.fuse[0].weight.detach() / weight  # type: ignore[union-attr]
    assert float(grown[9].mean()) == pytest.approx((0.01 * 0.9) ** -0.5, rel=1e-3)


def test_moments_are_of_usable_pixels() -> None:
    features = torch.randn(2, 4, 3, 3)
    usable = torch.rand(2, 3, 3) > 0.4
    mean, covariance = feature_moments(features, usable)
    known = features.permute(0, 2, 3, 1)[usable].double()
    torch.testing.assert_close(mean, known.mean(0))
    torch.testing.assert_close(covariance, torch.cov(known.T, correction=0))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_features_that_do_not_vary(value: float) -> None:
    with pytest.raises(ValueError, match="do not vary"):
        even_features(drawn()[0], torch.zeros(10).double(), torch.full((10, 10), value).double())
