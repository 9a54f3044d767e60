"""Tables as CSV: UTF-8, one header line, a point for decimals, nothing where a number is missing."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from hsikit.errors import OutputError
from hsikit.layers import Features
from hsikit.writers.failures import writing


def write_table(features: Features, path: Path) -> list[Path]:
    """Writes columns as a CSV file; points come first, as `x` and `y`.

    Args:
        features: columns of one length, and perhaps points.
        path: the file to make; its name ends in `.csv`.

    Returns:
        The file.

    Raises:
        OutputError: the name ends in something else, columns differ in length, or the disk does not take it.
    """
    require_csv(path)
    columns = columns_of(features, path)
    with writing(path), path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return [path]


def require_csv(path: Path) -> None:
    """Refuses a name that does not end in `.csv`.

    Raises:
        OutputError: it ends in something else.
    """
    if path.suffix.lower() != ".csv":
        raise OutputError(path, f"no table format ends in {path.suffix!r}", "Known is .csv")


def columns_of(features: Features, path: Path) -> dict[str, list[Any]]:
    """Columns as Python values, points as `x` and `y`.

    Raises:
        OutputError: columns differ in length, or one has the name of a coordinate; names `path`.
    """
    columns = {name: list(values.tolist()) for name, values in features.columns.items()}
    if features.points is not None:
        if {"x", "y"} & columns.keys():
            raise OutputError(path, "a column has the name of a coordinate, x or y", "Rename the column")
        columns = {"x": features.points[:, 0].tolist(), "y": features.points[:, 1].tolist(), **columns}
    if len({len(values) for values in columns.values()}) > 1:
        raise OutputError(path, f"columns differ in length: {', '.join(f'{n} has {len(v)}' for n, v in columns.items())}", "Give columns of one length")
    return columns


def _cell(value: Any) -> Any:
    """Floats in the fewest digits that give them back; nothing for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return value
