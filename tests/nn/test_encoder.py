from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hsikit.errors import OptionError, WavelengthError
from hsikit.nn import mixers
from hsikit.nn.adapters import ADAPTERS
from hsikit.nn.encoder import EXACT, PRESETS, Encoder, build_encoder
from hsikit.nn.lora import add_lora, freeze_base, is_pretrained, mark_pretrained
from hsikit.nn.mixers import Context, Mixer
from hsikit.nn.pooling import GGeM
from tests.nn.adapters.sensors import sensor, window

every_preset = pytest.mark.parametrize("name", PRESETS)


def slim(name: str, seed: int = 0) -> Encoder:
    """A preset with few channels and two blocks a stage."""
    row = PRESETS[name]
    torch.manual_seed(seed)
    sizes = {"channels": (16,) * len(row.channels), "depths": (2,) * len(row.depths), "width": 12, "band_width": 6}
    return build_encoder(name, **sizes).eval()


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=1e-4)


@every_preset
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 21), (3, 3), (9, 13)])
def test_windows_of_any_size_give_maps_of_all_stages_and_features_of_all_pixels(name: str, rows: int, cols: int) -> None:
    model, x = slim(name), window(40, rows, cols)
    maps = model(x, *sensor(40))
    for each, channels, stride in zip(maps, model.channels, model.strides, strict=True):
        assert each.shape == (2, channels, -(-rows // stride), -(-cols // stride))
        assert each.isfinite().all()
    assert model.dense(x, *sensor(40)).shape == (2, model.width, rows, cols)
    assert model.band_tokens(x, *sensor(40)).shape == (2, rows, cols, 40, model.band_width)


@every_preset
def test_every_parameter_learns(name: str) -> None:
    model = slim(name).train()
    model.band_tokens(window(40, 19, 18), *sensor(40)).square().sum().backward()
    assert not [path for path, p in model.named_parameters() if p.grad is None or not (p.grad.abs() > 1e-7).any()]


@pytest.mark.parametrize("count", [1, 3, 12, 224, 500])
@pytest.mark.parametrize("name", ["tiny", "less", "spectralgpt"])
def test_any_number_of_bands_in_any_order(name: str, count: int) -> None:
    """Tokens of bands keep the order that the bands were given in: SatMAE++ compares them by groups with bands."""
    model, x, facts = slim(name), window(count), sensor(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    mixed = [each[order] for each in facts]
    close(model.dense(x[:, order], *mixed), model.dense(x, *facts))
    close(model.band_tokens(x[:, order], *mixed), model.band_tokens(x, *facts)[..., order, :])


@every_preset
def test_pixels_that_do_not_count_are_zero_and_change_nothing(name: str) -> None:
    model, x, facts = slim(name), window(20, 18, 19), sensor(20)
    usable = torch.rand(2, 18, 19, generator=torch.Generator().manual_seed(0)) > 0.3
    usable[:, :8, :8] = False
    wanted = model.dense(x, *facts, usable)
    assert (wanted.permute(0, 2, 3, 1)[~usable] == 0).all()
    assert wanted.permute(0, 2, 3, 1)[usable].abs().amax(1).min() > 0
    for other in (float("nan"), 1e4):
        close(model.dense(torch.where(usable[:, None], x, torch.tensor(other)), *facts, usable), wanted)
    close(model.dense(torch.where(usable[:, None], x, torch.tensor(float("nan"))), *facts), wanted)
    for found, other_map in zip(model(x, *facts, usable), model(torch.where(usable[:, None], x, torch.tensor(7.0)), *facts, usable), strict=True):
        close(found, other_map)


@every_preset
def test_missing_values_leave_gradients_finite(name: str) -> None:
    model, x = slim(name), window(20, 9, 9)
    x[0, 3, 4, 4] = float("nan")
    model.dense(x, *sensor(20)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_missing_value_in_a_band_that_does_not_count_is_not_missed() -> None:
    model, x, (wavelength, fwhm, valid) = slim("small"), window(12), sensor(12)
    valid[3], fwhm[5] = False, 0.0
    wanted = model.dense(x, wavelength, fwhm, valid)
    x[:, [3, 5]] = float("nan")
    close(model.dense(x, wavelength, fwhm, valid), wanted)


@pytest.mark.parametrize("name", EXACT)
def test_tiles_with_a_halo_give_what_the_whole_map_gives(name: str) -> None:
    model, x, facts = slim(name), window(20, 24, 23), sensor(20)
    usable = torch.rand(2, 24, 23, generator=torch.Generator().manual_seed(0)) > 0.1
    wanted, halo = model.dense(x, *facts, usable), model.halo
    assert halo is not None and 0 < halo < 9
    for top, left in ((0, 0), (12, 0), (6, 7)):
        first, before = max(0, top - halo), max(0, left - halo)
        part = (slice(first, top + 6 + halo), slice(before, left + 5 + halo))
        found = model.dense(x[:, :, *part], *facts, usable[:, *part])
        inner = found[:, :, top - first : top - first + 6, left - before : left - before + 5]
        close(inner, wanted[:, :, top : top + 6, left : left + 5])


def test_the_default_is_exact_over_tiles_and_small() -> None:
    model = build_encoder()
    assert model.halo == 6
    assert model.strides == (1,)
    assert sum(p.numel() for p in model.parameters()) <= 3_000_000
    assert {name for name in PRESETS if build_encoder(name).halo is not None} == set(EXACT)
    assert build_encoder("tiny", strides=(2,)).halo is None
    assert {name for name in PRESETS if not build_encoder(name).unbounded} == set(EXACT)


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
@pytest.mark.parametrize("feed_forward", ["mlp", "dw", "convglu"])
def test_adapters_and_feed_forward_parts_go_together(adapter: str, feed_forward: str) -> None:
    model = build_encoder("tiny", channels=(16,), depths=(1,), adapter=adapter, feed_forward=feed_forward, position=True)
    assert model.dense(window(40), *sensor(40)).isfinite().all()
    assert model.halo == (2 if feed_forward == "mlp" else 3)


@pytest.mark.parametrize(("preset", "adapter"), [("tiny", "conv"), ("tiny", "pixel"), ("less", "channel")])
def test_tokens_are_pooled_by_the_power_mean_of_those_that_count(preset: str, adapter: str) -> None:
    torch.manual_seed(0)
    model = build_encoder(preset, channels=(16,), depths=(1,), adapter=adapter, adapter_options={"pool": "ggem"}).eval()
    assert Encoder.from_config(model.config()).config()["adapter_options"] == {"pool": "ggem"} and isinstance(model.adapter.pool, GGeM)
    x, (wavelength, fwhm, valid) = window(12), sensor(12)
    valid[4], keep = False, torch.arange(12) != 4
    wanted = model.dense(x, wavelength, fwhm, valid)
    x[:, 4] = float("nan")
    close(model.dense(x, wavelength, fwhm, valid), wanted)
    close(model.dense(x[:, keep], wavelength[keep], fwhm[keep], valid[keep]), wanted)


class Unmasked(Mixer):
    """Takes each image's mean from its pixels, whatever they are."""

    masks: ClassVar[bool] = False

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return x - x.mean((1, 2), keepdim=True)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        return 0


def test_pixels_are_filled_around_a_mixer_that_cannot_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mixers.MIXERS, "unmasked", Unmasked)  # type: ignore[arg-type]
    model = build_encoder("tiny", channels=(16,), depths=(2,), mixers=(("unmasked",),)).eval()
    assert model.halo is None
    x, facts, usable = window(12, 4, 5), sensor(12), torch.ones(2, 4, 5, dtype=torch.bool)
    usable[:, :2] = False
    wanted = model.dense(x, *facts, usable)
    close(model.dense(torch.where(usable[:, None], x, torch.tensor(9.0)), *facts, usable), wanted)
    close(wanted[:, :, 2:], model.dense(x[:, :, 2:], *facts))
    assert (wanted[:, :, :2] == 0).all()


def test_bands_that_were_never_measured_can_be_asked_for() -> None:
    model, x, facts = slim("small"), window(12), sensor(12)
    features = model.dense(x, *facts)
    asked = torch.tensor([550.0, 1380.0, 865.0]), torch.tensor([10.0, 10.0, float("nan")])
    assert model.query(features, *asked).shape == (2, 2, 3, 3, model.band_width)
    close(model.query(features, *facts[:2]), model.band_tokens(x, *facts))
    with pytest.raises(WavelengthError, match="no centre"):
        model.query(features, torch.tensor([float("nan")]), torch.tensor([10.0]))


@every_preset
def test_options_come_back_through_json(name: str) -> None:
    model = slim(name)
    again = Encoder.from_config(json.loads(json.dumps(model.config()))).eval()
    assert again.preset == Encoder.from_config(model.config()).preset
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.dense(window(20), *sensor(20)), model.dense(window(20), *sensor(20)))


def test_the_mark_of_a_pretrained_base_is_kept_and_lora_fits() -> None:
    for name, targets in (("small", ("enter", "leave")), ("vit", ("qkv", "proj", "enter", "leave"))):
        model = slim(name)
        assert model.lora_targets == targets
        with pytest.raises(ValueError, match="not pretrained"):
            freeze_base(model)
        mark_pretrained(model)
        other = slim(name, seed=1)
        other.load_state_dict(model.state_dict())
        assert is_pretrained(other)
        assert add_lora(other, other.lora_targets, 2, 4.0)
        freeze_base(other)
        close(other.eval().dense(window(20), *sensor(20)), model.dense(window(20), *sensor(20)))


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**20))
def test_any_sensor_any_window_any_pixels(name: str, count: int, rows: int, cols: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    facts = 400 + 2100 * torch.rand(count, generator=draw), 1 + 100 * torch.rand(count, generator=draw), torch.ones(count, dtype=torch.bool)
    usable = torch.rand(2, rows, cols, generator=draw) > 0.5
    found = slim(name).dense(window(count, rows, cols, seed=seed), *facts, usable)
    assert found.isfinite().all()
    assert (found.permute(0, 2, 3, 1)[~usable] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (1, 2)}, "for each stage"),
        ({"channels": (0,)}, "1 or more"),
        ({"mixers": ((),)}, "needs a mixer"),
        ({"mixers": ("dwconv",)}, "mixers of each stage"),
        ({"mixers": "dwconv"}, "mixers of each stage"),
        ({"channels": (8, 8), "depths": (1, 1), "mixers": (("pool",), ("pool",)), "strides": (2, 3)}, "multiple"),
        ({"adapter": "magic"}, "there is no 'magic'"),
        ({"feed_forward": "magic"}, "no feed-forward part 'magic'"),
        ({"mixers": (("magic",),)}, "there is no 'magic'"),
        ({"mixers": (({"kernel": 3},),)}, "cannot be used"),
        ({"channels": "wide"}, "cannot be used|for each stage"),
        ({"by_token": True}, "has no tokens"),
        ({"by_token": True, "adapter": "channel", "adapter_options": {"width": 32}}, "as wide as the stages"),
        ({"feed_forward": "pooled"}, "by_token"),
        ({"mixers": (("less",),)}, "by_token"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_encoder("tiny", **changes)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(OptionError, match="there is no preset 'huge'"):
        build_encoder("huge")


def test_usable_pixels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="usable"):
        slim("tiny").dense(window(12), *sensor(12), torch.ones(2, 2, 2, dtype=torch.bool))
