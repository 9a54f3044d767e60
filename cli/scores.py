"""How scores are printed: beside their floors, and by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .console import say


def show_scores(name: str, scores: Mapping[str, Any], floors: Mapping[str, Mapping[str, Any]], names: Mapping[int, str]) -> None:
    """A table of overall, average accuracy and kappa beside the floors, then F1 by class."""
    rows = {name: scores, **{f"floor: {floor}": values for floor, values in floors.items()}}
    width = max(len(row) for row in rows)
    say(f"{'':<{width}}  overall  average    kappa")
    for row, values in rows.items():
        say(f"{row:<{width}}  {_number(values['overall'])}  {_number(values['average'])}  {_number(values['kappa'])}")
    width = max(len(names.get(code, str(code))) for code in scores["codes"])
    say(f"{'class':<{width}}       F1  pixels")
    for code, f1, support in zip(scores["codes"], scores["f1"], scores["support"], strict=True):
        say(f"{names.get(code, str(code)):<{width}}  {_number(f1)}  {support:>6}")


def show_confusion(scores: Mapping[str, Any], names: Mapping[int, str]) -> None:
    """The confusion matrix; rows are the reference."""
    width = max(len(names.get(code, str(code))) for code in scores["codes"])
    size = max(len(str(count)) for row in scores["confusion"] for count in row) + 1
    say("confusion (rows: reference, columns: map, in the same order)")
    for code, row in zip(scores["codes"], scores["confusion"], strict=True):
        say(f"{names.get(code, str(code)):<{width}} " + "".join(f"{count:>{size}}" for count in row))


def _number(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.3f}"
