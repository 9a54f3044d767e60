from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.channel import INTERVAL, ChannelAdapter, group_bands
from hsikit.nn.wavelength_code import FWHM_PER_SIGMA
from tests.nn.adapters.sensors import bands, sensor, window


def channel(seed: int = 0) -> ChannelAdapter:
    torch.manual_seed(seed)
    return ChannelAdapter(16).eval()


@pytest.mark.parametrize(("count", "tokens"), [(1, 1), (12, 12), (32, 32), (33, 25), (224, 30), (500, 30)])
def test_bands_are_tokens_up_to_32_and_groups_above(count: int, tokens: int) -> None:
    model, x, facts = channel(), window(count), sensor(count)
    assert model.tokens(x, *facts).shape == (2, 2, 3, tokens, 16)
    assert model.token_count(bands(count)) == tokens


def test_lone_bands_have_the_mean_alone() -> None:
    details, groups = group_bands(bands(12))
    torch.testing.assert_close(details[..., 0], torch.eye(12, dtype=torch.float64))
    assert not details[..., 1:].any()
    torch.testing.assert_close(groups.wavelength, bands(12).wavelength)
    torch.testing.assert_close(groups.fwhm, bands(12).fwhm)


def test_groups_are_moments_of_what_lies_in_an_interval() -> None:
    """Against a loop in NumPy over intervals, with responses that vary in width."""
    wavelength, fwhm = np.linspace(405, 2495, 90), np.linspace(5, 40, 90)
    values = np.random.default_rng(0).normal(size=90)
    details, groups = group_bands(Bands(torch.tensor(wavelength), torch.tensor(fwhm)))
    found = np.einsum("c,cgj->gj", values, details.numpy())
    number = np.floor(np.log(wavelength / 380) / INTERVAL)
    for row, interval in enumerate(np.unique(number)):
        one = number == interval
        weight = fwhm[one] / fwhm[one].sum()
        centre = weight @ wavelength[one]
        place = 2 * (wavelength[one] / centre - 1) / INTERVAL
        parts = [weight @ values[one]] + [weight @ (values[one] * shape) - (weight @ values[one]) * (weight @ shape) for shape in (place, place**2)]
        np.testing.assert_allclose(found[row], parts, atol=1e-12)
        variance = weight @ ((fwhm[one] / FWHM_PER_SIGMA) ** 2 + (wavelength[one] - centre) ** 2)
        np.testing.assert_allclose([groups.wavelength[row], groups.fwhm[row]], [centre, np.sqrt(variance) * FWHM_PER_SIGMA])


def test_a_flat_spectrum_has_no_slope_and_no_curvature() -> None:
    details, _ = group_bands(bands(224))
    sums = details.sum(0)
    torch.testing.assert_close(sums, torch.tensor([1.0, 0.0, 0.0]).double().expand_as(sums), atol=1e-12, rtol=0)


def test_tokens_keep_their_order_and_a_lost_band_moves_its_own_group_alone() -> None:
    """Groups by interval, in ascending order: the released SatMAE++ predicts in the order of its groups and compares in that of the bands."""
    model, x, (wavelength, fwhm, valid) = channel(), window(224), sensor(224)
    order = torch.randperm(224, generator=torch.Generator().manual_seed(0))
    tokens = model.tokens(x, wavelength, fwhm, valid)
    torch.testing.assert_close(model.tokens(x[:, order], wavelength[order], fwhm[order], valid[order]), tokens, atol=1e-5, rtol=1e-5)
    assert (group_bands(bands(224))[1].wavelength.diff() > 0).all()
    valid[100] = False
    changed = (model.tokens(x, wavelength, fwhm, valid) - tokens).abs().amax((0, 1, 2, 4)) > 1e-5
    group = group_bands(bands(224))[0][100, :, 0].argmax()
    assert changed.nonzero().flatten().tolist() == [int(group)]


def test_pooling_takes_every_token() -> None:
    """The released SpectralGPT leaves a patch out of its mean."""
    model, tokens = channel(), torch.randn(5, 9, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model.pool(tokens).sum().backward()
    assert tokens.grad is not None
    assert (tokens.grad.abs().amax((0, 2)) > 1e-3).all()


def test_many_pixels_are_mixed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, facts = channel(), window(40, 5, 7), sensor(40)
    wanted = model(x, *facts)
    monkeypatch.setattr("hsikit.nn.adapters.base.TOKEN_NUMBERS", 16 * 31 * 4)
    seen: list[int] = []
    model.encoder.register_forward_hook(lambda module, inputs, out: seen.append(len(out)))
    torch.testing.assert_close(model(x, *facts), wanted, atol=1e-5, rtol=1e-5)
    assert len(seen) > 10
    assert sum(seen) == 70
