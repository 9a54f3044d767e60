"""Runs a Job into finished files: planned, resumable, and visible only when it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsikit.engine.compute import open_context
from hsikit.engine.context import Context
from hsikit.engine.deliver import ClassAreas, beside, deliver
from hsikit.engine.device import computing_on
from hsikit.engine.layerfile import scaled
from hsikit.engine.ledger import COMMITTING, run_key, work_folder
from hsikit.engine.options import Progress, RunOptions, Silent
from hsikit.engine.placing import check_places
from hsikit.engine.stages import run_stages, total_steps
from hsikit.engine.state import STATE, count_valid, with_state
from hsikit.errors import EmptySceneError, HsikitError, OptionError, OutputError
from hsikit.geo.gdal_cache import bounded_gdal_cache
from hsikit.geo.remote import RemotePath, place_of
from hsikit.layers import Layer
from hsikit.method import Job, Loop, Map, Reduce, Stage
from hsikit.scene import Source
from hsikit.version import __version__
from hsikit.writers import check_space, check_target, commit, format_of
from hsikit.writers.table import require_csv
from hsikit.writers.vector import driver_of

TYPICAL_GROWTH = 2.5
"""Pixels of a map for each of the swath's, where no table tells yet."""


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes:
        files: everything that was written, the main output first.
        tiles: tile steps of the whole run.
        resumed: those that an earlier, killed run had done.
        areas: of class maps, by layer: code -> (pixels, hectares).
        store: small results by stage name, as NumPy arrays.
    """

    files: tuple[Path, ...]
    tiles: int
    resumed: int
    areas: Mapping[str, ClassAreas]
    store: Mapping[str, Mapping[str, Any]]


def output_paths(job: Job, path: Path, named: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """Where each delivered layer goes: the first raster to `path`, others to `STEM_layer` beside it, unless named.

    Raises:
        OutputError: a raster's name ends in nothing that is known.
        OptionError: a layer is named that the job does not have.
    """
    given = dict(named or {})
    paths: dict[str, Path] = {}
    for layer in (layer for layer in job.layers if layer.delivered):
        suffix = path.suffix if layer.kind == "raster" else {"vector": ".gpkg", "table": ".csv"}[layer.kind]
        first = layer.kind == "raster" and not any(job.layer(name).kind == "raster" for name in paths)
        chosen = given.pop(layer.name, path if first else path.with_name(f"{path.stem}_{layer.name}{suffix}"))
        # An ending that no writer knows is refused before any work.
        _check_ending(layer, chosen)
        if chosen.absolute() in (other.absolute() for other in paths.values()):
            raise OutputError(chosen, f"is named for two layers, {layer.name} among them", "Give each layer a file of its own")
        paths[layer.name] = chosen
    if given:
        raise OptionError(next(iter(given)), f"{job.method} has no such layer", f"Its layers are {', '.join(paths)}")
    return paths


def _check_ending(layer: Layer, path: Path) -> None:
    """Raises OutputError where no writer knows a file's ending."""
    if layer.kind == "raster":
        format_of(path, layer)
    elif layer.kind == "vector":
        driver_of(path)
    else:
        require_csv(path)


def run_job(job: Job, sources: Mapping[str, Source], output: str | Path, *, named: Mapping[str, Path] | None = None,
            options: RunOptions | None = None, progress: Progress | None = None) -> RunReport:  # fmt: skip
    """Runs a job over open scenes and writes its layers; with a mask, and a main raster that has no code for what it hides, also `STEM_masked`.

    Args:
        job: what is run.
        sources: by role.
        output: the main raster; its ending tells the format.
        named: paths of further layers, by name; others lie beside the main one.
        options: tile, memory, threads, area, mask, overwrite, restart.
        progress: who is told.

    Raises:
        OutputError: an output exists and may not be overwritten, or cannot be written.
        RunError: an unfinished run of another command lies there, or another process is writing it.
        SceneError: a scene is damaged, or nothing in it is valid.
        MemoryPlanError: no tile fits into the promised memory.
    """
    chosen, told = options or RunOptions(), progress or Silent()
    job, path = with_state(job, masked=chosen.mask is not None), place_of(output)
    paths = output_paths(job, path, {name: place_of(other) for name, other in (named or {}).items()})
    folder = work_folder(path)
    others = [*(other for other in paths.values() if other != path), *beside(job, paths)]
    finals = [path, *others]
    _check_apart(finals, sources, chosen)
    committing = (folder / COMMITTING).exists() and not chosen.restart
    check_target(path, chosen.overwrite or committing, also=others)
    _check_one_disk(finals)
    if chosen.grid == "map":
        check_places(sources[job.reference].info)
    parts = chosen.parts
    context = open_context(job, sources, chosen, folder, _key(job, sources, chosen, paths), told, tile=parts.tile if parts is not None else None)
    if parts is not None and parts.tile == context.plan.tile:  # an unfinished run keeps its own tile
        context.parts = parts
    try:
        report = _run(context, paths, told)
    except OutputError:
        context.close()
        context.ledger.close()  # what is done is kept: once there is room, the same command resumes
        raise
    except HsikitError as error:
        context.close()
        if context.begun and not isinstance(error, EmptySceneError):
            context.ledger.close()  # what an earlier run did may still be of use
        else:
            context.ledger.finish()
        raise
    except BaseException:
        context.close()
        context.ledger.close()
        raise
    context.ledger.finish()
    return report


