from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.nn.spectral_transformer import PRESETS, GroupStem, SpectralTransformer, build_encoder
from tests.nn.models import encoder, spectra


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 15))
def test_any_number_of_bands(bands: int, channels: int, group: int) -> None:
    model = encoder(bands, channels, group=group)
    x = spectra(4, bands, channels)
    assert model.token_count == -(-bands // group)
    assert model.tokens(x).shape == (4, model.token_count, 16)
    assert model(x).shape == (4, 16)
    assert model(x).isfinite().all()


def test_the_stem_is_a_matrix_product_for_each_group_of_bands() -> None:
    torch.manual_seed(0)
    stem, x = GroupStem(23, 2, 5, 16), spectra(4)
    weight, position = stem.weight.detach().numpy(), stem.position.detach().numpy()
    found = stem(x).detach().numpy()
    for token, start in enumerate(range(0, 23, 5)):
        bands = x[:, :, start : start + 5].numpy()
        used = weight[token].reshape(2, 5, 16)[:, : bands.shape[2]]
        np.testing.assert_allclose(found[:, token], np.einsum("ncb,cbw->nw", bands, used) + position[token], atol=1e-5)


def test_bands_lie_on_the_spectral_axis() -> None:
    """The released LoLA-SpecViT takes image rows for bands; here a band touches the token of its own group alone."""
    stem, x = encoder().stem, spectra(1)
    for band in range(23):
        moved = x.clone()
        moved[:, :, band] += 1
        changed = (stem(moved) - stem(x)).abs().amax((0, 2)) > 1e-6
        assert changed.nonzero().flatten().tolist() == [band // 5]


def test_the_padding_of_the_last_group_has_no_weight() -> None:
    stem, x = encoder().stem, spectra()
    assert not stem.weight[-1].view(2, 5, 16)[:, 3:].any()
    wanted = stem(x)
    with torch.no_grad():
        stem.weight.view(5, 2, 5, 16)[-1, :, 3:] = 1e6
    assert torch.equal(stem(x), wanted)
    stem(x).sum().backward()
    assert not stem.weight.grad.view(5, 2, 5, 16)[-1, :, 3:].any()


def test_keeping_all_tokens_in_any_order_is_the_whole_spectrum() -> None:
    model, x = encoder(), spectra()
    order = torch.stack([torch.randperm(5, generator=torch.Generator().manual_seed(row)) for row in range(7)])
    torch.testing.assert_close(model(x, order), model(x))
    torch.testing.assert_close(model.tokens(x, order), model.tokens(x).gather(1, order[:, :, None].expand(-1, -1, 16)))


def test_bands_of_tokens_that_are_not_kept_are_not_seen() -> None:
    model, x = encoder(), spectra()
    keep = torch.tensor([[0, 3]]).expand(7, -1)
    moved = x.clone()
    moved[:, :, 5:15] = 99.0
    assert model.tokens(x, keep).shape == (7, 2, 16)
    assert torch.equal(model(moved, keep), model(x, keep))


def test_a_pixel_does_not_depend_on_the_others() -> None:
    model, x = encoder(), spectra(9)
    torch.testing.assert_close(torch.cat([model(x[:4]), model(x[4:])]), model(x))


def test_every_weight_learns() -> None:
    model = encoder()
    model(spectra()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_tiny_is_small() -> None:
    assert sum(p.numel() for p in build_encoder("tiny", 200).parameters()) <= 500_000
    assert build_encoder("tiny", 200).token_count == 20
    assert set(PRESETS) == {"tiny"}


@pytest.mark.parametrize("sizes", [{"bands": 0}, {"channels": 0}, {"group": 0}, {"depth": 0}, {"heads": 3}])
def test_senseless_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be 1 or more|not divided"):
        SpectralTransformer(**{"bands": 9, **sizes})


def test_an_unknown_preset_and_spectra_of_another_shape_are_named() -> None:
    with pytest.raises(ValueError, match="no preset 'huge'; there are tiny"):
        build_encoder("huge", 9)
    with pytest.raises(ValueError, match=r"\(7, 2, 22\); this encoder takes \(n, 2, 23\)"):
        encoder()(spectra(bands=22))
