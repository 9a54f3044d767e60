"""Cells of a benchmark with known scores: two splits, three seeds, one seed of one method failed."""

from __future__ import annotations

import numpy as np

from hsikit.metrics.scores import Scores
from hsikit.train.benchmark_cells import Cell
from hsikit.train.benchmark_plan import make_plan


def cell(row: str, seed: int, right: int, split: str = "blocks", error: str = "", seconds: float = 1.0) -> Cell:
    """Of 100 test pixels of two classes, `right` are right."""
    confusion = np.array([[right // 2, 50 - right // 2], [50 - (right - right // 2), right - right // 2]])
    scores = None if error else Scores.from_confusion(confusion, (1, 2))
    return Cell(split=split, row=row, seed=seed, scores=scores, error=error, ece=None if row == "svm" else 0.1, train_seconds=seconds)


CELLS = [
    *(cell("nearest-label", seed, right) for seed, right in enumerate((50, 60, 40))),
    *(cell("svm", seed, right) for seed, right in enumerate((70, 60, 62))),
    *(cell("mnf-lda", seed, right, seconds=seconds) for seed, right, seconds in ((0, 80, 9.0), (2, 76, 1.0))),
    cell("mnf-lda", 1, 0, error="no"),
    *(cell("nearest-label", seed, 90, "random") for seed in range(3)),
    *(cell("svm", seed, 80, "random") for seed in range(3)),
    *(cell("mnf-lda", seed, 0, "random", error="no") for seed in range(3)),
]
PLAN = make_plan(["mnf-lda"], ["blocks", "random"], range(3))
