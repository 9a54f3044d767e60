"""The plan of a run: tile size and threads from the memory that was promised.

What is counted: this process as it stands, GDAL's block cache, the strips of stored numbers that are alive at once, and for
each thread its input tiles, its outputs and what the Method says it needs (`Job.cost`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hsikit.engine.device import start_device
from hsikit.engine.options import RunOptions
from hsikit.engine.resources import MIB, available_cores, available_memory, gdal_cache, resident_bytes
from hsikit.engine.workers import in_flight
from hsikit.errors import MemoryPlanError, OptionError
from hsikit.geo.grid import Window
from hsikit.geo.relation import Relation
from hsikit.method import Input, Job, Loop, Map, Reduce, Stage, halo_of
from hsikit.scene import Source

SLACK, THREAD = 40 * MIB, 12 * MIB
"""What the interpreter, the writers and the allocator take beyond the counted arrays; and what the BLAS of each thread takes."""
KEPT = 0.97
"""Share of the promised memory that is planned with: the rest is for what no plan knows."""
ROW_SEGMENT = 32
"""Rows read at once from files that are stored row by row."""
LARGEST_TILE, LARGEST_WITH_HALO = 24_576, 262_144
"""Pixels of a tile beyond which nothing is gained, and a killed run loses more; with a wide halo, larger ones spare work."""
STRIP_SHARE, LEAST_PART = 0.05, 64
"""Share of the memory that one row of blocks may take before it is read in parts, and the rows of a part that is not forced."""
PANEL = 512
"""Columns of a panel, about."""
AGAIN = 0.03
"""What decoding all blocks once more costs, as a share of the work."""
_HEIGHTS = (512, 384, 256, 192, 128, 96, 64, 48, 32, 16)
_WIDTHS = (1024, 768, 512, 384, 256, 192, 128, 96, 64, 32)


@dataclass(frozen=True)
class Plan:
    """How a run is cut.

    Attributes:
        tile: (rows, cols) of a core.
        threads: compute threads.
        segments: rows that are read at once, by role.
        panel: columns of the panels in which Maps go through a scene of wide blocks, so that strips are as wide as a panel; 0: none.
        gdal_cache: bytes of GDAL's block cache.
        peak: estimated peak memory of the process (bytes).
        memory: what was promised (bytes).
    """

    tile: tuple[int, int]
    threads: int
    segments: Mapping[str, int]
    panel: int
    gdal_cache: int
    peak: int
    memory: int

    def describe(self, tiles: int) -> str:
        """One line for people."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{tiles} tiles of {self.tile[0]} x {self.tile[1]} pixels, {threads}, about {self.peak // MIB} of {self.memory // MIB} MiB"


def tile_stages(stages: tuple[Stage, ...]) -> list[Map | Reduce]:
    """All stages that run over tiles, loops opened."""
    found: list[Map | Reduce] = []
    for stage in stages:
        if isinstance(stage, Loop):
            found += tile_stages(stage.stages)
        elif isinstance(stage, Map | Reduce):
            found.append(stage)
    return found


def alignment(job: Job) -> int:
    """The least common multiple of what the stages ask for."""
    return math.lcm(*(stage.align for stage in tile_stages(job.stages)))


