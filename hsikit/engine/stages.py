"""The five kinds of stage, run one after the other; each leaves its mark in the ledger and is skipped when it is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.engine.context import Context
from hsikit.engine.layerfile import LayerFile, scaled
from hsikit.engine.read import Assembler, Need, RoleReader, needs_of
from hsikit.engine.state import HIDDEN, STATE, VALID, fine_state
from hsikit.engine.tiling import Tiling
from hsikit.engine.workers import run_ordered
from hsikit.geo.grid import Grid, Window
from hsikit.layers import Features, Layer
from hsikit.method import Finish, Fit, Loop, Map, Partial, Reduce, Stage, Tile

if TYPE_CHECKING:
    from torch import Tensor

KEEP_SECONDS = 2.0
"""How often a fold or a fit writes down how far it has come."""
STRIP_BYTES, STRIP_PIXELS = 16 * 2**20, 2**20
"""Most bytes and pixels of the strips that a Finish stage is given."""
MappedTile = tuple[list[NDArray[Any]], NDArray[np.uint8] | None]
"""Layers of a tile, and the state of its pixels where it is not kept yet."""


def run_stages(context: Context, stages: tuple[Stage, ...], prefix: str = "") -> None:
    """Runs stages in order; those that the ledger has as finished are only loaded."""
    for stage in stages:
        key = prefix + stage.name
        if isinstance(stage, Map):
            _run_map(context, stage, key)
        elif isinstance(stage, Reduce):
            _run_reduce(context, stage, key)
        elif isinstance(stage, Loop):
            for iteration in range(1, stage.max_iter + 1):
                run_stages(context, stage.stages, f"{key}[{iteration}]/")
                if stage.until(context.store, iteration):
                    break
        elif isinstance(stage, Fit):
            _run_fit(context, stage, key)
        else:
            _run_finish(context, stage, key)


def total_steps(context: Context, stages: tuple[Stage, ...]) -> int:
    """Tile steps of all stages; a loop counts with its most iterations."""
    total = 0
    for stage in stages:
        if isinstance(stage, Map | Reduce):
            total += len(context.tiling(stage)) if context.only is None else len(context.only)
        elif isinstance(stage, Loop):
            total += stage.max_iter * total_steps(context, stage.stages)
        elif isinstance(stage, Fit):
            total += stage.steps
    return total


def _readers(context: Context, stage: Map | Reduce, needs: Mapping[str, Need], tiling: Tiling) -> dict[str, RoleReader]:
    """A reader for every role of a stage, limited to what its tiles may need."""
    readers = {}
    top_left, bottom_right = tiling.cores[0], tiling.cores[-1]
    for role in (name for name in stage.reads if name in context.sources):
        first, last = needs[role].window(top_left), needs[role].window(bottom_right)
        source = context.sources[role]
        area = _around(first, last).intersect(source.info.grid.whole)
        segment = 0 if stage.footprint == "columns" else context.plan.segments[role]
        readers[role] = RoleReader(source, np.asarray(context.job.inputs[role].bands, np.intp), area, segment)
    return readers


def _around(first: Window, last: Window) -> Window:
    """The rectangle from one window to another that lies below and to the right."""
    return Window(first.row, first.col, last.row_end - first.row, last.col_end - first.col)


def _tiles(context: Context, stage: Map | Reduce, tiling: Tiling, todo: list[int], use: Callable[[int, Tile | None, NDArray[np.uint8] | None], Any],
           *, ordered: bool) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """Runs `use` on the tiles `todo` in worker threads."""
    needs = needs_of(stage, context.relations, context.files, context.sources)
    readers = _readers(context, stage, needs, tiling)
    # A fold merges in the order of the tiles, which must not depend on the memory: it has no panels.
    panels = tiling.panels(context.plan.panel if isinstance(stage, Map) else 0)
    panel_of = {number: panel for panel in panels for number in panel}
    wanted = set(todo)
    todo = [number for panel in panels for number in panel if number in wanted]

    def fetch(number: int) -> dict[str, Any]:
        first, last = tiling.cores[panel_of[number][0]], tiling.cores[panel_of[number][-1]]
        whole = {role: _around(needs[role].window(first), needs[role].window(last)) for role in readers}
        return {role: reader.raws(needs[role].window(tiling.cores[number]), whole[role]) for role, reader in readers.items()}

    def make_worker() -> Callable[[int, Any], Any]:
        assembler = Assembler(context, stage, needs)

        def work(number: int, raws: Any) -> Any:
            tile, state = assembler.tile(tiling.cores[number], raws)
            with _precision(context):
                return use(number, tile, state)

        return work

    return run_ordered(todo, fetch, make_worker, context.plan.threads, ordered=ordered)


def _precision(context: Context) -> Any:
    """Autocast to bf16 where asked for."""
    import torch

    device = context.options.device.split(":")[0]
    return torch.autocast(device, dtype=torch.bfloat16, enabled=context.options.precision == "bf16")


def _known_state(context: Context, tiling: Tiling, number: int) -> NDArray[np.uint8] | None:
    """The state of a tile's core, from the stage that read the scene; None where none has yet."""
    file = context.files.get(STATE.name)
    return None if file is None else file.read(tiling.cores[number])[0]


