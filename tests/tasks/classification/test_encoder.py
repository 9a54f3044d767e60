from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import hsikit
from hsikit.errors import ModelError, OptionError
from hsikit.nn.base_files import SHIPPED, load_base, read_base_facts, save_base
from hsikit.nn.body import BandFacts, TaskNetwork
from hsikit.nn.encoder import Encoder, build_encoder
from hsikit.scene import Bands
from hsikit.spectral.band_estimate import band_estimate
from hsikit.tasks.band_scale import scene_scale
from hsikit.tasks.classification import encoder_tuning, encoder_views
from hsikit.tasks.classification.any_sensor import READ_OUT, AnySensor
from hsikit.tasks.classification.encoder import HEADS, EncoderClassifier, parse_settings
from hsikit.tasks.classification.encoder_tuning import CHIP_RADIUS, affordable, chips_of
from hsikit.tasks.classification.encoder_views import view_of
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.seen_bands import SeenBands
from hsikit.tasks.classification.transfer import gather_transfer
from hsikit.tasks.telling import learned_share
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import ArraySource, as_sensor, fields, labelled, layers_of, run_with, source

CENTRES, WIDTHS = [580.0, 870.0, 1150.0, 1440.0, 1730.0, 2020.0], [200.0] * 6
ROWS, COLS = 38, 33
TUNED = ("lora", "dora", "adaptformer", "full")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with mock.patch.object(encoder_tuning, "TUNING", {**encoder_tuning.TUNING, "epochs": 6, "patience": 3}):
        yield


@cache
def scene() -> tuple[ArraySource, np.ndarray]:
    values, truth = fields(ROWS, COLS, 3, 15)
    made = source(np.abs(values) + 1)
    made.info = made.info.with_(bands=replace(made.info.bands, fwhm=np.full(15, 140.0)))
    return made, truth


MODELS: dict[str, EncoderClassifier] = {}


def model(base: Path, head: str) -> EncoderClassifier:
    if head not in MODELS:
        MODELS[head] = EncoderClassifier.train([labelled(*scene(), 15)], run=run_with(), base=str(base), head=head)
    return MODELS[head]


@pytest.mark.parametrize("head", HEADS)
def test_a_map_in_tiles_is_that_of_one_pass_and_comes_back_from_its_files(base: Path, head: str) -> None:
    made, (cube, truth) = model(base, head), scene()
    wanted = made.with_options(extras=("probabilities",))
    whole = layers_of(wanted.bind({"cube": cube.info}), cube, None, "map", "probabilities")
    tiled = layers_of(wanted.bind({"cube": cube.info}), cube, 17, "map", "probabilities")
    np.testing.assert_allclose(tiled["probabilities"], whole["probabilities"], atol=1e-5)
    known = whole["map"][0] > 0
    assert (known == ~np.isnan(cube.values).all(0)).all()
    assert (whole["map"][0] == truth)[known].mean() > 0.8
    arrays, facts = made.state()
    again = EncoderClassifier.from_state(arrays, json.loads(json.dumps(facts)))
    assert again.identity() == made.identity()
    np.testing.assert_array_equal(layers_of(again.bind({"cube": cube.info}), cube, None, "map")["map"], whole["map"])


def test_several_adapters_stand_on_one_base(base: Path) -> None:
    weights = [{name: value for name, value in model(base, head).arrays.items() if name.startswith("base.")} for head in ("lda", "lora", "dora", "adaptformer")]
    for other in weights[1:]:
        assert other.keys() == weights[0].keys()
        assert all(np.array_equal(other[name], value) for name, value in weights[0].items())
    assert model(base, "lora").settings["base"] == model(base, "dora").settings["base"]
    full = model(base, "full").arrays
    assert any(not np.array_equal(full[name], value) for name, value in weights[0].items())


def test_the_adapter_is_kept_by_itself_and_counted(base: Path) -> None:
    for head in HEADS:
        adapter = model(base, head).adapter()
        assert (adapter is None) == (head in ("lda", "linear", "full"))
        settings, body, top = model(base, head).settings, load_base(base), 3 * 16 + 3
        weights = sum(parameter.numel() for parameter in body.parameters())
        if adapter is not None:
            assert adapter[1]["peft_type"] == ("ADAPTFORMER" if head == "adaptformer" else "LORA")
            assert settings["parameters_tuned"] == sum(value.size for value in adapter[0].values()) < settings["parameters"]
        else:
            assert (settings["parameters_tuned"], settings["parameters"]) == (weights + top if head == "full" else top, weights + top)
    assert set(model(base, "lora").history) == {"tuning", "validation"}


