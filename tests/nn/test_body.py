from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from hsikit.nn.adapter_files import CONFIG, TENSORS, attach_adapter
from hsikit.nn.body import ADAPTATIONS, BandFacts, TaskNetwork, by_blocks, perceptrons, prepare, require_halo
from hsikit.nn.dense_classifier import DenseClassifier, StandardisedHead
from hsikit.nn.encoder import build_encoder
from hsikit.nn.heads import BandHead
from hsikit.nn.lora import merge_adapters, set_scale
from hsikit.nn.tuning import parameter_counts
from tests.tasks.bases import FWHM, WAVELENGTH, trained_encoder

BANDS = BandFacts(WAVELENGTH, FWHM, torch.ones(20, dtype=torch.bool))


def network(classes: int = 3, **changes: object) -> TaskNetwork:
    torch.manual_seed(1)
    encoder = trained_encoder(**changes)
    return TaskNetwork(encoder, nn.Linear(encoder.width, classes)).eval()


def window(rows: int = 9, cols: int = 7, seed: int = 2) -> Tensor:
    return torch.randn(1, 20, rows, cols, generator=torch.Generator().manual_seed(seed))


def stirred(model: TaskNetwork, names: list[str]) -> None:
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in names:
                parameter.add_(0.2 * torch.randn_like(parameter))


