"""How many reference points a map needs, and how many of them each class gets.

Olofsson et al. (2014), doi:10.1016/j.rse.2014.02.015, section 5: the total follows from the standard error that is wanted of the
overall accuracy; each rare class gets at least some fifty points, the others share the rest by their size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import Census, Stratum
from hsikit.errors import MapError, OptionError
from hsikit.metrics.area_accuracy import DECISIVE, allocate, plan_sample
from hsikit.train.crosswalk import as_code

RARE_POINTS = 50
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """What the user asks for; exactly one of `per_class`, `total` and `standard_error`.

    Attributes:
        per_class: points of each class.
        total: points in all; each class gets at least `minimum`, the rest is shared in proportion to the pixels.
        standard_error: wanted of the overall accuracy (0 to 1); the total follows from it.
        expected_accuracy: user's accuracy that is expected (0 to 1), one or by class name or code; with `standard_error` only.
        minimum: the fewest points of a class, at least 2.
        simple: a simple random sample of all pixels, whatever their class.
    """

    per_class: int | None = None
    total: int | None = None
    standard_error: float | None = None
    expected_accuracy: float | Mapping[str | int, float] | None = None
    minimum: int = RARE_POINTS
    simple: bool = False

    def check(self) -> None:
        """Raises OptionError for requests that contradict each other."""
        given = [name for name in ("per_class", "total", "standard_error") if getattr(self, name) is not None]
        if len(given) != 1:
            wrong = f"given together: {', '.join(_option(name) for name in given)}" if given else "not said"
            raise OptionError("number of points", wrong, "Give one of --per-class 50, --total 500, or --standard-error 0.01 with --expected-accuracy 0.85")
        if (self.standard_error is None) != (self.expected_accuracy is None):
            raise OptionError("expected_accuracy", "it goes with --standard-error, and neither says anything alone", "Give both, or --total")
        if self.simple and self.per_class is not None:
            raise OptionError("per_class", "a simple random sample takes no heed of classes", "Give --total, or leave out --simple")
        if self.simple and isinstance(self.expected_accuracy, Mapping):
            raise OptionError("expected_accuracy", "a simple random sample takes no heed of classes", "Give one accuracy")
        if self.per_class is not None and self.per_class < 2:
            raise OptionError("per_class", f"{self.per_class} is fewer than two", "Give at least 2: one point has no standard error")
        if self.total is not None and self.total < 2:
            raise OptionError("total", f"{self.total} is fewer than two", "Give at least 2: one point has no standard error")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def points_in_all(design: Design, census: Census) -> int:
    """Size of a simple random sample, at most the pixels that there are.

    Raises:
        OptionError: see `Design.check`, `plan_sample`.
    """
    design.check()
    total = design.total
    if total is None:
        assert design.standard_error is not None and design.expected_accuracy is not None
        total = plan_sample([1], float(design.expected_accuracy), design.standard_error)  # type: ignore[arg-type]
    return min(total, census.pixels)


def points_per_stratum(design: Design, census: Census, where: str) -> tuple[Counts, tuple[str, ...]]:
    """Points of each stratum of a stratified sample, at most its pixels, and what the user should know.

    Raises:
        OptionError: see `Design.check`, `plan_sample`, `allocate`.
        MapError: a class has a single pixel.
    """
    design.check()
    pixels = np.array([stratum.pixels for stratum in census.strata])
    if single := [stratum for stratum in census.strata if stratum.pixels < 2]:
        advice = f"Leave it out of the population (--outside {single[0].code}), or sieve the map"
        raise MapError(where, f"class {single[0].name!r} (code {single[0].code}) has a single pixel: two points are needed for an interval", advice)
    wanted, notes = _wanted(design, census.strata, pixels)
    points = np.minimum(wanted, pixels)
    for stratum, most, few in zip(census.strata, wanted, points, strict=True):
        if few < most:
            notes.append(f"{stratum.name} has {few} pixels, and all are drawn, instead of {most} points")
    return points, (*notes, *_decisive(census.strata, pixels, points))


def _wanted(design: Design, strata: Sequence[Stratum], pixels: Counts) -> tuple[Counts, list[str]]:
    """Points per stratum, as if each had pixels enough."""
    if design.per_class is not None:
        return np.full(len(strata), design.per_class, np.int64), []
    if design.total is not None:
        return allocate(design.total, pixels, design.minimum), []
    assert design.standard_error is not None
    planned = plan_sample(pixels, _expected(design, strata), design.standard_error)
    total = max(planned, design.minimum * len(strata))
    note = f"a standard error of {design.standard_error:g} needs {planned} points"
    more = f"; {design.minimum} for each of {len(strata)} classes make {total}" if total > planned else ""
    return allocate(total, pixels, design.minimum), [note + more]


def _expected(design: Design, strata: Sequence[Stratum]) -> list[float]:
    """The accuracy expected of each stratum."""
    given = design.expected_accuracy
    if not isinstance(given, Mapping):
        assert given is not None
        return [float(given)] * len(strata)
    found, used = [], set()
    for stratum in strata:
        key = next((key for key in given if key == stratum.name or as_code(key) == stratum.code), None)
        if key is None:
            raise OptionError("expected_accuracy", f"class {stratum.name!r} (code {stratum.code}) has none", "Give one for each class, or one for all")
        used.add(key)
        found.append(float(given[key]))
    if strange := [str(key) for key in given if key not in used]:
        raise OptionError("expected_accuracy", f"the map has no class {strange[0]!r}", f"Its classes are {', '.join(s.name for s in strata)}")
    return found


def _decisive(strata: Sequence[Stratum], pixels: Counts, points: Counts) -> list[str]:
    """Which classes hang on single points of a large stratum, and what would help."""
    worth = pixels / points
    worst = int(worth.argmax())
    rare = [stratum for stratum in strata if stratum.pixels < worth[worst] / DECISIVE]
    if not rare:
        return []
    least = min(stratum.pixels for stratum in rare)
    names, needed = ", ".join(stratum.name for stratum in rare), int(np.ceil(pixels.sum() / (DECISIVE * least)))
    worth_of_all = f"{worth[worst]:.0f} pixels, {worth[worst] / least:.0%} of all that the map has of its rarest class"
    more = f"Draw more in the large classes ({needed} in proportion would do), or join rare classes" if needed < pixels.sum() / 2 else "Join rare classes"
    return [f"one point of {strata[worst].name} stands for {worth_of_all}: producer's accuracy and area of {names} may lie outside their intervals. {more}"]
