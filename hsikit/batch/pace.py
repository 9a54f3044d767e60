"""What a task costs on a machine, and what follows for other scenes, workers and archives: one model of time and memory.

A worker reads in one thread and computes in others; after the last tile it writes its products. So a scene of n pixels takes

    fixed + n (max(stretch max(reading, work / threads), (busy reading + work) / cores) + tail)

seconds, and all workers of a machine wait for one disk. The numbers come from `hsikit.batch.calibration`, or from a file.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hsikit.errors import OptionError
from hsikit.writers import check_target, commit
from hsikit.writers.provenance import write_json

FORMAT = 1
MARK = "hsikit:pace"
"""Field that tells a file of ours, with its format."""


@dataclass(frozen=True)
class Pace:
    """What one task costs on this machine, as measured on a part of one scene.

    Attributes:
        task: of the batch.
        scene: what it was measured on.
        rows: of that scene, as far as it is run.
        cols: the same.
        bands: that the scene has.
        threads: compute threads while it was measured.
        start: seconds that a worker takes to load, once.
        fixed: seconds for each scene, whatever its size.
        read: seconds for each pixel in the thread that reads.
        wait: the part of `read` in which that thread waited for the disk.
        work: processor seconds for each pixel in all other threads.
        tail: seconds for each pixel after the last tile: products are written.
        stretch: by how much the tiles took longer than the slower of reading and computing, which wait for each other; at least 1.
        passes: how often a pixel is read, halos and whole blocks included.
        stored: bytes for each pixel of the scene's files, as they lie on the disk.
        output: bytes for each pixel of the products.
        working: bytes for each pixel of working files.
        base: resident memory of a worker before it runs anything (bytes).
        peak: resident memory of a worker at its peak (bytes), for the whole of that scene.
    """

    task: str
    scene: str
    rows: int
    cols: int
    bands: int
    threads: int
    start: float
    fixed: float
    read: float
    wait: float
    work: float
    tail: float
    stretch: float
    passes: float
    stored: float
    output: float
    working: float
    base: int
    peak: int

    def seconds(self, pixels: int, *, threads: int, cores: float, sharing: int = 1) -> float:
        """Wall time of one scene.

        Args:
            pixels: that are run.
            threads: compute threads of the worker.
            cores: of the machine for each worker.
            sharing: workers that read from one disk.
        """
        return self.fixed + pixels * (max(self.rates(threads, cores, sharing).values()) + self.tail)

    def rates(self, threads: int, cores: float, sharing: int = 1) -> dict[str, float]:
        """Seconds for each pixel that reading, computing and the cores alone would take; the largest is what holds up the tiles."""
        busy = self.read - self.wait
        reading, computing = busy + sharing * self.wait, self.work / threads
        return {"reading": self.stretch * reading, "computing": self.stretch * computing, "cores": (busy + self.work) / cores}

    def processor_seconds(self, pixels: int) -> float:
        """Processor time of one scene."""
        return self.fixed + pixels * (self.read - self.wait + self.work + self.tail)


def read_pace(path: str | Path) -> Pace:
    """A pace that `write_pace` wrote.

    Raises:
        OptionError: the file cannot be read, or is none.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(path, f"the pace cannot be read ({error.strerror})", "Make one with `hsikit plan SCENE --save-pace FILE`") from None
    except ValueError as error:
        raise _no_pace(path, f"it is not JSON: {error}") from None
    if not isinstance(document, dict) or document.pop(MARK, None) != FORMAT:
        raise _no_pace(path, "it was not written by this version")
    wanted = {field.name: {"str": str, "int": int, "float": (int, float)}[str(field.type)] for field in fields(Pace)}
    wrong = [name for name, kind in wanted.items() if not _fits(document.get(name), kind)]
    if wrong or set(document) != set(wanted):
        raise _no_pace(path, f"its field {(wrong or sorted(set(document) - set(wanted)))[0]} is not right")
    return Pace(**document)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a field has its type and, as a number, is finite and not below 0."""
    return isinstance(value, kind) and not isinstance(value, bool) and (isinstance(value, str) or 0 <= value < float("inf"))


def _no_pace(path: str | Path, why: str) -> OptionError:
    return OptionError(path, f"it is no pace ({why})", "Make one with `hsikit plan SCENE --save-pace FILE`")


def check_pace(path: Path, *, overwrite: bool = False) -> None:
    """Refuses, before any work, a file that cannot be written; an earlier pace is replaced.

    Raises:
        OutputError: the folder is missing, or something else has that name.
    """
    try:
        ours = MARK in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        ours = False
    check_target(path, overwrite or ours)


def write_pace(path: Path, pace: Pace, *, overwrite: bool = False) -> None:
    """Writes a pace as JSON.

    Args:
        path: the file to make.
        pace: to keep.
        overwrite: whether a file that is no pace may be replaced.

    Raises:
        OutputError: see `check_pace`.
    """
    check_pace(path, overwrite=overwrite)
    staged = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write_json(staged, {MARK: FORMAT, **asdict(pace)})
        commit([(staged, path)])
    finally:
        staged.unlink(missing_ok=True)