# ---- Map


def _run_map(context: Context, stage: Map, key: str) -> None:
    tiling = context.tiling(stage)
    reads_scene = context.job.reference in stage.reads
    layers = [context.job.layer(name) for name in stage.writes]
    written = [context.new_file(layer, key, tiling) for layer in layers]
    state_file = context.new_file(STATE, key, tiling) if reads_scene and STATE.name not in context.files else None
    finished = context.ledger.result(key) is not None
    if not finished:
        wanted = range(len(tiling)) if context.only is None else sorted(context.only)
        done = context.ledger.done(key)
        todo = [number for number in wanted if number not in done]
        for number, (arrays, state) in _found_and_made(context, stage, key, tiling, todo):
            for file, values in zip(written, arrays, strict=True):
                file.write(number, values)
            if state_file is not None:
                assert state is not None
                state_file.write(number, state[None])
            context.ledger.mark(key, number, [*written, *([state_file] if state_file else [])])
            context.progress.advance(stage.name)
        context.ledger.sync()
        context.ledger.keep(key, len(tiling), {}, finished=True)
    for file in [*written, *([state_file] if state_file else [])]:
        _register(context, file)


def _found_and_made(context: Context, stage: Map, key: str, tiling: Tiling, todo: list[int]) -> Iterator[tuple[int, MappedTile]]:
    """The tiles `todo`: those that other processes made for this run, then the others."""
    found: set[int] = set()
    if context.parts is not None and key == context.job.stages[0].name:
        layers = [context.job.layer(name) for name in stage.writes]
        found = set(np.flatnonzero(context.parts.done).tolist()) & set(todo)
        for number in sorted(found):
            yield number, context.parts.read(number, layers, context, stage)
    yield from map_tiles(context, stage, tiling, [number for number in todo if number not in found])


def map_tiles(context: Context, stage: Map, tiling: Tiling, todo: list[int]) -> Iterator[tuple[int, MappedTile]]:
    """Applies a Map to the tiles `todo`.

    Yields:
        The tile's number; its layers as they are stored, cut to the area, and the state of its pixels where no stage before has kept that.
    """
    layers = [context.job.layer(name) for name in stage.writes]
    states = context.job.reference in stage.reads and STATE.name not in context.files

    def use(number: int, tile: Tile | None, state: NDArray[np.uint8] | None) -> MappedTile:
        core = state if state is not None else _known_state(context, tiling, number)
        skipped = tile is None or (core is not None and not (core == VALID).any())
        values = {} if tile is None or skipped else stage.apply(tile, context.store)
        out = [_finished(layer, values.get(layer.name), core, tiling, number) for layer in layers]
        return out, _clip(core, tiling, number) if states else None

    yield from _tiles(context, stage, tiling, todo, use, ordered=False)


