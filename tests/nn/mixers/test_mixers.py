"""The laws that every mixer keeps."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hsikit.errors import OptionError
from hsikit.nn.mixers import MIXERS, Context, build_mixer
from hsikit.nn.mixers.channel import ChannelMixer
from tests.nn.mixers.makers import MAKERS, WIDTH, mixer, some_valid, tile, tokens_of

every_mixer = pytest.mark.parametrize("name", MAKERS)
ALL = Context()


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


def test_each_mixer_of_the_table_is_tested() -> None:
    assert {name.partition("-")[0] for name in MAKERS} == set(MIXERS)


@every_mixer
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 50), (50, 1), (3, 3), (5, 2), (16, 16), (21, 13)])
def test_maps_of_any_size_keep_their_shape_and_have_finite_gradients(name: str, rows: int, cols: int) -> None:
    model = mixer(name)
    x = tile(model, rows, cols).requires_grad_()
    found = model(x, ALL)
    assert found.shape == x.shape
    assert found.isfinite().all()
    found.square().sum().backward()
    assert x.grad is not None
    assert all(each.grad.isfinite().all() for each in (x, *model.parameters()) if each.grad is not None)


@every_mixer
def test_every_parameter_learns(name: str) -> None:
    model = mixer(name).train()
    model(tile(model).requires_grad_(), ALL).square().sum().backward()
    assert not [path for path, p in model.named_parameters() if p.grad is None or not (p.grad.abs() > 1e-6).any()]


@every_mixer
def test_an_image_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    model = mixer(name)
    x, valid = tile(model), some_valid()
    close(model(x, ALL)[1:], model(x[1:], ALL))
    close(model(x, Context(valid))[1:][valid[1:]], model(x[1:], Context(valid[1:]))[valid[1:]])


@every_mixer
def test_what_stands_in_pixels_that_do_not_count_changes_nothing_in_the_others(name: str) -> None:
    """And the others are seen as if none of them were there, where the mixer has a bound."""
    model = mixer(name)
    assert model.masks
    x, valid = tile(model), some_valid()
    other = torch.where(valid[..., None], x, 100 * tile(model, seed=5))
    close(model(other, Context(valid))[valid], model(x, Context(valid))[valid])
    if name != "dwconv-3":
        assert (model(other, ALL)[valid] - model(x, ALL)[valid]).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith(("channel", "morphology-paper", "window", "reduced", "scan", "full"))])
def test_a_border_of_pixels_that_do_not_count_is_a_border(name: str) -> None:
    model = mixer(name)
    x = tile(model)
    wide = torch.nn.functional.pad(x, (0, 0, 3, 2, 1, 4), value=7.0)
    valid = torch.nn.functional.pad(torch.ones(2, 9, 7, dtype=torch.bool), (3, 2, 1, 4))
    close(model(wide, Context(valid))[:, 1:10, 3:10], model(x, ALL))


@every_mixer
def test_nothing_valid_gives_finite_numbers(name: str) -> None:
    model = mixer(name)
    assert model(tile(model), Context(torch.zeros(2, 9, 7, dtype=torch.bool))).isfinite().all()


@every_mixer
def test_all_pixels_valid_is_no_mask(name: str) -> None:
    model = mixer(name)
    close(model(tile(model), Context(torch.ones(2, 9, 7, dtype=torch.bool))), model(tile(model), ALL))


@every_mixer
def test_training_and_evaluation_are_the_same_and_twice_the_same(name: str) -> None:
    """Nothing is drawn or dropped in either."""
    model = mixer(name)
    x = tile(model)
    assert torch.equal(model.train()(x, ALL), model.eval()(x, ALL))
    assert torch.equal(mixer(name)(x, ALL), model(x, ALL))


@every_mixer
def test_larger_maps_give_values_of_the_same_size(name: str) -> None:
    model = mixer(name)
    small, large = model(tile(model, 8, 8), ALL).std(), model(tile(model, 32, 32), ALL).std()
    assert large.isfinite()
    assert 1 / 3 < large / small < 3


def scaled_by_width(model: ChannelMixer, query: Tensor, key: Tensor) -> Tensor:
    """The shares of DaViT's release: not of unit length over the map, and scaled by the head's width."""
    return (query @ key.transpose(-2, -1) * query.shape[-2] ** -0.5).softmax(-1)


def evenness(side: int, seed: int) -> float:
    """Entropy of what a channel mixer's channels take of one another on a map of side x side: 1 for equal shares, 0 for a choice of one."""
    model = mixer("channel", seed)
    assert isinstance(model, ChannelMixer)
    own, found = model.shares, []

    def kept(query: Tensor, key: Tensor) -> Tensor:
        found.append(own(query, key))
        return found[-1]

    with mock.patch.object(model, "shares", kept):
        model(tile(model, side, side, seed=seed + 1), ALL)
    (share,) = (each.detach().double().clamp(min=1e-300) for each in found)
    return float(-(share * share.log()).sum(-1).mean() / np.log(share.shape[-1]))


