from __future__ import annotations

import pytest

from benchmarks.adapters import FORMS, RELEASED, flops
from hsikit.nn.adapters import ADAPTERS


def test_every_adapter_has_a_row() -> None:
    assert {adapter for adapter, _ in FORMS.values()} == set(ADAPTERS)
    assert {row[0] for row in RELEASED} <= {*ADAPTERS, ""}


@pytest.mark.parametrize(
    ("name", "once"),
    [("grid", 2 * 20 * 211 * 64), ("hyper", 2 * 20 * 108 * 128), ("ranges", 2 * (20 * 60 * 64 + 20 * 33 * 20 * 3))],
)
def test_features_cost_one_product_a_pixel(name: str, once: int) -> None:
    """Twice the bands times the features; the weights are made once: the resampling, the knots, the overlaps of ranges, times what is learned."""
    assert flops(name, 20, 5, 7) - flops(name, 20, 5, 5) == 2 * 20 * 64 * 10
    assert abs(flops(name, 20, 5, 5) - 2 * 20 * 64 * 25 - once) < 0.06 * once


def test_convolutions_cost_as_counted_by_hand() -> None:
    """20 bands become 211 of the grid, of which the convolutions leave 43, 9 and 3 places."""
    places, sizes = (43, 9, 3), (2 * 32 * 7, 32 * 64 * 7, 64 * 128 * 5)
    by_pixel = 2 * 20 * 211 + 2 * sum(place * size for place, size in zip(places, sizes, strict=True))
    assert flops("conv", 20, 1, 3) == 3 * by_pixel
