from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.conv import ConvAdapter, WholeConv
from hsikit.nn.pooling import SequencePool
from tests.nn.adapters.sensors import sensor, window


def conv(seed: int = 0, **options: object) -> ConvAdapter:
    torch.manual_seed(seed)
    return ConvAdapter(**options).eval()  # type: ignore[arg-type]


def released(model: ConvAdapter, x: Tensor) -> Tensor:
    """SpectralEarth's stack with our weights: 3-D convolutions along bands, batch normalisation, ReLU, adaptive mean."""
    convolve = [each for each in model.modules() if isinstance(each, WholeConv)]
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm1d)]
    image = x[:, None]
    for layer, norm in zip(convolve, norms, strict=True):
        image = functional.conv3d(image, layer.weight[:, :, :, None, None], stride=(layer.stride[0], 1, 1), padding=(1, 0, 0))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        image = functional.relu(functional.batch_norm(image, norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return functional.adaptive_avg_pool3d(image, (1, None, None))[:, :, 0]


@pytest.mark.parametrize("count", [75, 150, 225])
def test_it_is_the_released_stack_where_that_reads_every_band(count: int) -> None:
    model, x = conv(form="bands"), window(count)
    with torch.no_grad():
        for norm in [each for each in model.modules() if isinstance(each, nn.BatchNorm1d)]:
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert values is not None
                values.uniform_(0.5, 1.5)
    torch.testing.assert_close(model(x, *sensor(count)), released(model, x), atol=1e-5, rtol=1e-4)


def test_it_has_the_released_parameters_but_for_the_biases() -> None:
    """56,192 with 32 + 64 + 128 biases that the normalisations take off."""
    assert sum(p.numel() for p in conv(form="bands").parameters()) == 56_192 - 224


@pytest.mark.parametrize("count", [202, 224, 285])
def test_the_last_bands_count(count: int) -> None:
    """Of 202 bands the released strides never read the last 21."""
    x = window(count).requires_grad_()
    model = conv(form="bands")
    model(x, *sensor(count)).sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax((0, 2, 3)) > 0).all()
    before = x.detach().clone().requires_grad_()
    released(model, before).sum().backward()
    assert before.grad is not None
    assert not before.grad[:, -21:].any()


@pytest.mark.parametrize(("span", "stride"), [(7, 5), (5, 3)])
def test_a_convolution_reaches_the_end_with_no_place_of_zeros_alone(span: int, stride: int) -> None:
    layer = WholeConv(1, 1, span, stride)
    nn.init.ones_(layer.weight)
    for length in range(1, 40):
        read = layer(torch.eye(length)[:, None])[:, 0]
        assert (read.sum(1) >= 1).all()
        assert (read.sum(0) >= 1).all()


def test_by_number_of_band_a_shift_is_silent() -> None:
    model, x, (wavelength, fwhm, valid) = conv(form="bands"), window(40), sensor(40)
    assert torch.equal(model(x, wavelength + 50, fwhm, valid), model(x, wavelength, fwhm, valid))


def test_by_wavelength_a_kernel_sees_the_same_stretch_with_every_sampling() -> None:
    """A smooth spectrum sampled every 10 and every 7 nm; by number of band the same two differ by far."""
    found = {}
    for form in ("canonical", "bands"):
        model, features = conv(form=form), []
        for step in (10.0, 7.0):
            wavelength = torch.arange(400.0, 2500.0, step)
            x = torch.sin(wavelength / 150)[None, :, None, None]
            features.append(model(x, wavelength, torch.full_like(wavelength, 10.0), torch.ones(len(wavelength), dtype=torch.bool)))
        found[form] = ((features[0] - features[1]).abs().max() / features[0].std()).item()
    assert found["canonical"] < 0.002
    assert found["bands"] > 0.02


def test_attention_weighs_places() -> None:
    mean, weighted, x, facts = conv(), conv(pool="attention"), window(150), sensor(150)
    assert isinstance(weighted.pool, SequencePool)
    assert (mean(x, *facts) - weighted(x, *facts)).abs().max() > 1e-4
    nn.init.zeros_(weighted.pool.score.weight)
    torch.testing.assert_close(weighted(x, *facts), mean(x, *facts), atol=1e-5, rtol=1e-4)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="no form 'spiral'; there are canonical, bands"):
        ConvAdapter(form="spiral")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no pooling 'max'; there are mean, attention, ggem"):
        ConvAdapter(pool="max")  # type: ignore[arg-type]
