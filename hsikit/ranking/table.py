"""The ranking as a value: printed, as CSV and LaTeX, with all that a program wants as JSON, and what a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.layers import Features
from hsikit.ranking.cells import LEAST_ALARMS, PARTIAL, DetectorCell
from hsikit.ranking.plan import RankingPlan
from hsikit.ranking.standings import ALL, DETECTION, Choice, DetectorStanding, detector_standings, left_out_choices
from hsikit.ranking.truth import Truth
from hsikit.train.benchmark_print import Block, blocks_latex, blocks_text, write_tables
from hsikit.version import __version__

HEADINGS = (
    "", "method", "n", "area", "worst", "95 % interval", "difference", "its interval", "AP", f"to {PARTIAL:g}", *(f"at {rate}" for rate in DETECTION), "s",
)  # fmt: skip
NONE = "-"
FEW_OBJECTS = 10
"""Below so many an interval over objects is rough, and a note says so."""
LEFT_OUT = "best on the other scenes"


@dataclass(frozen=True, eq=False, repr=False)
class Ranking:
    """Detectors compared on scenes of known truth; `print` shows the table.

    Attributes:
        plan: what is compared.
        rows: of the table: a block for each scene, ranked, then one over all scenes.
        choices: with several scenes, what the method that is best on the others has on each.
        cells: what each method scored on each draw.
        notes: what a reader of the table must know, one sentence each.
        files: what was written.
    """

    plan: RankingPlan
    rows: tuple[DetectorStanding, ...]
    choices: tuple[Choice, ...]
    cells: tuple[DetectorCell, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...] = field(default=())

    def __str__(self) -> str:
        """The table for a terminal."""
        return blocks_text(HEADINGS, self._blocks())

    def __repr__(self) -> str:
        """The same: what a notebook shows."""
        return str(self)

    @property
    def failed(self) -> int:
        """Cells without a score."""
        return sum(bool(cell.error) for cell in self.cells)

    def latex(self) -> str:
        """The table for a paper; needs the package booktabs."""
        return blocks_latex(HEADINGS, self._blocks())

    def table(self) -> Features:
        """The table as columns, all as shares, times in seconds: `pandas.DataFrame(ranking.table().columns)`."""
        records = [_record(row) for row in self.rows]
        return Features({name: np.array([record[name] for record in records], object) for name in records[0]})

    def to_json(self) -> dict[str, Any]:
        """All of it but the sums by object, which the cells keep; JSON-able."""
        plan = self.plan
        return {
            "hsikit": __version__,
            "kind": plan.kind,
            "methods": [{"row": d.row, "method": d.method, "options": dict(d.options), "floor": d.row == plan.floor} for d in plan.detectors],
            "target_pixels": plan.drawn,
            "target": None if plan.target is None else str(getattr(plan.target, "source", plan.target)),
            "names": list(plan.names),
            "seeds": list(plan.seeds) if plan.drawn else [],
            "against": plan.against,
            "rows": [row.to_json() for row in self.rows],
            "left_out": [asdict(choice) for choice in self.choices],
            "cells": [_cell_record(cell) for cell in self.cells],
            "notes": list(self.notes),
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Writes `table.csv`, `table.tex` and `results.json` into a folder that is there; those of an earlier run are replaced.

        Raises:
            OutputError: the disk is full, or the folder is read-only.
        """
        return write_tables(folder, self.table(), self.latex(), self.to_json())

    def _blocks(self) -> list[Block]:
        found: list[Block] = []
        for scene in dict.fromkeys(row.scene for row in self.rows):
            mine = [row for row in self.rows if row.scene == scene]
            words = [_words(row) for row in mine]
            if scene == ALL and self.choices:
                areas = [choice.area for choice in self.choices]
                blank = [NONE] * (len(HEADINGS) - 5)
                words.append((NONE, LEFT_OUT, str(len(areas)), _share(float(np.mean(areas))), _share(min(areas)), *blank))
            found.append((_title(self.plan, mine), words))
        return found


def ranking_of(plan: RankingPlan, cells: Sequence[DetectorCell], truths: Sequence[Truth]) -> Ranking:
    """The ranking that cells come to.

    Args:
        plan: what is compared.
        cells: of `run_ranking`.
        truths: of the scenes, for their notes.
    """
    rows = detector_standings(plan, cells)
    choices = left_out_choices(rows)
    notes = [*dict.fromkeys(note for truth in truths for note in truth.targets.notes), *_notes(plan, rows, choices), *_failures(cells)]
    return Ranking(plan, tuple(rows), tuple(choices), tuple(cells), tuple(notes))


