"""The method of an order: loaded once where no scene matters to it, else made for the scene's bands."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hsikit.batch.orders import METHODS, OF_CLASSIFIER, TASKS, Order

if TYPE_CHECKING:
    from hsikit.library import Library
    from hsikit.method import Method
    from hsikit.scene import SceneInfo
    from hsikit.spectral.absorption import AbsorptionTable
    from hsikit.tasks.detection.specdetr import SpecDetrDetector

KEPT = 4
"""Models, libraries and tables that a worker keeps: a list may name several."""
FALSE_ALARMS, ZOOM = 1e-3, 2
"""As `hsikit anomaly` and `hsikit superresolve` have them."""


def method_of(order: Order, info: SceneInfo) -> Method:
    """The method of an order.

    Args:
        order: what is to be done.
        info: facts of its scene, to whose bands libraries are brought.

    Raises:
        HsikitError: what it is made from cannot be read, or does not fit the scene.
    """
    chosen = {name: order.options[name] for name in TASKS[order.task] if name in order.options and name not in (*OF_CLASSIFIER, "hits")}
    if "hits" in order.options and "model" not in chosen:
        chosen.setdefault("pfa", FALSE_ALARMS)
    if make := _FOR_SCENE.get(order.task):
        return make(info, dict(chosen))
    return _for_any_scene(order.task, json.dumps(chosen, sort_keys=True))


@functools.lru_cache(KEPT)
def _for_any_scene(task: str, choice: str) -> Method:
    from hsikit.api import make_method
    from hsikit.transfer import open_model

    chosen: dict[str, Any] = json.loads(choice)
    if task == "classify":
        return open_model(chosen["model"])  # type: ignore[no-any-return]
    name, options = chosen.pop("method", METHODS[task]), chosen.pop("param", {})
    if task == "superresolve":
        chosen.setdefault("zoom", ZOOM)
    return make_method(name, **chosen, **options)


def _detector(info: SceneInfo, chosen: dict[str, Any]) -> Method:
    from hsikit.api import make_method
    from hsikit.targets import library_targets

    options = chosen.pop("param", {})
    if "model" in chosen:
        return _learned(chosen["model"]).with_options(**options)
    targets = library_targets(info, _library(chosen.pop("target")), chosen.pop("name", []))
    return make_method(chosen.pop("method", METHODS["detect"]), targets=targets, **chosen, **options)


def _minerals(info: SceneInfo, chosen: dict[str, Any]) -> Method:
    from hsikit.api import make_method
    from hsikit.targets import library_references
    from hsikit.tasks.minerals.features import TABLE, read_features

    references = library_references(info, _library(chosen.pop("library")), chosen.pop("name", []))
    table, options = read_features(chosen.pop("features", TABLE)), chosen.pop("param", {})
    return make_method("minerals", references=references, table=table, **chosen, **options)


def _gas(info: SceneInfo, chosen: dict[str, Any]) -> Method:
    from hsikit.api import make_method
    from hsikit.tasks.gas.gas import METHANE

    table, windows = _absorption(chosen.pop("absorption")), chosen.pop("window", METHANE)
    return make_method(chosen.pop("method", METHODS["gas"]), table=table, windows=tuple((low, high) for low, high in windows), **chosen)


_FOR_SCENE: Mapping[str, Callable[[SceneInfo, dict[str, Any]], Method]] = {"detect": _detector, "minerals": _minerals, "gas": _gas}


@functools.lru_cache(KEPT)
def _learned(folder: str) -> SpecDetrDetector:
    from hsikit.targets import learned_targets

    return learned_targets(folder)


@functools.lru_cache(KEPT)
def _library(path: str) -> Library:
    from hsikit.sensors.libraries import open_library

    return open_library(path)


@functools.lru_cache(KEPT)
def _absorption(path: str) -> AbsorptionTable:
    from hsikit.sensors.absorption_table import read_absorption

    return read_absorption(path)
