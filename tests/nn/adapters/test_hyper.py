from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.hyper import FIRST, LAST, STEP, HyperAdapter, KnotWeights
from tests.nn.adapters.sensors import bands, sensor, window


def test_there_are_108_knots() -> None:
    knots = KnotWeights(1).knots
    assert (len(knots), float(knots[0]), float(knots[-1])) == (108, FIRST, LAST)


def test_weights_are_means_of_knots_over_the_response() -> None:
    """Against Gauss-Hermite quadrature of the sum of Gaussians over each band's Gaussian response."""
    torch.manual_seed(0)
    made = KnotWeights(3)
    wavelength, fwhm = np.array([400.0, 871.0, 2203.0]), np.array([5.0, 30.0, 180.0])
    nodes, weights = np.polynomial.hermite.hermgauss(120)
    samples = wavelength[:, None] + fwhm[:, None] / np.sqrt(4 * np.log(2)) * nodes
    knots = np.exp(-0.5 * ((samples[:, :, None] - made.knots.numpy()) / STEP) ** 2)
    wanted = 108 * np.einsum("s,csk,kd->cd", weights / np.sqrt(np.pi), knots, made.weight.detach().numpy())
    np.testing.assert_allclose(made(torch.tensor(wavelength), torch.tensor(fwhm)).detach().numpy(), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("form", ["knots", "mlp"])
def test_features_are_means_over_what_is_covered(form: str) -> None:
    torch.manual_seed(0)
    model, x, (wavelength, fwhm, valid) = HyperAdapter(8, form), window(20), sensor(20)
    fwhm = torch.linspace(5, 50, 20)
    by_value, by_cover = model.generate(wavelength.double(), fwhm.double()).detach().double().numpy().reshape(20, 2, 8).swapaxes(0, 1)
    share = fwhm.numpy() / fwhm.numpy().sum()
    wanted = np.einsum("c,bchw,cd->bdhw", share, x.numpy(), by_value) + (share @ by_cover)[:, None, None]
    np.testing.assert_allclose(model(x, wavelength, fwhm, valid).detach().numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("form", ["knots", "mlp"])
def test_a_band_cut_in_two_counts_as_before(form: str) -> None:
    """Sampling a spectrum twice as densely is not more spectrum."""
    torch.manual_seed(0)
    model = HyperAdapter(8, form)
    coarse = torch.arange(500.0, 900.0, 4.0)
    fine = (coarse[:, None] + torch.tensor([-1.0, 1.0])).flatten()
    spectrum = [torch.sin(each / 60)[None, :, None, None] for each in (coarse, fine)]
    found = [
        model(x, each, torch.full_like(each, width), torch.ones(len(each), dtype=torch.bool))
        for x, each, width in zip(spectrum, (coarse, fine), (4.0, 2.0), strict=True)
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-2, rtol=0)


def test_a_band_beyond_the_knots_is_not_counted() -> None:
    torch.manual_seed(0)
    model, x, (wavelength, fwhm, valid) = HyperAdapter(8), window(4), sensor(4)
    wavelength[3] = 9000.0
    torch.testing.assert_close(model(x, wavelength, fwhm, valid), model(x[:, :3], wavelength[:3], fwhm[:3], valid[:3]))


def test_the_perceptron_takes_the_thermal_infrared() -> None:
    torch.manual_seed(0)
    model = HyperAdapter(8, "mlp")
    found = [model.band_weights(Bands(bands(4).wavelength + shift, bands(4).fwhm))[0] for shift in (8000.0, 8500.0)]
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no form 'dreams'; there are knots, mlp"):
        HyperAdapter(8, "dreams")  # type: ignore[arg-type]
