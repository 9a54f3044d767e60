"""Intervals of scores by resampling groups of pixels, not pixels: neighbours in one field are no independent answers.

Percentile bootstrap after Efron and Tibshirani (1993, "An introduction to the bootstrap"), over polygons or connected patches
in place of pixels (a cluster bootstrap). It says how much the scores depend on which fields were labelled; it cannot know of
ground that has no labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.scores import RESERVED_CODES

Floats = NDArray[np.float64]
NAMES = ("overall", "average", "kappa", "macro_f1", "mean_iou")
FEW_GROUPS = 10
"""Groups below which an interval is a rough guess."""
AT_ONCE = 100
"""Resamples whose confusion matrices are held at once."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """95 % intervals of scores.

    Attributes:
        limits: (low, high) by name: those of `NAMES`; NaN where undefined.
        groups: how many were resampled.
        resamples: how often.
        seed: of the draws.
        notes: what a reader should know, one sentence each.
    """

    limits: Mapping[str, tuple[float, float]]
    groups: int
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined limits are None."""
        limits = {name: [None if np.isnan(end) else float(end) for end in ends] for name, ends in self.limits.items()}
        return {**limits, "groups": self.groups, "resamples": self.resamples, "seed": self.seed, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Intervals:
        """The inverse of `to_json`."""
        limits = {name: (_number(record[name][0]), _number(record[name][1])) for name in NAMES}
        return cls(limits, int(record["groups"]), int(record["resamples"]), int(record["seed"]), tuple(record["notes"]))


def bootstrap_intervals(
    truth: NDArray[Any], predicted: NDArray[Any], groups: NDArray[Any], codes: Sequence[int], *, resamples: int = 1000, seed: int = 0
) -> Intervals:
    """Percentile 95 % intervals of scores over resampled groups.

    Args:
        truth: reference class codes, shape (n,).
        predicted: codes of the map at the same pixels; 0, 254 and 255 are left out, as `scores` does.
        groups: number of each pixel's polygon or patch, any integers, shape (n,).
        codes: all classes that may occur.
        resamples: how many, at least 2.
        seed: of the draws.

    Raises:
        LabelError: the three differ in size, or a code is not among `codes`.
        OptionError: fewer than two resamples.
    """
    if resamples < 2:
        raise OptionError("resamples", f"{resamples} give no interval", "Give 1000")
    if not len(truth) == len(predicted) == len(groups):
        raise LabelError("bootstrap", f"{len(truth)} reference pixels, {len(predicted)} predicted ones and {len(groups)} groups", "Give one of each a pixel")
    keep = ~np.isin(predicted, RESERVED_CODES)
    tables = _group_tables(truth[keep], predicted[keep], groups[keep], sorted(int(code) for code in codes))
    count, size = tables.shape[0], len(codes)
    if not count:
        return Intervals({name: (float("nan"), float("nan")) for name in NAMES}, 0, resamples, seed, ("No pixel was scored.",))
    rng, found = np.random.default_rng(seed), []
    for start in range(0, resamples, AT_ONCE):
        draws = rng.multinomial(count, np.full(count, 1 / count), size=min(AT_ONCE, resamples - start))
        found.append(scores_of_tables(np.asarray(tables.T @ draws.T).T.reshape(-1, size, size)))
    limits = {name: _limits(np.concatenate([part[name] for part in found])) for name in NAMES}
    return Intervals(limits, count, resamples, seed, _notes(count, int(keep.sum())))


def _notes(groups: int, pixels: int) -> tuple[str, ...]:
    """Where the intervals say less than they seem to."""
    if groups < FEW_GROUPS:
        return (f"Only {groups} groups were scored: the intervals are unreliable.",)
    if groups > pixels / 2:
        return ("Most groups are single pixels: where several lie in one field, the intervals are too narrow; a --group-field that names the field mends it.",)
    return ()


def _group_tables(truth: NDArray[Any], predicted: NDArray[Any], groups: NDArray[Any], codes: Sequence[int]) -> Any:
    """Confusion matrices of the groups, flattened: a sparse matrix of shape (groups, K * K)."""
    from scipy.sparse import coo_matrix

    known = np.array(codes)
    stray = np.setdiff1d(np.concatenate([truth, predicted]), known)
    if stray.size:
        raise LabelError("bootstrap", f"code {stray[0]} is not among the classes {list(codes)}", "Name all classes of the map and of the reference")
    names, row = np.unique(groups, return_inverse=True)
    cell = np.searchsorted(known, truth) * len(codes) + np.searchsorted(known, predicted)
    return coo_matrix((np.ones(len(row), np.int64), (row, cell)), shape=(len(names), len(codes) ** 2)).tocsr()


def scores_of_tables(tables: NDArray[Any]) -> dict[str, Floats]:
    """Scores of many confusion matrices at once, by the definitions of `Scores`.

    Args:
        tables: shape (R, K, K), rows the reference.

    Returns:
        Arrays of shape (R,) by the names in `NAMES`.
    """
    counts = np.asarray(tables, np.float64)
    right = np.diagonal(counts, axis1=1, axis2=2)
    truth, guess, total = counts.sum(2), counts.sum(1), counts.sum((1, 2))
    overall = _over(right.sum(1), total)
    expected = _over((truth * guess).sum(1), total**2)
    there = truth > 0
    return {
        "overall": overall,
        "average": _mean_where(_over(right, truth), there),
        "kappa": _over(overall - expected, 1 - expected),
        "macro_f1": _mean_where(_over(2 * right, truth + guess), there),
        "mean_iou": _mean_where(_over(right, truth + guess - right), there),
    }


def _over(part: Floats, whole: Floats) -> Floats:
    """The ratio, NaN where whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0), np.float64)


def _mean_where(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Mean over the chosen of the last axis, NaN where none is."""
    return _over(np.where(chosen, values, 0.0).sum(-1), chosen.sum(-1).astype(np.float64))


def _limits(values: Floats) -> tuple[float, float]:
    """The middle 95 % of the defined values."""
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
