from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsikit.nn.adapters.pixel import PixelAdapter
from hsikit.nn.blocks import Block
from tests.nn.adapters.sensors import bands, sensor, window


def pixel(seed: int = 0, **options: object) -> PixelAdapter:
    torch.manual_seed(seed)
    return PixelAdapter(16, **options).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "patch", "tokens"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (224, 8, 28), (12, 1, 12)])
def test_patches_of_bands_are_tokens(count: int, patch: int, tokens: int) -> None:
    model = pixel(patch=patch)
    assert model.tokens(window(count), *sensor(count)).shape == (2, 2, 3, tokens, 16)
    assert model.token_count(bands(count)) == tokens


def test_a_token_is_a_projection_of_its_bands_and_a_code_of_its_place() -> None:
    model, x, (wavelength, fwhm, valid) = pixel(), window(20, 1, 1, 1), sensor(20)
    found = model.tokens(x, wavelength, fwhm, valid)[0, 0, 0].detach().numpy()
    weight = model.project.weight.detach().numpy()
    for token, start in enumerate(range(0, 20, 8)):
        values = x[0, start : start + 8, 0, 0].numpy()
        low, high = wavelength[start] - fwhm[0] / 2, wavelength[min(start + 7, 19)] + fwhm[0] / 2
        code = model.code((low[None] + high[None]) / 2, high[None] - low[None])[0].detach().numpy()
        wanted = weight[:, : len(values)] @ values + weight[:, 8 : 8 + len(values)].sum(1) + code
        np.testing.assert_allclose(found[token], wanted, atol=1e-4)


def test_an_empty_place_is_not_a_value_of_zero() -> None:
    model, x, (wavelength, fwhm, valid) = pixel(), window(7), sensor(7)
    more = torch.cat([x, torch.zeros(2, 1, 2, 3)], 1)
    found = model(more, torch.cat([wavelength, wavelength[-1:]]), torch.cat([fwhm, fwhm[:1] * 0.99]), torch.ones(8, dtype=torch.bool))
    assert (found - model(x, wavelength, fwhm, valid)).abs().max() > 1e-3


def test_a_frozen_encoder_keeps_its_weights_and_the_rest_learns() -> None:
    torch.manual_seed(1)
    frozen = nn.Sequential(Block(16, 2, 2), Block(16, 2, 2)).requires_grad_(False)
    model = pixel(encoder=frozen).train()
    model(window(60), *sensor(60)).square().sum().backward()
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert {name.partition(".")[0] for name in learning} == {"norm", "pool", "project", "code"}
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)
    assert all(p.grad is None for p in frozen.parameters())


def test_an_encoder_of_ones_own_is_used() -> None:
    model, x, facts = pixel(encoder=nn.Identity()), window(30), sensor(30)
    tokens = model.tokens(x, *facts)
    torch.testing.assert_close(model(x, *facts), model.pool(model.norm(tokens.flatten(0, 2))).view(2, 2, 3, 16).permute(0, 3, 1, 2))


def test_an_empty_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="patch 0 must be 1 or more"):
        PixelAdapter(16, patch=0)
