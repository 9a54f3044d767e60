"""Values of a report that tests change one by one."""

from __future__ import annotations

from typing import Any

from hsikit.report.content import Areas, Assessment, ClassFacts, Content, Estimate, MapFacts, ModelFacts, Places, ScoreRow, SplitFacts


def split(name: str = "blocks", **changes: Any) -> SplitFacts:
    facts: dict[str, Any] = {
        "train": 300,
        "test": 1200,
        "unused": 50,
        "guard": 4,
        "nearest": 5,
        "overlap": 0.1,
        "window": 15,
        "lost": (),
        "labels": ("f.gpkg",),
    }
    return SplitFacts(name, **{**facts, **changes})


def assessment(own: float = 0.9, floor: float = 0.7, **changes: Any) -> Assessment:
    rows = (ScoreRow("svm", False, own, 0.8, 0.75, 0.78, (0.85, 0.93)), ScoreRow("nearest-label", True, floor, 0.6, 0.5, 0.55))
    facts: dict[str, Any] = {"source": "training", "split": split(), "smoothed": False, "tested": 1200, "unscored": 0, "rows": rows, "codes": (1, 2)}
    return Assessment(**{**facts, "names": ("rye", "maize"), "confusion": ((500, 100), (20, 580)), "groups": 30, **changes})


def content(**changes: Any) -> Content:
    facts: dict[str, Any] = {
        "title": "Class map of scene.tif",
        "map": MapFacts(
            "map.tif", 1200, 900, "EPSG:32633", True, (30.0, 30.0), "m", (0.0, 0.0, 1.0, 1.0), "svm", version="0.1.0", acquired="2024-09-09T09:15:00Z"
        ),
        "model": model(),
        "classes": (ClassFacts(1, "rye", (1, 2, 3), 10, 0.9, 1.0), ClassFacts(2, "maize", (4, 5, 6))),
        "unknown": 0,
        "masked": 0,
        "nodata": 3,
        "scene": "scene.tif",
        "composite": "true colour",
        "places": Places("split", 300, 1100, 100),
        "split": split(),
        "assessment": assessment(),
        "areas": None,
    }
    return Content(**{**facts, **changes})


def model(**changes: Any) -> ModelFacts:
    facts: dict[str, Any] = {"settings": {"kernel_width": 0.25, "scaled": True, "cross_validated_accuracy": 0.9}, "options": {}, "version": "0.1.0",
                             "licence": "", "refitted": True, "seed": 7}  # fmt: skip
    facts = {"line": "a machine", "paper": "Cortes 1995", "sensor": "enmap", "quantity": "surface_reflectance", "units": "1", **facts}
    return ModelFacts("model", "svm", bands=224, wavelengths=(418.0, 2445.0), **{**facts, **changes})


def areas() -> Areas:
    return Areas("map.tif", Estimate(0.947, 0.0184), 640, ())
