"""The table of a benchmark: printed, as CSV and LaTeX, and with all that a program wants as JSON.

Accuracies and ECE are percent where people read (text, LaTeX), shares where programs do (CSV, JSON).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.layers import Features
from hsikit.train.benchmark_cells import Cell
from hsikit.train.benchmark_plan import Plan
from hsikit.train.benchmark_print import Block, blocks_latex, blocks_text, write_tables
from hsikit.train.benchmark_statistics import MEASURES, TIMES, Difference, Spread, Standing, standings, value_of
from hsikit.train.labelled import LabelledScene
from hsikit.version import __version__

HEADINGS = ("", "method", "n", *MEASURES.values(), *TIMES.values(), "difference in OA ± s.e.", "95 % interval")
NONE = "-"


def table_text(rows: Sequence[Standing]) -> str:
    """The table for a terminal, one block for each split."""
    return blocks_text(HEADINGS, _blocks(rows))


def table_latex(rows: Sequence[Standing]) -> str:
    """The table for a paper; needs the package booktabs."""
    return blocks_latex(HEADINGS, _blocks(rows))


def _blocks(rows: Sequence[Standing]) -> list[Block]:
    """A block for each split."""
    splits = dict.fromkeys(row.split for row in rows)
    return [(_title(next(row for row in rows if row.split == split)), [_words(row) for row in rows if row.split == split]) for split in splits]


def table_columns(rows: Sequence[Standing]) -> Features:
    """The table as columns: accuracies, kappa and ECE as shares, times in seconds."""
    records = [_record(row) for row in rows]
    return Features({name: np.array([record[name] for record in records], object) for name in (records[0] if records else ())})


def benchmark_notes(plan: Plan, cells: Sequence[Cell], scenes: Sequence[LabelledScene]) -> list[str]:
    """What a reader of the table must know, one sentence each."""
    where = "one scene" if len(scenes) == 1 else "the same scenes"
    notes = [f"All seeds share {where} and draw from the same labels: an interval tells how much draws differ, not how much another scene would."]
    for design in plan.designs:
        notes += _split_notes(design.name, [cell for cell in cells if cell.split == design.name], len(plan.seeds))
    shared = {cell.row: cell.shared_seconds for cell in cells if cell.shared_seconds}
    notes += [f"{row}: {seconds:.1f} s more, spent once for all seeds, went into unlabelled pixels." for row, seconds in shared.items()]
    return [*notes, *_failures(cells)]


def write_results(folder: str | Path, plan: Plan, cells: Sequence[Cell], scenes: Sequence[LabelledScene]) -> list[Path]:
    """Writes `results.json`, `table.csv` and `table.tex` into the folder of a benchmark; those of an earlier run are replaced.

    Raises:
        OutputError: the disk is full, or the folder is read-only.
    """
    rows = standings(plan, cells)
    return write_tables(folder, table_columns(rows), table_latex(rows), results_json(plan, cells, scenes))


def results_json(plan: Plan, cells: Sequence[Cell], scenes: Sequence[LabelledScene]) -> dict[str, Any]:
    """The whole benchmark but its confusion matrices, which the cells keep; JSON-able."""
    return {
        "hsikit": __version__,
        "scenes": [{"scene": scene.source.info.name, "labels": scene.name, "pixels": len(scene)} for scene in scenes],
        "classes": [entry["name"] for entry in scenes[0].legend.to_json()],
        "methods": [{"row": c.row, "method": c.method, "options": dict(c.options), "smooth": c.smooth, "floor": c.row in plan.floors} for c in plan.contenders],
        "splits": [{"name": design.name, "split": design.split, "options": dict(design.options)} for design in plan.designs],
        "seeds": list(plan.seeds),
        "against": plan.against,
        "rows": [row.to_json() for row in standings(plan, cells)],
        "cells": [_cell_record(cell) for cell in cells],
        "notes": benchmark_notes(plan, cells, scenes),
    }


def _split_notes(name: str, cells: Sequence[Cell], seeds: int) -> Iterator[str]:
    """What is peculiar to one split."""
    yield from (f"{name}: {note}" for note in dict.fromkeys(note for cell in cells for note in cell.notes))
    draws = {cell.seed: cell.draw for cell in cells if cell.draw}
    if len(set(draws.values())) < len(draws):
        yield f"{name}: {len(draws)} seeds gave only {len(set(draws.values()))} different draws, so its intervals are too narrow."
    for side, words in (("untrained", "nothing to train on, and their test pixels are left out"), ("untested", "no test pixel")):
        lost = Counter(label for names in {cell.seed: getattr(cell, side) for cell in cells}.values() for label in names)
        if lost:
            yield f"{name}: classes with {words}: {', '.join(f'{label} ({count} of {seeds} seeds)' for label, count in sorted(lost.items()))}."


def _title(row: Standing) -> str:
    """What stands above the rows of a split."""
    return f"split {row.title}; " + (f"differences to {row.reference}" if row.reference else "nothing to compare with")


def _failures(cells: Sequence[Cell]) -> Iterator[str]:
    """What failed: a sentence for all rows of a split that failed at the same seeds."""
    errors: dict[tuple[str, str], dict[int, str]] = {}
    for cell in cells:
        if cell.error:
            errors.setdefault((cell.split, cell.row), {})[cell.seed] = cell.error
    rows = {split: len({cell.row for cell in cells if cell.split == split}) for split, _ in errors}
    alike: dict[tuple[str, tuple[tuple[int, str], ...]], list[str]] = {}
    for (split, row), by_seed in errors.items():
        alike.setdefault((split, tuple(by_seed.items())), []).append(row)
    for (split, found), failed in alike.items():
        who = "every method" if len(failed) == rows[split] else ", ".join(failed)
        others = "" if len({error for _, error in found}) == 1 else f" (seed {found[0][0]}; others differ)"
        yield f"{split}: {who} failed with {_counted(len(found), 'seed')}: {found[0][1]}{others}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _words(row: Standing) -> tuple[str, ...]:
    """A row as it is printed."""
    name = row.row + (" (floor)" if row.floor else "")
    count = str(row.seeds) + (f" ({row.failed} failed)" if row.failed else "")
    numbers = [_spread_words(value, measure) for measure, value in row.measures.items()]
    times = [NONE if np.isnan(seconds) else f"{seconds:.2f}" for seconds in row.seconds.values()]
    return (str(row.rank or NONE), name, count, *numbers, *times, *_difference_words(row.overall_difference))


def _spread_words(value: Spread, measure: str) -> str:
    """Mean and deviation."""
    if np.isnan(value.mean):
        return NONE
    factor, digits = (1, 3) if measure == "kappa" else (100, 1)
    return f"{factor * value.mean:.{digits}f}" + ("" if np.isnan(value.deviation) else f" ± {factor * value.deviation:.{digits}f}")


def _difference_words(found: Difference | None) -> tuple[str, str]:
    """Mean and standard error, and the interval, in percentage points."""
    if found is None or np.isnan(found.mean):
        return NONE, NONE
    if np.isnan(found.error):
        return f"{100 * found.mean:+.2f}", NONE
    return f"{100 * found.mean:+.2f} ± {100 * found.error:.2f}", f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"


def _record(row: Standing) -> dict[str, Any]:
    """A row as cells of the CSV."""
    found: dict[str, Any] = {
        "split": row.split,
        "options": row.title,
        "rank": row.rank,
        "method": row.row,
        "floor": row.floor,
        "seeds": row.seeds,
        "failed": row.failed,
    }
    for measure, value in row.measures.items():
        found |= {f"{measure}_mean": value.mean, f"{measure}_deviation": value.deviation}
    found |= {f"{time}_median": seconds for time, seconds in row.seconds.items()}
    found["reference"] = row.reference
    for measure, apart in (("overall", row.overall_difference), ("average", row.average_difference)):
        numbers = apart or Difference(0, *4 * [float("nan")])
        found[f"{measure}_pairs"] = numbers.pairs
        names = {"difference": numbers.mean, "standard_error": numbers.error, "low": numbers.low, "high": numbers.high}
        found |= {f"{measure}_{name}": number for name, number in names.items()}
    return found


def _cell_record(cell: Cell) -> dict[str, Any]:
    """A cell without its confusion matrix."""
    numbers = {**{measure: value_of(cell, measure) for measure in MEASURES}, **{time: float(getattr(cell, time)) for time in TIMES}}
    kept = {measure: None if np.isnan(number) else number for measure, number in numbers.items()}
    unscored = 0 if cell.scores is None else cell.scores.unscored
    tested = 0 if cell.scores is None else int(cell.scores.support.sum())
    return {
        "split": cell.split,
        "method": cell.row,
        "seed": cell.seed,
        "error": cell.error,
        **kept,
        "trained": cell.trained,
        "tested": tested,
        "unscored": unscored,
    }
