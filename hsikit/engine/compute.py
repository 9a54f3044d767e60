"""Runs a Job for its small results: the store, whole layers of small scenes, layer values at given pixels.

The same stages, tiles and working files as a run to disk, in a temporary folder: what is scored is what is mapped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.engine.context import Context, check_job, relations_of
from hsikit.engine.device import computing_on
from hsikit.engine.layerfile import LayerFile
from hsikit.engine.ledger import Ledger
from hsikit.engine.options import Progress, RunOptions, Silent
from hsikit.engine.plan import plan_run, tile_stages
from hsikit.engine.resources import keep_freed_memory_small
from hsikit.engine.stages import run_stages, total_steps
from hsikit.geo.gdal_cache import bounded_gdal_cache
from hsikit.geo.grid import Window
from hsikit.layers import Features
from hsikit.method import Job
from hsikit.scene import Source

if TYPE_CHECKING:
    from torch import Tensor

Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Result:
    """What `compute` gives back.

    Attributes:
        store: small results by stage name.
        layers: whole layers, shape (bands, rows, cols) of the area.
        values: layer values at the pixels of `at`, shape (bands, n).
        features: what Finish stages delivered.
    """

    store: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    features: Mapping[str, Features] = field(default_factory=dict)


def compute(job: Job, sources: Mapping[str, Source], *, layers: Sequence[str] = (), at: Pixels | None = None,
            options: RunOptions | None = None, threads: int | None = None, tile: int | None = None,
            progress: Progress | None = None) -> Result:  # fmt: skip
    """Runs a job and returns arrays.

    Args:
        job: what is run.
        sources: open scenes by role.
        layers: names of the raster layers that are wanted; all of the delivered ones if none is named and `at` is not given.
        at: (rows, cols) of reference pixels; then `values` holds the layers there and no whole layer is made. Where the job
            is one Map, only the tiles that hold these pixels are run.
        options: as for `run_job`.
        threads: short for that field of `options`.
        tile: short for that field of `options`.
        progress: who is told.

    Raises:
        SceneError: the scene cannot be read, or nothing in it is valid.
    """
    chosen = options or RunOptions(tile=tile, threads=threads)
    wanted = list(layers) or [layer.name for layer in job.layers if layer.kind == "raster" and layer.delivered]
    with tempfile.TemporaryDirectory(prefix="hsikit-") as temporary:
        context = open_context(job, sources, chosen, Path(temporary) / "work", "compute", progress or Silent())
        try:
            if at is not None and len(stages := tile_stages(job.stages)) == 1 == len(job.stages):
                tiling = context.tiling(stages[0])
                context.only = frozenset(tiling.holding(int(r), int(c)) for r, c in zip(*at, strict=True))
            context.progress.begin("", total_steps(context, job.stages), 0)
            with bounded_gdal_cache(context.plan.gdal_cache), computing_on(chosen.device, chosen.precision):
                run_stages(context, job.stages)
            found = {name: context.files[name] for name in wanted if name in context.files}
            if at is not None:
                return Result(context.store, values={name: _at(file, at) for name, file in found.items()}, features=context.features)
            return Result(context.store, {name: file.read(file.area) for name, file in found.items()}, features=context.features)
        finally:
            context.close()
            context.ledger.close()


def open_context(job: Job, sources: Mapping[str, Source], options: RunOptions, folder: Path, key: str, progress: Progress,
                 tile: tuple[int, int] | None = None) -> Context:  # fmt: skip
    """Opens (or reopens) the working folder of a run and plans it.

    Args:
        job: what is run.
        sources: by role.
        options: of the user.
        folder: where working files lie.
        key: of the run.
        progress: who is told.
        tile: rows and columns of a tile, where another process has chosen them; an unfinished run keeps its own.

    Raises:
        RunError: the folder is in use, or holds an unfinished run of another command.
        MemoryPlanError: no tile fits into the promised memory.
    """
    keep_freed_memory_small()
    relations = relations_of(job, sources)
    check_job(job)
    ledger = Ledger(folder, key, restart=options.restart)
    begun = ledger.tile is not None
    try:
        plan = plan_run(job, sources, relations, options, ledger.tile or tile)
        ledger.set_tile(plan.tile)
    except BaseException:
        if begun:
            ledger.close()  # what an earlier run did is worth more than a mistaken option
        else:
            ledger.finish()
        raise
    return Context(job, sources, relations, options, plan, folder, ledger, progress, begun)


def _at(file: LayerFile, at: Pixels) -> NDArray[Any]:
    """A layer's values at reference pixels; for a finer layer, at the first fine pixel of each."""
    out = np.empty((file.layer.bands, len(at[0])), file.dtype)
    order = np.lexsort((at[1], at[0]))
    zoom = file.layer.zoom
    for place in order:
        row, col = int(at[0][place] * zoom), int(at[1][place] * zoom)
        out[:, place] = file.read(Window(row, col, 1, 1))[:, 0, 0]
    return out
