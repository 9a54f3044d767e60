"""Training of any module that has a `loss`, with Lightning: early stopping, mixed precision on CUDA, and resuming to the bit.

A module is given as `loss(batch, generator) -> Tensor`: the batch is a row of each array, all that is random comes from the
generator. The order of the batches and the generator follow from (seed, epoch, step), and the learning rate from the step, so
that a run that was killed and is started again with the same arguments ends, on a CPU, with the same weights to the bit.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hsikit.errors import OptionError
from hsikit.nn.lora import CyclicScale, lora_layers, set_scale
from hsikit.nn.snapshots import Snapshot, digest, load_snapshot

Progress = Callable[[int, int, str], None]
"""Told (steps done, steps in all, where the training is) after each step, and (0, 0, note) of damaged snapshots."""

Schedule = Literal["cosine", "constant"]

ORDER, TRAINING, VALIDATION = range(3)
"""What a seed is for."""


@dataclass(frozen=True)
class History:
    """What happened in a training run.

    Attributes:
        losses: mean training loss of each epoch.
        validation: loss on the validation part after each epoch; empty where there was none.
        best_epoch: number of epochs after which the validation loss was lowest, whose weights the module has; the last without
            validation.
        stopped: whether the patience ended it.
        resumed_after: epochs that an earlier, unfinished run had done.
        notes: what the user should be told, such as damaged snapshots.
    """

    losses: tuple[float, ...]
    validation: tuple[float, ...] = ()
    best_epoch: int = 0
    stopped: bool = False
    resumed_after: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How a module is trained: the numbers of `fit`, checked.

    Raises:
        OptionError: a number out of range.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    schedule: Schedule
    seed: int
    clip: float
    patience: int | None
    cyclic: CyclicScale | None
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(name, f"{value} is not a whole number of 1 or more")
        for name, least in (("lr", "above 0"), ("clip", "above 0"), ("weight_decay", "0 or more")):
            value = getattr(self, name)
            if not (math.isfinite(value) and (value > 0 or (value == 0 and least == "0 or more"))):
                raise OptionError(name, f"{value} is not a number {least}")
        if self.seed < 0:
            raise OptionError("seed", f"{self.seed} is below 0")
        if self.schedule not in ("cosine", "constant"):
            raise OptionError("schedule", f"'{self.schedule}' is neither cosine nor constant")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at a step of so many in all."""
        return self.lr * (1 + math.cos(math.pi * step / steps)) / 2 if self.schedule == "cosine" else self.lr

    def random(self, purpose: int, epoch: int = 0, step: int = 0) -> int:
        """A seed for one purpose at one place of the run."""
        return int(np.random.SeedSequence((self.seed, purpose, epoch, step)).generate_state(1, np.uint64)[0])


