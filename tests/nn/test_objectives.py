from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hsikit.nn.objectives import MaskedObjective, ObjectObjective, WindowObjective, random_tokens
from hsikit.nn.window_transformer import build_window_encoder
from tests.nn.models import encoder, spectra


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def objects(**options: float) -> ObjectObjective:
    model = encoder()
    torch.manual_seed(2)
    return ObjectObjective(model, 4, **options)


def masked(bands: int = 23, keep: float = 0.25, depth: int = 1) -> MaskedObjective:
    model = encoder(bands)
    torch.manual_seed(2)
    return MaskedObjective(model, keep, depth, heads=2)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_each_pixel_gets_an_order_of_its_tokens(count: int, tokens: int, seed: int) -> None:
    order = random_tokens(count, tokens, generator(seed))
    assert (order.sort(1).values == torch.arange(tokens)).all()
    assert torch.equal(order, random_tokens(count, tokens, generator(seed)))


def test_the_object_loss_is_the_squared_error_of_the_kept_tokens() -> None:
    model, x, targets = objects(keep=2, noise=0.3), spectra(), torch.randn(7, 4)
    draw = generator(5)
    noise = torch.randn(x.shape, generator=draw)
    keep = torch.rand(7, 5, generator=draw).argsort(1)[:, :2]
    features = model.encoder.tokens(x + 0.3 * noise, keep).mean(1)
    wanted = np.square((model.head(features) - targets).detach().numpy()).mean()
    assert model.loss((x, targets), generator(5)).item() == pytest.approx(wanted, rel=1e-5)


def test_the_same_generator_gives_the_same_loss_and_another_does_not() -> None:
    x, targets = spectra(), torch.randn(7, 4)
    for model in (objects(keep=2), masked()):
        assert torch.equal(model.loss((x, targets), generator(1)), model.loss((x, targets), generator(1)))
        assert not torch.equal(model.loss((x, targets), generator(1)), model.loss((x, targets), generator(2)))


def test_no_more_tokens_are_kept_than_there_are() -> None:
    assert objects(keep=99).keep == 5


@settings(max_examples=20)
@given(st.integers(6, 40), st.floats(0.01, 0.99), st.integers(0, 50))
def test_the_masked_loss_is_over_the_real_bands_of_hidden_groups(bands: int, keep: float, seed: int) -> None:
    model, x = masked(bands, keep), spectra(bands=bands)
    tokens = model.encoder.token_count
    assert 1 <= model.keep < tokens
    order = torch.rand(7, tokens, generator=generator(seed)).argsort(1)
    predicted = model.predict(x, order).detach().numpy()
    errors = []
    for pixel in range(7):
        for number, token in enumerate(order[pixel, model.keep :].tolist()):
            true = x[pixel, :, token * 5 : token * 5 + 5].numpy()
            errors.append(np.square(predicted[pixel, number].reshape(2, 5)[:, : true.shape[1]] - true).ravel())
    assert model.loss((x,), generator(seed)).item() == pytest.approx(np.concatenate(errors).mean(), rel=1e-4)


def test_hidden_bands_do_not_reach_the_prediction() -> None:
    model, x = masked(), spectra()
    order = torch.tensor([[4, 0, 1, 2, 3]]).expand(7, -1)
    moved = x.clone()
    moved[:, :, :20] = 7.0
    assert torch.equal(model.predict(moved, order), model.predict(x, order))


def test_the_prediction_follows_the_order_of_the_hidden_tokens() -> None:
    model, x = masked(depth=2), spectra()
    first = model.predict(x, torch.tensor([[2, 0, 1, 3, 4]]).expand(7, -1))
    other = model.predict(x, torch.tensor([[2, 4, 3, 1, 0]]).expand(7, -1))
    torch.testing.assert_close(first.flip(1), other)


def windowed(hide: float = 0.5, noise: float = 0.0) -> WindowObjective:
    torch.manual_seed(3)
    return WindowObjective(build_window_encoder("paper-small", 5), 4, hide, noise).eval()


@pytest.mark.parametrize(("hide", "shown"), [(0.0, 9), (0.5, 5), (0.99, 1)])
def test_a_window_is_shown_with_some_of_its_bands(hide: float, shown: int) -> None:
    model, x = windowed(hide), 1 + torch.rand(6, 1, 9, 5, 5)
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    targets = torch.randn(6, 4)
    loss = model.loss((x, targets), generator(3))
    there = (seen[0] != 0).flatten(3).all(3)[:, 0]
    assert (there.sum(1) == shown).all()
    assert torch.equal(seen[0], x * there[:, None, :, None, None])
    wanted = np.square((model.head(model.encoder(seen[0])) - targets).detach().numpy()).mean()
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_windows_have_noise() -> None:
    x, targets = torch.randn(6, 1, 9, 5, 5), torch.randn(6, 4)
    losses = [windowed(0.0, noise).loss((x, targets), generator(seed)).item() for noise, seed in ((0.0, 1), (0.0, 2), (0.5, 1), (0.5, 2))]
    assert losses[0] == losses[1]
    assert losses[2] != losses[3]


@pytest.mark.parametrize("model", [objects(), masked(), windowed(0.3, 0.1)], ids=["object", "masked", "window"])
def test_in_mixed_precision_the_loss_is_nearly_the_same(model: nn.Module) -> None:
    """What training on CUDA does."""
    x = torch.randn(7, 1, 9, 5, 5) if isinstance(model, WindowObjective) else spectra()
    batch = (x, torch.randn(7, 4))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.loss(batch, generator(1))
    mixed.backward()
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(model.loss(batch, generator(1)).item(), rel=0.05)


@pytest.mark.parametrize("model", [objects(), masked()], ids=["object", "masked"])
def test_a_few_steps_lower_the_loss_and_every_part_learns(model: nn.Module) -> None:
    x = spectra(64)
    batch = (x, x.mean(1)[:, :4])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    before = [p.detach().clone() for p in model.parameters()]
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.loss(batch, generator())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert not [old.shape for old, new in zip(before, model.parameters(), strict=True) if torch.equal(old, new)]


@pytest.mark.parametrize("options", [{"targets": 0}, {"keep": 0}, {"noise": -1.0}, {"hidden": 0}])
def test_senseless_object_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        ObjectObjective(encoder(), **{"targets": 3, **options})


@pytest.mark.parametrize("options", [{"targets": 0}, {"hide": 1.0}, {"noise": -1.0}, {"hidden": 0}])
def test_senseless_window_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        WindowObjective(build_window_encoder("paper-small", 5), **{"targets": 3, **options})  # type: ignore[arg-type]


def test_senseless_masked_options_and_single_tokens_are_refused() -> None:
    for keep, depth in ((0.0, 1), (1.0, 1), (0.5, 0)):
        with pytest.raises(ValueError, match="keep"):
            MaskedObjective(encoder(), keep, depth, heads=2)
    with pytest.raises(ValueError, match="nothing to hide"):
        MaskedObjective(encoder(bands=5), heads=2)
