"""Methods x splits x seeds: every cell once, kept in a folder, so that methods are compared on the very same draws.

For whoever wants to know which method serves these labels best, and how sure that is. A split that would fall back to another
is an error here: rows of one table must mean one thing. What a method learns from unlabelled pixels is learned once where the
class says `reuses_unlabelled`, with the first seed, and used again for every draw of the same scenes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import HsikitError, OptionError, SplitError
from hsikit.registry import load_class
from hsikit.train.benchmark_cells import Cell, CellFolder, open_folder
from hsikit.train.benchmark_plan import Contender, Design, Plan
from hsikit.train.labelled import LabelledScene, label_names, require_classes
from hsikit.train.pipeline import parts_of
from hsikit.train.predictions import Finish, Run, predict
from hsikit.train.splits import Split, make_split

Scenes = Sequence[LabelledScene]


def run_benchmark(scenes: Scenes, plan: Plan, folder: str | Path, *, run: Run, smooth: Finish, progress: Any = None) -> list[Cell]:
    """Every cell of a plan: those that the folder holds are read, the others are trained, scored and kept.

    Args:
        scenes: labelled scenes with one legend (`combine_legends`).
        plan: what is compared, see `make_plan`.
        folder: a new or empty folder, or that of an earlier benchmark.
        run: the engine's `compute`.
        smooth: makes a job that smooths its map, `hsikit.tasks.classification.smooth.smooth`.
        progress: told of cells: a `hsikit.engine.options.Progress`.

    Returns:
        One cell for each split, seed and row. One that failed with an error of hsikit says so, and is tried again next time.

    Raises:
        LabelError: fewer than two classes.
        OptionError: a split names a scene that is not there.
        OutputError: the folder holds something else, or cannot be written.
    """
    require_classes(scenes, 2)
    benchmark = _Benchmark(scenes, plan, open_folder(folder, scenes), run, smooth, progress)
    return benchmark.cells()


@dataclass(frozen=True, eq=False)
class _Draw:
    """One draw of a split.

    Attributes:
        train: scenes with their training pixels.
        test: scenes with the test pixels of classes that have training pixels.
        blank: the cell of this draw, without row and scores.
    """

    train: list[LabelledScene]
    test: list[LabelledScene]
    blank: Cell


@dataclass(frozen=True, eq=False)
class _Benchmark:
    """A benchmark at work; `bases` holds models whose knowledge of unlabelled pixels is used again, and what it cost in seconds."""

    scenes: Scenes
    plan: Plan
    folder: CellFolder
    run: Run
    smooth: Finish
    progress: Any
    bases: dict[tuple[Any, ...], tuple[Any, float]] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """All cells, in the order of splits, seeds and rows."""
        draws = [(design, seed) for design in self.plan.designs for seed in self.plan.seeds]
        known = {(design.name, seed): self._known(design, seed) for design, seed in draws}
        if self.progress is not None:
            everything = [cell for row in known.values() for cell in row.values()]
            self.progress.begin("", len(everything), sum(cell is not None for cell in everything))
        found: list[Cell] = []
        for design, seed in draws:
            done = known[design.name, seed]
            missing = [row for row in self._rows(design) if done[row.row] is None]
            for contender, cell in self._scored(design, seed, missing):
                done[contender.row] = cell
                self.folder.write(self._place(contender, design, seed), cell)
                self._tell(cell)
            found += [cell for cell in done.values() if cell is not None]
        return found

    def _known(self, design: Design, seed: int) -> dict[str, Cell | None]:
        """The cells that the folder holds of one draw, by row."""
        return {row.row: self.folder.read(self._place(row, design, seed)) for row in self._rows(design)}

    def _rows(self, design: Design) -> tuple[Contender, ...]:
        return self.plan.rows_of(design, self.scenes)

    def _place(self, contender: Contender, design: Design, seed: int) -> Path:
        shared = self.plan.seeds[0] if _reuses(load_class(contender.method)) else None
        return self.folder.place(contender, design, seed, shared)

    def _tell(self, cell: Cell) -> None:
        if self.progress is None:
            return
        self.progress.advance(f"{cell.split}, seed {cell.seed}, {cell.row}" + (": failed" if cell.error else ""))

    def _scored(self, design: Design, seed: int, rows: Sequence[Contender]) -> Iterator[tuple[Contender, Cell]]:
        """New cells of one draw."""
        if not rows:
            return
        try:
            draw = _parts_of_draw(self.scenes, design, seed)
        except OptionError:
            raise  # the command is wrong, not the draw
        except HsikitError as error:
            yield from ((row, Cell(split=design.name, row=row.row, seed=seed, error=str(error))) for row in rows)
            return
        for trained in dict.fromkeys(row.trained for row in rows):
            yield from self._rows_of_one_model([row for row in rows if row.trained == trained], draw, seed)

    def _rows_of_one_model(self, rows: Sequence[Contender], draw: _Draw, seed: int) -> Iterator[tuple[Contender, Cell]]:
        """The cells of one method with its options: trained once, and mapped once for each row."""
        try:
            model, spent, shared = self._trained(rows[0], draw.train, seed)
        except HsikitError as error:
            yield from ((row, replace(draw.blank, row=row.row, error=str(error))) for row in rows)
            return
        for row in rows:
            blank = replace(draw.blank, row=row.row, train_seconds=spent, shared_seconds=shared)
            try:
                cell = self._mapped(model, row.smooth, draw.test, blank)
            except HsikitError as error:
                cell = replace(blank, error=str(error))
            yield row, cell

    def _trained(self, contender: Contender, train: list[LabelledScene], seed: int) -> tuple[Any, float, float]:
        """A model, its seconds of training, and those that its base took once."""
        kind, options = load_class(contender.method), dict(contender.options)
        if not _reuses(kind):
            start = time.perf_counter()
            return kind.train(train, seed=seed, run=self.run, progress=None, **options), time.perf_counter() - start, 0.0
        key = (contender.trained, *(id(scene.source) for scene in train))
        if key not in self.bases:
            start = time.perf_counter()
            base = kind.train(train, seed=self.plan.seeds[0], run=self.run, progress=None, **options)
            self.bases[key] = base, time.perf_counter() - start
        base, shared = self.bases[key]
        start = time.perf_counter()
        return base.refit(train, seed=seed, run=self.run, progress=None, **options), time.perf_counter() - start, shared

    def _mapped(self, model: Any, smooth: bool, test: list[LabelledScene], blank: Cell) -> Cell:
        """The cell of a model on the test pixels, by the path that makes maps."""
        start = time.perf_counter()
        answers = predict(model, test, self.run, finish=self.smooth if smooth else None)
        spent = time.perf_counter() - start
        ece = answers.reliability().ece
        return replace(blank, scores=answers.scores(model.legend.codes), ece=None if np.isnan(ece) else ece, map_seconds=spent)


def _parts_of_draw(scenes: Scenes, design: Design, seed: int) -> _Draw:
    """The training and test part of one draw; test pixels of classes that nothing trains are left out, and the classes named.

    Raises:
        SplitError: the split would fall back to another, or leaves nothing to train or to test on.
        LabelError: fewer than two classes to train on.
    """
    drawn = make_split(design.split, scenes, seed=seed, strict=True, **design.options)
    train, test = parts_of(scenes, drawn)
    require_classes(train, 2)
    known = {code for scene in train for code in scene.counts}
    scored = [scene.take(np.isin(scene.codes, sorted(known))) for scene in test]
    scored = [scene for scene in scored if len(scene)]
    if not scored:
        raise SplitError(label_names(scenes), f"the split {design.name} tests only classes that it trains nothing of", "Label more places of these classes")
    lost = {side: tuple(_names(scenes, codes)) for side, codes in drawn.report["lost"].items()}
    notes = tuple(note for note in drawn.notes if not note.startswith("classes lost"))
    pixels = sum(len(scene) for scene in train)
    blank = Cell(split=design.name, row="", seed=seed, trained=pixels, untrained=lost["train"], untested=lost["test"], notes=notes, draw=_checksum(drawn))
    return _Draw(train, scored, blank)


def _reuses(kind: type[Any]) -> bool:
    return bool(getattr(kind, "reuses_unlabelled", False))


def _names(scenes: Scenes, codes: Sequence[int]) -> list[str]:
    """Class names by code."""
    named = {entry.code: entry.name for scene in scenes for entry in scene.legend.classes}
    return [named.get(code, str(code)) for code in codes]


def _checksum(drawn: Split) -> str:
    """Tells one draw from another."""
    digest = hashlib.sha256()
    for mask in (*drawn.train, *drawn.test):
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()[:16]
