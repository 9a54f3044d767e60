"""The cells of a benchmark: one JSON file for each method, split and seed, so that a killed run goes on where it was.

A cell's name is a hash of all that its numbers follow from. It is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from hsikit.errors import OutputError
from hsikit.metrics.scores import Scores
from hsikit.train.benchmark_plan import Contender, Design
from hsikit.train.labelled import LabelledScene
from hsikit.version import __version__

FORMAT = 1
CELLS = "cells"
FILES = (".csv", ".json", ".tex")
"""Endings of what is no folder."""
LISTS = ("untrained", "untested", "notes")
"""Fields of a cell that are lists in JSON."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """What one method scored on one draw.

    Attributes:
        split: name of the design.
        row: name of the contender.
        seed: of the draw.
        error: why there is no score; "" where there is one.
        scores: on the test pixels of classes that have training pixels.
        ece: expected calibration error of the confidences as trained, 0 to 1; None where no test pixel has a class.
        train_seconds: of training, without what `shared_seconds` tells.
        map_seconds: of mapping the tiles that hold test pixels.
        shared_seconds: spent once for all seeds on learning from unlabelled pixels; 0 where nothing is reused.
        trained: number of training pixels.
        untrained: names of classes without training pixels, whose test pixels are left out.
        untested: names of classes without test pixels.
        notes: of the split: what the user should know of it, but for the classes above.
        draw: checksum of the training and test pixels: the same for the same draw.
    """

    split: str
    row: str
    seed: int
    error: str = ""
    scores: Scores | None = None
    ece: float | None = None
    train_seconds: float = 0.0
    map_seconds: float = 0.0
    shared_seconds: float = 0.0
    trained: int = 0
    untrained: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    draw: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**facts, **{name: list(facts[name]) for name in LISTS}, "scores": None if self.scores is None else self.scores.to_json()}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: it is not such a form.
        """
        found: dict[str, Any] = {name: tuple(facts[name]) if name in LISTS else facts[name] for name in cls.__dataclass_fields__}
        return cls(**{**found, "scores": None if facts["scores"] is None else Scores.from_json(facts["scores"])})


class CellFolder:
    """The folder of a benchmark; see `open_folder`."""

    def __init__(self, folder: Path, ground: str) -> None:
        self.folder, self._ground = folder, ground

    def place(self, contender: Contender, design: Design, seed: int, shared_seed: int | None) -> Path:
        """The file of a cell.

        Args:
            contender: the row.
            design: the split.
            seed: of the draw.
            shared_seed: of what is learned once from unlabelled pixels; None where nothing is.
        """
        facts = [self._ground, contender.method, dict(contender.options), contender.smooth, design.split, dict(design.options), seed, shared_seed]
        return cell_place(self.folder, FORMAT, facts)

    def read(self, place: Path) -> Cell | None:
        """The cell of a file; None where there is none, a broken one, or one that failed and may be tried again."""
        try:
            cell = Cell.from_json(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if cell.error else cell

    def write(self, place: Path, cell: Cell) -> None:
        """Writes a cell whole.

        Raises:
            OutputError: the disk is full, or the folder is read-only.
        """
        write_facts(place, cell.to_json())


def open_folder(folder: str | Path, scenes: Sequence[LabelledScene]) -> CellFolder:
    """Makes the folder of a benchmark, or opens it again.

    Raises:
        OutputError: it is a file, holds something else, or cannot be made.
    """
    return CellFolder(made_folder(folder), digest([scene_facts(scene) for scene in scenes]))


def made_folder(folder: str | Path) -> Path:
    """The folder of a benchmark of any kind, made where there is none.

    Raises:
        OutputError: it is a file, holds something else, or cannot be made.
    """
    from hsikit.writers import check_target
    from hsikit.writers.failures import writing

    path = Path(folder)
    if not path.exists():
        if path.suffix.lower() in FILES:
            raise OutputError(path, "has a file's name, and a benchmark is kept in a folder", "Name a folder: table.csv and results.json will be in it")
        check_target(path, overwrite=False)
    elif not path.is_dir():
        raise OutputError(path, "is a file, not a folder", "Choose another name")
    elif not (path / CELLS).is_dir() and any(path.iterdir()):
        raise OutputError(path, "is a folder that `hsikit benchmark` did not make", "Choose another name, or an empty folder")
    with writing(path):
        (path / CELLS).mkdir(parents=True, exist_ok=True)
    return path


def cell_place(folder: Path, form: Any, facts: Any) -> Path:
    """The file of a cell: named by a hash of all that its numbers follow from.

    Args:
        folder: of the benchmark.
        form: kind and version of the file's content.
        facts: of scene, method and draw, JSON-able.
    """
    return folder / CELLS / f"{digest([form, __version__, facts])[:24]}.json"


def write_facts(place: Path, facts: Mapping[str, Any]) -> None:
    """Writes a JSON file whole.

    Raises:
        OutputError: the disk is full, or the folder is read-only.
    """
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    write_whole({place: lambda new: new.write_text(text, encoding="utf-8")})


def write_whole(writers: Mapping[Path, Callable[[Path], Any]]) -> None:
    """Writes files beside their places, then renames all of them.

    Args:
        writers: by place, what writes the file that it is given; its name ends as the place's does.

    Raises:
        OutputError: the disk is full, or a folder is read-only.
    """
    from hsikit.writers import commit
    from hsikit.writers.failures import writing

    staged = [(path.with_name(f".{os.getpid()}.{path.name}"), path) for path in writers]
    try:
        for new, path in staged:
            with writing(path):
                writers[path](new)
        commit(staged)
    finally:
        for new, _ in staged:
            new.unlink(missing_ok=True)


def scene_facts(scene: LabelledScene) -> list[Any]:
    """What tells a scene and its labels from others, JSON-able."""
    info = scene.source.info
    bands = [info.bands.wavelength.tolist(), info.bands.fwhm.tolist(), info.bands.good.tolist()]
    pixels = hashlib.sha256()
    for column in (scene.rows, scene.cols, scene.codes, scene.groups, *(() if scene.parts is None else (scene.parts,))):
        pixels.update(np.ascontiguousarray(column, np.int64).tobytes())
    grid = [list(info.grid.shape), list(info.grid.transform), info.grid.crs]
    return [
        list(info.identity),
        info.quantity,
        info.acquired,
        grid,
        bands,
        pixels.hexdigest(),
        scene.legend.to_json(),
        scene.group_field,
        list(scene.group_names),
    ]


def digest(facts: Any) -> str:
    """A checksum of JSON-able facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
