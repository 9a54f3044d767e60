"""Tiny ENVI scenes, in any interleave, type, byte order and header offset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

CODES = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13, "i8": 14, "u8": 15}
AXES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def braces(values: Any) -> str:
    return "{" + ", ".join(str(value) for value in values) + "}"


def write_envi(header: Path, cube: np.ndarray, interleave: str = "bsq", byte_order: int = 0, offset: int = 0, suffix: str = ".img", **fields: Any) -> Path:
    """Writes a (bands, rows, cols) cube; `fields` are header parameters with `_` for a space, lists in braces; None leaves one out."""
    bands, rows, cols = cube.shape
    told: dict[str, Any] = {
        "samples": cols,
        "lines": rows,
        "bands": bands,
        "header offset": offset,
        "file type": "ENVI Standard",
        "data type": CODES[cube.dtype.str[1:]],
        "interleave": interleave,
        "byte order": byte_order,
        "wavelength units": "Nanometers",
        "wavelength": list(np.linspace(450, 2400, bands).round(3)),
    }
    told.update({key.replace("_", " "): value for key, value in fields.items()})
    lines = [f"{key} = {braces(value) if isinstance(value, (list, tuple)) else value}" for key, value in told.items() if value is not None]
    header.write_text("ENVI\n" + "\n".join(lines) + "\n", encoding="utf-8")
    stored = np.ascontiguousarray(cube.transpose(AXES[interleave])).astype(cube.dtype.newbyteorder("<>"[byte_order]))
    header.with_suffix(suffix).write_bytes(b"\xab" * offset + stored.tobytes())
    return header
