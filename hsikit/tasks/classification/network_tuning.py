"""Tuning a pretrained network on labels: a linear head, or low-rank adapters beside it (LoRA: Hu et al., 2021, arXiv:2106.09685)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.spectral_network import SpectralNetwork, fit_or_resume
from hsikit.tasks.telling import PARAMETERS, TUNED

if TYPE_CHECKING:
    from hsikit.train.labelled import LabelledScene

RANK, ALPHA, PERIOD = 8, 16.0, 40
"""Of the adapters, and steps of a cycle of their strength."""

TUNING: Mapping[str, Any] = {"epochs": 120, "batch": 64, "patience": 20}
RATES: Mapping[str, float] = {"linear": 1e-2, "lora": 2e-3, "scratch": 1e-3}
NOISE, SMOOTHING = 0.1, 0.05
HELD_OUT = 5
"""One label in so many of each class tells when to stop; classes with fewer labels give none."""


def tuned(
    scenes: Sequence[LabelledScene],
    samples: Samples,
    network: SpectralNetwork,
    settings: Mapping[str, Any],
    seed: int,
    folder: Path | None,
    tell: Callable[[int, int, str], None],
) -> tuple[dict[str, NDArray[Any]], dict[str, list[float]], dict[str, Any]]:
    """The arrays of a network that gives logits, with the adapter in PEFT's layout; losses by name; what is recorded beside the settings.

    That is how many parameters there are and learned, and the adapter's configuration.

    Args:
        scenes: see `PixelClassifier.train`.
        samples: their training pixels.
        network: as it learned without labels; it stays as it is.
        settings: `head` and `pretrain`.
        seed: of the head, the batches and the labels held out.
        folder: for snapshots.
        tell: told (steps done, steps in all, text).
    """
    import torch

    from hsikit.nn.adapter_files import adapter_config, adapter_state
    from hsikit.nn.lora import CyclicScale, merged_state
    from hsikit.nn.tuning import Classifier, adapt, balanced_weights, parameter_counts, probe

    inputs = network.scaled(torch.from_numpy(_inputs(scenes, samples, network)))
    targets, classes = torch.from_numpy(samples.targets.astype(np.int64)), len(samples.legend)
    torch.manual_seed(seed)
    encoder = network.on(torch.device("cpu")).encoder
    model = Classifier(encoder, classes, balanced_weights(targets, classes), smoothing=SMOOTHING, noise=NOISE)
    head = "scratch" if settings["pretrain"] == "none" else settings["head"]
    if head == "lora":
        adapt(model, RANK, ALPHA, targets=network.lora_targets)
    elif head == "linear":
        probe(model)
    counts = parameter_counts(model)
    held = held_out(samples.targets, seed)
    kept = torch.from_numpy(~held)
    validation = (inputs[~kept], targets[~kept]) if held.any() else None
    history = fit_or_resume(
        model, (inputs[kept], targets[kept]), lr=RATES[head], seed=seed, folder=folder, progress=tell, validation=validation,
        cyclic=CyclicScale(PERIOD) if head == "lora" else None, epochs=TUNING["epochs"], batch=TUNING["batch"],
        patience=TUNING["patience"] if validation is not None else None,
    )  # fmt: skip
    arrays = {_placed(name): tensor.numpy() for name, tensor in merged_state(model).items()}
    recorded: dict[str, Any] = {PARAMETERS: counts.total, TUNED: counts.learning}
    if head == "lora":
        recorded["adapter"] = adapter_config(model)
        arrays |= {f"adapter.{name}": tensor.numpy() for name, tensor in adapter_state(model).items()}
    losses = {"tuning": list(history.losses), **({"validation": list(history.validation)} if history.validation else {})}
    return arrays, losses, recorded


def held_out(targets: NDArray[np.intp], seed: int) -> NDArray[np.bool_]:
    """Which labels tell when to stop: one in five of each class, drawn at random."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(targets), bool)
    for target in np.unique(targets):
        mine = np.flatnonzero(targets == target)
        held[rng.permutation(mine)[: len(mine) // HELD_OUT]] = True
    return held


def _inputs(scenes: Sequence[LabelledScene], samples: Samples, network: SpectralNetwork) -> NDArray[np.float32]:
    out: NDArray[np.float32] | None = None
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene == number)
        bands = samples.basis.match(scene.source.info)
        part = network.inputs(scene.source, samples.rows[mine], samples.cols[mine], bands, samples.basis.bands.wavelength)
        out = np.empty((len(samples.codes), *part.shape[1:]), np.float32) if out is None else out
        out[mine] = part
    assert out is not None
    return out


def _placed(name: str) -> str:
    """The name in a model folder of a weight of `Classifier`."""
    return f"tuned.top.{name.removeprefix('head.')}" if name.startswith("head.") else f"tuned.{name}"
