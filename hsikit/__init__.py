"""hsikit: spectral scenes from any sensor into georeferenced maps, and what each map is worth.

>>> import hsikit
>>> cube = hsikit.open_scene("scene.tif")
>>> model = hsikit.train("mnf-lda", cube, "fields.gpkg", class_field="crop")
>>> hsikit.run(model, cube, "map.tif")

Names are imported when they are first used, so that `import hsikit` costs nothing.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hsikit.version import __version__

if TYPE_CHECKING:
    from hsikit.api import (
        adapt,
        assess_map,
        benchmark,
        check,
        describe,
        evaluate,
        list_methods,
        list_sensors,
        load_method,
        make_method,
        method_for,
        open_library,
        open_scene,
        pretrain,
        rank_detectors,
        read_labels,
        run,
        sample_map,
        save_method,
        train,
        write_detection_report,
        write_report,
    )

__all__ = [
    "__version__",
    "adapt",
    "assess_map",
    "benchmark",
    "check",
    "describe",
    "evaluate",
    "list_methods",
    "list_sensors",
    "load_method",
    "make_method",
    "method_for",
    "open_library",
    "open_scene",
    "pretrain",
    "rank_detectors",
    "read_labels",
    "run",
    "sample_map",
    "save_method",
    "train",
    "write_detection_report",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from hsikit import api

        return getattr(api, name)
    raise AttributeError(f"module 'hsikit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """This module. `hsikit.train` is the function: importing the folder of that name must not put a module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
