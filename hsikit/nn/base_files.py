"""Base folders: a pretrained encoder as `base.safetensors` (weights) and `base.json` (its options, what it was trained on, its limits).

Nothing is ever unpickled. `base.json` names a checksum of the weights, so that a folder with halves of two bases is known as such.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from hsikit.errors import ModelError, OptionError, OutputError
from hsikit.nn.body import require_halo
from hsikit.nn.encoder import EXACT, Encoder
from hsikit.nn.lora import is_pretrained
from hsikit.nn.snapshots import digest

FORMAT = 1
FACTS, WEIGHTS = "base.json", "base.safetensors"
SHIPPED = Path(__file__).parent / "bases" / "simulated"
"""The base that comes with hsikit: `configs/base.toml` makes it, and docs/base.md says what it is and what it is worth."""


def save_base(folder: str | Path, encoder: Encoder, about: Mapping[str, Any]) -> Path:
    """Writes a base folder: beside its place, then renamed.

    Args:
        folder: where; must not exist, its parent must.
        encoder: marked as pretrained or not: the mark is kept with the weights.
        about: recipe, licence, data, limits: JSON values.

    Returns:
        The folder.

    Raises:
        OutputError: the folder exists, or cannot be written.
        ValueError: `about` holds what JSON cannot say.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    if folder.exists():
        raise OutputError(folder, "exists already", "Choose another name")
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in encoder.state_dict().items()}
    document = {"format": FORMAT, "config": encoder.config(), "weights": digest(tensors), "about": dict(about)}
    try:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    except TypeError as error:
        raise ValueError(f"what is said about a base must be JSON values ({error})") from error
    beside = folder.absolute().parent / f".{folder.name}.{os.getpid()}.new"
    try:
        beside.mkdir()
        save_file(tensors, beside / WEIGHTS)
        (beside / FACTS).write_text(text, encoding="utf-8")
        beside.rename(folder)
    except OSError as error:
        raise OutputError(folder, f"it cannot be written ({error.strerror or error})", "Check its folder, the free space and the permissions") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def load_base(folder: str | Path) -> Encoder:
    """The encoder of a base folder, in evaluation mode, on the CPU.

    Raises:
        ModelError: the folder or a file in it is missing, damaged, of a newer format, or not of one base.
    """
    folder = Path(folder)
    document = read_base_facts(folder)
    try:
        encoder = Encoder.from_config(document["config"])
    except (OptionError, KeyError, TypeError) as error:
        raise ModelError(folder / FACTS, f"its encoder cannot be built ({error})", "Use the file as hsikit wrote it") from error
    tensors = _read_weights(folder / WEIGHTS)
    if digest(tensors) != document.get("weights"):
        raise ModelError(folder / WEIGHTS, f"it does not hold the weights that {FACTS} describes", "Get the folder again, both files from one place")
    try:
        encoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(folder / WEIGHTS, "its weights do not fit the encoder of its options", "Get the folder again") from error
    return encoder.eval()


def load_body(folder: str | Path) -> Encoder:
    """The encoder of a base folder as the body of a task.

    Raises:
        ModelError: see `load_base`; or it has learned nothing, or no halo makes its maps in tiles those of one pass.
    """
    encoder = load_base(folder)
    if not is_pretrained(encoder):
        raise ModelError(folder, "its encoder is not pretrained: its features are random", "Pretrain it with `hsikit pretrain`")
    try:
        require_halo(encoder)
    except ValueError as error:
        raise ModelError(folder, str(error), f"Pretrain the preset {', '.join(EXACT[:-1])} or {EXACT[-1]}") from error
    return encoder


def read_base_facts(folder: str | Path) -> dict[str, Any]:
    """What `base.json` says: `config`, `weights` (checksum) and `about`.

    Raises:
        ModelError: it is missing, no JSON, or of a newer format.
    """
    path = Path(folder) / FACTS
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(path, f"it cannot be read ({error.strerror})", "Name a folder that `hsikit pretrain` wrote") from error
    except ValueError as error:
        raise ModelError(path, f"it is not JSON ({error})", "Get the folder again") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelError(path, f"it is no base folder of format {FORMAT}", "Name another folder, or update hsikit")
    return document


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except OSError as error:
        raise ModelError(path, f"it cannot be read ({error.strerror or error})", "Get the folder again") from error
    except SafetensorError as error:
        raise ModelError(path, f"it is not a whole safetensors file ({error})", "Get the folder again; other kinds of weights are never opened") from error
