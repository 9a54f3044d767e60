from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hsikit.nn.feed_forward import FEED_FORWARDS, FeedForward, GatedFeedForward, PooledFeedForward
from hsikit.nn.mixers import Context
from tests.nn.mixers.makers import some_valid

every_part = pytest.mark.parametrize("name", FEED_FORWARDS)


def part(name: str) -> FeedForward:
    torch.manual_seed(0)
    return FEED_FORWARDS[name](16, 2)


def tile(model: FeedForward, rows: int = 9, cols: int = 7) -> torch.Tensor:
    return torch.randn(2, rows, cols, 48 if model.by_token else 16, generator=torch.Generator().manual_seed(1))


@every_part
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 20), (3, 3), (9, 7)])
def test_maps_of_any_size_keep_their_shape(name: str, rows: int, cols: int) -> None:
    x = tile(part(name), rows, cols)
    found = part(name)(x, Context())
    assert found.shape == x.shape and found.isfinite().all()


@every_part
def test_every_parameter_learns(name: str) -> None:
    model = part(name)
    model(tile(model), Context()).square().sum().backward()
    assert all(p.grad is not None and (p.grad.abs() > 1e-7).any() for p in model.parameters())


@every_part
def test_what_stands_in_pixels_that_do_not_count_changes_nothing_in_the_others(name: str) -> None:
    model, valid = part(name), some_valid()
    x = tile(model)
    other = torch.where(valid[..., None], x, x.new_full((), 50.0))
    torch.testing.assert_close(model(other, Context(valid))[valid], model(x, Context(valid))[valid], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, kind in FEED_FORWARDS.items() if kind.reach is not None])
def test_the_reach_is_as_said(name: str) -> None:
    model = part(name)
    x = tile(model)
    changed = x.clone()
    changed[:, 4, 3] += torch.linspace(1, 3, 16)
    rows, cols = ((model(changed, Context()) - model(x, Context())).abs().amax((0, 3)) > 1e-7).nonzero().T
    assert int(max((rows - 4).abs().max(), (cols - 3).abs().max())) == model.reach


def test_the_gate_alone_sees_the_neighbours() -> None:
    model = part("convglu")
    assert isinstance(model, GatedFeedForward)
    x = tile(model)
    gate, value = model.enter(x).chunk(2, -1)
    seen = functional.conv2d(functional.pad(gate.permute(0, 3, 1, 2), (1, 1, 1, 1)), model.conv.weight, model.conv.bias, groups=gate.shape[3])
    torch.testing.assert_close(model(x, Context()), model.leave(functional.gelu(seen.permute(0, 2, 3, 1)) * value))


def test_pooled_tokens_get_the_sum_of_their_pixels_and_their_bands() -> None:
    model = part("pooled")
    assert isinstance(model, PooledFeedForward)
    x = tile(model, 2, 2)
    grid, wanted = x.view(2, 4, 3, 16), torch.zeros(2, 4, 3, 16)
    for pixel in range(4):
        wanted[:, pixel] += model.pixels(model.pool.over_bands(grid[:, pixel]), Context())[:, None]
    for band in range(3):
        wanted[:, :, band] += model.bands(model.pool.over_pixels(grid[:, :, band]), Context())[:, None]
    torch.testing.assert_close(model(x, Context()), wanted.reshape(x.shape))
