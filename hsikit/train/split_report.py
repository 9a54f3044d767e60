"""What a split does to the labels: pixels per class, classes lost, and how much of the test the training windows touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.train.labelled import LabelledScene

Masks = Sequence[NDArray[np.bool_]]


def distance_to(places: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Chebyshev distance (pixels) from each place to the nearest of the others.

    Args:
        places: (row, col), shape (n, 2).
        others: (row, col), shape (m, 2).

    Returns:
        Shape (n,); infinite where there are no others.
    """
    if not len(others) or not len(places):
        return np.full(len(places), np.inf)
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(others).query(places, p=np.inf)[0], np.float64)


def distances_to_training(scenes: Sequence[LabelledScene], train: Masks, test: Masks) -> NDArray[np.float64]:
    """Chebyshev distance of each test pixel to the nearest training pixel of its own scene (pixels; infinite without any)."""
    parts = [np.zeros(0)]
    for scene, learn, check in zip(scenes, train, test, strict=True):
        places = np.column_stack([scene.rows, scene.cols])
        parts.append(distance_to(places[check], places[learn]))
    return np.concatenate(parts)


def lost_classes(scenes: Sequence[LabelledScene], train: Masks, test: Masks) -> dict[str, list[int]]:
    """Codes of classes that have label pixels, but none to train on ("train"), or none to test ("test")."""
    there = {code for scene in scenes for code in scene.counts}
    lost = {}
    for side, masks in (("train", train), ("test", test)):
        left = {int(code) for scene, mask in zip(scenes, masks, strict=True) for code in np.unique(scene.codes[mask])}
        lost[side] = sorted(there - left)
    return lost


def split_report(scenes: Sequence[LabelledScene], train: Masks, test: Masks, *, window: int = 15) -> dict[str, Any]:
    """Facts about a split that a reader of its scores needs.

    Args:
        scenes: the labelled scenes.
        train: training pixels, one mask per scene.
        test: test pixels, one mask per scene.
        window: side (pixels) of the square windows for which the overlap is given.

    Returns:
        JSON-able: `train`, `test` and `unused` pixels; the same per class in `classes`; `lost` classes by side; `overlap` with the
        `window` and the `share` (0 to 1) of test windows that have a pixel in common with some training window; `nearest`, the
        least Chebyshev distance (pixels) between training and test pixels, None where no scene has both.
    """
    distance = distances_to_training(scenes, train, test)
    rows = []
    for entry in scenes[0].legend.classes:
        learn, check, total = (
            sum(int((scene.codes[mask] == entry.code).sum()) for scene, mask in zip(scenes, masks, strict=True))
            for masks in (train, test, [np.ones(len(scene), bool) for scene in scenes])
        )
        rows.append({"code": entry.code, "name": entry.name, "train": learn, "test": check, "unused": total - learn - check})
    return {
        "train": sum(row["train"] for row in rows),
        "test": sum(row["test"] for row in rows),
        "unused": sum(row["unused"] for row in rows),
        "classes": rows,
        "lost": lost_classes(scenes, train, test),
        "overlap": {"window": window, "share": float((distance < window).mean()) if len(distance) else 0.0},
        "nearest": int(distance.min()) if np.isfinite(distance).any() else None,
    }
