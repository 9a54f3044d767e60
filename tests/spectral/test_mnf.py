from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.spectral.mnf import mnf_from_moments, mnf_moments, solve_mnf
from hsikit.spectral.moments import merge_moments


def scene(seed: int = 0, bands: int = 6, rows: int = 17, cols: int = 23) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(bands, rows, cols)), 1), 2) * 0.1
    values = torch.from_numpy((smooth + rng.normal(size=smooth.shape) * np.linspace(0.2, 2, bands)[:, None, None]).astype(np.float32))
    valid = torch.from_numpy(rng.random((rows, cols)) > 0.1)
    values[:, ~valid] = torch.nan
    return values, valid


def padded(values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One column more to the right, outside the scene."""
    return torch.nn.functional.pad(values, (0, 1), value=torch.nan), torch.nn.functional.pad(valid, (0, 1))


def test_components_are_white_in_noise_and_ordered_by_ratio() -> None:
    values, valid = scene()
    found = mnf_from_moments(mnf_moments(*padded(values, valid), standardised=False), ridge=0.0)
    spectra = values.double().numpy()
    pixels = spectra[:, valid.numpy()]
    both = (valid[:, 1:] & valid[:, :-1]).numpy()
    noise = np.cov((spectra[:, :, 1:] - spectra[:, :, :-1])[:, both], bias=True) / 2
    np.testing.assert_allclose(found.vectors.T @ noise @ found.vectors, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(found.vectors.T @ np.cov(pixels, bias=True) @ found.vectors, np.diag(found.ratios), atol=1e-7)
    assert (np.diff(found.ratios) <= 0).all()
    np.testing.assert_allclose(found.mean, pixels.mean(1))


def test_sign_is_canonical() -> None:
    values, valid = scene(3)
    vectors = mnf_from_moments(mnf_moments(*padded(values, valid), standardised=True)).vectors
    assert (vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])] > 0).all()


@settings(max_examples=20)
@given(st.integers(1, 20), st.integers(1, 26), st.booleans())
def test_any_tile_gives_the_statistics_of_the_whole(rows: int, cols: int, standardised: bool) -> None:
    values, valid = padded(*scene(1))
    whole = mnf_moments(values, valid, standardised=standardised)
    folded = None
    for row in range(0, values.shape[1], rows):
        for col in range(0, values.shape[2] - 1, cols):
            stop = min(col + cols, values.shape[2] - 1) + 1
            part = mnf_moments(values[:, row : row + rows, col:stop], valid[row : row + rows, col:stop], standardised=standardised)
            folded = part if folded is None else merge_moments(folded, part)
    assert folded is not None
    for key, value in whole.items():
        torch.testing.assert_close(folded[key], value, rtol=1e-10, atol=1e-9)


def test_large_blocks_are_folded_in_parts(monkeypatch) -> None:
    values, valid = padded(*scene(2))
    whole = mnf_moments(values, valid, standardised=True)
    monkeypatch.setattr("hsikit.spectral.mnf._CHUNK", 200)
    for key, value in mnf_moments(values, valid, standardised=True).items():
        torch.testing.assert_close(value, whole[key], rtol=1e-10, atol=1e-9)


def test_without_noise_it_is_principal_components() -> None:
    spectra = np.random.default_rng(0).normal(size=(50, 4)) * [4, 3, 2, 1]
    total = np.cov(spectra.T)
    found = solve_mnf(spectra.mean(0), total, np.zeros((4, 4)))
    directions = found.vectors / np.linalg.norm(found.vectors, axis=0)
    expected = np.linalg.eigh(total)[1][:, ::-1]
    np.testing.assert_allclose(np.abs((directions * expected).sum(0)), 1, atol=1e-6)
