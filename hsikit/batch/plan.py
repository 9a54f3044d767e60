"""The plan of a batch before it begins: every scene opened and its task fitted to it; tiles, bytes, memory and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hsikit.batch.calibration import calibrate, opened, run_options
from hsikit.batch.executor import LEAST_MEMORY
from hsikit.batch.ledger import DONE, Row, read_rows
from hsikit.batch.missing import find_missing
from hsikit.batch.orders import Order
from hsikit.batch.pace import Pace
from hsikit.batch.run import check_methods, check_numbers, ledger_of
from hsikit.batch.sizing import peak_of
from hsikit.batch.status import done_rate
from hsikit.errors import HsikitError

if TYPE_CHECKING:
    from hsikit.engine.options import HiddenPixels
    from hsikit.geo.grid import Window
    from hsikit.method import Job
    from hsikit.scene import Source

LOADED = 400 * 2**20
"""About what a worker holds once it has loaded what tasks need (bytes)."""


@dataclass(frozen=True)
class ScenePlan:
    """What a scene will take.

    Attributes:
        order: what is to be done.
        error: why it cannot be done; "" where it can.
        shape: rows and columns that are run; (0, 0) where the scene cannot be opened.
        tiles: of the first pass.
        read: bytes that one pass over the scene reads, decompressed.
        written: bytes of all outputs, uncompressed.
        memory: estimated peak of the worker (bytes).
        seconds: estimated time of one worker; None where no pace is known.
        warnings: what `hsikit check` warns of.
    """

    order: Order
    error: str = ""
    shape: tuple[int, int] = (0, 0)
    tiles: int = 0
    read: int = 0
    written: int = 0
    memory: int = 0
    seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchPlan:
    """What a batch will take.

    Attributes:
        scenes: to be run.
        kept: scenes that are done already.
        failed: scenes that failed before and are left so.
        basis: by task, what times and memory are estimated from.
        jobs: worker processes.
        start: seconds until the first worker can begin.
        paces: by task, what was measured for this plan.
    """

    scenes: Sequence[ScenePlan]
    kept: int
    failed: Mapping[Path, str]
    basis: Mapping[str, str]
    jobs: int
    start: float
    paces: Mapping[str, Pace]

    @property
    def good(self) -> list[ScenePlan]:
        """Scenes that can be done."""
        return [scene for scene in self.scenes if not scene.error]

    @property
    def seconds(self) -> float | None:
        """Estimated time of the whole, over all workers; None where no pace is known."""
        known = [scene.seconds for scene in self.good]
        if not known or any(seconds is None for seconds in known):
            return None
        return self.start + max(sum(seconds or 0.0 for seconds in known) / self.jobs, max(seconds or 0.0 for seconds in known))


def plan_batch(orders: Sequence[Order], *, ledger: str | Path | None = None, jobs: int = 1, threads: int = 1, memory: int | str | None = None,
               retry_failed: bool = False, overwrite: bool = False, paces: Mapping[str, Pace] | None = None) -> BatchPlan:  # fmt: skip
    """Opens every scene that is to be run and fits its task to it; writes nothing.

    Time and memory come from the pace of the task that is given; else from the scenes that the ledger has as done; else from a
    calibration on the first scene that can be run, see `hsikit.batch.calibration`.

    Args:
        orders: as for `hsikit.batch.run_batch`; so are the others.
        ledger: as there.
        jobs: as there.
        threads: as there.
        memory: as there.
        retry_failed: as there.
        overwrite: as there.
        paces: by task, what was measured before.

    Raises:
        OutputError: an output exists that the ledger does not know.
        OptionError, ModelError, MethodError, RunError: as for `run_batch`.
    """
    from hsikit.engine.resources import available_memory, parse_memory

    check_numbers(jobs=jobs, threads=threads)
    check_methods(orders)
    path = Path(ledger) if ledger is not None else ledger_of(orders)
    rows = read_rows(path) if path.exists() else []
    found = find_missing(orders, {row.output: row for row in rows}, retry_failed=retry_failed, overwrite=overwrite)
    promised = parse_memory(memory) if isinstance(memory, str) else memory
    each = promised or max(available_memory() // 2 // jobs, LEAST_MEMORY)
    planner = _Planner(min(jobs, max(1, len(found.missing))), threads, each, rows, paces or {})
    scenes = [planner.plan(assignment.order) for assignment in found.missing]
    basis = {task: known.words for task, known in planner.known.items()}
    start = max((pace.start for pace in planner.paces.values()), default=0.0)
    return BatchPlan(scenes, len(found.kept) + len(found.adopted), found.failed, basis, jobs, start, planner.paces)


class _Basis(Protocol):
    """What time and memory of a task are estimated from."""

    words: str
    base: int
    """Resident memory of a worker before it runs anything (bytes); that of the process that plans is another."""

    def seconds(self, pixels: int) -> float:
        """Time of a scene of so many pixels."""
        ...

    def memory(self, declared: int, cols: int) -> int:
        """Peak of its worker (bytes), where the engine would promise `declared`, for a scene of so many columns."""
        ...


class _Done:
    """The scenes of a task that are done."""

    def __init__(self, rows: Sequence[Row], task: str, rate: float) -> None:
        from hsikit.engine.resources import resident_bytes

        self.words, self._rate, self.base = "the pace of the scenes that are done", rate, min(resident_bytes(), LOADED)
        self._peak = max((row.peak or 0 for row in rows if row.task == task and row.state == DONE), default=0)

    def seconds(self, pixels: int) -> float:
        return self._rate * pixels

    def memory(self, declared: int, cols: int) -> int:
        return self._peak or declared


class _Measured:
    """A pace."""

    def __init__(self, pace: Pace, jobs: int, threads: int) -> None:
        from hsikit.engine.resources import available_cores

        self.words, self._pace, self._jobs, self._threads = f"some tiles of {pace.scene}", pace, jobs, threads
        self.base = pace.base
        self._cores = available_cores() / jobs

    def seconds(self, pixels: int) -> float:
        return self._pace.seconds(pixels, threads=self._threads, cores=self._cores, sharing=self._jobs)

    def memory(self, declared: int, cols: int) -> int:
        return min(declared, peak_of(self._pace, cols))


class _Planner:
    """Plans one scene after the other."""

    def __init__(self, jobs: int, threads: int, memory: int, rows: Sequence[Row], paces: Mapping[str, Pace]) -> None:
        self._jobs, self._threads, self._memory, self._rows, self.paces = jobs, threads, memory, rows, dict(paces)
        self.known: dict[str, _Basis] = {}

    def plan(self, order: Order) -> ScenePlan:
        """One scene; measures the pace of its task where none is known yet."""
        try:
            with opened(order) as (job, source, area, hidden):
                return self._planned(order, job, source, area, hidden)
        except HsikitError as error:
            return ScenePlan(order, str(error))

    def _planned(self, order: Order, job: Job, source: Source, area: Window, hidden: HiddenPixels | None) -> ScenePlan:
        import numpy as np

        from hsikit.check import check_scene
        from hsikit.engine.plan import plan_run
        from hsikit.engine.state import with_state

        basis = self._basis(order)
        options = replace(run_options(order, self._threads, self._memory, area, hidden), resident=basis.base)
        plan = plan_run(job, {job.reference: source}, {}, options, None)
        rasters = [layer for layer in with_state(job, masked=hidden is not None).layers if layer.kind == "raster" and layer.delivered]
        written = sum(int(area.size * layer.zoom**2) * layer.bands * np.dtype(layer.dtype).itemsize for layer in rasters)
        read = area.size * len(job.inputs[job.reference].bands) * np.dtype(source.info.dtype).itemsize
        tiles = -(-area.rows // plan.tile[0]) * -(-area.cols // plan.tile[1])
        warnings = tuple(f"{found.name}: {found.what}" for found in check_scene(source) if found.state == "warn")
        return ScenePlan(order, "", area.shape, tiles, read, written, basis.memory(plan.peak, area.cols), basis.seconds(area.size), warnings)

    def _basis(self, order: Order) -> _Basis:
        """What the task of an order is estimated from; a calibration on its scene where there is nothing else."""
        if order.task not in self.known:
            rate = done_rate(self._rows, order.task)
            if order.task not in self.paces and rate is not None:
                self.known[order.task] = _Done(self._rows, order.task, rate)
            else:
                if order.task not in self.paces:
                    self.paces[order.task] = calibrate(order, threads=self._threads, memory=self._memory)
                self.known[order.task] = _Measured(self.paces[order.task], self._jobs, self._threads)
        return self.known[order.task]
