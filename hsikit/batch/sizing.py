"""What an archive of like scenes takes on a cluster, by the pace of one: hours, memory, traffic, disk, and what is full first."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hsikit.batch.pace import Pace
from hsikit.errors import OptionError

HOUR = 3600


@dataclass(frozen=True)
class Archive:
    """What an archive takes.

    Attributes:
        scenes: how many.
        workers: that run at once.
        scene_seconds: wall time of one scene in one worker, with the storage to itself.
        seconds: wall time of all.
        processor_hours: of all cores.
        memory: of all workers at their peak (bytes).
        traffic_in: bytes that leave the storage, as files are stored.
        traffic_out: bytes of all products.
        working: bytes of working files on the disks of all workers.
        limit: what holds the workers up: "reading", "computing", "cores", "writing" or "storage".
    """

    scenes: int
    workers: int
    scene_seconds: float
    seconds: float
    processor_hours: float
    memory: int
    traffic_in: float
    traffic_out: float
    working: float
    limit: str

    @property
    def bandwidth(self) -> float:
        """Bytes a second that the storage gives while all workers run."""
        return self.traffic_in / self.seconds


def size_archive(pace: Pace, scenes: int, size: tuple[int, int, int], *, workers: int = 1, threads: int = 1, bandwidth: float | None = None) -> Archive:
    """Sizes a cluster whose workers have a core for each compute thread, as fast as this machine's.

    Args:
        pace: of one scene.
        scenes: how many.
        size: rows, cols and bands of each.
        workers: that run at once.
        threads: compute threads of each.
        bandwidth: bytes a second that the storage gives to all workers together; None: it is never full.

    Raises:
        OptionError: counts below 1, or scenes of other bands than those that the pace was measured on.
    """
    rows, cols, bands = size
    for name, value in (("scenes", scenes), ("jobs", workers), ("threads", threads), ("bandwidth", bandwidth)):
        if value is not None and value <= 0:
            raise OptionError(name, f"{value} is not above 0", "Give a number above 0")
    if bands != pace.bands:
        raise OptionError("scene_size", f"the pace was measured on {pace.bands} bands, and these scenes have {bands}", "Measure it on a scene of that sensor")
    pixels = rows * cols
    each = pace.seconds(pixels, threads=threads, cores=threads)
    computed = pace.start + math.ceil(scenes / workers) * each
    traffic = scenes * pixels * pace.stored * max(1.0, pace.passes)
    carried = traffic / bandwidth if bandwidth is not None else 0.0
    busy = min(workers, scenes)
    return Archive(
        scenes, busy, each, max(computed, carried), scenes * pace.processor_seconds(pixels) / HOUR, busy * peak_of(pace, cols), traffic,
        scenes * pixels * pace.output, busy * pixels * pace.working, "storage" if carried > computed else _slowest(pace, threads),
    )  # fmt: skip


def peak_of(pace: Pace, cols: int) -> int:
    """Peak memory of a worker (bytes) for scenes of that width: strips are as wide as the scene."""
    return pace.base + round(max(0, pace.peak - pace.base) * max(1.0, cols / pace.cols))


def _slowest(pace: Pace, threads: int) -> str:
    rates = pace.rates(threads, threads)
    slowest = max(rates, key=lambda name: rates[name])
    return "writing" if pace.tail > rates[slowest] else slowest


def parse_size(text: str) -> tuple[int, int, int]:
    """Rows, cols and bands of "2000x2000x200".

    Raises:
        OptionError: it is something else.
    """
    found = re.fullmatch(r"\s*([1-9]\d*)\s*[x×]\s*([1-9]\d*)\s*[x×]\s*([1-9]\d*)\s*", text)
    if not found:
        raise OptionError("scene_size", f"'{text}' is no size of scenes", "Write rows, columns and bands like 2000x2000x200")
    return int(found[1]), int(found[2]), int(found[3])


def parse_rate(text: str) -> int:
    """Bytes a second of "800M" or "1.2G".

    Raises:
        OptionError: it is something else.
    """
    from hsikit.engine.resources import parse_memory

    try:
        return parse_memory(text)
    except OptionError:
        raise OptionError("bandwidth", f"'{text}' is no amount of bytes", "Write the bytes of a second like 800M or 1.2G") from None
