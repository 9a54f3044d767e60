"""An order as the engine takes it: its scene opened, its method loaded once, its job bound."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.batch.orders import METHODS, READING, RUNNING, Order

if TYPE_CHECKING:
    from hsikit.engine.options import Progress
    from hsikit.method import Job, Method
    from hsikit.scene import Source

MODELS_KEPT = 4
"""Models that a worker keeps loaded: a list may name several."""
FALSE_ALARMS, ZOOM = 1e-3, 2
"""As `hsikit anomaly` and `hsikit superresolve` have them."""
OF_METHOD = ("model", "method", "pfa", "zoom", "param")
OF_CLASSIFIER = {"confidence": False, "probabilities": False, "smooth": False, "sieve": 0, "unknown_below": 0.0, "refit_statistics": False}


def open_order(order: Order) -> Source:
    """The scene of an order.

    Raises:
        SceneError: as `hsikit.open_scene`.
    """
    from hsikit.api import source_of

    return source_of(order.scene[0] if len(order.scene) == 1 else list(order.scene), **order.part(READING))


def run_order(order: Order, source: Source, progress: Progress, *, threads: int, memory: int, restart: bool, overwrite: bool) -> list[Path]:
    """Runs an order over its open scene.

    Returns:
        The files that were written, the main raster first.

    Raises:
        HsikitError: as `hsikit.run`.
    """
    from hsikit.api import run

    method = method_of(order)
    options = order.part({**RUNNING, **dict.fromkeys(OF_CLASSIFIER, bool)})
    if "bbox" in options:
        options["bbox"] = tuple(options["bbox"])
    named = {"hits": order.options["hits"]} if "hits" in order.options else None
    report = run(
        method, {method.roles[0]: source}, order.output, named=named, threads=threads, memory=memory, restart=restart, overwrite=overwrite,
        progress=progress, **options,
    )  # fmt: skip
    return list(report.files)


def job_of(order: Order, source: Source) -> Job:
    """The job of an order on its open scene; reads no pixel.

    Raises:
        HsikitError: the scene does not fit the method.
    """
    from hsikit.api import bind_job

    method = method_of(order)
    return bind_job(method, {method.roles[0]: source}, **{**OF_CLASSIFIER, **order.part(dict.fromkeys(OF_CLASSIFIER, bool))})


def method_of(order: Order) -> Method:
    """The method of an order, loaded once for all orders that share it."""
    chosen = {name: order.options[name] for name in OF_METHOD if name in order.options}
    if order.task == "anomaly" and "hits" in order.options:
        chosen.setdefault("pfa", FALSE_ALARMS)
    return _method(order.task, json.dumps(chosen, sort_keys=True))


@functools.lru_cache(MODELS_KEPT)
def _method(task: str, choice: str) -> Method:
    from hsikit.api import make_method
    from hsikit.transfer import open_model

    chosen: dict[str, Any] = json.loads(choice)
    if task == "classify":
        return open_model(chosen["model"])  # type: ignore[no-any-return]
    name, options = chosen.pop("method", METHODS[task]), chosen.pop("param", {})
    if task == "superresolve":
        chosen.setdefault("zoom", ZOOM)
    return make_method(name, **chosen, **options)