@pytest.mark.parametrize("how", ["lora", "dora", "adaptformer"])
def test_a_base_and_a_tasks_own_part_are_the_tuned_network(how: str) -> None:
    model, x = network(), window()
    stirred(model, prepare(model, how))
    config, state = model.own_part()
    other = network()
    assert (other(x, BANDS) - model(x, BANDS)).abs().max() > 1e-2
    attach_adapter(other, config, state)
    torch.testing.assert_close(other(x, BANDS), model(x, BANDS), rtol=0, atol=0)
    if how != "adaptformer":
        merge_adapters(other)
        torch.testing.assert_close(other(x, BANDS), model(x, BANDS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mixers", [("dwconv",), ("window", "channel")])
@pytest.mark.parametrize("how", ["lora", "dora"])
def test_peft_puts_a_tasks_own_part_on_the_plain_network(tmp_path: Path, how: str, mixers: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")
    plain, model = network(mixers=(mixers,)), network(mixers=(mixers,))
    x, usable = window(), torch.ones(1, 9, 7, dtype=torch.bool)
    usable[0, 2:4, 1:3] = False
    stirred(model, prepare(model, how))
    set_scale(model, 0.5)
    config, state = model.own_part()
    save_file(state, tmp_path / TENSORS)
    (tmp_path / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    adapters = [name for name in state if "lora_B" in name]
    assert adapters and all(state[name].abs().max() > 1e-2 for name in adapters)
    theirs = peft.PeftModel.from_pretrained(plain, str(tmp_path)).eval()
    with torch.no_grad():
        wanted = model(x, BANDS, usable)
        torch.testing.assert_close(theirs(x, BANDS, usable), wanted, rtol=1e-5, atol=1e-5)
        for name, parameter in theirs.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
        # The parts trained in full beside the adapters do not do it alone.
        assert (theirs(x, BANDS, usable) - wanted).abs().max() > 1e-2


@pytest.mark.parametrize("how", ["linear", "full"])
def test_a_network_without_adapters_has_no_part_of_its_own(how: str) -> None:
    model = network()
    prepare(model, how)
    with pytest.raises(ValueError, match="no layer here has an adapter; a head"):
        model.own_part()


def test_ways_to_tune_go_from_the_fewest_parameters_to_all() -> None:
    counts = {}
    for how in ADAPTATIONS:
        model = network()
        prepare(model, how)
        counts[how] = parameter_counts(model)
    assert counts["linear"].learning == 16 * 3 + 3
    assert counts["linear"].learning < counts["lora"].learning < counts["dora"].learning < counts["full"].learning
    assert counts["full"].share == 1.0


def test_adapters_of_the_shipped_preset_are_a_twentieth_of_it_at_most() -> None:
    encoder = build_encoder("small")
    encoder.pretrained.fill_(True)
    for how in ("lora", "dora", "adaptformer"):
        model = TaskNetwork(build_encoder("small"), nn.Linear(encoder.width, 16))
        model.encoder.load_state_dict(encoder.state_dict())
        prepare(model, how)
        assert parameter_counts(model).share <= 0.05


@pytest.mark.parametrize("how", ADAPTATIONS)
def test_a_random_body_is_refused(how: str) -> None:
    encoder = build_encoder("tiny", channels=(16,), depths=(1,), width=16)
    model = TaskNetwork(encoder, nn.Linear(16, 2))
    before = set(model.state_dict())
    with pytest.raises(ValueError, match="not pretrained"):
        prepare(model, how)
    assert set(model.state_dict()) == before


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match="there are linear, lora"):
        prepare(network(), "prompt")


@pytest.mark.parametrize(
    ("preset", "cause"),
    [
        ("davit", "has the mixer `channel`, which sees the whole map$"),
        ("swin", "has a stride of 4, whose cells begin where the map begins; the mixer `window`, which sees windows that begin where the map begins$"),
        ("segformer", "a stride of 4, .*; the mixer `reduced`, which sees the whole map$"),
        ("less-pooled", "a stride of 8, .*; the mixer `less`, which sees the whole map; the feed-forward part `pooled`, which sees the whole map$"),
        ("morpmamba", "the mixer `morphology`, which"),
    ],
)
def test_a_body_without_bound_is_refused_for_what_it_has(preset: str, cause: str) -> None:
    with pytest.raises(ValueError, match=f"would not be that of one pass: .*{cause}"):
        require_halo(build_encoder(preset))


def test_strides_alone_are_no_fault_of_a_mixer() -> None:
    with pytest.raises(ValueError, match=r"encoder has a stride of 2, whose cells begin where the map begins$"):
        require_halo(build_encoder("tiny", strides=(2,)))


def test_the_spectral_adapter_is_not_adapted() -> None:
    model = network()
    names = prepare(model, "lora")
    assert any(".feed_forward.enter.lora_A" in name for name in names)
    assert not any(name.startswith("encoder.adapter.") for name in names)
    assert perceptrons(network()) == [f"encoder.stages.0.blocks.{i}.feed_forward" for i in (0, 1)]


@settings(max_examples=15)
@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 9), st.integers(0, 99))
def test_blocks_give_what_one_pass_gives(rows: int, cols: int, block: int, seed: int) -> None:
    model = network()
    halo = require_halo(model.body)
    rng = np.random.default_rng(seed)
    usable = torch.from_numpy(rng.random((rows + 2 * halo, cols + 2 * halo)) < 0.8)
    values = window(usable.shape[0], usable.shape[1], seed)[0].masked_fill(~usable, float("nan"))
    with torch.inference_mode():
        whole = model.dense(values[None], BANDS, usable[None])[0, :, halo : halo + rows, halo : halo + cols]
    found = torch.zeros_like(whole)
    for place, features in by_blocks(model, values, usable, BANDS, lambda part: part, block):
        found[(slice(None), *place)] = features
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)


