"""Measures what a task costs here: the engine's own run of a few rows of tiles of one scene, in a process of its own.

    python -m hsikit.batch.calibration FOLDER

reads FOLDER/request.json, and on stdin the signatures of its addresses as JSON, and writes FOLDER/answer.json. A fresh process has a worker's
memory, and its peak is that of the work.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit import errors
from hsikit.batch.crew import environment_of
from hsikit.batch.file_states import states_in
from hsikit.batch.filling import job_of, open_order
from hsikit.batch.orders import Order
from hsikit.batch.pace import Pace
from hsikit.errors import EmptySceneError, HsikitError, RunError
from hsikit.geo.remote import take_signatures
from hsikit.writers.geotiff import BLOCK

if TYPE_CHECKING:
    from hsikit.engine.options import HiddenPixels, RunOptions
    from hsikit.engine.plan import Plan
    from hsikit.geo.grid import Window
    from hsikit.method import Job
    from hsikit.scene import Indices, Raw, Source

REQUEST, ANSWER = "request.json", "answer.json"
MOST_SAMPLES, LEAST_SHARE = 5, 3
"""Rows of tiles that are run, and how many times higher than all of them a scene is, unless one alone is higher."""
SMALL = 4
"""The smallest run is at most this part of the rows, and of the columns: by it, what each scene costs is told from what each pixel does."""


def calibrate(order: Order, *, threads: int, memory: int) -> Pace:
    """Measures a task on the scene of an order; writes nothing beside its output.

    Args:
        order: the scene and the task.
        threads: compute threads, as of a worker.
        memory: what the worker may plan with (bytes).

    Raises:
        HsikitError: the scene cannot be run; as `hsikit.run`.
    """
    with tempfile.TemporaryDirectory(prefix="hsikit-") as folder:
        request = {"order": order.to_json(), "threads": threads, "memory": memory, "begun": time.time()}
        Path(folder, REQUEST).write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", __name__, folder]
        signatures, variables = json.dumps(order.signatures).encode(), environment_of_child(threads, memory)
        ended = subprocess.run(command, env=variables, input=signatures, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        try:
            answer = json.loads(Path(folder, ANSWER).read_text(encoding="utf-8"))
        except OSError:
            said = ended.stderr.decode(errors="replace").strip().splitlines()
            raise RunError(order.name, f"its calibration ended with code {ended.returncode} ({' '.join(said[-1:])})", "Promise less memory") from None
    if "error" in answer:
        kind = getattr(errors, answer.pop("error"), RunError)
        raise kind(**answer)
    return Pace(**answer)


def environment_of_child(threads: int, memory: int) -> dict[str, str]:
    """This process's variables with a worker's."""
    import os

    return {**os.environ, **environment_of(threads, memory)}


@dataclass
class Spent:
    """What runs cost.

    Attributes:
        runs: how many they were.
        pixels: of their areas.
        tiles: seconds until the last tile was done.
        tail: seconds from there to the end.
        processor: processor seconds until the last tile was done, in all threads.
        read: seconds inside of `Source.read`.
        read_processor: processor seconds there.
        bytes: that were read, decompressed.
        output: bytes of the products.
        padded: pixels of the blocks that a product of the area has, which are written whole.
    """

    runs: float = 0
    pixels: float = 0
    tiles: float = 0
    tail: float = 0
    processor: float = 0
    read: float = 0
    read_processor: float = 0
    bytes: float = 0
    output: float = 0
    padded: float = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


class Timed:
    """A `Source` whose reads are counted into a `Spent`: the engine reads in one thread."""

    def __init__(self, source: Source, spent: Spent) -> None:
        self.info, self.block, self.spent, self._source = source.info, source.block, spent, source

    def read(self, window: Window, bands: Indices) -> Raw:
        """See `Source`."""
        begun, busy = time.perf_counter(), time.thread_time()
        raw = self._source.read(window, bands)
        self.spent.read += time.perf_counter() - begun
        self.spent.read_processor += time.thread_time() - busy
        self.spent.bytes += raw.values.nbytes
        return raw

    def close(self) -> None:
        """See `Source`."""
        self._source.close()


class LastTile:
    """A `Progress` that knows when the last tile was done."""

    def __init__(self) -> None:
        self.at, self.busy = time.perf_counter(), time.process_time()

    def begin(self, plan: str, total: int, done: int) -> None:
        """Says nothing."""

    def advance(self, stage: str, steps: int = 1) -> None:
        """Looks at the clocks."""
        self.at, self.busy = time.perf_counter(), time.process_time()

    def note(self, message: str) -> None:
        """Says nothing."""


def run_part(job: Job, source: Source, options: RunOptions, suffix: str) -> Spent:
    """Runs the area of the options into a temporary folder; an area without a valid pixel costs its reading.

    Args:
        job: what is run.
        source: its scene.
        options: with an area.
        suffix: of the product's name, which tells the format.
    """
    from hsikit.engine.run import run_job

    assert options.area is not None
    spent, last = Spent(1, options.area.size, padded=padded(options.area.shape)), LastTile()
    begun, busy = last.at, last.busy
    with tempfile.TemporaryDirectory(prefix="hsikit-") as folder:
        with suppress(EmptySceneError):
            run_job(job, {job.reference: Timed(source, spent)}, Path(folder, f"part{suffix}"), options=options, progress=last)
        spent.tiles, spent.tail, spent.processor = last.at - begun, time.perf_counter() - last.at, last.busy - busy
        spent.output = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return spent


def padded(shape: tuple[int, int]) -> int:
    """Pixels of the whole blocks of a product."""
    rows, cols = (-(-side // BLOCK) * BLOCK for side in shape)
    return rows * cols


def sampled(area: Window, plan: Plan, block: int) -> list[Window]:
    """Rows of tiles over the whole width, evenly spread, whole rows of blocks; the whole area where it is not much larger.

    Args:
        area: what is run of the scene.
        plan: of the run.
        block: rows that the file decodes at once.
    """
    from hsikit.geo.grid import Window

    block = block if block < area.rows else 1
    rows = max(plan.tile[0], block)
    number = min(MOST_SAMPLES, area.rows // (LEAST_SHARE * rows))
    if number < 1:
        return [area] if 2 * rows >= area.rows else [Window(area.row + (area.rows - rows) // 2 // block * block, area.col, rows, area.cols)]
    middles = [area.row + (2 * place + 1) * area.rows // (2 * number) for place in range(number)]
    starts = [max(area.row, (middle - rows // 2) // block * block) for middle in middles]
    return [Window(start, area.col, rows, area.cols) for start in starts]


def smallest(area: Window, plan: Plan) -> Window:
    """A tile in the middle of an area, or less of a small one."""
    from hsikit.geo.grid import Window

    rows, cols = (max(1, min(side, whole // SMALL)) for side, whole in zip(plan.tile, area.shape, strict=True))
    return Window(area.row + (area.rows - rows) // 2, area.col + (area.cols - cols) // 2, rows, cols)


def measure(order: Order, threads: int, memory: int, start: float) -> Pace:
    """The pace of an order's task; to be called in a fresh process.

    Args:
        order: scene and task.
        threads: compute threads.
        memory: to plan with (bytes).
        start: seconds that loading took.

    Raises:
        HsikitError: the scene cannot be run.
    """
    from hsikit.engine.plan import plan_run
    from hsikit.engine.resources import resident_bytes

    begun = time.perf_counter()
    with opened(order) as (job, source, area, hidden):
        opening = time.perf_counter() - begun
        options = run_options(order, threads, memory, area, hidden)
        plan = plan_run(job, {job.reference: source}, {}, options, None)
        base, parts = resident_bytes(), sampled(area, plan, source.block[0])
        growth = plan.peak - plan_run(job, {job.reference: source}, {}, replace(options, area=parts[0]), plan.tile).peak
        least = replace(options, area=smallest(area, plan))
        suffix = order.output.suffix
        run_part(job, source, replace(options, area=parts[0]), suffix)  # the first tiles of each thread load what all later ones need
        small = Spent()
        with suppress(HsikitError):  # statistics of a scene may need more pixels: then all costs are taken as those of pixels
            small = run_part(job, source, least, suffix)
        samples = [run_part(job, source, replace(options, area=part), suffix) for part in parts]
        costs = costs_of(small, samples, threads, plan.tile[0] * plan.tile[1])
        costs = replace(costs, fixed=opening + costs.fixed, tail=costs.tail * padded(area.shape) / area.size)
        known = pace_of(order, job, source, area, costs, sum(samples, Spent()))
        return replace(known, threads=threads, start=start, base=base, peak=peak_bytes() + max(0, growth))


@dataclass(frozen=True)
class Costs:
    """Fields of a `Pace` that follow from clocks alone; `output` from sizes, and `tail` for each pixel of whole blocks of the product."""

    fixed: float
    read: float
    wait: float
    work: float
    tail: float
    stretch: float
    output: float


def costs_of(small: Spent, samples: Sequence[Spent], threads: int, tile: int) -> Costs:
    """What a scene and what a pixel costs: by a line through the smallest run and the samples; reading costs pixels alone.

    What another program took of the machine for a moment lengthens some samples: how far the tiles lag behind the clocks of their
    threads is that of the least disturbed one. Reading waits for nothing before the first tile of a run, and computing for nothing after the last:
    what one tile thus takes alone, a scene has once, and is no lag.

    Args:
        small: the smallest run.
        samples: the others.
        threads: compute threads.
        tile: pixels of one tile.
    """

    def each(name: str, *parts: Spent, of: str = "pixels") -> float:
        whole = sum(parts, Spent())
        further = getattr(whole, of) - whole.runs * getattr(small, of)
        found = getattr(whole, name) - whole.runs * getattr(small, name)
        return max(0.0, float(found / further)) if further > 0 else float(getattr(whole, name) / getattr(whole, of))

    def rates(*parts: Spent) -> tuple[float, float, float]:
        whole = sum(parts, Spent())
        reading = whole.read / whole.pixels
        busy = min(reading, whole.read_processor / whole.pixels)
        return reading, busy, max(0.0, each("processor", *parts) - busy)

    def lag(part: Spent) -> float:
        reading, _, work = rates(part)
        bound, alone = max(reading, work / threads), min(reading, work / threads)
        return max(1.0, (each("tiles", part) - alone * min(tile, part.pixels) / part.pixels) / bound) if bound > 0 else 1.0

    read, busy, work = rates(*samples)
    tail = min(each("tail", sample, of="padded") for sample in samples)
    tiles = min(each("tiles", sample) for sample in samples)
    fixed = max(0.0, small.tiles + small.tail - small.pixels * tiles - small.padded * tail)
    return Costs(fixed, read, read - busy, work, tail, min(lag(sample) for sample in samples), each("output", *samples))


def pace_of(order: Order, job: Job, source: Source, area: Window, costs: Costs, whole: Spent) -> Pace:
    """The pace as far as it follows from clocks, scene and products; threads, start and memory are still to be filled in."""
    import numpy as np

    itemsize = np.dtype(source.info.dtype).itemsize
    rasters = [layer for layer in job.layers if layer.kind == "raster"]
    return Pace(
        **asdict(costs), task=order.task, scene=order.name, rows=area.rows, cols=area.cols, bands=len(source.info.bands), threads=0, start=0.0,
        passes=whole.bytes / (whole.pixels * len(job.inputs[job.reference].bands) * itemsize),
        stored=sum(size for _, size, _ in states_in(source.info.identity)) / source.info.grid.whole.size,
        working=1 + sum(float(layer.zoom**2) * layer.bands * np.dtype(layer.dtype).itemsize for layer in rasters), base=0, peak=0,
    )  # fmt: skip


@contextmanager
def opened(order: Order) -> Iterator[tuple[Job, Source, Window, HiddenPixels | None]]:
    """An order's job, its open scene, the part that is run, and its masks.

    Raises:
        HsikitError: the scene does not fit the task, or a mask cannot be used.
    """
    from hsikit.geo.bbox import window_of
    from hsikit.sensors.masking import open_masks

    source = open_order(order)
    try:
        job, info, options = job_of(order, source), source.info, order.options
        area = window_of(info.grid, tuple(options["bbox"]), options.get("bbox_crs"), info.name, info.swath) if "bbox" in options else info.grid.whole
        hidden = open_masks(info, options.get("mask"), options.get("dilate", 0), options.get("aoi"))
        try:
            yield job, source, area, hidden
        finally:
            if hidden is not None:
                hidden.close()
    finally:
        source.close()


def run_options(order: Order, threads: int, memory: int, area: Window, hidden: HiddenPixels | None) -> RunOptions:
    """How a worker would run an order."""
    from hsikit.engine.options import RunOptions

    how = order.part(dict.fromkeys(("tile", "device", "precision", "grid"), str))
    return RunOptions(memory=memory, threads=threads, area=area, mask=hidden, **how)


def peak_bytes() -> int:
    """The highest resident memory of this process so far (0 where the system does not say)."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def main(arguments: Sequence[str]) -> None:
    """Answers the request in a folder."""
    from hsikit.batch.worker import LOADED_FIRST

    folder = Path(arguments[0])
    request: dict[str, Any] = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    take_signatures(json.load(sys.stdin))
    for name in LOADED_FIRST:
        import_module(name)
    try:
        pace = measure(Order.from_json(request["order"]), request["threads"], request["memory"], time.time() - request["begun"])
        answer = asdict(pace)
    except HsikitError as error:
        answer = {"error": type(error).__name__, "where": error.where, "wrong": error.wrong, "advice": error.advice}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