def _register(context: Context, file: LayerFile) -> None:
    """Makes a file the present version of its layer; the version before is not needed any more."""
    before = context.files.get(file.layer.name)
    if before is not None and before.path != file.path:
        before.close(remove=True)
    context.files[file.layer.name] = file


def _clip(state: NDArray[np.uint8] | None, tiling: Tiling, number: int) -> NDArray[np.uint8]:
    core, part = tiling.cores[number], tiling.clipped[number]
    rows, cols = part.slices((core.row, core.col))
    return np.ones(part.shape, np.uint8) if state is None else np.ascontiguousarray(state[rows, cols])


def _finished(layer: Layer, values: Tensor | None, state: NDArray[np.uint8] | None, tiling: Tiling, number: int) -> NDArray[Any]:
    """A layer's core as it is stored: cut to the area, in the layer's dtype, nodata and masked where the pixels are not valid."""
    import torch

    core, part = scaled(tiling.cores[number], layer.zoom), scaled(tiling.clipped[number], layer.zoom)
    if values is None:
        out = np.full((layer.bands, *part.shape), layer.nodata, layer.dtype)
    else:
        if tuple(values.shape) != (layer.bands, *core.shape):
            raise ValueError(f"layer {layer.name}: shape {tuple(values.shape)} was written for a core of {(layer.bands, *core.shape)}")
        rows, cols = part.slices((core.row, core.col))
        part_values = values[:, rows, cols]
        # NumPy has no bfloat16.
        out = (part_values.float() if part_values.dtype == torch.bfloat16 else part_values).cpu().numpy().astype(layer.dtype)
    if state is not None:
        own = fine_state(_clip(state, tiling, number), tiling.clipped[number], part, layer.zoom)
        _keep_nodata(out, own, layer)
    return out


def _keep_nodata(out: NDArray[Any], state: NDArray[np.uint8], layer: Layer) -> None:
    """Nodata is never predicted, whatever a Method wrote there."""
    if (state == VALID).all():
        return
    np.copyto(out, np.asarray(layer.nodata, layer.dtype), where=state != VALID)
    if layer.masked is not None:
        np.copyto(out, np.asarray(layer.masked, layer.dtype), where=state == HIDDEN)


# ---- Reduce


def _run_reduce(context: Context, stage: Reduce, key: str) -> None:
    import torch

    tiling = context.tiling(stage)
    before = context.ledger.result(key)
    if before is None or not before[1]:
        start, total = (before[0], dict(before[2]) or None) if before else (0, None)
        with torch.inference_mode():
            total = _fold(context, stage, key, tiling, start, total)
            if total is None:
                raise context.nothing_valid()
            context.ledger.keep(key, len(tiling), stage.finish(total, context.store), finished=True)
        before = context.ledger.result(key)
    assert before is not None
    context.store[stage.name] = context.on_device(before[2])


def _fold(context: Context, stage: Reduce, key: str, tiling: Tiling, start: int, total: Partial | None) -> Partial | None:
    """Merges the partial results of all tiles in the order of the tiles, from `start` on."""

    def use(number: int, tile: Tile | None, state: NDArray[np.uint8] | None) -> Partial | None:
        core = state if state is not None else _known_state(context, tiling, number)
        if tile is None or (core is not None and not (core == VALID).any()):
            return None
        partial = stage.update(tile, context.store)
        # A partial may be a view of the tile's reused buffers.
        return None if partial is None else {name: value.detach().to("cpu", copy=True) for name, value in partial.items()}

    kept = time.monotonic()
    for number, partial in _tiles(context, stage, tiling, list(range(start, len(tiling))), use, ordered=True):
        if partial is not None:
            total = partial if total is None else stage.merge(total, partial)
        context.progress.advance(stage.name)
        if time.monotonic() - kept > KEEP_SECONDS:
            context.ledger.keep(key, number + 1, total or {}, finished=False)
            kept = time.monotonic()
    return total


