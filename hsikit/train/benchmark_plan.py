"""What a benchmark compares: methods with their options, splits with theirs, and seeds; checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hsikit.errors import MethodError, OptionError
from hsikit.registry import load_class
from hsikit.train.labelled import LabelledScene
from hsikit.train.splits import SPLITS, SplitOptions

Smoothing = Literal["no", "yes", "both"]
Named = str | tuple[str, Mapping[str, Any]]
"""A method or a split by its name, or with options of its own."""

FLOORS = ("nearest-label", "svm")
"""Methods that stand in every table: coordinates alone, and spectra alone."""

SMOOTHED = "+smooth"
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "guard": int, "block": int, "per_class": int, "folds": int, "window": int, "test_share": (int, float), "allow_lost": bool,
}  # fmt: skip
"""What the options of a split are."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One row of the table.

    Attributes:
        method: its name.
        options: of its training, JSON-able.
        smooth: whether the class map is smoothed along edges.
        asked: False for a floor that stands in the table unasked.
    """

    method: str
    options: Mapping[str, Any]
    smooth: bool = False
    asked: bool = True

    @property
    def trained(self) -> str:
        """What is trained: the method with its options; a smoothed and a plain row may share it."""
        return row_name(self.method, self.options)

    @property
    def row(self) -> str:
        """The row's name, such as `mnf-lda:width=3+smooth`."""
        return self.trained + (SMOOTHED if self.smooth else "")


@dataclass(frozen=True, eq=False)
class Design:
    """A way to split the labels.

    Attributes:
        split: a name that `make_split` knows.
        options: all arguments of `make_split` that shape it, JSON-able.
        name: the split with the options of its own; those that all splits share are left out.
    """

    split: str
    options: Mapping[str, Any]
    name: str

    @property
    def title(self) -> str:
        """The split with all its options."""
        return row_name(self.split, self.options)

    @property
    def kind(self) -> str:
        """The split without its argument: `groups` of `group:plot`."""
        kind = self.split.partition(":")[0]
        return "groups" if kind == "group" else kind


@dataclass(frozen=True, eq=False)
class Plan:
    """What is compared.

    Attributes:
        contenders: the rows, floors among them.
        designs: the splits.
        seeds: of the draws and of everything random in training.
        against: the row that the others are compared with; None: in each split its best floor.
    """

    contenders: tuple[Contender, ...]
    designs: tuple[Design, ...]
    seeds: tuple[int, ...]
    against: str | None = None

    @property
    def floors(self) -> tuple[str, ...]:
        """Rows of the floors."""
        return tuple(row.row for row in self.contenders if row.row in FLOORS)

    def rows_of(self, design: Design, scenes: Sequence[LabelledScene]) -> tuple[Contender, ...]:
        """The rows of one split: without the unasked floor of coordinates where no coordinates are shared with the test."""
        apart = design.kind == "scene" or (len(scenes) > 1 and not all(scene.source.info.grid.georeferenced for scene in scenes))
        return tuple(row for row in self.contenders if row.asked or row.method != "nearest-label" or not apart)


def make_plan(
    methods: Sequence[Named],
    splits: Sequence[Named],
    seeds: Iterable[int],
    *,
    smooth: Smoothing = "no",
    split_options: Mapping[str, Any] | None = None,
    against: str | None = None,
) -> Plan:
    """A plan, with the floors added.

    Args:
        methods: classifiers of `hsikit methods`.
        splits: names that `make_split` knows.
        seeds: 0 or more each; a repeated one counts once.
        smooth: whether the maps of these methods are smoothed; "both" gives two rows for each. The floors never are.
        split_options: arguments of `make_split` for all splits; a split's own win.
        against: the row to compare with; None: the best floor.

    Raises:
        MethodError: no such method, or it learns nothing from labels.
        OptionError: nothing to compare, an unknown split or option of a split, or `against` is no row.
    """
    if smooth not in ("no", "yes", "both"):
        raise OptionError("--smooth", f"{smooth!r} is none of yes, no, both", "Choose one of them")
    numbers = tuple(dict.fromkeys(seeds))
    for what, given in (("--methods", methods), ("--splits", splits), ("--seeds", numbers)):
        if not given:
            raise OptionError(what, "there is nothing to compare", "Name at least one")
    if min(numbers) < 0:
        raise OptionError("--seeds", f"{min(numbers)} is no seed", "Give whole numbers, 0 or more")
    shades = {"no": (False,), "yes": (True,), "both": (False, True)}[smooth]
    asked = [replace(_contender(method), smooth=shade) for method in methods for shade in shades]
    rows = {row.row: row for row in [*(Contender(name, {}, asked=False) for name in FLOORS), *asked]}
    if against is not None and against not in rows:
        raise OptionError("--against", f"{against!r} is no row of the table", f"The rows are {', '.join(rows)}")
    designs = {design.name: design for design in (_design(split, split_options or {}) for split in splits)}
    return Plan(tuple(rows.values()), tuple(designs.values()), numbers, against)


def _contender(named: Named) -> Contender:
    """A method that can be trained."""
    name, options = (named, {}) if isinstance(named, str) else named
    kind = load_class(name)
    if not hasattr(kind, "train"):
        raise MethodError(name, "learns nothing from labels", "Choose a classifier of `hsikit methods`; detectors are compared with --truth")
    for option in options:
        if option in ("scenes", "seed", "run", "progress"):
            raise OptionError(f"{name}:{option}", f"{name} has no such training option", "Leave it out; seeds are given with --seeds")
    return Contender(name, dict(options))


def _design(named: Named, shared: Mapping[str, Any]) -> Design:
    """A split whose name and options make sense."""
    split, own = (named, {}) if isinstance(named, str) else named
    kind, _, argument = split.partition(":")
    if kind not in (*SPLITS, "group") or (argument and kind not in ("group", "groups", "scene", "fixed")):
        raise OptionError("--splits", f"there is no split {split!r}", f"Choose of {', '.join(SPLITS)}")
    options = {**shared, **own}
    for option, value in options.items():
        if option not in KINDS:
            raise OptionError(f"--splits {split}", f"a split has no option {option!r}", f"Its options are {', '.join(KINDS)}")
        if not isinstance(value, KINDS[option]) or (isinstance(value, bool) and KINDS[option] is not bool):
            raise OptionError(f"--splits {split}", f"{option}={value!r} is of the wrong kind", "Write it like guard=6, test_share=0.3 or allow_lost=true")
    SplitOptions(**options).check()
    return Design(split, options, row_name(split, own))


def row_name(name: str, options: Mapping[str, Any]) -> str:
    """A name with its options, as a user writes it."""
    return name + (":" + ",".join(f"{key}={_text(value)}" for key, value in options.items()) if options else "")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