def moved_by_tuning(made: EncoderClassifier) -> dict[str, np.ndarray]:
    """What learned, adapters as what they add to a weight or, of a narrow perceptron, as its second layer."""
    arrays = {name: value.astype(np.float64) for name, value in made.arrays.items() if name.startswith(("base.", "adapter.", "head."))}
    for name in [name for name in arrays if "lora_B" in name]:
        arrays[name] = arrays[name] @ arrays.pop(name.replace("lora_B", "lora_A"))
    return {name: value for name, value in arrays.items() if ".down." not in name}


@pytest.mark.parametrize("head", TUNED)
def test_tuned_weights_go_half_of_their_way(base: Path, head: str) -> None:
    found = {}
    for way in (0.0, 0.5, 1.0):
        with mock.patch.object(encoder_tuning, "WAY", way):
            found[way] = moved_by_tuning(EncoderClassifier.train([labelled(*scene(), 15)], run=run_with(), base=str(base), head=head))
    moved = [name for name in found[1.0] if not np.array_equal(found[0.0][name], found[1.0][name])]
    assert "head.weight" in moved and any("stages" in name for name in moved)
    for name in found[1.0]:
        np.testing.assert_allclose(found[0.5][name], (found[0.0][name] + found[1.0][name]) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", ["lora", "dora"])
def test_the_folders_adapter_opens_in_peft_beside_the_folders_base(base: Path, tmp_path: Path, head: str) -> None:
    peft = pytest.importorskip("peft")
    # Long steps: after a few of the usual ones, what the adapters add could be taken for rounding.
    with mock.patch.object(encoder_tuning, "RATES", {**encoder_tuning.RATES, head: 3e-2}):
        made = EncoderClassifier.train([labelled(*scene(), 15)], run=run_with(), base=str(base), head=head)
    folder = hsikit.save_method(made, tmp_path / "model")
    arrays = load_file(folder / "model.safetensors")
    encoder = Encoder.from_config(made.settings["encoder"])
    encoder.load_state_dict({name.removeprefix("base."): value for name, value in arrays.items() if name.startswith("base.")})
    plain = TaskNetwork(encoder, nn.Linear(encoder.width, len(made.legend))).eval()
    theirs = peft.PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()
    adapters = {name: value for name, value in theirs.named_parameters() if "lora_B" in name}
    assert adapters and all(value.any() for value in adapters.values())
    values = torch.randn(2, 15, 9, 7, generator=torch.Generator().manual_seed(0))
    bands = BandFacts(torch.from_numpy(made.basis.bands.wavelength), torch.from_numpy(made.basis.bands.fwhm), torch.ones(15, dtype=torch.bool))
    with torch.no_grad():
        wanted = made._network("cpu")(values, bands)
        reach = float(wanted.max() - wanted.min())
        # Of the range: the model merges the adapters, and rounds logits of a thousand.
        assert (theirs(values, bands) - wanted).abs().max() < 1e-5 * reach
        for value in adapters.values():
            value.zero_()
        assert (theirs(values, bands) - wanted).abs().max() > 1e-2 * reach


def test_models_of_folders_that_count_nothing_open(base: Path) -> None:
    arrays, facts = model(base, "lda").state()
    older = {name: value for name, value in facts["options"].items() if not name.startswith("parameters")}
    assert learned_share(EncoderClassifier.from_state(arrays, {**facts, "options": older}).settings) == ""
    assert learned_share(facts["options"]) == "51 of 11,755 (0.4 %)"


def test_a_scene_of_another_sensor_is_mapped_directly_and_says_so(base: Path) -> None:
    cube, truth = scene()
    other = as_sensor(cube, CENTRES, WIDTHS)
    made = model(base, "lda")
    told = made.bind({"cube": other.info}).provenance[READ_OUT]
    assert "from 6 of its 6 good bands" in told and "visible" in told and "% of the model's range" in told
    assert READ_OUT not in made.bind({"cube": cube.info}).provenance
    found = layers_of(made.bind({"cube": other.info}), other, None, "map")["map"][0]
    assert (found == truth)[found > 0].mean() > 0.7
    np.testing.assert_array_equal(layers_of(made.bind({"cube": other.info}), other, 19, "map")["map"][0], found)


@pytest.mark.parametrize("head", ["lda", "lora"])
def test_a_sensor_that_lacks_some_bands_gives_nearly_the_same_map(base: Path, head: str) -> None:
    cube, _ = scene()
    made = model(base, head)
    kept = np.array([0, 1, 3, 4, 5, 7, 8, 10, 11, 12, 14])
    fewer = source(cube.values[kept] * np.linspace(0.5, 2, len(kept))[:, None, None].astype(np.float32))
    fewer.info = fewer.info.with_(bands=cube.info.bands.take(kept))
    own, other = (layers_of(made.bind({"cube": each.info}), each, None, "map")["map"][0] for each in (cube, fewer))
    assert "from 11 of its 11 good bands" in made.sensor_notice(fewer.info) and not made.sensor_notice(cube.info)
    assert (own == other)[own > 0].mean() > 0.9


def test_a_scene_of_another_sensor_is_given_to_the_encoder_as_the_models_own_bands(base: Path) -> None:
    cube, _ = scene()
    made, other = model(base, "lda"), as_sensor(cube, CENTRES, WIDTHS)
    assert isinstance(made.basis, SeenBands)
    scale = scene_scale(other, made.basis.match(other.info), run_with())
    standardised, bands = view_of(made.basis, made.arrays, other.info).taken(scale)
    np.testing.assert_array_equal(bands.wavelength.numpy(), cube.info.bands.wavelength)
    estimate = band_estimate(made.basis.change_to(other.info), made.arrays["scene_mean"], made.arrays["scene_covariance"])
    values = torch.from_numpy(other.values)
    wanted = np.tensordot(estimate, scale.standardised(values).numpy().astype(np.float64), 1)
    np.testing.assert_allclose(standardised(values).numpy(), wanted, atol=1e-5)
    # And the map is made of it: what is estimated as 0 says nothing of any pixel.
    with mock.patch.object(encoder_views, "band_estimate", lambda *given: np.zeros_like(estimate)):
        blind = layers_of(made.with_options(extras=("probabilities",)).bind({"cube": other.info}), other, None, "map", "probabilities")
    seen = blind["map"][0] > 0
    assert len(np.unique(blind["map"][0][seen])) == 1


def test_a_model_of_an_older_release_maps_its_own_sensor_alone(base: Path) -> None:
    cube, truth = scene()
    arrays, facts = model(base, "lda").state()
    older = EncoderClassifier.from_state({name: value for name, value in arrays.items() if not name.startswith("scene_")}, facts)
    assert older.bind({"cube": cube.info}).stages
    other = as_sensor(cube, CENTRES, WIDTHS)
    with pytest.raises(ModelError, match="no counterpart"):
        older.bind({"cube": other.info})
    statistics = gather_transfer([labelled(cube, truth, 15)])
    assert statistics is not None and isinstance(AnySensor(older, statistics).for_scene(other.info), MarginalLda)


def test_the_order_of_a_folder_with_statistics_is_the_model_itself_first(base: Path) -> None:
    cube, _ = scene()
    notes: list[str] = []
    progress = mock.Mock(note=notes.append)
    statistics = gather_transfer([labelled(cube, scene()[1], 15)])
    assert statistics is not None
    both = AnySensor(model(base, "lda"), statistics, progress=progress)
    other = as_sensor(cube, CENTRES, WIDTHS)
    assert both.for_scene(other.info) is both.own
    assert len(notes) == 1 and "these are estimated from" in notes[0]
    both.for_scene(cube.info)
    assert len(notes) == 1


def test_a_sensor_that_sees_too_little_or_another_quantity_is_refused(base: Path) -> None:
    cube, _ = scene()
    few = cube.info.with_(bands=Bands(np.array([600.0, 900.0]), np.full(2, 99.0), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match=r"2 of its 2 good bands lie where .*visible"):
        model(base, "lda").bind({"cube": few})
    with pytest.raises(ModelError, match="values are radiance"):
        model(base, "lda").bind({"cube": cube.info.with_(quantity="radiance")})


def test_shares_of_ranges_are_counted_by_the_models_bands() -> None:
    centres = np.arange(500.0, 1500.0, 50.0)
    basis = SeenBands("toy", "dn", Bands(centres, np.full(20, 50.0), np.ones(20, bool), tuple(f"b{c:g}" for c in centres)))
    cube, _ = scene()
    other = cube.info.with_(bands=Bands(np.array([600.0, 800.0]), np.full(2, 60.0), np.ones(2, bool), ("a", "b")), sensor="")
    seen = basis.change_to(other).seen
    distance = np.abs(centres[:, None] - [600.0, 800.0]).min(1)
    assert seen[distance < 30].all() and not seen[distance > 120].any()
    assert "short-wave infrared up to 1800 nm 0%" in basis.notice(other)
    assert "beyond" not in basis.notice(other)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"base": Path("b")}, "as a string"),
     ({"base": "b", "head": "svm"}, "'svm' is none of lda"), ({"base": "b", "width": 4}, "odd"), ({"base": "b", "depth": 3}, "no such training"),
     ({"base": "b", "rank": 2}, "no rank of the head 'lda'"), ({"base": "b", "head": "lora", "rank": 0}, "no rank")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        parse_settings(options)