# ---- Fit


class _SceneReader:
    """What a Fit stage reads: any window of any role, prepared like a tile."""

    def __init__(self, context: Context, stage: Fit) -> None:
        self._context, self.area = context, context.area
        as_map = Map(stage.name, stage.reads, (), lambda tile, store: {})
        needs = {role: Need((0, 0)) for role in stage.reads}
        self._assembler = Assembler(context, as_map, needs)

    def window(self, role: str, window: Window) -> tuple[Tensor, Tensor]:
        source = self._context.sources[role]
        inside = window.intersect(source.info.grid.whole)
        bands = np.asarray(self._context.job.inputs[role].bands, np.intp)
        values, valid, _ = self._assembler.role(role, window, [source.read(inside, bands)] if inside.size else [])
        return values.clone(), valid


def _run_fit(context: Context, stage: Fit, key: str) -> None:
    before = context.ledger.result(key)
    if before is None or not before[1]:
        reader = _SceneReader(context, stage)
        number, state = (before[0], context.on_device(before[2])) if before else (0, stage.start(context.store))
        kept = time.monotonic()
        for step in range(number, stage.steps):
            state = stage.step(state, reader, step, context.store)
            context.progress.advance(stage.name)
            if time.monotonic() - kept > KEEP_SECONDS:
                context.ledger.keep(key, step + 1, state, finished=False)
                kept = time.monotonic()
        context.ledger.keep(key, stage.steps, state, finished=True)
        before = context.ledger.result(key)
    assert before is not None
    context.store[stage.name] = context.on_device(before[2])


# ---- Finish


class LayerStrips:
    """Full-width strips of the present versions of layers, from top to bottom."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.grid: Grid = context.grid.crop(context.area)

    def strips(self, *names: str) -> Iterator[tuple[Window, dict[str, Any]]]:
        """See `hsikit.method.Strips`."""
        files = {name: self._context.files[name] for name in names}
        area = self._context.area
        pixel = sum(file.layer.bands * file.dtype.itemsize for file in files.values()) or 1
        rows = max(1, min(STRIP_BYTES // pixel, STRIP_PIXELS) // area.cols)
        for row in range(0, area.rows, rows):
            window = Window(row, 0, min(rows, area.rows - row), area.cols)
            on_grid = Window(area.row + row, area.col, *window.shape)
            yield window, {name: file.read(on_grid) for name, file in files.items()}


def _run_finish(context: Context, stage: Finish, key: str) -> None:
    before = context.ledger.result(key)
    if before is None:
        arrays, features = stage.run(LayerStrips(context), context.store)
        context.ledger.keep(key, 0, {**arrays, FEATURES: _packed(features)}, finished=True)
        before = context.ledger.result(key)
    assert before is not None
    kept = before[2]
    context.features.update(_unpacked(kept.pop(FEATURES)))
    context.store[stage.name] = context.on_device(kept)


FEATURES = "__features"


def _packed(features: Mapping[str, Features]) -> Tensor:
    """Features as the bytes of JSON, so that the ledger keeps them: the layers that they came from may be gone on resuming."""
    import torch

    facts = {
        name: {
            "columns": {key: [values.dtype.str, values.tolist()] for key, values in found.columns.items()},
            "points": None if found.points is None else found.points.tolist(),
            "crs": found.crs,
        }
        for name, found in features.items()
    }
    return torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8)


def _unpacked(stored: Tensor) -> dict[str, Features]:
    facts = json.loads(bytes(stored.numpy().tobytes()))
    found = {}
    for name, fact in facts.items():
        columns = {key: np.array(values, np.dtype(kind)) for key, (kind, values) in fact["columns"].items()}
        points = None if fact["points"] is None else np.array(fact["points"], np.float64).reshape(-1, 2)
        found[name] = Features(columns, points, fact["crs"])
    return found
