"""What the options of the method `encoder` change, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from hsikit.tasks.classification import encoder_tuning
from hsikit.tasks.classification.encoder import EncoderClassifier
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