def test_a_standardised_head_folds_into_one_layer() -> None:
    torch.manual_seed(0)
    head = StandardisedHead(torch.randn(5), torch.rand(5) + 0.1, torch.randn(3, 5), torch.randn(3))
    x = torch.randn(4, 2, 5)
    torch.testing.assert_close(head.folded()(x), head(x), rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_weighted_mean_over_labelled_pixels() -> None:
    model = network()
    weights = torch.tensor([0.5, 1.0, 2.0])
    tuned = DenseClassifier(model, BANDS, weights, smoothing=0.0, noise=0.3, dropped=0.3).eval()
    values, usable = window(4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    codes = torch.full((1, 4, 4), -1)
    codes[0, 1, 2], codes[0, 3, 0] = 2, 0
    logits = model(values, BANDS, usable).detach().double().numpy()[0]
    share = np.exp(logits) / np.exp(logits).sum(0)
    wanted = -(2.0 * np.log(share[2, 1, 2]) + 0.5 * np.log(share[0, 3, 0])) / 2
    drawn = torch.Generator().manual_seed(0)
    assert float(tuned.loss((values, usable, codes), drawn).detach()) == pytest.approx(wanted, rel=1e-4)
    noisy = float(tuned.train().loss((values, usable, codes), drawn).detach())
    assert noisy != pytest.approx(wanted, rel=1e-4)
    assert float(tuned.loss((values, usable, torch.full((1, 4, 4), -1)), drawn).detach()) == 0.0


def test_drawn_bands_are_any_number_and_one_at_least_that_every_adapter_sees() -> None:
    model, chip = network(), (window(4, 4), torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 4, dtype=torch.int64))
    wavelength, counts = torch.cat([WAVELENGTH[:12], torch.linspace(8000.0, 12000.0, 8)]), []
    bands = BandFacts(wavelength, torch.full((20,), float("nan")), BANDS.valid & (torch.arange(20) != 5))
    tuned, generator = DenseClassifier(model, bands, torch.ones(3), 0.0, 0.0, 0.1, sampled=True).train(), torch.Generator().manual_seed(0)
    with mock.patch.object(TaskNetwork, "forward", autospec=True, side_effect=TaskNetwork.forward) as seen:
        for _ in range(60):
            assert tuned.loss(chip, generator).isfinite()
    for call in seen.call_args_list:
        given: BandFacts = call.args[2]
        counts.append(int(given.valid.sum()))
        assert not given.valid[5] and given.valid[:12].any() and given.fwhm[given.valid].isfinite().all()
    assert (min(counts), max(counts)) == (9, 19) and 12 < np.mean(counts) < 16
    tuned.eval().loss(chip, generator)


def test_bands_that_are_left_out_do_not_count() -> None:
    model, x = network(), window()
    keep = torch.arange(20) != 4
    other = x.clone()
    other[:, 4] = 1e3
    torch.testing.assert_close(model(x, BANDS.only(keep)), model(other, BANDS.only(keep)))
    assert not torch.allclose(model(x, BANDS), model(x, replace(BANDS, valid=keep)))


def test_the_numbers_of_bands_are_weighted_features() -> None:
    encoder = trained_encoder()
    model, x = TaskNetwork(encoder, BandHead(encoder.width)), window()
    asked = torch.tensor([500.0, 1333.0, 2400.0]), torch.tensor([10.0, 50.0, 100.0])
    features = model.dense(x, BANDS)
    assert (model.at_bands(features, *asked) == 0).all()
    stirred(model, [name for name, _ in model.named_parameters() if name.startswith("head")])
    found = model.at_bands(features, *asked)
    weights = model.head.weights(*asked).detach().numpy()
    wanted = np.einsum("qf,bfrc->bqrc", weights[:, :-1], features.detach().numpy()) + weights[:, -1, None, None]
    np.testing.assert_allclose(found.detach(), wanted, rtol=1e-3, atol=1e-4)
    one = model.at_bands(features, asked[0][1:2], asked[1][1:2])
    torch.testing.assert_close(one, found[:, 1:2], rtol=1e-4, atol=1e-5)


def test_a_linear_reading_of_tokens_makes_none() -> None:
    encoder = trained_encoder()
    features, read = encoder.dense(window(), WAVELENGTH, FWHM, BANDS.valid), nn.Linear(encoder.band_width, 1)
    asked = torch.tensor([500.0, 1333.0, 2400.0]), torch.tensor([10.0, float("nan"), 100.0])
    wanted = read(encoder.query(features, *asked))[..., 0].movedim(-1, 1)
    torch.testing.assert_close(encoder.read_bands(features, *asked, read), wanted, rtol=1e-4, atol=1e-5)


def test_a_task_may_take_the_maps_of_all_stages() -> None:
    encoder = trained_encoder(channels=(16, 24), depths=(1, 1), strides=(1, 2), mixers=(("pool",), ("pool",)))
    maps = TaskNetwork(encoder, nn.Identity()).scales(window(), BANDS)
    assert [tuple(each.shape) for each in maps] == [(1, 16, 9, 7), (1, 24, 5, 4)]
    for each, wanted in zip(maps, encoder(window(), WAVELENGTH, FWHM, BANDS.valid), strict=True):
        torch.testing.assert_close(each, wanted)
