"""Means over the seeds of a benchmark, and paired differences with t intervals.

A difference is taken draw by draw, so that what makes a draw easy or hard for all methods falls out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.train.benchmark_cells import Cell
from hsikit.train.benchmark_plan import Design, Plan

Floats = NDArray[np.float64]
NAN = float("nan")
CONFIDENCE = 0.95

MEASURES: Mapping[str, str] = {"overall": "OA", "average": "AA", "kappa": "kappa", "ece": "ECE"}
"""Scores, with their headings."""

TIMES: Mapping[str, str] = {"train_seconds": "train, s", "map_seconds": "map, s"}
"""Times, with their headings."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over seeds; NaN where too few have a value."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Difference:
    """A paired difference over the seeds that both rows have.

    Attributes:
        pairs: number of seeds.
        mean: row minus reference; NaN without a pair.
        error: standard error of the mean; NaN below two pairs, as are the bounds.
        low: lower bound of the 95 % t interval.
        high: upper bound.
    """

    pairs: int
    mean: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """One row of the table.

    Attributes:
        split: the design's name.
        title: the split with all its options.
        rank: 1 for the highest mean overall accuracy of the split; 0 where every seed failed.
        row: the contender's name.
        floor: whether it is a floor.
        seeds: how many have a score.
        failed: how many have none.
        measures: by the names in `MEASURES`, as shares.
        seconds: by the names in `TIMES`: the median over seeds, since the first one also loads libraries; NaN where all failed.
        reference: the row that the differences are taken to; "" where there is none.
        overall_difference: None for the reference itself, and without reference.
        average_difference: the same of the average accuracy.
    """

    split: str
    title: str
    rank: int
    row: str
    floor: bool
    seeds: int
    failed: int
    measures: Mapping[str, Spread]
    seconds: Mapping[str, float]
    reference: str
    overall_difference: Difference | None
    average_difference: Difference | None

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {name: without_nan(value) for name, value in asdict(self).items()}


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """The mean of `first - second`, its standard error, and its 95 % interval by Student's t.

    Args:
        first: one value for each seed, shape (n,).
        second: of the same seeds, shape (n,).
    """
    from scipy.stats import t

    apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    n = len(apart)
    if not n:
        return Difference(0, NAN, NAN, NAN, NAN)
    mean = float(apart.mean())
    if n < 2:
        return Difference(n, mean, NAN, NAN, NAN)
    error = float(apart.std(ddof=1)) / n**0.5
    half = float(t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * error
    return Difference(n, mean, error, mean - half, mean + half)


def spread(values: ArrayLike) -> Spread:
    """Mean and standard deviation of the values that are numbers."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return Spread(float(numbers.mean()) if len(numbers) else NAN, float(numbers.std(ddof=1)) if len(numbers) > 1 else NAN)


def standings(plan: Plan, cells: Sequence[Cell]) -> list[Standing]:
    """All rows, by split in the order of the plan, and within a split by mean overall accuracy, the highest first."""
    found = []
    for design in plan.designs:
        mine = [cell for cell in cells if cell.split == design.name]
        rows = {name: [cell for cell in mine if cell.row == name] for name in dict.fromkeys(cell.row for cell in mine)}
        reference = reference_row(plan, rows)
        ranked = sorted(rows, key=lambda name: -np.nan_to_num(_mean_overall(rows[name]), nan=-1.0))
        found += [_standing(plan, design, rows[name], rank, reference, rows.get(reference, [])) for rank, name in enumerate(ranked, start=1)]
    return found


def reference_row(plan: Plan, rows: Mapping[str, Sequence[Cell]]) -> str:
    """What differences are taken to in one split: the row asked for, else the floor of the highest mean; "" if it has no score."""
    candidates = plan.floors if plan.against is None else (plan.against,)
    scored = [name for name in candidates if name in rows and np.isfinite(_mean_overall(rows[name]))]
    return max(scored, key=lambda name: _mean_overall(rows[name]), default="")


def _standing(plan: Plan, design: Design, mine: Sequence[Cell], rank: int, reference: str, others: Sequence[Cell]) -> Standing:
    """One row; `others` are the reference's cells."""
    name, done = mine[0].row, [cell for cell in mine if not cell.error]
    compared = name != reference and bool(reference)
    return Standing(
        split=design.name,
        title=design.title,
        rank=rank if done else 0,
        row=name,
        floor=name in plan.floors,
        seeds=len(done),
        failed=len(mine) - len(done),
        measures={measure: spread([value_of(cell, measure) for cell in done]) for measure in MEASURES},
        seconds={time: float(np.median([getattr(cell, time) for cell in done])) if done else NAN for time in TIMES},
        reference=reference,
        overall_difference=_compared(mine, others, "overall") if compared else None,
        average_difference=_compared(mine, others, "average") if compared else None,
    )


def _compared(mine: Sequence[Cell], others: Sequence[Cell], measure: str) -> Difference:
    """The difference of two rows over the seeds at which both have a value."""
    other = {cell.seed: value_of(cell, measure) for cell in others}
    pairs = [(value_of(cell, measure), other[cell.seed]) for cell in mine if cell.seed in other]
    kept = np.array(pairs, np.float64).reshape(-1, 2)
    kept = kept[np.isfinite(kept).all(axis=1)]
    return paired_difference(kept[:, 0], kept[:, 1])


def value_of(cell: Cell, measure: str) -> float:
    """A cell's value of one of `MEASURES`; NaN where it has none."""
    if cell.scores is None:
        return NAN
    value = cell.ece if measure == "ece" else getattr(cell.scores, measure)
    return NAN if value is None else float(value)


def _mean_overall(cells: Sequence[Cell]) -> float:
    return spread([value_of(cell, "overall") for cell in cells]).mean


def without_nan(value: Any) -> Any:
    """The same with None in place of NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
