"""Tiles of a job's first stage, made by several processes for one run: a Zarr store in which each tile is a chunk of its own.

A process that has a share of the tiles writes their chunks and no others. The run that joins them takes each tile that it finds and computes
the rest. A tile counts once its mark is set, which is written last. Only a job that begins with a `Map` of its scene has such tiles.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.engine.compute import open_context
from hsikit.engine.context import Context
from hsikit.engine.device import computing_on
from hsikit.engine.layerfile import scaled
from hsikit.engine.options import Progress, RunOptions, Silent
from hsikit.engine.stages import map_tiles
from hsikit.engine.state import STATE
from hsikit.errors import OutputError
from hsikit.geo.gdal_cache import bounded_gdal_cache
from hsikit.layers import Layer
from hsikit.method import Job, Map
from hsikit.scene import Source
from hsikit.writers.failures import writing

DONE, KEY, TILE = "done", "key", "tile"
TileArrays = tuple[list[NDArray[Any]], NDArray[np.uint8]]


def shared_stage(job: Job) -> Map | None:
    """The stage whose tiles several processes can make: the first, where it is a `Map` of the scene by tiles."""
    first = job.stages[0]
    return first if isinstance(first, Map) and job.reference in first.reads and first.footprint == "tile" else None


class Parts:
    """An open store.

    Attributes:
        folder: the store.
        key: of the run that it belongs to.
        tile: rows and columns of a tile's core.
    """

    def __init__(self, folder: Path) -> None:
        import zarr

        self.folder = folder
        group = zarr.open_group(folder, mode="r+")
        self.key, self.tile = str(group.attrs[KEY]), (int(group.attrs[TILE][0]), int(group.attrs[TILE][1]))  # type: ignore[index, arg-type]
        self._arrays: dict[str, Any] = dict(group.arrays())

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which tiles are there."""
        marks: NDArray[np.uint8] = self._arrays[DONE][:]
        return marks > 0

    def write(self, number: int, layers: Sequence[Layer], arrays: TileArrays) -> None:
        """Writes a tile: its layers, cut to the area, and the state of its pixels.

        Raises:
            OutputError: the store is gone, or cannot be written.
        """
        if not (self.folder / "zarr.json").exists():
            raise OutputError(self.folder, "it was removed: the scene has failed elsewhere, or its run was given up", "Run it again")
        with writing(self.folder):
            for layer, values in zip([*layers, STATE], [*arrays[0], arrays[1][None]], strict=True):
                self._arrays[layer.name][number, : values.size] = values.ravel()
            self._arrays[DONE][number] = 1

    def read(self, number: int, layers: Sequence[Layer], context: Context, stage: Map) -> TileArrays:
        """What `write` wrote."""
        part = context.tiling(stage).clipped[number]
        found = []
        for layer in (*layers, STATE):
            window = scaled(part, layer.zoom)
            found.append(self._arrays[layer.name][number, : layer.bands * window.size].reshape(layer.bands, *window.shape))
        return found[:-1], found[-1][0]


def open_parts(folder: Path, key: str) -> Parts | None:
    """The store of a run; None where there is none, or that of another run."""
    if not (folder / "zarr.json").exists():
        return None
    found = Parts(folder)
    return found if found.key == key else None


def make_parts(job: Job, sources: Mapping[str, Source], options: RunOptions, folder: Path, key: str) -> Parts:
    """An empty store for the tiles of a job's shared stage, in place of another run's.

    Args:
        job: it has a `shared_stage`.
        sources: open scenes by role.
        options: memory and threads decide on the tile, which all then share.
        folder: the store, whose folder exists.
        key: of the run.

    Raises:
        OutputError: it cannot be written.
        MemoryPlanError: no tile fits into the promised memory.
    """
    import zarr

    stage = shared_stage(job)
    assert stage is not None
    with tempfile.TemporaryDirectory(prefix="hsikit-") as temporary:
        context = open_context(job, sources, options, Path(temporary) / "work", key, Silent())
        context.ledger.finish()
    tiling, layers = context.tiling(stage), [*(job.layer(name) for name in stage.writes), STATE]
    beside = folder.with_name(f"{folder.name}.new")
    drop_parts(beside)
    with writing(folder):
        group = zarr.open_group(beside, mode="w", zarr_format=3, attributes={KEY: key, TILE: list(context.plan.tile)})
        for layer in layers:
            size = layer.bands * max(scaled(part, layer.zoom).size for part in tiling.clipped)
            group.create_array(layer.name, shape=(len(tiling), size), chunks=(1, size), dtype=layer.dtype, fill_value=_fill(layer))
        group.create_array(DONE, shape=(len(tiling),), chunks=(1,), dtype="uint8", fill_value=0)
        drop_parts(folder)
        beside.rename(folder)
    return Parts(folder)


def _fill(layer: Layer) -> int | float:
    value: int | float = np.dtype(layer.dtype).type(layer.nodata).item()
    return value


def drop_parts(folder: Path) -> None:
    """Removes a store, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)


def run_share(job: Job, sources: Mapping[str, Source], options: RunOptions, parts: Parts, share: range, progress: Progress) -> None:
    """Makes those tiles of a share that are missing.

    Args:
        job: as the store was made for.
        sources: open scenes by role.
        options: as there; the tile is the store's.
        parts: where the tiles go.
        share: numbers of the tiles.
        progress: who is told.

    Raises:
        HsikitError: as `hsikit.engine.run_job`.
    """
    stage = shared_stage(job)
    assert stage is not None
    layers = [job.layer(name) for name in stage.writes]
    with tempfile.TemporaryDirectory(prefix="hsikit-") as temporary:
        context = open_context(job, sources, options, Path(temporary) / "work", parts.key, progress, tile=parts.tile)
        try:
            done = parts.done
            todo = [number for number in share if not done[number]]
            progress.begin("", len(share), len(share) - len(todo))
            with bounded_gdal_cache(context.plan.gdal_cache), computing_on(options.device, options.precision):
                for number, (arrays, state) in map_tiles(context, stage, context.tiling(stage), todo):
                    assert state is not None
                    parts.write(number, layers, (arrays, state))
                    progress.advance(stage.name)
        finally:
            context.close()
            context.ledger.finish()
