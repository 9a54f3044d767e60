"""Cells of the accuracy table: one row, one column, one draw; kept as JSON lines, shared out over processes of one thread."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache as remember
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import accuracy_table_rows as short
from benchmarks.accuracy_table_columns import COLUMNS, Draw
from benchmarks.accuracy_table_rows import ROWS, Answer, Features, Row
from benchmarks.accuracy_table_scenes import load_scene
from hsikit.engine import compute
from hsikit.layers import NODATA
from hsikit.metrics.calibration import calibrated_confidence, reliability
from hsikit.metrics.scores import scores
from hsikit.tasks.classification import mnf_lda_edge
from hsikit.tasks.classification.smooth import smooth
from hsikit.train.calibrate import find_temperature
from hsikit.train.labelled import LabelledScene

KINDS = ("scores", "check", "calibration")
VARIANTS = ("plain", "smoothed")


@dataclass(frozen=True)
class Task:
    """What is asked of a worker: `kind` is one of `KINDS`."""

    kind: str
    row: str
    column: str
    seed: int


@dataclass(frozen=True)
class Cell:
    """What came of a task.

    Attributes:
        task: it.
        key: digest of scene, pixels, method, options and code: a cell of another key is another cell.
        values: of each variant, "plain" and "smoothed": of "scores" `overall` and `average`; of "check" how far the short way
            is from the product: `overall`, `average`, and `pixels` that differ among the test pixels; of "calibration" `before`
            and `after`, expected calibration errors. All shares.
        seconds: of "check" `train`, `map` and `map_smoothed` by the product; else `draw`.
        facts: `labels`, `tested` (pixels) and `left_out` (class codes); of "calibration" also `temperature`.
    """

    task: Task
    key: str
    values: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Cell:
        """The inverse of `asdict`."""
        return cls(**{**record, "task": Task(**record["task"])})


@dataclass(frozen=True, eq=False)
class Desk:
    """What a process needs for any task of one scene."""

    name: str
    scene: LabelledScene
    cache: Path

    _features: dict[str, Features] = field(default_factory=dict, repr=False)

    def features(self, row: Row) -> Features:
        """Of the row's short way; of a row without one, those whose edges smooth it: edges of single spectra."""
        if row.name not in self._features:
            make, options = row.features or row.edges or short.edge_features, row.options if row.features or row.edges else {}
            self._features[row.name] = make(self.scene, options, self.cache)
        return self._features[row.name]

    def draw(self, task: Task) -> Draw:
        """The task's pixels."""
        return COLUMNS[self.name][task.column].draw(self.scene, task.seed)

    def key(self, task: Task, draw: Draw) -> str:
        """See `Cell`."""
        row = ROWS[task.row]
        pixels = hashlib.sha256(draw.train.tobytes() + b"/" + draw.test.tobytes()).hexdigest()
        parts = [task.kind, self.scene.source.info.identity, pixels, task.seed, row.name, dict(row.options), _code(row.kind.__module__)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


@remember
def _code(module: str) -> str:
    """Digest of a method, of smoothing, and of the short way."""
    return short.code_digest(module, mnf_lda_edge.__name__, smooth.__module__) + Path(short.__file__).read_text()


def part(scene: LabelledScene, positions: Any) -> LabelledScene:
    """The scene with the labels at these positions."""
    return scene.take(np.isin(np.arange(len(scene)), positions))


def run_task(desk: Desk, task: Task) -> Cell:
    """The cell of a task."""
    draw = desk.draw(task)
    train, test = part(desk.scene, draw.train), part(desk.scene, draw.test)
    start = time.perf_counter()
    work: Mapping[str, Callable[..., tuple[dict[str, Any], dict[str, float], dict[str, Any]]]] = {
        "scores": _scored,
        "check": _checked,
        "calibration": _calibrated,
    }
    values, seconds, facts = work[task.kind](desk, task, draw, train, test)
    seconds = seconds or {"draw": time.perf_counter() - start}
    facts |= {"labels": len(train), "tested": len(test), "left_out": list(draw.left_out)}
    return Cell(task, desk.key(task, draw), values, seconds, facts)


def answers(desk: Desk, row: Row, train: LabelledScene, seed: int) -> dict[str, Answer]:
    """Plain and smoothed answers of a row, by the short way where there is one."""
    features = desk.features(row)
    if row.features is None:
        model = short.trained(row, desk.scene, train, seed, desk.cache)
        plain = short.answer_product(model, train)
        # A model that does not look at objects has edges of spectra.
        features = short.edge_features(desk.scene, {}, desk.cache) if model.settings.get("objects") == "no" else features
    else:
        plain = short.answer_short(features, train)
    return dict(zip(VARIANTS, (plain, short.smoothed(plain, short.used_features(plain, features))), strict=True))


def _measure(test: LabelledScene, codes: Any) -> dict[str, float]:
    found = scores(test.codes, codes, test.legend.codes)
    return {"overall": found.overall, "average": found.average}


def _scored(desk: Desk, task: Task, draw: Draw, train: LabelledScene, test: LabelledScene) -> tuple[dict[str, Any], dict[str, float], dict[str, Any]]:
    found = answers(desk, ROWS[task.row], train, task.seed)
    return {name: _measure(test, answer.at(test.rows, test.cols)["map"][0]) for name, answer in found.items()}, {}, {}


def _checked(desk: Desk, task: Task, draw: Draw, train: LabelledScene, test: LabelledScene) -> tuple[dict[str, Any], dict[str, float], dict[str, Any]]:
    row = ROWS[task.row]
    start = time.perf_counter()
    method = row.kind.train([train], seed=task.seed, run=compute, **row.options)
    seconds, values = {"train": time.perf_counter() - start}, {}
    for name, answer in answers(desk, row, train, task.seed).items():
        start = time.perf_counter()
        job = method.with_options(extras=("log_probabilities",) if name == "smoothed" else ()).bind({"cube": test.source.info})
        classes = compute(smooth(job) if name == "smoothed" else job, {"cube": test.source}, layers=("map",), threads=1).layers["map"][0]
        seconds["map" if name == "plain" else "map_smoothed"] = time.perf_counter() - start
        product, quick = classes[test.rows, test.cols], answer.at(test.rows, test.cols)["map"][0]
        ours, theirs = _measure(test, quick), _measure(test, product)
        values[name] = {"pixels": int((product != quick).sum()), **{measure: abs(ours[measure] - theirs[measure]) for measure in ours}}
    return values, seconds, {}


def _calibrated(desk: Desk, task: Task, draw: Draw, train: LabelledScene, test: LabelledScene) -> tuple[dict[str, Any], dict[str, float], dict[str, Any]]:
    row, split = ROWS[task.row], draw.as_split(len(desk.scene), task.seed)
    found = answers(desk, row, train, task.seed)
    if row.features is None:
        method = short.trained(row, desk.scene, train, task.seed, desk.cache)
        fitted = find_temperature(method, [train], split, seed=task.seed, run=compute, options=row.options)
    else:
        fitted = find_temperature(found["plain"], [train], split, seed=task.seed, run=short.look_up)
    values = {}
    for name, answer in found.items():
        there = answer.at(test.rows, test.cols)
        known = there["map"][0] != NODATA
        right, sure = (there["map"][0] == test.codes)[known], there["probabilities"].T[known]
        temperatures = {"before": 1.0, "after": fitted.temperature}
        values[name] = {when: reliability(calibrated_confidence(sure, number), right).ece for when, number in temperatures.items()}
    return values, {}, {"temperature": fitted.temperature, "held": fitted.held}


def cells(desk: Desk, tasks: Iterable[Task], processes: int, folder: Path | None = None) -> Iterator[Cell]:
    """The cells of tasks: those kept in the desk's cache, then the others as they are made, which are kept too.

    Args:
        desk: of the scene.
        tasks: what is wanted.
        processes: workers; 1 works here.
        folder: of the scene's files, for workers to load.
    """
    store = desk.cache / "cells.jsonl"
    known, missing = _read(store), []
    for task in tasks:
        key = desk.key(task, desk.draw(task))
        if key in known:
            yield known[key]
        else:
            missing.append(task)
    if not missing:
        return
    desk.cache.mkdir(parents=True, exist_ok=True)
    for row in dict.fromkeys(ROWS[task.row] for task in missing):
        # Before workers begin: else each of them would make the same.
        desk.features(row)
        if row.features is None and row.kind.reuses_unlabelled:
            short.learned(row, desk.scene, desk.cache)
    cut = store.exists() and not store.read_text().endswith("\n")
    with store.open("a") as file:
        file.write("\n" if cut else "")  # ends the line at which a run was killed
        for cell in _made(desk, missing, processes, folder):
            file.write(cell.to_line())
            file.flush()
            yield cell


def _read(store: Path) -> dict[str, Cell]:
    """Cells by key; the last line of a killed run may be cut short."""
    found: dict[str, Cell] = {}
    lines = store.read_text().splitlines() if store.exists() else []
    for line in lines:
        try:
            cell = Cell.from_json(json.loads(line))
        except json.JSONDecodeError:
            continue
        found[cell.key] = cell
    return found


def _made(desk: Desk, tasks: Sequence[Task], processes: int, folder: Path | None) -> Iterator[Cell]:
    if processes == 1:
        yield from (run_task(desk, task) for task in tasks)
        return
    from multiprocessing import get_context

    with get_context("spawn").Pool(processes, _begin, (desk.name, folder, desk.cache)) as pool:
        yield from pool.imap_unordered(_work, tasks)


_DESK: list[Desk] = []
"""The worker's own."""


def _begin(name: str, folder: Path | None, cache: Path) -> None:
    torch.set_num_threads(1)
    _DESK[:] = [Desk(name, load_scene(name, folder), cache)]


def _work(task: Task) -> Cell:
    return run_task(_DESK[0], task)
