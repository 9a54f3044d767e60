"""Model folders: `model.safetensors` (arrays) and `model.json` (everything a person may want to read).

A network that was tuned by adapters also leaves these by themselves, as PEFT reads them: `adapter/adapter_model.safetensors` and
`adapter/adapter_config.json`. Nothing here reads them again: the arrays hold the tuned weights.

Nothing is ever unpickled: arrays are read by safetensors, whose header cannot carry code, and facts by JSON. A folder is
written beside its place and put there by `hsikit.writers.commit`, so that a broken write leaves no half model; what a killed
one leaves is cleared away, and an older model brought back, before the next.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import MethodError, ModelError, OutputError

if TYPE_CHECKING:
    from hsikit.method import Method

FORMAT = 1
FACTS, ARRAYS, STAGED = "model.json", "model.safetensors", ".new"
ADAPTER, ADAPTER_ARRAYS, ADAPTER_FACTS = "adapter", "adapter_model.safetensors", "adapter_config.json"
_PARTS = {"training": "record/", "transfer": "transfer/"}
"""What stands beside the method in its folder: the name of its facts, and what the names of its arrays begin with."""
Arrays = Mapping[str, NDArray[Any]]


class Stateful(Protocol):
    """What can be kept in a model folder: arrays, and JSON-able facts."""

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays by name, and facts."""
        ...