@dataclass
class State:
    """What a run has reached; all of it goes into a snapshot.

    Attributes:
        epoch: number of epochs done.
        losses: see `History`.
        validation: see `History`.
        best_epoch: see `History`.
        best: the module's state dict at that epoch; empty without validation.
        optimizer: states of the optimiser's parameters, by "<number>.<name>".
        stopped: see `History`.
    """

    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    stopped: bool = False

    def snapshot(self, module: nn.Module) -> Snapshot:
        """This state and the module's weights."""
        parts = {"model": module.state_dict(), "best": self.best, "optimizer": self.optimizer}
        tensors = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
        record = {name: getattr(self, name) for name in ("losses", "validation", "best_epoch", "stopped")}
        return Snapshot(self.epoch, tensors, record)

    @classmethod
    def restore(cls, snapshot: Snapshot, module: nn.Module) -> State:
        """The state of a snapshot; its weights go into the module."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, tensor in snapshot.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        module.load_state_dict(parts["model"])
        return cls(epoch=snapshot.epoch, best=parts["best"], optimizer=parts["optimizer"], **snapshot.record)


def fit(
    module: nn.Module,
    arrays: Sequence[Tensor],
    *,
    epochs: int,
    batch: int,
    lr: float,
    weight_decay: float = 0.01,
    schedule: Schedule = "cosine",
    seed: int = 0,
    clip: float = 1.0,
    device: str = "auto",
    folder: Path | None = None,
    patience: int | None = None,
    validation: Sequence[Tensor] | None = None,
    progress: Progress | None = None,
    cyclic: CyclicScale | None = None,
    shares: Mapping[str, float] | None = None,
    about: Mapping[str, Any] | None = None,
) -> History:
    """Trains a module in place and leaves it in evaluation mode, on the device that it was on.

    Args:
        module: has `loss(batch, generator)`, a mean over the rows of the batch; parameters that need no gradient stay as they are.
        arrays: tensors on the CPU with a row for each sample; a batch has the same rows of each.
        epochs: passes over the data, at most.
        batch: samples of a step, at most.
        lr: highest learning rate of AdamW.
        weight_decay: of matrices; biases and normalisations have none.
        schedule: "cosine" lets the learning rate fall to zero at the last step, "constant" keeps it.
        seed: of all that is random.
        clip: longest gradient; longer ones are shortened to it.
        device: "auto" (CUDA where it is there), "cpu", "cuda" or "cuda:1". On CUDA the arithmetic is mixed with bfloat16.
        folder: where a snapshot is kept after each epoch, for resuming; none where None. The same call again goes on after the last
            whole snapshot, or returns at once where the training was finished.
        patience: epochs without a lower validation loss after which the training ends.
        validation: arrays like `arrays`. The module gets the weights of the epoch with the lowest loss on them.
        progress: who is told after each step.
        cyclic: how the adapters' strength moves from step to step; `cyclic.most` holds in validation and at the end.
        shares: of the learning rate, by parameter name, for parameters that have not all of it (`hsikit.nn.layer_decay`).
        about: options of the module that its weights do not show, as JSON values: snapshots of a run with others are not gone on with.

    Raises:
        OptionError: an option out of range, no such device, or a loss that is no longer finite.
        RunError: the folder holds another run.
        OutputError: a snapshot could not be written.
        ValueError: arrays that are empty, of several lengths, or not finite; no parameter to train, or merged adapters; no adapter
            for `cyclic`.
    """
    plan = Plan(epochs, batch, lr, weight_decay, schedule, seed, clip, patience, cyclic, dict(shares or {}))
    target = choose_device(device)
    check_arrays(module, arrays, validation, patience)
    identity = _identity(module, arrays, validation, plan, about or {})
    state = State()
    notes: list[str] = []
    if folder is not None:
        found, notes = load_snapshot(folder, identity)
        state = State.restore(found, module) if found else state
        notes += [f"training goes on after epoch {state.epoch}" if found else "training starts from the beginning"] if notes else []
    _tell(notes, progress)
    resumed_after = state.epoch
    if state.epoch < epochs and not state.stopped:
        from hsikit.nn.lightning_loop import train

        train(module, arrays, validation, plan, state, target, folder, identity, progress)
    if state.best:
        module.load_state_dict(state.best)
    if cyclic is not None:
        set_scale(module, cyclic.most)
    module.eval()
    return History(tuple(state.losses), tuple(state.validation), state.best_epoch, state.stopped, resumed_after, tuple(notes))


def _tell(notes: Sequence[str], progress: Progress | None) -> None:
    if notes and progress is None:
        warnings.warn("; ".join(notes), UserWarning, stacklevel=3)
    elif progress is not None:
        for note in notes:
            progress(0, 0, note)


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        OptionError: no such device, or none on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise OptionError("device", f"'{name}' is no device", "Give auto, cpu, cuda, or cuda:1")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError("device", f"{name} is not there: torch sees {torch.cuda.device_count()} CUDA devices", "Give cpu or auto")
    return device


def check_arrays(module: nn.Module, arrays: Sequence[Tensor], validation: Sequence[Tensor] | None, patience: int | None) -> None:
    """Raises ValueError or OptionError where `fit` could not start with these."""
    if patience is not None and validation is None:
        raise OptionError("patience", "needs a validation part to watch", "Give one, or no patience")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"no parameter of {type(module).__name__} learns")
    if any(layer.merged for layer in lora_layers(module).values()):
        raise ValueError("adapters are merged and would not learn; unmerge them first")
    for part, given in (("arrays", arrays), ("validation", validation)):
        if given is None:
            continue
        lengths = {len(array) for array in given}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"{part} of lengths {sorted(lengths)}: give tensors of one length, 1 or more")
        if any(array.is_floating_point() and not array.isfinite().all() for array in given):
            raise ValueError(f"{part} hold values that are not finite; leave those rows out")


def _identity(module: nn.Module, arrays: Sequence[Tensor], validation: Sequence[Tensor] | None, plan: Plan, about: Mapping[str, Any]) -> str:
    """Tells one run from another: data, options, and the module as it was given."""
    parts = {"arrays": arrays, "validation": validation or ()}
    data = {name: digest({str(number): array for number, array in enumerate(given)}) for name, given in parts.items()}
    learning = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    facts: dict[str, Any] = {
        "module": type(module).__name__,
        "weights": digest(module.state_dict()),
        "learning": learning,
        **data,
        **asdict(plan),
        **({"about": dict(about)} if about else {}),
    }
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