def test_the_head_is_a_discriminant_unless_another_is_named() -> None:
    assert parse_settings({"base": "b"})["head"] == "lda"


def test_hsikits_own_base_serves_where_none_is_named() -> None:
    cube, truth = scene()
    made = EncoderClassifier.train([labelled(cube, truth, 15)], run=run_with())
    assert made.settings["base"] == {"name": "simulated", "weights": read_base_facts(SHIPPED)["weights"]}
    found = layers_of(made.bind({"cube": cube.info}), cube, None, "map")["map"][0]
    known = (truth > 0) & (found > 0)
    assert (found == truth)[known].mean() > 0.8


def test_bases_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    marked = [labelled(*scene(), 5)]
    random = save_base(tmp_path / "random", build_encoder("tiny", channels=(16,), depths=(1,), width=16), {})
    wide = small_base(tmp_path / "wide", mixers=(("channel",),))
    for folder, match in ((random, "not pretrained"), (wide, "sees the whole map.*Pretrain the preset base"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ModelError, match=match):
            EncoderClassifier.train(marked, run=run_with(), base=str(folder))


def test_damaged_models_are_refused(base: Path) -> None:
    arrays, facts = model(base, "lora").state()
    name = next(name for name in arrays if name.startswith("base.stages"))
    cases = [
        ({key: value for key, value in arrays.items() if key != name}, facts),
        ({key: value for key, value in arrays.items() if not key.startswith("adapter.")}, facts),
        ({**arrays, "head.weight": arrays["head.weight"][:, 1:]}, facts),
        ({**arrays, "scene_covariance": arrays["scene_covariance"][1:]}, facts),
        (arrays, {**facts, "options": {**facts["options"], "width": 2}}),
        (arrays, {**facts, "options": {**facts["options"], "head": "other"}}),
    ]
    for damaged, told in cases:
        with pytest.raises(ValueError, match=r"fit|features|sense"):
            EncoderClassifier.from_state(damaged, told)


def test_chips_hold_each_label_once_and_what_the_scene_holds_around_it() -> None:
    cube, truth = scene()
    marked = labelled(cube, truth, 12)
    samples, halo = training_samples([marked]), 3
    scale = scene_scale(cube, samples.basis.match(cube.info), run_with())
    chips = chips_of([marked], samples, {id(cube): scale}, halo, seed=0)
    placed = chips.codes >= 0
    assert int(placed.sum()) == len(samples.codes)
    assert int(chips.held.sum()) == sum(int((samples.targets == k).sum()) // 5 for k in range(3))
    edge = torch.ones_like(placed)
    edge[:, halo:-halo, halo:-halo] = False
    assert not (placed & edge).any()
    standardised = scale.standardised(torch.from_numpy(samples.spectra)[:, :, None, None])[:, :, 0, 0]
    mine, theirs = chips.values.permute(0, 2, 3, 1)[placed].numpy(), standardised.numpy()
    order, wanted = np.lexsort(mine.T), np.lexsort(theirs.T)
    np.testing.assert_allclose(mine[order], theirs[wanted], atol=1e-5)
    np.testing.assert_array_equal(chips.codes[placed].numpy()[order], samples.targets[wanted])
    assert (chips.values.permute(0, 2, 3, 1)[~chips.usable] == 0).all()


def test_labels_are_thinned_until_their_chips_fit() -> None:
    samples = training_samples([labelled(*scene(), 20)])
    assert affordable(samples, 2, 0) is samples
    side = 2 * (CHIP_RADIUS + 2) + 1
    with mock.patch.object(encoder_tuning, "CHIP_BYTES", 4 * 15 * side**2 * 6):
        fewer = affordable(samples, 2, 0)
    assert 0 < len(fewer.codes) < len(samples.codes)
    assert set(fewer.codes) == set(samples.codes)
