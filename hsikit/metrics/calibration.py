"""Whether a classifier is as often right as it says: reliability diagrams, expected calibration error, temperature scaling.

Pure NumPy and SciPy. Guo et al., 2017 ("On calibration of modern neural networks", ICML): one positive number divides all
log-probabilities. It changes how sure a classifier is, never what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import LabelError

Floats = NDArray[np.float64]
LOWEST, HIGHEST = 0.01, 100.0
"""Bounds of a temperature, and of its inverse."""
LEAST = -69.0
"""Log-probabilities are no lower than this (1e-30): one excluded class must not decide a temperature alone."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often pixels of a confidence are right.

    Attributes:
        edges: of the B bins of confidence, ascending from 0 to 1, shape (B + 1,).
        counts: pixels in each bin, shape (B,).
        confidence: their mean confidence, shape (B,); NaN in an empty bin.
        accuracy: share of them that are right, shape (B,); NaN in an empty bin.
        ece: expected calibration error: mean over the pixels of |accuracy - confidence| of their bin, 0 to 1; NaN without pixels.
    """

    edges: Floats
    counts: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats
    ece: float

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "confidence": _plain(self.confidence),
            "accuracy": _plain(self.accuracy),
            "ece": None if np.isnan(self.ece) else self.ece,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Reliability:
        """The inverse of `to_json`."""
        edges, confidence, accuracy = (np.array(record[name], np.float64) for name in ("edges", "confidence", "accuracy"))
        return cls(edges, np.array(record["counts"], np.int64), confidence, accuracy, float("nan") if record["ece"] is None else float(record["ece"]))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> Reliability:
    """The reliability diagram in bins of equal width.

    Args:
        confidence: highest class probability of each pixel, 0 to 1, shape (n,).
        correct: whether the pixel's class is right, shape (n,).
        bins: number of bins.

    Raises:
        LabelError: the two differ in size, or a confidence is no probability.
    """
    sure, right = np.asarray(confidence, np.float64).ravel(), np.asarray(correct, np.float64).ravel()
    if sure.size != right.size:
        raise LabelError("reliability", f"{sure.size} confidences but {right.size} answers", "Give both at the same pixels")
    if not ((sure >= 0) & (sure <= 1 + 1e-6)).all():
        raise LabelError("reliability", "a confidence is missing, or outside 0 to 1", "Leave out the pixels without data")
    place = np.minimum((sure * bins).astype(np.intp), bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    mean, share = (np.where(counts > 0, np.bincount(place, values, minlength=bins) / filled, np.nan) for values in (sure, right))
    error = float(np.nansum(counts * np.abs(share - mean)) / counts.sum()) if sure.size else float("nan")
    return Reliability(np.linspace(0, 1, bins + 1), counts.astype(np.int64), mean, share, error)


def fit_temperature(decisions: ArrayLike, targets: NDArray[np.intp], default: float = 1.0) -> float:
    """The temperature that makes softmax(decisions / temperature) most likely, from 0.01 to 100.

    Args:
        decisions: log-probabilities or other decision values, shape (n, K), of pixels that were not trained on.
        targets: the true class's position, shape (n,).
        default: where there is nothing to learn from.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    if not len(targets):
        return default
    values = np.asarray(decisions, np.float64)

    def loss(log_temperature: float) -> float:
        logits = values * np.exp(-log_temperature)
        return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(targets)), targets]))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded").x))


def confidence_temperature(decisions: ArrayLike, targets: NDArray[np.intp], spread: float = 1.5) -> float:
    """The temperature at which confidence is most likely the chance of being right, from 0.01 to 100.

    Only whether the most probable class is right counts, by log loss; which other class is true does not. On few pixels that
    varies less than `fit_temperature`, which a single true class far below the others may decide.

    Args:
        decisions: log-probabilities, shape (n, K), of pixels that were not trained on; n at least 1.
        targets: the true class's position, shape (n,).
        spread: deviation of the temperature's logarithm before a pixel was seen: keeps it finite where every pixel is right.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    values = np.asarray(decisions, np.float64)
    best = values.argmax(axis=1)
    right = best == targets
    others = values.copy()
    others[np.arange(len(values)), best] = -np.inf

    def loss(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        both, rest = logsumexp(values * factor, axis=1), logsumexp(others * factor, axis=1)
        surprise = both - np.where(right, values.max(axis=1) * factor, rest)
        return float(surprise.sum() + 0.5 * (log_temperature / spread) ** 2)

    # The loss may have several minima: the least on a grid is refined.
    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), 47)
    start = int(np.argmin([loss(point) for point in grid]))
    bounds = grid[max(start - 1, 0)], grid[min(start + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def calibrated_confidence(probabilities: ArrayLike, temperature: float) -> Floats:
    """Highest class probability once log-probabilities are divided by a temperature.

    Args:
        probabilities: as the classifier gives them at temperature 1, shape (n, K); NaN throughout where there is no data.
        temperature: above 0.

    Returns:
        Shape (n,).
    """
    logits = log_of(probabilities) / temperature
    return np.asarray(1.0 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1), np.float64)


def log_of(probabilities: ArrayLike) -> Floats:
    """Log-probabilities, none below `LEAST`, of the same shape."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.exp(LEAST)))


def _plain(values: Floats) -> list[float | None]:
    """Floats for JSON, which has no NaN."""
    return [None if np.isnan(value) else float(value) for value in values]