def _notes(plan: RankingPlan, rows: Sequence[DetectorStanding], choices: Sequence[Choice]) -> Iterator[str]:
    """What a reader of the table must know."""
    scenes = [row for row in rows if row.scene != ALL]
    if choices:
        yield "Ranking on a truth is a choice made on that truth; what choosing gives on a scene of unknown truth is told by the last row:"
        for row in dict.fromkeys(choice.row for choice in choices):
            own = [f"{choice.scene} ({_share(choice.area)})" for choice in choices if choice.row == row]
            yield f"With each of these left out {row} is best on the others: {', '.join(own)}."
    else:
        yield "Ranking on a truth is a choice made on that truth, and claims nothing for another scene: give several, and each is left out in turn."
    if plan.drawn:
        yield f"{_counted(plan.drawn, 'target pixel')} for each draw, the same for every method, and not scored there; n counts the draws."
    few = {row.scene: row.objects for row in scenes if row.over == "objects" and row.objects < FEW_OBJECTS}
    yield from (f"{scene}: {_counted(count, 'object')} alone, so that its intervals are rough." for scene, count in few.items())
    if any(row.over == "draws" for row in scenes):
        yield "Where there is a single object, intervals are over draws of the target, and say nothing of other objects."
    for rate in DETECTION:
        small = [row.background for row in scenes if row.rank and np.isnan(row.detection[rate])]
        if small:
            least = int(np.ceil(LEAST_ALARMS / float(rate) - 1e-6))
            yield f"at {rate}: told from {least} pixels of background on; there are {min(small)}."
    uneven = {row.scene for row in scenes if row.rank and row.background != max(other.background for other in scenes if other.scene == row.scene)}
    yield from (f"{scene}: methods leave different pixels without a score, so that rows are not of the same pixels." for scene in sorted(uneven))


def _failures(cells: Sequence[DetectorCell]) -> Iterator[str]:
    """What failed, one sentence for a scene and row."""
    failed: dict[tuple[str, str], list[DetectorCell]] = {}
    for cell in cells:
        if cell.error:
            failed.setdefault((cell.scene, cell.row), []).append(cell)
    for (scene, row), mine in failed.items():
        others = "" if len({cell.error for cell in mine}) == 1 else f" (seed {mine[0].seed}; others differ)"
        yield f"{scene}: {row} failed {_counted(len(mine), 'time')}: {mine[0].error}{others}"


def _title(plan: RankingPlan, rows: Sequence[DetectorStanding]) -> str:
    """What stands above the rows of a scene."""
    compared = f"differences to {rows[0].reference}" if rows[0].reference else "nothing to compare with"
    if rows[0].scene == ALL:
        return f"{ALL}: means of their areas, intervals over scenes; {compared}"
    over = next((f"intervals over {row.over}" for row in rows if row.over), "a single object has no interval")
    drawn = f", {plan.drawn} of each draw unscored" if plan.drawn else ""
    targets, objects, background = (max(getattr(row, name) for row in rows) for name in ("targets", "objects", "background"))
    pixels = f"{_counted(targets + plan.drawn, 'target pixel')} in {_counted(objects, 'object')}{drawn}, {background} of background"
    return f"scene {rows[0].scene}: {pixels}; {over}; {compared}"


def _words(row: DetectorStanding) -> tuple[str, ...]:
    """A row as it is printed."""
    name = row.row + (" (floor)" if row.floor else "")
    count = str(row.scored) + (f" ({row.failed} failed)" if row.failed else "")
    worst = NONE if row.scored < 2 else _share(row.worst)
    apart = NONE if np.isnan(row.difference) else f"{row.difference:+.4f}"
    numbers = (row.average_precision, row.partial_area, *row.detection.values())
    seconds = NONE if np.isnan(row.seconds) else f"{row.seconds:.2f}"
    between, around = _bounds(row.low, row.high, "{:.4f}"), _bounds(row.difference_low, row.difference_high, "{:+.4f}")
    return (str(row.rank or NONE), name, count, _share(row.area), worst, between, apart, around, *(_share(number, 3) for number in numbers), seconds)


def _share(value: float, digits: int = 4) -> str:
    return NONE if np.isnan(value) else f"{value:.{digits}f}"


def _bounds(low: float, high: float, form: str) -> str:
    return NONE if np.isnan(low) or np.isnan(high) else f"{form.format(low)} to {form.format(high)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _record(row: DetectorStanding) -> dict[str, Any]:
    """A row as cells of the CSV."""
    found = asdict(row)
    detection = found.pop("detection")
    return {**found, **{f"detection_{rate}": value for rate, value in detection.items()}}


def _cell_record(cell: DetectorCell) -> dict[str, Any]:
    """A cell without the sums by object, which its file keeps."""
    kept = {name: value for name, value in cell.to_json().items() if name not in ("sums", "pixels")}
    return {**kept, "area": None if cell.error else cell.area, "targets": sum(cell.pixels), "objects": cell.objects}
