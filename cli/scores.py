"""How scores are printed: beside their floors, by class, and how far confidence may be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .console import say

if TYPE_CHECKING:
    from hsikit.metrics.bootstrap import Intervals
    from hsikit.metrics.scores import Scores

COLUMNS = {"overall": "overall", "average": "average", "macro_f1": "mean F1", "mean_iou": "mean IoU", "kappa": "kappa"}
"""Headings by attribute; kappa, which is no accuracy, comes last."""


def show_scores(name: str, scores: Scores, floors: Mapping[str, Scores], intervals: Intervals | None = None) -> None:
    """A table of scores beside the floors, with intervals below the method's."""
    rows = {name: scores, **{f"floor: {floor}": values for floor, values in floors.items()}}
    width = max(len("95 % interval"), *map(len, rows))
    say(f"{'':<{width}}" + "".join(f"{heading:>13}" for heading in COLUMNS.values()))
    for row, values in rows.items():
        say(f"{row:<{width}}" + "".join(_number(getattr(values, column), 13) for column in COLUMNS))
        if row == name and intervals is not None:
            say(f"{'95 % interval':<{width}}" + "".join(_limits(intervals.limits[column]) for column in COLUMNS))
    if intervals is not None:
        say(f"intervals: bootstrap over {intervals.groups} groups of pixels, {intervals.resamples} resamples")


def show_classes(scores: Scores, names: Mapping[int, str]) -> None:
    """A row for each class."""
    width = max(len("class"), *(len(names.get(code, str(code))) for code in scores.codes))
    say(f"{'class':<{width}}  pixels       F1      IoU  producer's   user's")
    for k, code in enumerate(scores.codes):
        counts = f"{names.get(code, str(code)):<{width}}  {scores.support[k]:>6}"
        say(f"{counts}{_number(scores.f1[k], 9)}{_number(scores.iou[k], 9)}{_number(scores.recall[k], 12)}{_number(scores.precision[k], 9)}")


def show_calibration(before: Mapping[str, Any], after: Mapping[str, Any], temperature: float) -> None:
    """The expected calibration error, from reliability diagrams as JSON."""
    ends = ", ".join("-" if found["ece"] is None else f"{100 * found['ece']:.1f} % {word}" for found, word in ((before, "before"), (after, "after")))
    say(f"expected calibration error: {ends} calibration (temperature {temperature:.2f})")


def show_overlap(report: Mapping[str, Any]) -> None:
    """How many test windows meet a training window."""
    told = [f"{row['window']} x {row['window']}: {100 * row['share']:.0f} %" for row in report.get("overlaps", ())]
    if told:
        say(f"test windows that overlap a training window: {', '.join(told)}")


def show_confusion(scores: Scores, names: Mapping[int, str]) -> None:
    """The confusion matrix; rows are the reference."""
    width = max(len(names.get(code, str(code))) for code in scores.codes)
    size = len(str(int(scores.confusion.max()))) + 1
    say("confusion (rows: reference, columns: map, in the same order)")
    for code, row in zip(scores.codes, scores.confusion, strict=True):
        say(f"{names.get(code, str(code)):<{width}} " + "".join(f"{count:>{size}}" for count in row))


def _limits(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{'-':>13}" if low != low else f"{f'{low:.3f}-{high:.3f}':>13}"


def _number(value: float, width: int) -> str:
    return f"{'-':>{width}}" if value != value else f"{value:>{width}.3f}"
