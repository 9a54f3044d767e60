from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.nn.wavelength_code import LONGEST, SHORTEST, WavelengthEmbedding, wavelength_code

CENTRES = torch.tensor([443.0, 865.0, 1610.0, 2200.0, 9000.0])


def test_codes_are_means_of_waves_over_the_response() -> None:
    """Against sums of each wave over a densely sampled Gaussian response."""
    fwhm = torch.tensor([3.0, 20.0, 90.0, 180.0, 600.0])
    nodes = np.linspace(-7, 7, 2001)
    weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
    sigma = fwhm.numpy() / (2 * np.sqrt(2 * np.log(2)))
    samples = CENTRES.numpy()[:, None] + sigma[:, None] * nodes
    periods = np.geomspace(SHORTEST, LONGEST, 8)
    phase = 2 * np.pi * samples[:, :, None] / periods
    wanted = [np.einsum("s,csk->ck", weights, wave(phase)) for wave in (np.sin, np.cos)]
    np.testing.assert_allclose(wavelength_code(CENTRES, fwhm, 16).numpy(), np.concatenate(wanted, 1), atol=1e-6)


def test_a_narrow_band_has_the_plain_code_and_a_wide_one_only_slow_waves() -> None:
    plain = wavelength_code(CENTRES, torch.zeros(5), 16)
    torch.testing.assert_close(plain[:, :8].square() + plain[:, 8:].square(), torch.ones(5, 8, dtype=torch.float64))
    strength = wavelength_code(CENTRES, torch.full((5,), 300.0), 16).square().view(5, 2, 8).sum(1)
    assert (strength[:, 0] < 1e-12).all()
    assert (strength[:, -1] > 0.98).all()
    assert (strength.diff(dim=1) >= 0).all()


def test_an_embedding_tells_widths_apart_and_learns() -> None:
    torch.manual_seed(0)
    model = WavelengthEmbedding(6)
    narrow, wide = (model(CENTRES, torch.full((5,), fwhm)) for fwhm in (10.0, 100.0))
    assert narrow.shape == (5, 6)
    assert (narrow - wide).abs().amax(1).min() > 1e-3
    narrow.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("width", [3, 2, 7])
def test_senseless_widths_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match="even and 4 or more"):
        wavelength_code(CENTRES, torch.zeros(5), width)


def test_senseless_periods_are_refused() -> None:
    with pytest.raises(ValueError, match=r"periods 50\.0 and 40\.0"):
        wavelength_code(CENTRES, torch.zeros(5), 8, shortest=50.0, longest=40.0)
