"""What a user may say about a run, and who is told of its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Window

if TYPE_CHECKING:
    from hsikit.engine.parts import Parts

Precision = Literal["float32", "bf16"]
OutputGrid = Literal["map", "sensor"]


class HiddenPixels(Protocol):
    """A mask on the reference grid: True where a pixel must not be used."""

    identity: tuple[Any, ...]

    def read(self, window: Window) -> NDArray[np.bool_]:
        """Shape (rows, cols); the window lies inside the grid."""
        ...


class Progress(Protocol):
    """Told of progress; the command line draws a bar from it."""

    def begin(self, plan: str, total: int, done: int) -> None:
        """A run starts: its plan in words ("" for small ones), tile steps in all, and how many an earlier run had done."""
        ...

    def advance(self, stage: str, steps: int = 1) -> None:
        """Tile steps are done."""
        ...

    def note(self, message: str) -> None:
        """Something worth a line."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def begin(self, plan: str, total: int, done: int) -> None:
        """Says nothing."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Says nothing."""

    def note(self, message: str) -> None:
        """Says nothing."""


@dataclass(frozen=True)
class RunOptions:
    """How a Job is run. None changes a result beyond float rounding, except `area`, `mask`, `precision` and `grid`.

    Attributes:
        tile: rows and columns of a tile's core; None: chosen from the memory.
        memory: bytes that the whole process may occupy at its peak; None: half of what is available.
        threads: compute threads; None: the cores at hand.
        device: "cpu", "cuda", "cuda:1".
        precision: "float32", or "bf16" for autocast networks.
        area: the part of the reference grid to run; None: all.
        mask: pixels to hide.
        overwrite: whether existing outputs may be replaced.
        restart: whether the unfinished part of an earlier run is dropped.
        parts: tiles of the first stage that other processes made for this run.
        resident: bytes that the process holds before the run, where the run of another process is planned; None: those of this one.
        grid: where the results of a swath lie: on the "map", or on the "sensor"'s own grid. A scene on a map grid keeps it.
    """

    tile: int | None = None
    memory: int | None = None
    threads: int | None = None
    device: str = "cpu"
    precision: Precision = "float32"
    area: Window | None = None
    mask: HiddenPixels | None = None
    overwrite: bool = False
    restart: bool = False
    parts: Parts | None = None
    resident: int | None = None
    grid: OutputGrid = "map"

    def __post_init__(self) -> None:
        if self.grid not in get_args(OutputGrid):
            raise OptionError("grid", f"{self.grid!r} is not known", f"Known are {', '.join(get_args(OutputGrid))}")
