"""Accuracy and class areas of a map from a sample of reference points, with standard errors: for whoever publishes a map.

Olofsson et al. (2014), doi:10.1016/j.rse.2014.02.015, for strata that are the map's classes; Stehman (2014),
doi:10.1080/01431161.2014.930207, for strata that are not (an older map's classes, say). Both are one estimator here, the stratified
ratio estimator over indicators, which is equal to Olofsson's formulas where strata and map classes coincide. A simple random
sample is post-stratified by the same formulas. Points are single pixels: polygons are clusters, and their intervals would be
too narrow. Finite-population corrections are left out, as in the paper: a stratum of which much was sampled gets wider intervals than need be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import LabelError, OptionError

Z95 = 1.96
"""Standard errors in half of a 95 % interval, as in the paper."""

DECISIVE = 0.05
"""Share of a class's area from which a single point is decisive: there the intervals were seen to cover too seldom."""

Floats = NDArray[np.float64]
WHERE = "accuracy"


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates with their standard errors, both of one shape; NaN where there is nothing to divide by."""

    value: Floats
    error: Floats

    @property
    def half_width(self) -> Floats:
        """Half of the 95 % interval: 1.96 standard errors."""
        return Z95 * self.error

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {"value": _plain(self.value), "standard_error": _plain(self.error), "half_width": _plain(self.half_width)}


@dataclass(frozen=True, eq=False)
class AreaAccuracy:
    """Area-adjusted accuracy of a map of K classes. Shares and accuracies are 0 to 1.

    Attributes:
        classes: the K class names, in the order of the arrays.
        overall: overall accuracy, shape ().
        users: user's accuracy per map class, shape (K,); NaN for a class that the map lacks.
        producers: producer's accuracy per reference class, shape (K,); NaN for a class without reference points.
        share: share of the mapped area that each reference class takes, shape (K,).
        hectares: the same as areas in ha, shape (K,); None where the size of a pixel is unknown.
        confusion: estimated shares of area, shape (K, K): rows are the map's classes, columns the reference's; sums to 1.
        counts: reference points, int64 of shape (K, K), rows the map's classes.
        mapped: share of area by map class, shape (K,): what counting pixels reports. Estimated where strata are not map classes.
        notes: what a reader must know of these numbers.
    """

    classes: tuple[str, ...]
    overall: Estimates
    users: Estimates
    producers: Estimates
    share: Estimates
    hectares: Estimates | None
    confusion: Floats
    counts: NDArray[np.int64]
    mapped: Floats
    notes: tuple[str, ...] = ()

    @property
    def kappa(self) -> float:
        """Cohen's kappa of `confusion`, NaN for a single class. Not an accuracy: print it last."""
        chance = float(self.confusion.sum(1) @ self.confusion.sum(0))
        return (float(self.overall.value) - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {
            "classes": list(self.classes),
            "overall": self.overall.to_json(),
            "users": self.users.to_json(),
            "producers": self.producers.to_json(),
            "area_share": self.share.to_json(),
            "area_ha": None if self.hectares is None else self.hectares.to_json(),
            "mapped_share": _plain(self.mapped),
            "confusion": _plain(self.confusion),
            "counts": self.counts.tolist(),
            "notes": list(self.notes),
            "kappa": _plain(np.asarray(self.kappa)),
        }


def area_accuracy(
    counts: ArrayLike, sizes: ArrayLike, classes: Sequence[str], unit_hectares: float | None = None, strata: Sequence[str] | None = None
) -> AreaAccuracy:
    """Accuracy and class areas from counts of reference points.

    Args:
        counts: points by map class and reference class, shape (K, K), where the strata are the map's classes; otherwise by
            stratum, map class and reference class, shape (H, K, K).
        sizes: size of each stratum, shape (K,) or (H,): pixels, or areas where pixels differ in area (a geographic CRS).
        classes: the K class names.
        unit_hectares: hectares of one unit of `sizes` (of a pixel; 1 for sizes in ha); None leaves areas out.
        strata: the H names of the strata, for messages; the classes' by default.

    Raises:
        LabelError: shapes do not fit; a count or size is negative or not finite; a stratum has fewer than two points, or
            points but no size.
        OptionError: `unit_hectares` is not above 0.
    """
    cube, size = _checked(counts, sizes, classes, unit_hectares, strata)
    points = cube.sum((1, 2))
    weights = size / size.sum()
    table = np.einsum("h,hij->ij", weights / np.maximum(points, 1), cube)
    k = len(classes)
    mapped, truth, right = np.repeat(np.eye(k)[:, :, None], k, 2), np.repeat(np.eye(k)[:, None, :], k, 1), np.zeros((k, k, k))
    right[range(k), range(k), range(k)] = 1
    everything = np.ones((1, k, k))
    overall = _ratios(cube, weights, np.eye(k)[None], everything)
    share = _ratios(cube, weights, truth, np.repeat(everything, k, 0))
    users, producers = _ratios(cube, weights, right, mapped), _ratios(cube, weights, right, truth)
    whole = None if unit_hectares is None else float(size.sum()) * unit_hectares
    return AreaAccuracy(
        classes=tuple(classes),
        overall=Estimates(overall.value[0], overall.error[0]),
        users=users,
        producers=producers,
        share=share,
        hectares=None if whole is None else Estimates(share.value * whole, share.error * whole),
        confusion=table,
        counts=cube.sum(0).astype(np.int64),
        mapped=table.sum(1),
        notes=(*_notes(classes, users, producers), *_hangs_on_a_point(classes, weights / np.maximum(points, 1), share.value)),
    )


def plan_sample(weights: ArrayLike, users: ArrayLike, standard_error: float) -> int:
    """Points needed for a standard error of the overall accuracy: (sum W_i sqrt(U_i (1 - U_i)) / S)^2, rounded up.

    Args:
        weights: size of each stratum in any unit, shape (K,), above 0 in sum.
        users: the user's accuracies that are expected, 0 to 1, shape (K,) or a single one.
        standard_error: the standard error wanted, above 0 (0.01 is a half-width of 0.02).

    Raises:
        OptionError: a value is outside its range.
    """
    share, expected = _shares(weights), np.asarray(users, np.float64)
    if expected.shape not in ((), share.shape) or not np.all((expected >= 0) & (expected <= 1)):
        raise OptionError("expected accuracy", f"{expected.tolist()} is not one accuracy of 0 to 1, or one per class", "Give e.g. 0.8")
    if not (np.isfinite(standard_error) and standard_error > 0):
        raise OptionError("standard error", f"{standard_error} is not above 0", "Give e.g. 0.01")
    points = (float((share * np.sqrt(expected * (1 - expected))).sum()) / standard_error) ** 2
    return max(1, int(np.ceil(points - 1e-9)))


def allocate(total: int, weights: ArrayLike, minimum: int = 50, equal: bool = False) -> NDArray[np.int64]:
    """Points per stratum: `minimum` for each that would get fewer in proportion to its size, the rest in proportion.

    Args:
        total: points in all, at least `minimum` per stratum.
        weights: size of each stratum in any unit, shape (K,); a stratum of size 0 gets no point.
        minimum: the fewest points of a stratum, at least 2, below which there is no standard error.
        equal: the same number in each stratum (up to one) instead.

    Returns:
        int64 of shape (K,), which sums to `total`.

    Raises:
        OptionError: `total` is too small for the strata, or a value is outside its range.
    """
    share = _shares(weights)
    present = share > 0
    if minimum < 2:
        raise OptionError("points per class", f"{minimum} is fewer than two", "Give at least 2: one point has no standard error")
    if total < minimum * int(present.sum()):
        raise OptionError("points in all", f"{total} is fewer than {minimum} for each of {int(present.sum())} strata", "Give more, or a smaller minimum")
    if equal:
        return _rounded(total, present / present.sum())
    rare = np.zeros(share.shape, bool)
    while True:
        common = present & ~rare
        if not common.any():
            # Only where total is exactly minimum per stratum.
            return np.where(present, minimum, 0).astype(np.int64)
        rest = _rounded(total - minimum * int(rare.sum()), np.where(common, share, 0) / share[common].sum())
        short = common & (rest < minimum)
        if not short.any():
            return np.where(rare, minimum, rest).astype(np.int64)
        rare |= short


def _ratios(cube: Floats, weights: Floats, part: Floats, whole: Floats) -> Estimates:
    """Ratios of two totals of indicators over (map class, reference class), each of shape (R, K, K), where part lies in whole.

    Var = sum_h W_h^2 s_h^2(y - R x) / n_h / X^2, with s_h^2 the sample variance in stratum h.
    """
    points = cube.sum((1, 2))
    chances = cube / np.maximum(points, 1)[:, None, None]
    y, x = np.einsum("hij,rij->hr", chances, part), np.einsum("hij,rij->hr", chances, whole)
    top, bottom = weights @ y, weights @ x
    ratio, error = np.full(bottom.shape, np.nan), np.full(bottom.shape, np.nan)
    np.divide(top, bottom, out=ratio, where=bottom > 0)
    # y and x are 0 or 1 with y <= x, so the squared residual is (1-R)^2 where y = 1 and R^2 where only x = 1.
    mean, square = y - ratio * x, y * (1 - ratio) ** 2 + (x - y) * ratio**2
    spread = np.maximum(square - mean**2, 0) / np.maximum(points - 1, 1)[:, None]
    np.divide(np.sqrt(weights**2 @ spread), bottom, out=error, where=bottom > 0)
    return Estimates(ratio, error)


def _checked(counts: ArrayLike, sizes: ArrayLike, classes: Sequence[str], unit_hectares: float | None, strata: Sequence[str] | None) -> tuple[Floats, Floats]:
    """Counts as (H, K, K) and the sizes (H,), fit to be used."""
    table, size, k = np.asarray(counts, np.float64), np.asarray(sizes, np.float64), len(classes)
    if unit_hectares is not None and not (np.isfinite(unit_hectares) and unit_hectares > 0):
        raise OptionError("pixel area", f"{unit_hectares} ha is not above 0", "Give the area of a pixel in hectares")
    if table.ndim == 2 and table.shape == (k, k):
        cube = np.zeros((k, k, k))
        cube[np.arange(k), np.arange(k)] = table
        table = cube
    names = list(classes if strata is None and len(table) == k else strata or map(str, range(1, len(table) + 1)))
    if k == 0 or table.ndim != 3 or table.shape[1:] != (k, k) or size.shape != (len(table),) or len(names) != len(table):
        raise LabelError(WHERE, f"counts of shape {table.shape}, {size.size} sizes and {k} classes do not fit", "Give (K, K) or (H, K, K) counts")
    if not (np.isfinite(table).all() and np.isfinite(size).all() and (table >= 0).all() and (size >= 0).all() and size.sum() > 0):
        raise LabelError(WHERE, "a count or a size is negative or not finite, or all sizes are 0", "Count the points and the map's pixels again")
    for name, points, extent in zip(names, table.sum((1, 2)), size, strict=True):
        if extent > 0 and points < 2:
            raise LabelError(WHERE, f"class {name!r} of the sample's strata has fewer than two points ({points:g})", "Add points there, or merge it")
        if extent == 0 and points > 0:
            raise LabelError(WHERE, f"class {name!r} has {points:g} points but no pixels in the map", "Use the map that the sample was drawn from")
    return table, size


def _notes(classes: Sequence[str], users: Estimates, producers: Estimates) -> tuple[str, ...]:
    """Where an interval says less than it seems to."""
    notes = []
    for kind, of in (("user's", users), ("producer's", producers)):
        sure = [name for name, value in zip(classes, of.value, strict=True) if np.isclose(value, 0, atol=1e-12) or np.isclose(value, 1, rtol=1e-12)]
        void = [name for name, value in zip(classes, of.value, strict=True) if np.isnan(value)]
        if sure:
            notes.append(f"The {kind} accuracy of {', '.join(sure)} is 0 or 1 in the sample: the interval misses that so few points may hide errors")
        if void:
            notes.append(f"The {kind} accuracy of {', '.join(void)} is undefined: {'not in the map' if kind[0] == 'u' else 'no reference point'}")
    return tuple(notes)


def _hangs_on_a_point(classes: Sequence[str], worth: Floats, share: Floats) -> tuple[str, ...]:
    """Which classes one point may change much: where it misses, no interval knows of it (`worth`: share of the area that a point stands for)."""
    rare = [name for name, area in zip(classes, share, strict=True) if 0 < area < worth.max() / DECISIVE]
    if not rare:
        return ()
    return (f"One point may stand for more than {DECISIVE:.0%} of the area of {', '.join(rare)}: producer's accuracy and area may lie outside their intervals",)


def _shares(weights: ArrayLike) -> Floats:
    """Sizes as shares that sum to 1."""
    size = np.asarray(weights, np.float64)
    if size.ndim != 1 or not size.size or not np.isfinite(size).all() or (size < 0).any() or size.sum() <= 0:
        raise OptionError("strata", "their sizes are negative, not finite, or all 0", "Give the pixels of each class")
    return np.asarray(size / size.sum(), np.float64)


def _rounded(total: int, share: Floats) -> NDArray[np.int64]:
    """Whole numbers near total * share that sum to total: the largest remainders are rounded up."""
    exact = total * share
    whole = np.floor(exact + 1e-9).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]] += 1
    return whole


def _plain(values: Floats) -> Any:
    """Lists (or a number) for JSON, which has no NaN."""
    plain = np.asarray(values, np.float64).astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