@pytest.mark.parametrize("seed", range(3))
def test_channels_do_not_choose_one_another_as_the_map_grows(seed: int) -> None:
    """The law that channel attention scaled by the head's width breaks: its softmax becomes a choice, which the size of what it gives does not show."""

    def keeps_its_shares() -> bool:
        return evenness(32, seed) > 0.8 * evenness(8, seed) > 0.4

    assert keeps_its_shares()
    with mock.patch.object(ChannelMixer, "shares", scaled_by_width):
        assert not keeps_its_shares()
        assert evenness(8, seed) > 0.2 and evenness(32, seed) < 0.1


@every_mixer
def test_weights_are_saved_and_loaded(name: str) -> None:
    model, other = mixer(name), mixer(name, seed=9)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(tile(model), ALL), model(tile(model), ALL))


@every_mixer
@pytest.mark.parametrize(("rows", "cols"), [(16, 16), (9, 11)])
def test_operations_are_as_counted(name: str, rows: int, cols: int) -> None:
    model = mixer(name)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # the fused kernel of the CPU is not counted
        model(tile(model, rows, cols, images=1), ALL)
    assert model.flops(rows, cols, tokens_of(model)) == pytest.approx(counter.get_total_flops(), rel=0.1)


@every_mixer
def test_what_lies_beyond_the_reach_changes_nothing(name: str) -> None:
    """And what lies just within does. Mixers without a bound see a change anywhere."""
    model = mixer(name)
    x = tile(model, 13, 13, images=1)
    changed = x.clone()
    changed[:, 6, 6] += torch.linspace(1, 3, x.shape[3])
    rows, cols = ((model(changed, ALL) - model(x, ALL)).abs().amax((0, 3)) > 1e-7).nonzero().T
    far = int(max((rows - 6).abs().max(), (cols - 6).abs().max()))
    assert far == model.reach or (model.reach is None and (far == 6 or name.startswith("window")))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(MAKERS)), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**20))
def test_any_map_with_any_pixels_that_do_not_count(name: str, rows: int, cols: int, seed: int) -> None:
    model = mixer(name)
    x = tile(model, rows, cols, seed=seed)
    valid = torch.rand(2, rows, cols, generator=torch.Generator().manual_seed(seed)) > 0.4
    wanted = model(x, Context(valid))
    assert wanted.isfinite().all()
    close(model(torch.where(valid[..., None], x, x.new_full((), -30.0)), Context(valid))[valid], wanted[valid])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("channel", {"heads": 3}),
        ("dwconv", {"kernel": 4}),
        ("full", {"heads": 0}),
        ("joint", {"heads": 5}),
        ("less", {"heads": 3}),
        ("less", {"rank": 0}),
        ("morphology", {"mode": "magic"}),
        ("morphology", {"kernel": 2}),
        ("pool", {"kernel": 1}),
        ("reduced", {"cell": 0}),
        ("scan", {"state": 0}),
        ("window", {"shift": 7}),
        ("window", {"window": 0}),
        ("window", {"colour": "blue"}),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"'{name}' cannot be built"):
        build_mixer(name, WIDTH, **options)


def test_an_unknown_mixer_is_refused() -> None:
    with pytest.raises(OptionError, match="there is no 'magic'"):
        build_mixer("magic", WIDTH)
