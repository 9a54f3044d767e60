"""Snapshots of a training run: state dicts as safetensors, one file for each of the last epochs, written beside and then renamed.

The header says which run a file belongs to, and holds a checksum of all numbers, so that a damaged file is known as such.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hsikit.errors import OutputError, RunError

KEPT = 2
"""Snapshots that are kept: the last, and the one before should the last be damaged."""

_NAME = re.compile(r"epoch-(\d{6,})\.safetensors")


@dataclass(frozen=True)
class Snapshot:
    """The state of a run after an epoch.

    Attributes:
        epoch: number of epochs done.
        tensors: state dicts by prefix, on the CPU: `model.`, `best.`, `optimizer.`.
        record: losses so far and what else JSON can say.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any] = field(default_factory=dict)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A checksum of names, types, shapes and values."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        whole = tensor.detach().cpu().contiguous()
        total.update(f"{name} {whole.dtype} {tuple(whole.shape)};".encode())
        total.update(whole.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def save_snapshot(folder: Path, identity: str, snapshot: Snapshot) -> None:
    """Writes a snapshot and removes all but the last two.

    Args:
        folder: made where it is missing.
        identity: tells this run from others.
        snapshot: what is kept.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
    record = json.dumps(dict(snapshot.record))
    facts = {"run": identity, "epoch": str(snapshot.epoch), "record": record, "digest": _seal(tensors, record)}
    path = folder / f"epoch-{snapshot.epoch:06d}.safetensors"
    beside = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(save(tensors, facts))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        for older in _files(folder)[KEPT:]:
            older.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(path, f"the state of the training could not be written ({error.strerror})", "Make room, or choose another folder") from error


def load_snapshot(folder: Path, identity: str) -> tuple[Snapshot | None, list[str]]:
    """The last whole snapshot of a run.

    Args:
        folder: may be missing or empty.
        identity: tells this run from others.

    Returns:
        The snapshot, or None where there is none; and a note on each damaged file that was passed over.

    Raises:
        RunError: the folder holds another run.
    """
    notes: list[str] = []
    for path in _files(folder):
        found = _read(path)
        if found is None:
            notes.append(f"{path} is damaged and was not used")
            continue
        run, snapshot = found
        if run != identity:
            raise RunError(folder, "holds the training of other data or with other options", "Choose another folder, or remove this one")
        return snapshot, notes
    return None, notes


def _files(folder: Path) -> list[Path]:
    """Snapshots, the last first."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _read(path: Path) -> tuple[str, Snapshot] | None:
    """The run's identity and the snapshot, or None where the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- the file is no mapping
        if facts["digest"] != _seal(tensors, facts["record"]):
            return None
        return facts["run"], Snapshot(int(facts["epoch"]), tensors, json.loads(facts["record"]))
    except (SafetensorError, KeyError, ValueError, OSError):
        return None


def _seal(tensors: Mapping[str, Tensor], record: str) -> str:
    return hashlib.blake2b((digest(tensors) + record).encode(), digest_size=16).hexdigest()
