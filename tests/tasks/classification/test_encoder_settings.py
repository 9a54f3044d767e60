"""What the options of the method `encoder` change, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from hsikit.errors import OptionError
from hsikit.nn import dense_classifier
from hsikit.nn.band_sampling import sample_bands
from hsikit.nn.layer_decay import rate_shares
from hsikit.nn.lora import CyclicScale
from hsikit.tasks.classification import encoder_tuning
from hsikit.tasks.classification.encoder import EncoderClassifier, parse_settings
from hsikit.tasks.classification.network_tuning import PERIOD
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import ArraySource, fields, labelled, run_with, source


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with mock.patch.object(encoder_tuning, "TUNING", {**encoder_tuning.TUNING, "epochs": 3, "patience": 3}):
        yield


@cache
def scene() -> tuple[ArraySource, np.ndarray]:
    values, truth = fields(20, 19, 3, 15)
    return source(np.abs(values) + 1), truth


MODELS: dict[str, EncoderClassifier] = {}


def usual(base: Path, head: str) -> EncoderClassifier:
    if head not in MODELS:
        MODELS[head] = tuned(base, head)
    return MODELS[head]


def tuned(base: Path, head: str, **options: object) -> EncoderClassifier:
    return EncoderClassifier.train([labelled(*scene(), 15)], run=run_with(), base=str(base), head=head, **options)


def same(one: EncoderClassifier, other: EncoderClassifier) -> bool:
    return one.arrays.keys() == other.arrays.keys() and all(np.array_equal(value, other.arrays[name]) for name, value in one.arrays.items())


@pytest.mark.parametrize("head", ["lora", "dora", "adaptformer", "full"])
def test_a_seed_repeats_and_another_does_not(base: Path, head: str) -> None:
    torch.rand(3)
    assert same(tuned(base, head), usual(base, head))
    assert not same(tuned(base, head, seed=1), usual(base, head))


def test_rank_strength_and_layers_of_low_rank_adapters_are_the_users(base: Path) -> None:
    for head in ("lora", "dora"):
        given, made = usual(base, head).settings["adapter"], tuned(base, head, rank=2, alpha=3, targets="leave").settings
        assert (given["r"], given["lora_alpha"], len(given["target_modules"])) == (4, 8.0, 4)
        assert (made["adapter"]["r"], made["adapter"]["lora_alpha"]) == (2, 3.0) and (made["rank"], made["alpha"], made["targets"]) == (2, 3, "leave")
        assert made["adapter"]["target_modules"] == [f"encoder.stages.0.blocks.{i}.feed_forward.leave" for i in (0, 1)]
    assert tuned(base, "lora", rank=2).settings["adapter"]["lora_alpha"] == 4.0
    assert same(tuned(base, "lora", rank=4, alpha=8, targets="enter, feed_forward.leave"), usual(base, "lora"))


def test_layers_that_the_encoder_lacks_are_refused_before_any_work(base: Path) -> None:
    run = mock.Mock(side_effect=AssertionError)
    with pytest.raises(OptionError, match=r"targets: no linear layer of the encoder's stages is named qkv, fuse; there are enter, leave"):
        EncoderClassifier.train([labelled(*scene(), 15)], run=run, base=str(base), head="lora", targets="enter,qkv,fuse")


def test_a_cyclic_strength_moves_in_training_and_is_whole_at_the_end(base: Path) -> None:
    with mock.patch.object(CyclicScale, "at", autospec=True, side_effect=CyclicScale.at) as moved:
        made = tuned(base, "lora", cyclic=3)
    assert moved.call_args_list[0].args[0].period == 3 and made.settings["cyclic"] == 3
    assert made.settings["adapter"]["lora_alpha"] == 8.0 and not same(made, usual(base, "lora"))
    assert same(tuned(base, "lora", cyclic="no"), usual(base, "lora"))


def test_cycles_are_told_by_yes_and_no_or_by_their_steps() -> None:
    said = ("yes", True, 12, "no", False)
    assert [parse_settings({"head": "lora", "cyclic": value}).get("cyclic") for value in said] == [PERIOD, PERIOD, 12, None, None]


def test_the_width_of_perceptrons_is_the_users(base: Path) -> None:
    assert usual(base, "adaptformer").settings["adapter"]["hidden"] == 8
    assert tuned(base, "adaptformer", hidden=3).settings["adapter"]["hidden"] == 3


def test_the_decay_of_the_learning_rate_is_the_users(base: Path) -> None:
    with mock.patch("hsikit.nn.layer_decay.rate_shares", side_effect=rate_shares) as asked:
        slower = tuned(base, "full", decay=0.5)
    assert asked.call_args.args[1] == 0.5 and not same(slower, usual(base, "full"))
    assert same(tuned(base, "full", decay=0.8), usual(base, "full"))


@pytest.mark.parametrize("head", ["lora", "full"])
def test_bands_are_dropped_or_drawn(base: Path, head: str) -> None:
    with mock.patch.object(dense_classifier, "sample_bands", side_effect=sample_bands) as drawn:
        assert not same(tuned(base, head, bands="sample"), usual(base, head))
        steps = drawn.call_count
        assert steps > 0 and same(tuned(base, head, bands="drop"), usual(base, head)) and drawn.call_count == steps


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"head": "full", "alpha": 4}, "alpha: 4 is no alpha of the head 'full'"),
        ({"head": "dora", "alpha": 0}, "alpha: 0 "),
        ({"head": "lora", "alpha": "8"}, "alpha: '8' "),
        ({"head": "lora", "alpha": float("inf")}, "alpha: inf "),
        ({"head": "lora", "alpha": True}, "alpha: True "),
        ({"head": "adaptformer", "targets": "enter"}, "no targets of the head 'adaptformer'"),
        ({"head": "lora", "targets": "enter,,leave"}, "targets: 'enter,,leave' "),
        ({"head": "lora", "targets": ["enter"]}, "targets: .* with commas between them"),
        ({"head": "dora", "cyclic": "yes"}, "no cyclic of the head 'dora'"),
        ({"head": "lora", "cyclic": 1}, "cyclic: 1 "),
        ({"head": "lora", "cyclic": "often"}, "cyclic: 'often' .* Give yes, no, or"),
        ({"head": "lora", "hidden": 4}, "no hidden of the head 'lora'"),
        ({"head": "adaptformer", "hidden": 0}, "hidden: 0 "),
        ({"head": "adaptformer", "hidden": 2.5}, "hidden: 2.5 "),
        ({"head": "lora", "bands": "all"}, "bands: 'all' .* Give drop or sample"),
        ({"head": "linear", "bands": "sample"}, "no bands of the head 'linear'"),
        ({"decay": 0.5}, "no decay of the head 'lda'"),
        ({"head": "full", "decay": 0}, "decay: 0 "),
        ({"head": "full", "decay": 1.5}, "decay: 1.5 "),
    ],
)
def test_values_that_make_no_sense_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        parse_settings(options)
