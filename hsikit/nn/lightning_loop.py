"""The training loop of `fit`, run by Lightning without its files, bars and banners. Importing it imports Lightning."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from hsikit.errors import OptionError
from hsikit.nn.fit import ORDER, TRAINING, VALIDATION, Plan, Progress, State
from hsikit.nn.lora import set_scale
from hsikit.nn.optimizer_state import load_optimizer, optimizer_tensors
from hsikit.nn.snapshots import save_snapshot


def train(
    module: nn.Module,
    arrays: Sequence[Tensor],
    validation: Sequence[Tensor] | None,
    plan: Plan,
    state: State,
    device: torch.device,
    folder: Path | None,
    identity: str,
    progress: Progress | None,
) -> None:
    """Trains from `state` on to the end of the plan; module and state are changed in place. See `fit`."""
    home = next(module.parameters()).device
    loop = Training(module, arrays, validation, plan, state, folder, identity, progress)
    devices = [device.index or 0] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), _quiet(), _interruptible():
            trainer = Trainer(
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=devices or 1,
                precision="bf16-mixed" if device.type == "cuda" else "32-true",
                max_epochs=plan.epochs - state.epoch,
                gradient_clip_val=plan.clip,
                plugins=[LightningEnvironment()],  # otherwise a cluster's variables would be taken for a distributed run
                barebones=True,
            )
            trainer.fit(loop, range(loop.steps), range(loop.validation_steps) if validation is not None else None)
    finally:
        module.to(home)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's banners and advice; warnings of our own code pass."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|torch)\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C by ignoring it from then on and ending Python; in a notebook both would be wrong."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, before)
            raise stop.__context__ from None
        raise


class Training(LightningModule):
    """One run: index batches drawn by (seed, epoch), a generator for each step, a snapshot after each epoch."""

    def __init__(
        self,
        module: nn.Module,
        arrays: Sequence[Tensor],
        validation: Sequence[Tensor] | None,
        plan: Plan,
        state: State,
        folder: Path | None,
        identity: str,
        progress: Progress | None,
    ) -> None:
        super().__init__()
        self.module, self.arrays, self.validation_arrays = module, tuple(arrays), tuple(validation or ())
        self.plan, self.state, self.folder, self.identity, self.progress = plan, state, folder, identity, progress
        self.steps = -(-len(arrays[0]) // plan.batch)
        self.validation_steps = -(-len(self.validation_arrays[0]) // plan.batch) if validation is not None else 0
        self.batches: tuple[Tensor, ...] = ()
        self.total, self.validation_total = torch.zeros(()), torch.zeros(())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, without decay on vectors, with the states of an earlier run; parameters of one share of the rate are one group."""
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for matrices in (True, False):
            for name, parameter in self.module.named_parameters():
                if parameter.requires_grad and (parameter.dim() > 1) == matrices:
                    groups.setdefault((self.plan.shares.get(name, 1.0), matrices), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": part, "share": share, "weight_decay": self.plan.weight_decay * matrices} for (share, matrices), part in groups.items()], self.plan.lr
        )
        if self.state.optimizer:
            load_optimizer(optimizer, self.state.optimizer)
        return optimizer

    def on_train_epoch_start(self) -> None:
        """Draws the epoch's batches: of nearly equal sizes, so that none is left with a single sample."""
        self.module.train()
        draw = torch.Generator().manual_seed(self.plan.random(ORDER, self.state.epoch))
        self.batches = torch.randperm(len(self.arrays[0]), generator=draw).tensor_split(self.steps)
        self.total = torch.zeros((), device=self.device)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> None:
        """Sets what follows from the step alone: learning rate, adapters' strength, and torch's own seed (for dropout)."""
        step = self.state.epoch * self.steps + batch
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.plan.rate(step, self.plan.epochs * self.steps)
        if self.plan.cyclic is not None:
            set_scale(self.module, self.plan.cyclic.at(step))
        torch.manual_seed(self.plan.random(TRAINING, self.state.epoch, batch))

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The one optimiser."""
        found: torch.optim.Optimizer = self.trainer.optimizers[0]
        return found

    def training_step(self, batch: int) -> Tensor:
        """The loss of one batch."""
        rows = self.batches[batch]
        loss = self._loss(self.arrays, rows, self.plan.random(TRAINING, self.state.epoch, batch))
        self.total += loss.detach() * len(rows)
        return loss

    def _loss(self, arrays: Sequence[Tensor], rows: Tensor, seed: int) -> Tensor:
        batch = tuple(array[rows].to(self.device) for array in arrays)
        loss: Tensor = self.module.loss(batch, torch.Generator().manual_seed(seed))  # type: ignore[operator]
        return loss

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Tells of the step."""
        if self.progress is not None:
            last = f", loss {self.state.losses[-1]:.4g}" if self.state.losses else ""
            done = self.state.epoch * self.steps + batch + 1
            self.progress(done, self.plan.epochs * self.steps, f"epoch {self.state.epoch + 1} of {self.plan.epochs}{last}")

    def on_validation_epoch_start(self) -> None:
        """The module as it will be used: without dropout, with its adapters' full strength."""
        self.module.eval()
        if self.plan.cyclic is not None:
            set_scale(self.module, self.plan.cyclic.most)
        self.validation_total = torch.zeros((), device=self.device)

    def validation_step(self, batch: int) -> None:
        """Adds the loss of one batch; masks and noise are the same in each epoch."""
        rows = torch.arange(len(self.validation_arrays[0])).tensor_split(self.validation_steps)[batch]
        self.validation_total += self._loss(self.validation_arrays, rows, self.plan.random(VALIDATION, 0, batch)) * len(rows)

    def on_train_epoch_end(self) -> None:
        """Books the epoch, decides whether to stop, and writes a snapshot."""
        state = self.state
        state.losses.append(float(self.total) / len(self.arrays[0]))
        _refuse_astray(state.losses[-1], state.epoch + 1)
        state.epoch += 1
        if self.validation_arrays:
            self._watch(float(self.validation_total) / len(self.validation_arrays[0]))
        else:
            state.best_epoch = state.epoch
        if self.folder is not None:
            state.optimizer = optimizer_tensors(self.optimizer)
            save_snapshot(self.folder, self.identity, state.snapshot(self.module))

    def _watch(self, loss: float) -> None:
        """Keeps the best weights, and ends the training when patience is at its end."""
        state = self.state
        _refuse_astray(loss, state.epoch)
        if not state.validation or loss < min(state.validation):
            state.best_epoch = state.epoch
            state.best = {name: value.detach().to("cpu", copy=True) for name, value in self.module.state_dict().items()}
        state.validation.append(loss)
        if self.plan.patience is not None and state.epoch - state.best_epoch >= self.plan.patience:
            state.stopped = self.trainer.should_stop = True


def _refuse_astray(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise OptionError("lr", f"the training went astray in epoch {epoch}: its loss is no number any more", "Give a smaller learning rate")
