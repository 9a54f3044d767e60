"""What a split does to the labels: pixels per class, classes lost, and how much of the test the training windows touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.train.labelled import LabelledScene

Masks = Sequence[NDArray[np.bool_]]
WINDOWS = (1, 5, 9, 15)
"""Sides (pixels) of windows whose overlap is always reported: single spectra, small means, and networks."""
DENSE = 16
"""Pixels of the extent per label pixel up to which a distance transform of the extent is cheaper than a tree, in time and memory."""


def distance_to(places: NDArray[Any], others: NDArray[Any], most: float = np.inf) -> NDArray[np.float64]:
    """Chebyshev distance (pixels) from each place to the nearest of the others.

    Args:
        places: (row, col), shape (n, 2); none of them among the others.
        others: (row, col), shape (m, 2), without repetition.
        most: distances above this need not be known.

    Returns:
        Shape (n,); infinite where there are no others, or none as near as `most`.
    """
    if not len(others) or not len(places):
        return np.full(len(places), np.inf)
    low = np.minimum(places.min(axis=0), others.min(axis=0))
    shape = np.maximum(places.max(axis=0), others.max(axis=0)) - low + 1
    if int(shape[0]) * int(shape[1]) <= DENSE * (len(places) + len(others)):
        return _distance_on_grid(places - low, others - low, (int(shape[0]), int(shape[1])))
    from scipy.spatial import cKDTree

    tree = cKDTree(rim(others), compact_nodes=False, balanced_tree=False)
    return np.asarray(tree.query(places, p=np.inf, distance_upper_bound=most + 0.5)[0], np.float64)


def _distance_on_grid(places: NDArray[Any], others: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The same, by a distance transform of the extent: much the faster where labels fill a good part of it."""
    from scipy.ndimage import distance_transform_cdt

    free = np.ones(shape, bool)
    free[others[:, 0], others[:, 1]] = False
    return np.asarray(distance_transform_cdt(free, metric="chessboard")[places[:, 0], places[:, 1]], np.float64)


def rim(places: NDArray[Any]) -> NDArray[Any]:
    """The places that lack one of their eight neighbours: one of them is always the nearest to a pixel outside."""
    width = int(places[:, 1].max()) + 3
    flat = places[:, 0].astype(np.int64) * width + places[:, 1]
    known = np.sort(flat)
    inner = np.ones(len(flat), bool)
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        wanted = flat[inner] + step
        inner[inner] = known[np.minimum(np.searchsorted(known, wanted), len(known) - 1)] == wanted
    return places[~inner]


def distances_to_training(scenes: Sequence[LabelledScene], train: Masks, test: Masks, most: float = np.inf) -> NDArray[np.float64]:
    """Chebyshev distance of each test pixel to the nearest training pixel of its own scene (pixels; infinite without any, or beyond `most`)."""
    parts = [np.zeros(0)]
    for scene, learn, check in zip(scenes, train, test, strict=True):
        places = np.column_stack([scene.rows, scene.cols])
        parts.append(distance_to(places[check], places[learn], most))
    return np.concatenate(parts)


def least_distance(scenes: Sequence[LabelledScene], train: Masks, test: Masks) -> int | None:
    """The least Chebyshev distance (pixels) between a training and a test pixel of one scene; None where no scene has both."""
    least = np.inf
    for scene, learn, check in zip(scenes, train, test, strict=True):
        if learn.any() and check.any():
            places = np.column_stack([scene.rows, scene.cols])
            least = min(least, float(distance_to(places[check], places[learn]).min()))
    return int(least) if np.isfinite(least) else None


def lost_classes(scenes: Sequence[LabelledScene], train: Masks, test: Masks) -> dict[str, list[int]]:
    """Codes of classes that have label pixels, but none to train on ("train"), or none to test ("test")."""
    there = {code for scene in scenes for code in scene.counts}
    lost = {}
    for side, masks in (("train", train), ("test", test)):
        left = {int(code) for scene, mask in zip(scenes, masks, strict=True) for code in np.unique(scene.codes[mask])}
        lost[side] = sorted(there - left)
    return lost


def _count(scenes: Sequence[LabelledScene], masks: Masks) -> NDArray[np.int64]:
    """Marked label pixels of each code, shape (256,)."""
    counts = np.zeros(256, np.int64)
    for scene, mask in zip(scenes, masks, strict=True):
        counts += np.bincount(scene.codes[mask], minlength=256)
    return counts


def _share_below(distance: NDArray[np.float64], side: int) -> float:
    """Share of the test pixels whose windows of that side meet a training window."""
    return float((distance < side).mean()) if len(distance) else 0.0


def split_report(scenes: Sequence[LabelledScene], train: Masks, test: Masks, *, window: int = 15) -> dict[str, Any]:
    """Facts about a split that a reader of its scores needs.

    Args:
        scenes: the labelled scenes.
        train: training pixels, one mask per scene.
        test: test pixels, one mask per scene.
        window: side (pixels) of the square windows for which the overlap is given.

    Returns:
        JSON-able: `train`, `test` and `unused` pixels; the same per class in `classes`; `lost` classes by side; `overlap` with the
        `window` and the `share` (0 to 1) of test windows that have a pixel in common with some training window; `overlaps`, the
        same for windows of 1, 5, 9 and 15 pixels; `nearest`, the
        least Chebyshev distance (pixels) between training and test pixels, None where no scene has both.
    """
    distance = distances_to_training(scenes, train, test, max(window, *WINDOWS) - 1)
    table = [_count(scenes, masks) for masks in (train, test, [np.ones(len(scene), bool) for scene in scenes])]
    rows = []
    for entry in scenes[0].legend.classes:
        learn, check, total = (int(counts[entry.code]) for counts in table)
        rows.append({"code": entry.code, "name": entry.name, "train": learn, "test": check, "unused": total - learn - check})
    return {
        "train": sum(row["train"] for row in rows),
        "test": sum(row["test"] for row in rows),
        "unused": sum(row["unused"] for row in rows),
        "classes": rows,
        "lost": lost_classes(scenes, train, test),
        "overlap": {"window": window, "share": _share_below(distance, window)},
        "overlaps": [{"window": side, "share": _share_below(distance, side)} for side in WINDOWS],
        "nearest": least_distance(scenes, train, test),
    }