def plan_run(job: Job, sources: Mapping[str, Source], relations: Mapping[str, Relation], options: RunOptions, tile: tuple[int, int] | None) -> Plan:
    """Chooses tile, threads and read sizes.

    Args:
        job: what is run.
        sources: by role.
        relations: of every role but the reference to the reference grid.
        options: the user's.
        tile: the tile of an unfinished run that is resumed, else None.

    Raises:
        MemoryPlanError: nothing fits into `options.memory`.
        OptionError: an option's value makes no sense.
    """
    import torch  # noqa: F401 - before the process is measured: the stages need it

    start_device(options.device)

    for name, value in (("--tile", options.tile), ("--threads", options.threads)):
        if value is not None and value < 1:
            raise OptionError(name, f"{value} is below 1", "Give a whole number from 1")
    area = options.area or sources[job.reference].info.grid.whole
    resident = resident_bytes() if options.resident is None else options.resident
    memory = options.memory or max(available_memory() // 2 + resident, 512 * MIB)
    cache = gdal_cache(memory)
    fixed = resident + cache + SLACK
    most = options.threads or available_cores()
    align = alignment(job)
    chosen = tile or ((min(options.tile, area.rows), min(options.tile, area.cols)) if options.tile else None)
    panel = _panel(job, sources[job.reference], memory)
    ways = _ways(area, job, sources, memory, align, chosen, panel)
    for threads in range(most, 0, -1):
        for shape, parts in ways:
            segments = {role: _segment_rows(source, shape, relations.get(role), parts[role]) for role, source in sources.items()}
            peak = fixed + threads * THREAD + _bytes(job, sources, relations, area, shape, threads, segments, panel)
            if peak <= KEPT * memory:
                return Plan(shape, threads, segments, panel, cache, peak, memory)
    if chosen and options.memory is None:
        return Plan(chosen, 1, segments, panel, cache, peak, memory)
    what = f"tiles of {chosen[0]} x {chosen[1]} pixels need" if chosen else "even the smallest tiles need"
    raise MemoryPlanError(
        "--memory",
        f"{memory // MIB} MiB is too little: {what} about {peak // MIB} MiB",
        "Promise more memory, or use smaller tiles" if chosen else "Promise more memory",
    )


def _ways(area: Window, job: Job, sources: Mapping[str, Source], memory: int, align: int,
          chosen: tuple[int, int] | None, panel: int) -> list[tuple[tuple[int, int], dict[str, int]]]:  # fmt: skip
    """Tile shapes and into how many parts a row of blocks is read, from the best to the most sparing.

    What counts is the work done twice: halos, and blocks that are decoded again for each part. Of ways that waste alike, the
    flattest tile: the strips that are alive are as high as a tile.
    """
    halo = np.max([halo_of(stage, job.reference) for stage in tile_stages(job.stages)] or [(0, 0)], axis=0)
    heights = {_even(area.rows, h, align) for h in _HEIGHTS}
    widths = {_even(area.cols, w, align) for w in _WIDTHS}
    most = min(max(LARGEST_TILE, (8 * int(halo.max())) ** 2), LARGEST_WITH_HALO)
    shapes = [chosen] if chosen else [(h, w) for h in heights for w in widths if h * w <= most]
    least = {role: _least_parts(source, job.inputs[role], memory, panel if role == job.reference else 0) for role, source in sources.items()}

    def waste(way: tuple[tuple[int, int], int]) -> tuple[bool, int, int, int]:
        (rows, cols), parts = way
        halos = (rows + 2 * int(halo[0])) * (cols + 2 * int(halo[1])) / (rows * cols)
        again = AGAIN * (least[job.reference] * parts - 1)
        return rows * cols < most // 4, round(10 * halos * (1 + again)), rows, -rows * cols

    ways = sorted(((shape, parts) for shape in shapes for parts in (1, 2, 4, 8, 16)), key=waste)
    return [(shape, {role: first * parts for role, first in least.items()}) for shape, parts in ways]


def _panel(job: Job, reference: Source, memory: int) -> int:
    """Columns of a panel: for scenes of wide blocks of which a whole row would take too much memory; 0 for others.

    A panel's strips are narrow enough to be read by whole blocks; only the blocks under its edges are decoded twice.
    """
    wide = reference.block[1] < reference.info.grid.shape[1]
    folds = any(isinstance(stage, Reduce) and job.reference in stage.reads for stage in tile_stages(job.stages))
    if not wide or folds or _strip(reference, job.inputs[job.reference], 0) <= STRIP_SHARE * memory:
        return 0
    return max(PANEL // reference.block[1], 2) * reference.block[1]


def _strip(source: Source, spec: Input, panel: int) -> int:
    """Bytes of one row of blocks of a panel (0: of the whole width)."""
    width = min(source.info.grid.shape[1], panel or source.info.grid.shape[1])
    return source.block[0] * width * len(spec.bands) * np.dtype(source.info.dtype).itemsize


def _least_parts(source: Source, spec: Input, memory: int, panel: int) -> int:
    """Into how many parts a row of blocks is read so that no part takes more than `STRIP_SHARE` of the memory, if it can be."""
    wanted = 1 << math.ceil(math.log2(max(1.0, _strip(source, spec, panel) / (STRIP_SHARE * memory))))
    return max(1, min(wanted, source.block[0] // LEAST_PART))


def _even(size: int, most: int, align: int) -> int:
    """The tile size of at most about `most` that cuts `size` into equal parts."""
    parts = math.ceil(size / min(most, size))
    return math.ceil(math.ceil(size / parts) / align) * align


def _segment_rows(source: Source, tile: tuple[int, int], relation: Relation | None, parts: int) -> int:
    """Rows read at once: a row of high blocks or a part of it; several rows of low blocks."""
    block = source.block[0]
    if block > ROW_SEGMENT:
        return max(1, block // parts)
    rows = tile[0] if relation is None else relation.window(Window(0, 0, *tile)).rows
    most = max(1, min(rows, max(4, ROW_SEGMENT // parts)))
    return max(most // block, 1) * block


def _bytes(job: Job, sources: Mapping[str, Source], relations: Mapping[str, Relation], area: Window, tile: tuple[int, int],
           threads: int, segments: Mapping[str, int], panel: int) -> int:  # fmt: skip
    """Peak bytes of the costliest stage."""
    return max((_stage_bytes(stage, job, sources, relations, area, tile, threads, segments, panel) for stage in tile_stages(job.stages)), default=0)


def _stage_bytes(stage: Map | Reduce, job: Job, sources: Mapping[str, Source], relations: Mapping[str, Relation], area: Window,
                 tile: tuple[int, int], threads: int, segments: Mapping[str, int], panel: int) -> int:  # fmt: skip
    columns = stage.footprint == "columns"
    shape = (area.rows, min(tile[1], max(1, tile[0] * tile[1] // area.rows))) if columns else tile
    core = Window(area.row, area.col, *shape)
    shared = each = 0
    for name in stage.reads:
        halo = halo_of(stage, name)
        if name in sources:
            relation, bands = relations.get(name), len(job.inputs[name].bands)
            own, whole = (relation.window(core), relation.window(area)) if relation else (core, area)
            need = own.expand(halo)
            each += need.size * (bands * 4 + 2)
            if panel and isinstance(stage, Map):
                wide = Window(area.row, area.col, area.rows, min(area.cols, max(1, panel // tile[1]) * tile[1]))
                whole = relation.window(wide) if relation else wide
            shared += _alive(sources[name], bands, need, whole, segments[name], columns, threads, own)
        else:
            layer = job.layer(name)
            each += int((core.expand(halo).size * float(layer.zoom) ** 2) * layer.bands * np.dtype(layer.dtype).itemsize)
    largest = max((halo_of(stage, name) for name in stage.reads), default=(0, 0))
    each += job.cost((shape[0] + 2 * largest[0], shape[1] + 2 * largest[1])).bytes
    writes = [job.layer(name) for name in stage.writes] if isinstance(stage, Map) else []
    out = sum(int(core.size * float(layer.zoom) ** 2) * layer.bands * np.dtype(layer.dtype).itemsize for layer in writes)
    return shared + threads * each + (2 * threads + 2) * out


def _alive(source: Source, bands: int, need: Window, area: Window, segment: int, columns: bool, threads: int, core: Window) -> int:
    """Bytes of stored numbers that are alive at once: the strips of all tiles that are computed, ready, or being read."""
    pixel = bands * np.dtype(source.info.dtype).itemsize
    flying = in_flight(threads)
    if columns:
        return flying * need.size * pixel
    width = min(source.info.grid.shape[1], area.cols + 2 * (area.col - need.col))
    tile_rows = math.ceil((flying - 1) / math.ceil(area.cols / core.cols)) + 1
    span = (tile_rows - 1) * core.rows + need.rows
    return (math.ceil((span - 1) / segment) + 1) * segment * width * pixel
