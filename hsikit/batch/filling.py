"""An order as the engine takes it: its scene opened, its method loaded once, its job bound; a large one in shares of tiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.batch.ledger import request_of
from hsikit.batch.methods import method_of
from hsikit.batch.orders import OF_CLASSIFIER, READING, RUNNING, Order
from hsikit.errors import RunError
from hsikit.geo.remote import RemotePath
from hsikit.version import __version__

if TYPE_CHECKING:
    from hsikit.engine.options import Progress
    from hsikit.engine.parts import Parts
    from hsikit.method import Job
    from hsikit.prepared import PreparedRun
    from hsikit.scene import Source


def open_order(order: Order) -> Source:
    """The scene of an order.

    Raises:
        SceneError: as `hsikit.open_scene`.
    """
    from hsikit.api import source_of

    return source_of(order.scene[0] if len(order.scene) == 1 else list(order.scene), **order.part(READING))


@contextmanager
def prepare_order(order: Order, source: Source, progress: Progress | None = None, **options: Any) -> Iterator[PreparedRun]:
    """An order on its open scene, ready to run.

    Args:
        order: what is to be done.
        source: its scene.
        progress: who is told.
        options: further ones of `hsikit.prepared.prepare_run`.

    Raises:
        HsikitError: as `hsikit.run`.
    """
    from hsikit.prepared import prepare_run

    method, own = method_of(order, source.info), order.part(RUNNING)
    if "bbox" in own:
        own["bbox"] = tuple(own["bbox"])
    classifier = order.part(dict.fromkeys(OF_CLASSIFIER, bool))
    with prepare_run(method, {method.roles[0]: source}, progress, classifier=classifier, **own, **options) as prepared:
        yield prepared


def fill_order(order: Order, source: Source, progress: Progress, how: Mapping[str, Any]) -> dict[str, Any]:
    """Does an order over its open scene, or a share of it.

    Args:
        order: what is to be done.
        source: its scene.
        progress: who is told.
        how: "threads", "memory", "restart" and "overwrite" as for `hsikit.run`; "split": pixels above which a scene is done in groups of tiles, or
            None; "group": (number, of how many) where this is one of them, or None.

    Returns:
        The answer of a worker: {"is": "done", "files": paths, the main raster first}; {"is": "split", "groups": numbers of the groups that are to be
        done first, "of": all}; {"is": "grouped"} where a group is done.

    Raises:
        HsikitError: as `hsikit.run`.
    """
    from hsikit.engine.parts import drop_parts, open_parts, run_share

    options = {name: how[name] for name in ("threads", "memory", "restart", "overwrite")}
    folder, key = parts_folder(order.output), _parts_key(order, source)
    with prepare_order(order, source, progress, **options) as prepared:
        if group := how.get("group"):
            parts = open_parts(folder, key)
            if parts is None:
                raise RunError(folder, "the tiles of this scene's groups are gone, or of another run", "Run the batch again with --retry-failed")
            run_share(prepared.job, prepared.sources, prepared.options, parts, _share(len(parts.done), *group), progress)
            return {"is": "grouped"}
        if how["restart"]:
            drop_parts(folder)
        parts = open_parts(folder, key)
        if count := _groups_of(prepared, how.get("split"), order):
            parts = parts or _begin_parts(prepared, folder, key)
            done = parts.done
            if missing := [number for number in range(count) if not all(done[tile] for tile in _share(len(done), number, count))]:
                return {"is": "split", "groups": missing, "of": count}
        named = {"hits": order.options["hits"]} if "hits" in order.options else None
        report = replace(prepared, options=replace(prepared.options, parts=parts)).write(order.output, named)
        drop_parts(folder)
        return {"is": "done", "files": [str(file) for file in report.files]}


def parts_folder(output: Path) -> Path:
    """Where the groups of a large scene put their tiles: `.OUTPUT.hsikit-parts.zarr` beside the output."""
    return output.with_name(f".{output.name}.hsikit-parts.zarr")


def _parts_key(order: Order, source: Source) -> str:
    """What the tiles of a store follow from."""
    return hashlib.sha256(json.dumps([request_of(order), __version__, source.info.identity], default=str).encode()).hexdigest()


def _begin_parts(prepared: PreparedRun, folder: Path, key: str) -> Parts:
    from hsikit.engine.parts import make_parts

    return make_parts(prepared.job, prepared.sources, prepared.options, folder, key)


def _groups_of(prepared: PreparedRun, most: int | None, order: Order) -> int:
    """In how many groups a scene is done; 0: in one piece. One on a server is: its working files lie on one machine."""
    from hsikit.engine.parts import shared_stage

    if most is None or isinstance(order.output, RemotePath) or shared_stage(prepared.job) is None:
        return 0
    whole = prepared.options.area or prepared.sources[prepared.job.reference].info.grid.whole
    count = -(-whole.size // most)
    return count if count > 1 else 0


def _share(tiles: int, number: int, count: int) -> range:
    """The tiles of a group: all groups are alike, and follow each other."""
    return range(tiles * number // count, tiles * (number + 1) // count)


def job_of(order: Order, source: Source) -> Job:
    """The job of an order on its open scene; reads no pixel.

    Raises:
        HsikitError: the scene does not fit the method.
    """
    from hsikit.prepared import bind_job

    method = method_of(order, source.info)
    return bind_job(method, {method.roles[0]: source}, **order.part(dict.fromkeys(OF_CLASSIFIER, bool)))
