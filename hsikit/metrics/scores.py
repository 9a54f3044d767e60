"""Scores of a class map against reference labels: overall and average accuracy, per-class F1 and IoU, confusion matrix, kappa.

Pure NumPy. A prediction that is one of the map's reserved codes (nodata, unknown, masked) is neither right nor wrong: it is
left out and counted in `unscored`. Kappa: Cohen (1960), doi:10.1177/001316446002000104.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError

RESERVED_CODES = (0, 254, 255)
"""Codes of a class map that are no class: nodata, unknown, masked."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """How well predicted classes agree with reference labels. All shares are 0 to 1; NaN where there is nothing to divide by.

    Attributes:
        codes: the K class codes, in the order of the arrays.
        overall: overall accuracy: share of the scored pixels that are right.
        average: mean of `recall` over the classes that occur in the reference.
        kappa: Cohen's kappa, -1 to 1: agreement beyond that of shuffled labels; no accuracy.
        f1: per class, shape (K,); NaN for a class neither in the reference nor predicted.
        iou: per class (intersection over union, Jaccard), shape (K,); NaN as in `f1`.
        recall: per class (producer's accuracy), shape (K,); NaN for a class not in the reference.
        precision: per class (user's accuracy), shape (K,); 0 for a class of the reference that was never predicted.
        confusion: int64 of shape (K, K): rows are the reference, columns the prediction.
        support: reference pixels per class among the scored ones, shape (K,).
        unscored: pixels left out because the map says nodata, unknown or masked there.
    """

    codes: tuple[int, ...]
    overall: float
    average: float
    kappa: float
    f1: Floats
    iou: Floats
    recall: Floats
    precision: Floats
    confusion: NDArray[np.int64]
    support: NDArray[np.int64]
    unscored: int = 0

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur in the reference."""
        return _mean(self.f1[self.support > 0])

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that occur in the reference."""
        return _mean(self.iou[self.support > 0])

    @classmethod
    def from_confusion(cls, confusion: NDArray[np.int64], codes: Sequence[int], unscored: int = 0) -> Scores:
        """Scores of a confusion matrix of shape (K, K), rows the reference; matrices of several scenes may be added first."""
        counts = np.asarray(confusion, np.int64)
        right = np.diag(counts).astype(np.float64)
        truth, guess, total = counts.sum(1), counts.sum(0), int(counts.sum())
        recall = _ratio(right, truth)
        precision = np.where((guess == 0) & (truth > 0), 0.0, _ratio(right, guess))
        observed = float(right.sum()) / total if total else float("nan")
        # Python integers: the product of two pixel counts may pass int64.
        expected = sum(int(t) * int(g) for t, g in zip(truth, guess, strict=True)) / total**2 if total else float("nan")
        kappa = (observed - expected) / (1 - expected) if expected < 1 else float("nan")
        f1, iou = _ratio(2 * right, truth + guess), _ratio(right, truth + guess - np.diag(counts))
        return cls(tuple(int(c) for c in codes), observed, _mean(recall[truth > 0]), kappa, f1, iou, recall, precision, counts, truth, unscored)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {
            "overall": _plain(self.overall),
            "average": _plain(self.average),
            "macro_f1": _plain(self.macro_f1),
            "mean_iou": _plain(self.mean_iou),
            "kappa": _plain(self.kappa),
            "codes": list(self.codes),
            "f1": [_plain(v) for v in self.f1],
            "iou": [_plain(v) for v in self.iou],
            "recall": [_plain(v) for v in self.recall],
            "precision": [_plain(v) for v in self.precision],
            "support": self.support.tolist(),
            "confusion": self.confusion.tolist(),
            "scored": int(self.support.sum()),
            "unscored": self.unscored,
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Scores:
        """The inverse of `to_json`: everything follows from the confusion matrix."""
        size = len(record["codes"])
        confusion = np.asarray(record["confusion"], np.int64).reshape(size, size)
        return cls.from_confusion(confusion, record["codes"], int(record["unscored"]))


def scores(truth: NDArray[Any], predicted: NDArray[Any], codes: Sequence[int]) -> Scores:
    """Scores predicted class codes against reference codes.

    Args:
        truth: reference class codes (1 to 250), any shape.
        predicted: codes of the map at the same pixels; 0, 254 and 255 are left out and counted.
        codes: all classes that may occur, ascending: those of the map's legend and of the reference.

    Raises:
        LabelError: the two differ in size, or a code is not among `codes`.
    """
    reference, guess = np.asarray(truth).ravel(), np.asarray(predicted).ravel()
    if reference.size != guess.size:
        raise LabelError("scores", f"{reference.size} reference pixels but {guess.size} predicted ones", "Give both at the same pixels")
    keep = ~np.isin(guess, RESERVED_CODES)
    order = np.asarray(sorted(int(c) for c in codes), np.int64)
    rows, columns = _positions(reference[keep], order, "reference"), _positions(guess[keep], order, "predicted")
    size = len(order)
    confusion = np.bincount(rows * size + columns, minlength=size * size).reshape(size, size).astype(np.int64)
    return Scores.from_confusion(confusion, order.tolist(), int((~keep).sum()))


def _positions(values: NDArray[Any], codes: NDArray[np.int64], which: str) -> NDArray[np.intp]:
    """Where each value stands among the ascending codes."""
    stray = np.setdiff1d(values, codes)
    if stray.size:
        raise LabelError("scores", f"{which} code {stray[0]} is not among the classes {codes.tolist()}", "Name all classes of the map and of the reference")
    return np.searchsorted(codes, values)


def _ratio(part: Floats, whole: NDArray[Any]) -> Floats:
    """The ratio, NaN where whole is 0."""
    out = np.full(part.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _mean(values: Floats) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if values.size else float("nan")


def _plain(value: float) -> float | None:
    """A float for JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)
