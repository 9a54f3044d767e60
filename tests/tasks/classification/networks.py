"""Short trainings of `lola-specvit` and of networks for any sensor that their tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest import mock

import numpy as np

from hsikit.tasks.classification import network_tuning, sensor_lessons, spectral_network
from hsikit.tasks.classification.lola_specvit import LolaSpecVit
from hsikit.train.labelled import LabelledScene
from tests.tasks.classification.scenes import ArraySource, fields, labelled, run_with, source

STEPS, KEEP = 25, 0.05
USUAL = {"steps": STEPS, "keep": KEEP, "objects": "yes"}
"""Options unless a test gives others."""

ROWS, COLS, BANDS = 31, 34, 23
FEW_STEPS = {"INSTRUMENTS": 8, "WIENER_STEPS": 100, "WIENER_BATCH": 128, "STEPS": 100, "PARTS": 2, "PART": 32}


@contextmanager
def short(pretraining: int = 2, tuning: int = 8) -> Iterator[None]:
    """Trainings of so many epochs."""
    with ExitStack() as held:
        held.enter_context(mock.patch.object(spectral_network, "PRETRAINING", {**spectral_network.PRETRAINING, "epochs": pretraining}))
        held.enter_context(mock.patch.multiple(sensor_lessons, **FEW_STEPS))
        held.enter_context(mock.patch.object(network_tuning, "TUNING", {**network_tuning.TUNING, "epochs": tuning, "patience": 4}))
        yield


@cache
def small(bands: int = BANDS, holes: bool = True) -> tuple[ArraySource, np.ndarray]:
    """A scene of four classes and its truth."""
    values, truth = fields(ROWS, COLS, 4, bands, noise=1.0, holes=holes)
    return source(values), truth


def labels(per_class: int = 12, seed: int = 0, bands: int = BANDS, holes: bool = True) -> LabelledScene:
    scene, truth = small(bands, holes)
    return labelled(scene, truth, per_class, seed)


def train(scenes: list[LabelledScene] | None = None, *, epochs: tuple[int, int] = (2, 8), **options: Any) -> LolaSpecVit:
    """A model after short trainings."""
    with short(*epochs):
        return LolaSpecVit.train(scenes or [labels()], run=run_with(), **{**USUAL, **options})


@cache
def trained(pretrain: str = "object", head: str = "lda", normalise: str = "standardised", objects: str = "yes") -> LolaSpecVit:
    return train(pretrain=pretrain, head=head, normalise=normalise, objects=objects)