def _check_apart(finals: Sequence[Path], sources: Mapping[str, Source], options: RunOptions) -> None:
    """Refuses an output that is an input of the run.

    Raises:
        OutputError: it is.
    """
    known = [source.info.identity for source in sources.values()] + ([options.mask.identity] if options.mask else [])
    inputs = {place_of(text).resolve() for identity in known for text in _texts(identity)}
    for final in finals:
        if final.resolve() in inputs:
            raise OutputError(final, "is an input of this run", "Choose another name")


def _texts(identity: object) -> Iterator[str]:
    """All texts in an identity; paths are among them."""
    if isinstance(identity, str):
        if "\0" not in identity and len(identity) < 4096:
            yield identity
    elif isinstance(identity, list | tuple):
        for part in identity:
            yield from _texts(part)


def _check_one_disk(finals: Sequence[Path]) -> None:
    """Refuses outputs on several disks: they appear by renames, which stay on one.

    Raises:
        OutputError: an output lies on another disk than the first.
    """
    if isinstance(finals[0], RemotePath):
        return
    home = finals[0].absolute().parent
    for final in finals:
        if final.absolute().parent.stat().st_dev != home.stat().st_dev:
            raise OutputError(final, f"lies on another disk than {finals[0]}", "Write both to one disk, and move one afterwards")


def _run(context: Context, paths: Mapping[str, Path], progress: Progress) -> RunReport:
    total, done = total_steps(context, context.job.stages), _steps_done(context, context.job.stages)
    progress.begin(context.plan.describe(_tiles(context)), total, done)
    check_space(context.folder.parent, _disk_bytes(context))
    with bounded_gdal_cache(context.plan.gdal_cache), computing_on(context.options.device, context.options.precision):
        run_stages(context, context.job.stages)
    if STATE.name in context.files and not count_valid(context.files[STATE.name]):
        raise context.nothing_valid()
    pairs, areas = deliver(context, paths, progress)
    context.ledger.begin_commit(pairs)
    try:
        commit(pairs, {role: source.info.identity for role, source in context.sources.items()})
    except BaseException:
        context.ledger.end_commit()
        raise
    context.close()
    main = next(iter(paths.values()))
    files = [final for _, final in pairs]
    store = {stage: {key: value.cpu().numpy() for key, value in arrays.items()} for stage, arrays in context.store.items()}
    return RunReport(tuple(sorted(files, key=lambda file: file != main)), total, done, areas, store)


def _key(job: Job, sources: Mapping[str, Source], options: RunOptions, paths: Mapping[str, Path]) -> str:
    """What tells one command from another: inputs, work, area, mask, outputs, version. Not how fast it is done."""
    return run_key(
        {
            "version": __version__, "method": job.method, "identity": dict(job.identity), "precision": options.precision,
            "inputs": {role: source.info.identity for role, source in sources.items()},
            "bands": {role: spec.bands for role, spec in job.inputs.items()},
            "stages": [stage.name for stage in job.stages], "area": options.area, "tile": options.tile,
            "mask": options.mask.identity if options.mask else None, "outputs": {name: str(path) for name, path in paths.items()}, "grid": options.grid,
        }
    )  # fmt: skip


def _tiles(context: Context) -> int:
    first = next((stage for stage in context.job.stages if isinstance(stage, Map | Reduce)), None)
    return len(context.tiling(first)) if first else 0


def _steps_done(context: Context, stages: tuple[Stage, ...], prefix: str = "") -> int:
    done = 0
    for stage in stages:
        key = prefix + stage.name
        if isinstance(stage, Loop):
            done += sum(_steps_done(context, stage.stages, f"{key}[{iteration}]/") for iteration in range(1, stage.max_iter + 1))
        elif found := context.ledger.result(key):
            done += found[0]
        elif isinstance(stage, Map):
            done += len(context.ledger.done(key))
    return done


def _disk_bytes(context: Context) -> int:
    """Bytes of all working files and all products, uncompressed."""
    rasters = [layer for layer in context.job.layers if layer.kind == "raster"]
    larger = _growth(context)
    sizes = [scaled(context.area, layer.zoom).size * layer.bands * _itemsize(layer.dtype) * (1 + larger if layer.delivered else 1) for layer in rasters]
    held = sum(path.stat().st_blocks * 512 for path in context.folder.rglob("*") if path.is_file())
    return max(0, int(sum(sizes)) + context.area.size - held)


def _growth(context: Context) -> float:
    """Pixels of the products for each pixel that is run: a map around a swath has empty corners."""
    swath = context.sources[context.job.reference].info.swath
    if swath is None or context.options.grid == "sensor":
        return 1.0
    return TYPICAL_GROWTH if swath.table is None else max(1.0, swath.table.grid.whole.size / context.grid.whole.size)


def _itemsize(dtype: str) -> int:
    import numpy as np

    return np.dtype(dtype).itemsize