class Restorable(Stateful, Protocol):
    """What can be made again from them."""

    @classmethod
    def from_state(cls, arrays: Arrays, facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`; ValueError, KeyError or TypeError where they do not fit together."""
        ...


R = TypeVar("R", bound=Restorable)


def check_target(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Checks, before any work, that a model folder can be written.

    Raises:
        OutputError: it exists (without `overwrite`, or is no model folder), or the folder it goes into is missing or read-only.
    """
    from hsikit.writers import check_target as check

    folder = Path(folder)
    _recover(folder)
    if folder.exists() and overwrite and not (folder / FACTS).is_file():
        raise OutputError(folder, f"it is no model folder (no {FACTS} in it), so it is not overwritten", "Choose another name")
    check(folder, overwrite)
    return folder


def save_method(method: Any, folder: str | Path, *, record: Stateful | None = None, transfer: Stateful | None = None, licence: str = "",
                overwrite: bool = False) -> Path:  # fmt: skip
    """Writes a model folder.

    Args:
        method: one with `name` and `state()`; where it has an `adapter()` that is not None (tensors and configuration in PEFT's
            layout), that is written too.
        folder: where; its parent must exist.
        record: how it was trained: split, scores, pixels used.
        transfer: what other sensors need of its training.
        licence: of the model, as text.
        overwrite: whether an older model there may be replaced.

    Raises:
        OutputError: see `check_target`; or the disk is full.
    """
    from hsikit.writers import commit

    folder = check_target(folder, overwrite=overwrite)
    arrays, facts = method.state()
    document: dict[str, Any] = {"format": FORMAT, "method": method.name, "hsikit": _version(), "licence": licence, **facts}
    for part, held in (("training", record), ("transfer", transfer)):
        if held is not None:
            kept, document[part] = held.state()
            arrays |= {_PARTS[part] + key: value for key, value in kept.items()}
    adapter = method.adapter() if hasattr(method, "adapter") else None
    beside = folder.absolute().parent / f".{folder.name}.{os.getpid()}{STAGED}"
    try:
        _write(beside, document, arrays)
        if adapter is not None:
            _write_adapter(beside / ADAPTER, *adapter)
        commit([(beside, folder)])
    except OSError as error:
        raise OutputError(folder, f"it cannot be written: {error.strerror or error}", "Check the free space and the permissions") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def load_method(folder: str | Path) -> Method:
    """A trained method out of its folder.

    Raises:
        ModelError: the folder or a file in it is missing, cut short, not what it should be, of a newer format, or of a method
            that is not installed.
    """
    folder = Path(folder)
    facts, arrays = read_folder(folder)
    loaded: Restorable = _restored(_method_class(folder, facts), {k: v for k, v in arrays.items() if not k.startswith(tuple(_PARTS.values()))}, facts, folder)
    return loaded  # type: ignore[return-value]


def load_record(folder: str | Path, kind: type[R]) -> R | None:
    """How the model in a folder was trained, as a `kind` (a `TrainingRecord`); None where the folder does not say.

    Raises:
        ModelError: as `load_method`.
    """
    return _load_part(Path(folder), kind, "training")


def load_transfer(folder: str | Path, kind: type[R]) -> R | None:
    """What a model folder keeps for other sensors, as a `kind` (a `Transfer`); None where it keeps nothing.

    Raises:
        ModelError: as `load_method`.
    """
    return _load_part(Path(folder), kind, "transfer")


def _load_part(folder: Path, kind: type[R], part: str) -> R | None:
    facts, arrays = read_folder(folder)
    if part not in facts:
        return None
    prefix = _PARTS[part]
    return _restored(kind, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}, facts[part], folder)


def read_folder(folder: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a model folder, as they stand there.

    Raises:
        ModelError: see `load_method`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(folder, "it is a file, not a model folder" if folder.exists() else "there is no such model folder", "Train one with `hsikit train`")
    facts = _read_facts(folder / FACTS)
    return facts, _read_arrays(folder / ARRAYS)


def _read_facts(path: Path) -> dict[str, Any]:
    advice = "Copy the model folder again, or train the model anew"
    if not path.is_file():
        raise ModelError(path, "a model folder without this file is none", advice)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ModelError(path, f"it is not whole JSON ({error})", advice) from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int) or not isinstance(facts.get("method"), str):
        raise ModelError(path, "it names no format and method", advice)
    if facts["format"] > FORMAT:
        raise ModelError(path, f"its format {facts['format']} is newer than this hsikit, which reads up to {FORMAT}", "Install a newer hsikit")
    return facts


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    advice = "Copy the model folder again, or train the model anew"
    if not path.is_file():
        raise ModelError(path, "a model folder without this file is none", advice)
    try:
        return dict(load_file(path))
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(path, f"it is not a whole safetensors file ({error}); other kinds of weights are never opened", advice) from error


def _method_class(folder: Path, facts: Mapping[str, Any]) -> type[Restorable]:
    from hsikit.registry import load_class

    try:
        found = load_class(facts["method"])
    except MethodError as error:
        raise ModelError(folder / FACTS, f"its method {facts['method']!r} is not installed", error.advice) from error
    if not hasattr(found, "from_state"):
        raise ModelError(folder / FACTS, f"its method {facts['method']!r} is none that learns")
    return found


def _restored(kind: type[R], arrays: Arrays, facts: Mapping[str, Any], folder: Path) -> R:
    try:
        return kind.from_state(arrays, facts)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(folder, f"{FACTS} and {ARRAYS} do not fit together: {what}", "Copy the model folder again, or train the model anew") from error


def _write(beside: Path, document: Mapping[str, Any], arrays: Arrays) -> None:
    beside.mkdir()
    _write_arrays(beside / ARRAYS, arrays)
    _write_json(beside / FACTS, document)


def _write_adapter(folder: Path, tensors: Arrays, config: Mapping[str, Any]) -> None:
    folder.mkdir()
    _write_arrays(folder / ADAPTER_ARRAYS, tensors)
    _write_json(folder / ADAPTER_FACTS, config)


def _write_arrays(path: Path, arrays: Arrays) -> None:
    from safetensors.numpy import save_file

    # Safetensors takes an array's memory as it lies: a transposed view would be stored scrambled.
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _recover(folder: Path) -> None:
    """Brings an older model back, or clears away what is left of it, where a process was killed while it saved."""
    from hsikit.writers import undo

    for beside in _abandoned(folder):
        undo([(beside, folder)])
        for left in (beside, beside.with_name(f"{beside.name}.older")):
            shutil.rmtree(left, ignore_errors=True)


def _abandoned(folder: Path) -> Iterator[Path]:
    """Staged paths of saves to this folder whose processes are gone."""
    from hsikit.writers.staging import process_runs

    pattern = re.compile(rf"(\.{re.escape(folder.name)}\.(\d+){re.escape(STAGED)})(\.older)?")
    try:
        names = sorted(path.name for path in folder.absolute().parent.iterdir())
    except OSError:
        return
    for staged, process in dict.fromkeys((match[1], int(match[2])) for name in names if (match := pattern.fullmatch(name))):
        if process == os.getpid() or not process_runs(process):
            yield folder.absolute().parent / staged


def _version() -> str:
    try:
        return version("hsikit")
    except PackageNotFoundError:
        return "unknown"
