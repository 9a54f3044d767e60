"""What a ranking compares: detectors of one kind with their options, what they look for, and the draws; checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsikit.errors import MethodError, OptionError
from hsikit.library import Library
from hsikit.registry import list_methods, load_class
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.train.benchmark_plan import Named, row_name

Kind = Literal["target", "anomaly"]
TASKS: Mapping[str, Kind] = {"target detection": "target", "anomaly detection": "anomaly"}
"""Tasks of `hsikit methods` that are ranked."""
FLOORS: Mapping[Kind, str] = {"target": "spectral-angle", "anomaly": "rx"}
"""The method of each kind that stands in every table."""
GIVEN = ("targets", "pfa")
"""Options that the ranking gives, or has no use for."""
SEEDS = range(10)


@dataclass(frozen=True, eq=False)
class Detector:
    """One row of the table.

    Attributes:
        method: its name.
        options: of the method, JSON-able.
    """

    method: str
    options: Mapping[str, Any]

    @property
    def row(self) -> str:
        """The row's name, such as `ace:shrinkage=0.05`."""
        return row_name(self.method, self.options)

    def made(self, targets: TargetSpectra | None) -> Any:
        """The method for some targets; for anomalies None.

        Raises:
            OptionError: an option that it does not have, or of another kind.
        """
        from hsikit.api import make_method

        return make_method(self.method, **self.options, **({} if targets is None else {"targets": targets}))


@dataclass(frozen=True, eq=False)
class RankingPlan:
    """What is compared.

    Attributes:
        kind: of all detectors.
        detectors: the rows, the floor among them.
        seeds: of the draws of target pixels; (0,) where nothing is drawn.
        drawn: target pixels whose mean is looked for, drawn by each seed; 0: none.
        target: a library to look for instead, or its path.
        names: which of its spectra.
        against: the row that the others are compared with; None: the first of each scene.
    """

    kind: Kind
    detectors: tuple[Detector, ...]
    seeds: tuple[int, ...] = (0,)
    drawn: int = 0
    target: str | Path | Library | None = None
    names: tuple[str, ...] = ()
    against: str | None = None

    @property
    def floor(self) -> str:
        """The row of the floor."""
        return FLOORS[self.kind]


def make_ranking_plan(methods: Sequence[Named], *, target_pixels: int | None = None, target: str | Path | Library | None = None, names: Sequence[str] = (),
                      seeds: Iterable[int] | None = None, against: str | None = None) -> RankingPlan:  # fmt: skip
    """A plan, with the floor added.

    Args:
        methods: detectors of `hsikit methods`, of targets or of anomalies; names, or (name, options).
        target_pixels: for targets: look for the mean of so many pixels of the truth, drawn by each seed and not scored.
        target: for targets, instead: a library.
        names: which of its spectra; where there are several, a pixel's score is the highest.
        seeds: of the draws; None: 0 to 9.
        against: the row to compare with; None: the first.

    Raises:
        MethodError: no such method, or no detector of pixels.
        OptionError: nothing to compare, both kinds at once, nothing to look for or too much, options that do not fit, or `against` is no row.
    """
    if not methods:
        raise OptionError("--methods", "there is nothing to compare", "Name at least one")
    asked = [Detector(name, dict(options)) for name, options in ((named, {}) if isinstance(named, str) else named for named in methods)]
    kinds = {detector.method: kind_of(detector.method) for detector in asked}
    if len(set(kinds.values())) > 1:
        one, other = (next(name for name, kind in kinds.items() if kind == wanted) for wanted in ("target", "anomaly"))
        raise OptionError("--methods", f"{one} looks for a target, and {other} for anomalies: no table can hold both", "Rank each kind on its own")
    kind = next(iter(kinds.values()))
    drawn, numbers = _search(kind, asked[0].method, target_pixels, target, names, seeds)
    rows = {detector.row: detector for detector in [*asked, Detector(FLOORS[kind], {})]}
    _check(rows.values(), kind)
    if against is not None and against not in rows:
        raise OptionError("--against", f"{against!r} is no row of the table", f"The rows are {', '.join(rows)}")
    return RankingPlan(kind, tuple(rows.values()), numbers, drawn, target, tuple(names), against)


def kind_of(method: str) -> Kind:
    """What a detector looks for: targets, or anomalies.

    Raises:
        MethodError: no such method, or no detector of pixels.
    """
    found = load_class(method)
    entries = {entry.name: entry for entry in list_methods()}
    task = entries[method].task
    if task in TASKS:
        return TASKS[task]
    if task == "plug-in" and getattr(found, "task", "") == "detection":
        return "target" if "targets" in inspect.signature(found).parameters else "anomaly"
    able = [", ".join(name for name, entry in entries.items() if entry.task == wanted) for wanted in TASKS]
    raise MethodError(method, f"is of the task {task}, and gives no score to each pixel", f"Detectors of targets are {able[0]}; of anomalies {able[1]}")


def _search(kind: Kind, method: str, pixels: int | None, target: Any, names: Sequence[str], seeds: Iterable[int] | None) -> tuple[int, tuple[int, ...]]:
    """How many target pixels are drawn, and by which seeds."""
    given = [option for option, value in (("--target-pixels", pixels), ("--target", target)) if value is not None]
    if kind == "anomaly" and (given or names):
        raise OptionError((given or ["--name"])[0], f"{method} looks for no target", "Leave it out, or rank detectors of targets")
    if kind == "target" and len(given) != 1:
        told = "and none is given" if not given else "and two are given"
        raise OptionError("--methods", f"{method} looks for a target, {told}", "Give --target-pixels 3, drawn from the truth; or --target and --name")
    if names and target is None:
        raise OptionError("--name", "it chooses spectra of a library, and none is given", "Give --target")
    if pixels is None:
        if seeds is not None:
            raise OptionError("--seeds", "nothing is drawn: there is one map of each method", "Leave it out")
        return 0, (0,)
    if pixels < 1:
        raise OptionError("--target-pixels", f"{pixels} is no number of pixels", "Give 1 or more")
    numbers = tuple(dict.fromkeys(SEEDS if seeds is None else seeds))
    if not numbers or min(numbers) < 0:
        raise OptionError("--seeds", "there is no seed" if not numbers else f"{min(numbers)} is no seed", "Give whole numbers, 0 or more")
    return pixels, numbers


def _check(detectors: Iterable[Detector], kind: Kind) -> None:
    """Makes every method once, for its options to be looked at."""
    axis = np.array([500.0, 600.0, 700.0])
    some = TargetSpectra(("target",), np.ones((1, 3)), axis, np.full(3, np.nan), "dn") if kind == "target" else None
    for detector in detectors:
        for option in GIVEN:
            if option in detector.options:
                raise OptionError(f"{detector.method}:{option}", "is no option here: scores are ranked, not thresholds", "Leave it out")
        detector.made(some)
