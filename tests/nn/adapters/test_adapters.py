"""The laws that every adapter keeps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hsikit.errors import OptionError, WavelengthError
from hsikit.nn.adapters import ADAPTERS, build_adapter
from tests.nn.adapters.sensors import MAKERS, adapter, sensor, window

SIZES = (1, 3, 12, 224, 500)

every_adapter = pytest.mark.parametrize("name", MAKERS)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def inserted(values: Tensor, at: int, value: float | bool, axis: int = 0) -> Tensor:
    """One more band."""
    shape = list(values.shape)
    shape[axis] = 1
    new = torch.full(shape, value, dtype=values.dtype)
    return torch.cat([values.narrow(axis, 0, at), new, values.narrow(axis, at, values.shape[axis] - at)], axis)


def test_each_adapter_of_the_table_is_tested() -> None:
    assert {name.partition("-")[0] for name in MAKERS} == set(ADAPTERS)


@every_adapter
@pytest.mark.parametrize("count", SIZES)
def test_any_number_of_bands_gives_features_of_every_pixel(name: str, count: int) -> None:
    found = adapter(name)(window(count), *sensor(count))
    assert found.shape == (2, 16, 2, 3)
    assert found.isfinite().all()
    assert found.std((0, 2, 3)).max() > 1e-3


@every_adapter
@pytest.mark.parametrize("count", SIZES[1:])
def test_the_order_of_the_bands_changes_nothing(name: str, count: int) -> None:
    model, x, facts = adapter(name), window(count), sensor(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    close(model(x[:, order], *[each[order] for each in facts]), model(x, *facts))


@every_adapter
@pytest.mark.parametrize("count", SIZES)
def test_a_band_without_width_or_validity_changes_nothing(name: str, count: int) -> None:
    model, x, (wavelength, fwhm, valid), at = adapter(name), window(count), sensor(count), min(2, count)
    wanted = model(x, wavelength, fwhm, valid)
    more, centres = inserted(x, at, float("nan"), 1), inserted(wavelength, at, 700.0)
    close(model(more, centres, inserted(fwhm, at, 0.0), inserted(valid, at, True)), wanted)
    close(model(more, centres, inserted(fwhm, at, 90.0), inserted(valid, at, False)), wanted)
    nowhere = inserted(wavelength, at, float("nan"))
    close(model(more, nowhere, inserted(fwhm, at, float("nan")), inserted(valid, at, False)), wanted)


@every_adapter
def test_missing_values_stay_in_their_pixel_and_in_their_band(name: str) -> None:
    model, x, (wavelength, fwhm, valid) = adapter(name), window(12), sensor(12)
    valid[4] = False
    wanted = model(x, wavelength, fwhm, valid)
    x[:, 4] = float("nan")
    close(model(x, wavelength, fwhm, valid), wanted)
    x[0, 5, 1, 1] = float("nan")
    found = model(x, wavelength, fwhm, valid)
    assert found[0, :, 1, 1].isnan().all()
    found[0, :, 1, 1] = wanted[0, :, 1, 1]
    close(found, wanted)


@every_adapter
def test_bands_that_nothing_tells_apart_are_averaged(name: str) -> None:
    model, x, (wavelength, fwhm, valid) = adapter(name), window(12), sensor(12)
    twice = torch.cat([x, x[:, 3:4] + 1], 1)
    facts = [torch.cat([each, each[3:4]]) for each in (wavelength, fwhm, valid)]
    x[:, 3] += 0.5
    close(model(twice, *facts), model(x, wavelength, fwhm, valid))


@every_adapter
def test_an_unknown_width_is_the_spacing(name: str) -> None:
    model, x = adapter(name), window(10)
    wavelength, unknown, valid = 500 + 20 * torch.arange(10.0), torch.full((10,), float("nan")), torch.ones(10, dtype=torch.bool)
    close(model(x, wavelength, unknown, valid), model(x, wavelength, torch.full((10,), 20.0), valid))


@every_adapter
@pytest.mark.parametrize("count", [12, 224])
def test_every_valid_band_counts_and_no_other(name: str, count: int) -> None:
    """In evaluation, too: the released LESS ViT drops channels there when it is set to drop them in training."""
    model, x, facts = adapter(name), window(count).requires_grad_(), sensor(count)
    facts[2][1] = False
    model(x, *facts).square().sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad.abs().amax((0, 2, 3)) > 0, facts[2])


@every_adapter
def test_every_parameter_learns(name: str) -> None:
    model = adapter(name).train()
    model(window(224), *sensor(224)).square().sum().backward()
    dead = [path for path, p in model.named_parameters() if p.grad is None or not (p.grad.abs() > 1e-6).any()]
    assert not dead


@every_adapter
def test_the_same_twice(name: str) -> None:
    x, facts = window(40), sensor(40)
    model = adapter(name)
    assert torch.equal(model(x, *facts), model(x, *facts))
    assert torch.equal(adapter(name)(x, *facts), model(x, *facts))


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "conv-bands"])
def test_training_and_evaluation_are_the_same(name: str) -> None:
    """Nothing is dropped in either, and no statistics of a batch are used; `conv-bands` has the released batch normalisation."""
    model, x, facts = adapter(name), window(40), sensor(40)
    torch.testing.assert_close(model.train()(x, *facts), model.eval()(x, *facts), atol=0, rtol=0)


@every_adapter
def test_a_pixel_does_not_depend_on_its_tile(name: str) -> None:
    model, x, facts = adapter(name), window(12, rows=4, cols=5), sensor(12)
    wanted = model(x, *facts)
    close(model(x[:1, :, 1:3, 2:], *facts), wanted[:1, :, 1:3, 2:])


@every_adapter
def test_mixed_precision_is_close(name: str) -> None:
    model, x, facts = adapter(name), window(60), sensor(60)
    wanted = model(x, *facts)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x, *facts)
    assert (found.float() - wanted).abs().max() < 0.05 * wanted.abs().max()


@every_adapter
def test_a_cast_module_still_knows_its_wavelengths(name: str) -> None:
    x, facts = window(60), sensor(60)
    found = adapter(name).to(torch.bfloat16)(x.to(torch.bfloat16), *facts)
    wanted = adapter(name)(x, *facts)
    assert (found.float() - wanted).abs().max() < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "conv-bands"])
def test_wavelength_and_width_matter(name: str) -> None:
    """A model that takes the number of a band for its place sees the same in both."""
    model, x, (wavelength, fwhm, valid) = adapter(name), window(12), sensor(12)
    wanted = model(x, wavelength, fwhm, valid)
    assert (model(x, wavelength + 30, fwhm, valid) - wanted).abs().max() > 1e-3
    assert (model(x, wavelength, torch.linspace(5, 120, 12), valid) - wanted).abs().max() > 1e-3


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**20), st.sampled_from(sorted(MAKERS)))
def test_any_bands_in_any_order_with_any_validity(count: int, seed: int, name: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    wavelength = 400 + 2100 * torch.rand(count, generator=generator)
    fwhm = 1 + 200 * torch.rand(count, generator=generator)
    valid = torch.rand(count, generator=generator) > 0.3
    valid[int(torch.randint(count, (), generator=generator))] = True
    model, x, order = adapter(name), window(count, seed=seed), torch.randperm(count, generator=generator)
    wanted = model(x, wavelength, fwhm, valid)
    assert wanted.isfinite().all()
    close(model(x[:, order], wavelength[order], fwhm[order], valid[order]), wanted)
    close(model(x[:, valid], wavelength[valid], fwhm[valid], valid[valid]), wanted)


@every_adapter
def test_bands_that_make_no_sense_are_refused(name: str) -> None:
    model, x, (wavelength, fwhm, valid) = adapter(name), window(3), sensor(3)
    with pytest.raises(WavelengthError, match="no band is valid"):
        model(x, wavelength, fwhm, ~valid)
    with pytest.raises(WavelengthError, match="not in nanometres"):
        model(x, wavelength / 1000, fwhm, valid)
    with pytest.raises(WavelengthError, match="no centre"):
        model(x, wavelength * float("nan"), fwhm, valid)
    with pytest.raises(WavelengthError, match="negative"):
        model(x, wavelength, -fwhm, valid)
    with pytest.raises(WavelengthError, match="lone band"):
        model(x[:, :1], wavelength[:1], fwhm[:1] * float("nan"), valid[:1])
    with pytest.raises(ValueError, match=r"takes \(B, C, H, W\)"):
        model(x, wavelength[:2], fwhm, valid)
    with pytest.raises(ValueError, match="the last bool"):
        model(x, wavelength, fwhm, valid.float())


@pytest.mark.parametrize("name", ["conv", "grid", "hyper-knots", "ranges"])
def test_a_sensor_beyond_the_known_range_is_refused(name: str) -> None:
    with pytest.raises(WavelengthError, match="no valid band lies in"):
        adapter(name)(window(3), torch.tensor([9000.0, 10000.0, 11000.0]), *sensor(3)[1:])


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_options_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="cannot be built"):
        build_adapter(name, width=0)
    with pytest.raises(OptionError, match="cannot be built"):
        build_adapter(name, colour="blue")


def test_an_unknown_adapter_is_refused() -> None:
    with pytest.raises(OptionError, match="there is no 'magic'"):
        build_adapter("magic")
