"""Text files of one spectrum: lines in whatever encoding, and columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError

MOST_BYTES = 64 << 20
"""A text file of one spectrum is a few hundred kilobytes; more is no such file."""


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, UTF-8 or Latin.

    Raises:
        SceneError: it cannot be read, or is far too large for a spectrum.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SceneError(path, "is too large to be one spectrum")
        data = path.read_bytes()
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return data.decode("latin-1").splitlines()


def two_columns(path: Path, lines: Sequence[str]) -> NDArray[np.float64]:
    """Columns of numbers, at least two, shape (channels, columns); columns are parted by blanks, tabs, commas or semicolons.

    Raises:
        SceneError: a word where a number should be, rows of different length, or nothing.
    """
    rows = [line.replace(",", " ").replace(";", " ").split() for line in lines if line.strip()]
    if not rows or min(map(len, rows)) < 2:
        raise SceneError(path, "holds no columns of wavelength and value", "Fetch the file again")
    if len({len(row) for row in rows}) > 1:
        raise SceneError(path, "its rows of values differ in length: it is truncated or damaged", "Fetch the file again")
    try:
        return np.array(rows, np.float64)
    except ValueError as error:
        raise SceneError(path, f"holds words where numbers should be ({error})", "Fetch the file again") from None


def numbers(path: Path, lines: Sequence[str]) -> NDArray[np.float64]:
    """One column of numbers, shape (channels,).

    Raises:
        SceneError: a word where a number should be.
    """
    try:
        return np.array([float(line) for line in lines if line.strip()], np.float64)
    except ValueError as error:
        raise SceneError(path, f"holds words where numbers should be ({error})", "Fetch the file again") from None
