"""The plan of a batch before it begins: every scene opened and its task fitted to it; tiles, bytes, memory and time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hsikit.batch.filling import job_of, open_order
from hsikit.batch.ledger import read_rows
from hsikit.batch.missing import find_missing
from hsikit.batch.orders import Order
from hsikit.batch.run import LEAST_MEMORY, check_methods, check_numbers, ledger_of
from hsikit.batch.status import pace
from hsikit.errors import HsikitError

if TYPE_CHECKING:
    from hsikit.engine.plan import Plan
    from hsikit.geo.grid import Window
    from hsikit.method import Job
    from hsikit.scene import Source

WARM_UP = 16
"""Rows and columns that are run before the clock."""


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
    """

    order: Order
    error: str = ""
    shape: tuple[int, int] = (0, 0)
    tiles: int = 0
    read: int = 0
    written: int = 0
    memory: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class BatchPlan:
    """What a batch will take.

    Attributes:
        scenes: to be run.
        kept: scenes that are done already.
        failed: scenes that failed before and are left so.
        basis: by task, what the times are estimated from.
        jobs: worker processes.
    """

    scenes: Sequence[ScenePlan]
    kept: int
    failed: Mapping[Path, str]
    basis: Mapping[str, str]
    jobs: int

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
        return max(sum(seconds or 0.0 for seconds in known) / self.jobs, max(seconds or 0.0 for seconds in known))


def plan_batch(orders: Sequence[Order], *, ledger: str | Path | None = None, jobs: int = 1, threads: int = 1, memory: int | str | None = None,
               retry_failed: bool = False, overwrite: bool = False) -> BatchPlan:  # fmt: skip
    """Opens every scene that is to be run and fits its task to it; writes nothing.

    Args:
        orders: as for `hsikit.batch.run_batch`; so are the others.
        ledger: as there.
        jobs: as there.
        threads: as there.
        memory: as there.
        retry_failed: as there.
        overwrite: as there.

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
    planner = _Planner(threads, promised or max(available_memory() // 2 // jobs, LEAST_MEMORY))
    tasks = dict.fromkeys(order.task for order in orders)
    known = {task: (rate, "the pace of the scenes that are done") for task in tasks if (rate := pace(rows, task)) is not None}
    scenes = [planner.plan(assignment.order, known) for assignment in found.missing]
    basis = {task: why for task, (_, why) in known.items()}
    return BatchPlan(scenes, len(found.kept) + len(found.adopted), found.failed, basis, jobs)


class _Planner:
    """Plans one scene after the other."""

    def __init__(self, threads: int, memory: int) -> None:
        self._threads, self._memory = threads, memory

    def plan(self, order: Order, pace: dict[str, tuple[float, str]]) -> ScenePlan:
        """One scene; measures the pace of its task where none is known yet."""
        try:
            with _bound(order) as (job, source):
                return self._planned(order, job, source, pace)
        except HsikitError as error:
            return ScenePlan(order, str(error))

    def _planned(self, order: Order, job: Job, source: Source, pace: dict[str, tuple[float, str]]) -> ScenePlan:
        import numpy as np

        from hsikit.engine.options import RunOptions
        from hsikit.engine.plan import plan_run
        from hsikit.geo.bbox import window_of
        from hsikit.sensors.masking import open_masks

        info = source.info
        area = window_of(info.grid, tuple(order.options["bbox"]), order.options.get("bbox_crs"), info.name, info.swath) if "bbox" in order.options else None
        hidden = open_masks(info, order.options.get("mask"), order.options.get("dilate", 0), order.options.get("aoi"))
        if hidden is not None:
            hidden.close()
        options = RunOptions(tile=order.options.get("tile"), memory=self._memory, threads=self._threads, area=area)
        plan = plan_run(job, {job.reference: source}, {}, options, None)
        shape = (area or info.grid.whole).shape
        if order.task not in pace:
            pace[order.task] = _measured(job, source, plan, area or info.grid.whole), f"one tile of {order.name}"
        rasters = [layer for layer in job.layers if layer.kind == "raster" and layer.delivered]
        size = shape[0] * shape[1]
        written = sum(int(size * layer.zoom**2) * layer.bands * np.dtype(layer.dtype).itemsize for layer in rasters)
        read = size * len(job.inputs[job.reference].bands) * np.dtype(info.dtype).itemsize
        tiles = -(-shape[0] // plan.tile[0]) * -(-shape[1] // plan.tile[1])
        return ScenePlan(order, "", shape, tiles, read, written, plan.peak, pace[order.task][0] * size)


@contextmanager
def _bound(order: Order) -> Iterator[tuple[Job, Source]]:
    """An order's job and its open scene."""
    source = open_order(order)
    try:
        yield job_of(order, source), source
    finally:
        source.close()


def _measured(job: Job, source: Source, plan: Plan, area: Window) -> float:
    """Seconds for each pixel of one tile in the middle of a scene, in one thread.

    Where the tile holds no valid pixel, the time is that of reading it.
    """
    from hsikit.engine.compute import compute
    from hsikit.engine.options import RunOptions
    from hsikit.errors import EmptySceneError
    from hsikit.geo.grid import Window

    rows, cols = min(plan.tile[0], area.rows), min(plan.tile[1], area.cols)
    tile = Window(area.row + (area.rows - rows) // 2, area.col + (area.cols - cols) // 2, rows, cols)
    with suppress(EmptySceneError):  # the first pixels load what all later ones need
        compute(job, {job.reference: source}, options=RunOptions(threads=1, area=Window(tile.row, tile.col, min(rows, WARM_UP), min(cols, WARM_UP))))
    started = time.monotonic()
    with suppress(EmptySceneError):
        compute(job, {job.reference: source}, options=RunOptions(threads=1, area=tile))
    return (time.monotonic() - started) / tile.size
