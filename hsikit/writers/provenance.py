"""What a product says of its making: inputs, model, parameters, version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsikit.writers.failures import writing


@dataclass(frozen=True)
class Provenance:
    """How a product came to be.

    Attributes:
        method: the method's name.
        inputs: name of each input by role, as the user gave it.
        model: the model that was used, or "".
        parameters: options and other facts, JSON-able.
        version: of hsikit.
        notices: what the user was told.
    """

    method: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; what is empty is left out."""
        facts = {
            "method": self.method, "inputs": dict(self.inputs), "model": self.model, "parameters": dict(self.parameters),
            "version": self.version, "notices": list(self.notices),
        }  # fmt: skip
        return {key: value for key, value in facts.items() if value}


def write_provenance(path: Path, provenance: Provenance, files: Sequence[str] = ()) -> list[Path]:
    """Writes a plain JSON file for products that have no place on the ground, and so can have no STAC item.

    Args:
        path: the file to make.
        provenance: how the products came to be.
        files: names of the products, as they will lie beside `path`.

    Returns:
        The file.

    Raises:
        OutputError: the disk does not take it.
    """
    facts = {"software": "hsikit", **provenance.to_json(), "files": list(files), "georeferenced": False}
    write_json(path, facts)
    return [path]


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes readable JSON; NaN and infinity, which JSON does not know, as text."""
    with writing(path):
        path.write_text(json.dumps(legal(facts), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def legal(value: Any) -> Any:
    """A value as JSON can hold it: NumPy's scalars and arrays as Python's, paths as text, no NaN."""
    if isinstance(value, Mapping):
        return {str(key): legal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [legal(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if hasattr(value, "tolist"):
        return legal(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
