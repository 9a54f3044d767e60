"""Splits of label pixels into training and test parts that lie apart on the ground.

A random draw of pixels puts training pixels beside test pixels, and any method that looks at a neighbourhood, or just at
coordinates, then scores as if it knew the answer. So the default deals whole blocks; a random draw is had by name only.

Names: `blocks` (default), `class-halves`, `groups` or `group:FIELD`, `leave-polygon-out` (k folds over groups), `scene` or
`scene:NAME` (leave one scene out), `fixed` or `fixed:FIELD` (the parts come with the labels), `random`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, SplitError
from hsikit.train.block_dealing import balanced_deal, balanced_folds, joined_units
from hsikit.train.fixed_parts import TEST, TRAIN, parts_of_field
from hsikit.train.labelled import LabelledScene, joined_groups, label_names
from hsikit.train.overlap import overlap_notes
from hsikit.train.split_report import distance_to, lost_classes, split_report

SPLITS = ("blocks", "class-halves", "groups", "leave-polygon-out", "scene", "fixed", "random")
DEFAULT_GUARD = 4
"""Pixels: with more than four between them, the 5x5 means around a training and a test pixel share nothing."""
ATTEMPTS = 8
"""Deals that are tried before a class counts as lost."""

Mask = NDArray[np.bool_]
Parts = tuple[list[Mask], list[Mask]]


@dataclass(frozen=True, eq=False)
class Split:
    """Which label pixels train and which test; a pixel may do neither.

    Attributes:
        name: the split as it was made (after a fallback: the one fallen back to).
        train: one mask per scene, over its label pixels.
        test: one mask per scene.
        seed: of the draw.
        notes: what the user should know, one sentence each.
        report: JSON-able facts, see `split_report`, and the `guard` and `block` used (pixels).
    """

    name: str
    train: list[Mask]
    test: list[Mask]
    seed: int
    notes: tuple[str, ...]
    report: dict[str, Any]


@dataclass(frozen=True)
class SplitOptions:
    """The arguments of `make_split` that shape a split."""

    seed: int = 0
    guard: int | None = None
    block: int | None = None
    test_share: float = 0.3
    allow_lost: bool = False
    per_class: int | None = None
    folds: int = 5
    window: int = 15
    strict: bool = False

    def check(self) -> None:
        """Raises OptionError for values that make no sense."""
        if self.guard is not None and self.guard < 0:
            raise OptionError("--guard", f"{self.guard} is no distance", "Give pixels, 0 or more")
        if self.block is not None and self.block < 1:
            raise OptionError("block", f"{self.block} is no size", "Give pixels, 1 or more")
        if not 0 < self.test_share < 1:
            raise OptionError("test_share", f"{self.test_share} leaves nothing on one side", "Give a share between 0 and 1")
        if self.per_class is not None and self.per_class < 1:
            raise OptionError("per_class", f"{self.per_class} leaves nothing to train on", "Give 1 or more pixels per class")
        if self.folds < 2:
            raise OptionError("folds", f"{self.folds} fold leaves nothing to train on", "Give 2 or more")


def make_split(
    name: str,
    scenes: Sequence[LabelledScene],
    *,
    seed: int = 0,
    guard: int | None = None,
    block: int | None = None,
    test_share: float = 0.3,
    allow_lost: bool = False,
    per_class: int | None = None,
    folds: int = 5,
    window: int = 15,
    strict: bool = False,
) -> Split:
    """Splits the label pixels of scenes under one legend.

    Args:
        name: one of the names in the module's docstring. Of `leave-polygon-out` and `scene` this is fold `seed` modulo their
            number; `make_folds` gives all.
        scenes: the labelled scenes.
        seed: of every draw; the same seed gives the same split.
        guard: training pixels at most so many pixels (Chebyshev) from a test pixel are dropped; test pixels are kept. None: 4 for
            `blocks`, `groups` and `leave-polygon-out`, else 0.
        block: side of the blocks in pixels; None: an eighth of the longer side of the labelled extent, at least 4.
        test_share: share of each class that `blocks`, `groups` and `random` aim to test.
        allow_lost: accept that a class is left without training or test pixels.
        per_class: draw at most so many training pixels of each class (of `class-halves`: in each scene, and the test is then a
            random half of the other half, as published).
        folds: of `leave-polygon-out`.
        window: side of the windows whose overlap is reported.
        strict: refuse where another split, or another guard, than the one asked for would have to be used: for comparisons.

    Raises:
        SplitError: nothing is left on one side; a class is lost, or is with the guard asked for; the split would cut groups of a
            group field; `strict`, and another split would have to be used.
        OptionError: no split of that name, or an option that makes no sense.
    """
    options = SplitOptions(seed, guard, block, test_share, allow_lost, per_class, folds, window, strict)
    options.check()
    kind, _, argument = name.partition(":")
    _check_parts(kind, scenes)
    if kind == "fixed":
        return _fixed(scenes, argument, options)
    if kind in ("leave-polygon-out", "scene") and not argument:
        return _folds(name, scenes, options, only=seed)[0]
    if kind == "scene":
        return _leave_scene(scenes, _scene_number(scenes, argument), options)
    if kind in ("groups", "group"):
        _check_group_field(scenes, argument)
        return _dealt("groups", scenes, options)
    if name == "blocks":
        return _dealt("blocks", scenes, options)
    if name in ("class-halves", "random"):
        _refuse_groups(name, scenes)
        return _halves(scenes, options, _guard(name, options)) if name == "class-halves" else _random(scenes, options)
    raise OptionError("--split", f"there is no split {name!r}", f"Choose one of {', '.join(SPLITS)}")


def make_folds(name: str, scenes: Sequence[LabelledScene], *, folds: int = 5, seed: int = 0, guard: int | None = None, window: int = 15) -> list[Split]:
    """All folds of `leave-polygon-out` or `scene`: every label pixel is tested in exactly one.

    A fold may lack training pixels of a class; its notes and report say so.

    Raises:
        SplitError: fewer than two groups or scenes, or a fold with nothing to train on.
        OptionError: another name.
    """
    options = SplitOptions(seed=seed, guard=guard, folds=folds, window=window, allow_lost=True)
    options.check()
    return _folds(name, scenes, options)


def _folds(name: str, scenes: Sequence[LabelledScene], options: SplitOptions, only: int | None = None) -> list[Split]:
    """The folds of a split that has them; or the one of number `only`, modulo how many there are."""
    if name == "scene":
        if len(scenes) < 2:
            raise SplitError(label_names(scenes), "there is only one labelled scene, so none can be left out", "Give several, or choose another split")
        return [_leave_scene(scenes, number, options) for number in _chosen(len(scenes), only)]
    if name != "leave-polygon-out":
        raise OptionError("--split", f"{name!r} has no folds", "Choose leave-polygon-out or scene")
    units = _group_units(scenes)
    counts = class_counts(units, scenes)
    if len(counts) < 2:
        raise SplitError(label_names(scenes), "all label pixels belong to one group", "Give labels in several polygons, or choose another split")
    fold = balanced_folds(counts, min(options.folds, len(counts)), np.random.default_rng(options.seed))
    made = []
    for number in _chosen(int(fold.max()) + 1, only):
        test = per_scene(fold[units] == number, scenes)
        train = _guarded(scenes, [~mask for mask in test], test, _guard("leave-polygon-out", options))
        made.append(_finished(name, scenes, (train, test), options, guard=_guard("leave-polygon-out", options)))
    return made


def _chosen(count: int, only: int | None) -> Sequence[int]:
    """The numbers of the folds to make."""
    return range(count) if only is None else (only % count,)


def _guard(kind: str, options: SplitOptions) -> int:
    """The guard asked for, or the default of this kind of split."""
    if options.guard is not None:
        return options.guard
    return DEFAULT_GUARD if kind in ("blocks", "groups", "leave-polygon-out") else 0


def _dealt(kind: str, scenes: Sequence[LabelledScene], options: SplitOptions, notes: tuple[str, ...] = ()) -> Split:
    """Whole blocks or groups dealt to the two sides; where `blocks` loses a class, groups of a group field or class halves instead."""
    bound = any(scene.group_field for scene in scenes)
    block = _block_size(scenes, options) if kind == "blocks" else None
    units = _group_units(scenes) if block is None else block_units(scenes, block)
    if bound and block is not None:
        units = joined_units(units, _group_units(scenes))
    rng = np.random.default_rng(options.seed)
    guard = _guard(kind, options)
    best = _best_deal(scenes, units, options.test_share, guard, rng)
    lost = lost_classes(scenes, *best)
    if block is not None and bound and any(lost.values()):
        why = f"blocks of {block} pixels that cut no group would lose classes ({_lost_text(lost, scenes)})"
        note = _fallback(f"{why}; whole groups were dealt instead", why, scenes, options)
        return _dealt("groups", scenes, options, (note,))
    if not any(lost.values()) or options.allow_lost:
        return _finished(kind, scenes, _thinned(scenes, best, options.per_class, rng), options, guard=guard, block=block, notes=notes)
    if kind == "groups":
        what = "groups of the group field" if bound else "groups"
        raise SplitError(label_names(scenes), f"no deal of whole {what} keeps every class on both sides: {_lost_text(lost, scenes)}", LOST_ADVICE)
    why = f"blocks of {block} pixels with a guard of {guard} would lose classes ({_lost_text(lost, scenes)})"
    note = _fallback(f"{why}; class-halves was used instead", why, scenes, options)
    return _halves(scenes, options, guard, note)


def _best_deal(scenes: Sequence[LabelledScene], units: NDArray[np.intp], share: float, guard: int, rng: np.random.Generator) -> Parts:
    """The first deal of whole units that loses no class, else the one of some attempts that loses fewest."""
    counts = class_counts(units, scenes)
    deals: list[tuple[int, Parts]] = []
    while len(deals) < ATTEMPTS and not any(missing == 0 for missing, _ in deals):
        test = per_scene(balanced_deal(counts, share, rng)[units], scenes)
        train = _guarded(scenes, [~mask for mask in test], test, guard)
        deals.append((sum(len(codes) for codes in lost_classes(scenes, train, test).values()), (train, test)))
    return min(deals, key=lambda deal: deal[0])[1]


def _fallback(note: str, why: str, scenes: Sequence[LabelledScene], options: SplitOptions) -> str:
    """The note that another split was used; of a strict one, the refusal."""
    if options.strict:
        raise SplitError(label_names(scenes), why, LOST_ADVICE)
    return note


LOST_ADVICE = "Label more places of these classes, ignore them, or accept it with --allow-lost-classes"


def along_longer_side(rows: NDArray[np.intp], cols: NDArray[np.intp], index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Positions of pixels in their order along the longer side of their bounding box."""
    down = np.ptp(rows[index]) >= np.ptp(cols[index])
    along, across = (rows[index], cols[index]) if down else (cols[index], rows[index])
    return index[np.lexsort((across, along))]


def class_halves_draw(
    rows: NDArray[np.intp], cols: NDArray[np.intp], codes: NDArray[Any], seed: int | np.random.Generator, per_class: int | None = 10
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The published protocol of class halves: few labels from one half of each class, the test from the other.

    Each class's pixels are ordered along the longer side of their bounding box and cut into two equal halves. One, drawn at
    random, gives `per_class` training pixels; a random half of the other half is the test.

    Args:
        rows: shape (n,), with `cols` sorted by (row, col).
        cols: shape (n,).
        codes: class codes, shape (n,).
        seed: of `numpy.random.default_rng`, or a generator to go on with.
        per_class: training pixels per class. None: the whole halves, nothing left out.

    Returns:
        Positions of the training and of the test pixels, class by class, in the order drawn.
    """
    rng = np.random.default_rng(seed)
    train, test = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for code in np.unique(codes):
        ordered = along_longer_side(rows, cols, np.flatnonzero(codes == code))
        halves = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
        side = int(rng.integers(2))
        learn, check = halves[side], halves[1 - side]
        if per_class is not None:
            # The order of these two draws is part of the protocol.
            learn = learn[rng.permutation(len(learn))[:per_class]]
            check = check[rng.permutation(len(check))[: len(check) // 2]]
        train.append(learn)
        test.append(check)
    return np.concatenate(train), np.concatenate(test)


def _halves(scenes: Sequence[LabelledScene], options: SplitOptions, guard: int, fallback: str = "") -> Split:
    """Class halves in each scene, with one generator for all.

    `fallback` says why another split was given up; a default guard is then dropped where it would lose a class, one asked for never.
    """
    rng = np.random.default_rng(options.seed)
    train: list[Mask] = []
    test: list[Mask] = []
    for scene in scenes:
        drawn = class_halves_draw(scene.rows, scene.cols, scene.codes, rng, options.per_class)
        for masks, index in zip((train, test), drawn, strict=True):
            masks.append(np.isin(np.arange(len(scene)), index))
    kept = _guarded(scenes, train, test, guard)
    lost = lost_classes(scenes, kept, test)
    bare = lost_classes(scenes, train, test)
    dropped = bool(fallback) and options.guard is None
    if dropped and any(lost.values()) and not any(bare.values()):
        return _finished("class-halves", scenes, (train, test), options, guard=0, notes=(f"{fallback}, without guard",))
    lost = bare if dropped else lost
    if any(lost.values()) and not options.allow_lost:
        asked = f" with a guard of {guard}" if guard and not dropped else ""
        advice = f"Use a smaller --guard. {LOST_ADVICE}" if asked and not any(bare.values()) else LOST_ADVICE
        raise SplitError(label_names(scenes), f"class halves{asked} lose classes: {_lost_text(lost, scenes)}", advice)
    return _finished("class-halves", scenes, (kept, test), options, guard=guard, notes=(f"{fallback}, with the same guard",) if fallback else ())


def _random(scenes: Sequence[LabelledScene], options: SplitOptions) -> Split:
    """Pixels drawn at random, class by class: they leak, and the notes say so."""
    rng = np.random.default_rng(options.seed)
    codes = np.concatenate([scene.codes for scene in scenes])
    test = np.zeros(len(codes), bool)
    for code in np.unique(codes):
        index = rng.permutation(np.flatnonzero(codes == code))
        share = int(np.clip(round(options.test_share * len(index)), 1, max(1, len(index) - 1)))
        test[index[:share]] = len(index) > 1
    sides = per_scene(test, scenes)
    parts = _guarded(scenes, [~mask for mask in sides], sides, _guard("random", options)), sides
    note = "random pixels: training pixels lie beside test pixels, so the scores are too high for any new place; use blocks to compare methods"
    return _finished("random", scenes, _thinned(scenes, parts, options.per_class, rng), options, guard=_guard("random", options), notes=(note,))


def _fixed(scenes: Sequence[LabelledScene], field: str, options: SplitOptions) -> Split:
    """The parts that came with the labels."""
    parts = [parts_of_field(scene, field) if field else scene.parts for scene in scenes]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        advice = "Give the test labels by --test-labels, or a field of values train and test: --group-field FIELD --split fixed:FIELD"
        raise SplitError(label_names(scenes), "the labels do not say which of them train and which test", advice)
    train, test = ([part == side for part in known] for side in (TRAIN, TEST))
    guard = _guard("fixed", options)
    thinned = _thinned(scenes, (_guarded(scenes, train, test, guard), test), options.per_class, np.random.default_rng(options.seed))
    lost = lost_classes(scenes, *thinned)
    if lost["train"] and not options.allow_lost:
        raise SplitError(label_names(scenes), f"the fixed split loses classes: {_lost_text({**lost, 'test': []}, scenes)}", LOST_ADVICE)
    return _finished("fixed", scenes, thinned, options, guard=guard)


def _check_parts(kind: str, scenes: Sequence[LabelledScene]) -> None:
    """Labels that came in two parts are not dealt anew."""
    if kind != "fixed" and any(scene.parts is not None for scene in scenes):
        raise OptionError("--test-labels", f"the split {kind} would deal training and test labels anew", "Leave --test-labels out, or use --split fixed")


def _leave_scene(scenes: Sequence[LabelledScene], number: int, options: SplitOptions) -> Split:
    """Tests on one scene, trains on the others."""
    test = [np.full(len(scene), k == number) for k, scene in enumerate(scenes)]
    parts = _thinned(scenes, ([~mask for mask in test], test), options.per_class, np.random.default_rng(options.seed))
    return _finished(f"scene:{scenes[number].source.info.name}", scenes, parts, options, guard=0)


def _scene_number(scenes: Sequence[LabelledScene], name: str) -> int:
    """Which scene has that name."""
    names = [scene.source.info.name for scene in scenes]
    if name not in names:
        raise OptionError("--split", f"no labelled scene is called {name!r}", f"The scenes are {', '.join(names)}")
    if len(scenes) < 2:
        raise SplitError(label_names(scenes), "there is only one labelled scene, so none can be left out", "Give several, or choose another split")
    return names.index(name)


def _check_group_field(scenes: Sequence[LabelledScene], field: str) -> None:
    """The field of `group:FIELD` must be the one that the labels were read with."""
    for scene in scenes:
        if field and scene.group_field != field:
            known = f"read with the group field {scene.group_field!r}" if scene.group_field else "read without a group field"
            raise SplitError(scene.name, f"the split asks for groups of {field!r}, but the labels were {known}", f"Give --group-field {field}")


def _refuse_groups(name: str, scenes: Sequence[LabelledScene]) -> None:
    """These splits would cut groups."""
    if any(scene.group_field for scene in scenes):
        raise SplitError(label_names(scenes), f"the split {name} cuts groups, and a group field was given", "Use blocks, groups or leave-polygon-out")


def _block_size(scenes: Sequence[LabelledScene], options: SplitOptions) -> int:
    """Side of the blocks."""
    if options.block is not None:
        return options.block
    extent = max(max(int(np.ptp(scene.rows)), int(np.ptp(scene.cols))) + 1 for scene in scenes if len(scene))
    return max(4, -(-extent // 8))


def block_units(scenes: Sequence[LabelledScene], block: int) -> NDArray[np.intp]:
    """The block of each label pixel, numbered through all scenes."""
    down, across = (max(scene.source.info.grid.shape[axis] for scene in scenes) // block + 1 for axis in (0, 1))
    keys = [(k * down + scene.rows // block) * across + scene.cols // block for k, scene in enumerate(scenes)]
    return np.unique(np.concatenate(keys), return_inverse=True)[1]


def _group_units(scenes: Sequence[LabelledScene]) -> NDArray[np.intp]:
    """The group of each label pixel, numbered through all scenes; groups of one name in a group field are one."""
    if len({bool(scene.group_field) for scene in scenes}) > 1:
        bare = next(scene for scene in scenes if not scene.group_field)
        raise SplitError(bare.name, "these labels were read without a group field, others with one", "Give all a group field, or none")
    return joined_groups(scenes)


def class_counts(units: NDArray[np.intp], scenes: Sequence[LabelledScene]) -> NDArray[np.int64]:
    """Label pixels of each unit and class, shape (units, classes)."""
    found, column = np.unique(np.concatenate([scene.codes for scene in scenes]), return_inverse=True)
    size = int(units.max()) + 1
    counts = np.bincount(units * len(found) + column, minlength=size * len(found)).reshape(size, len(found))
    return counts.astype(np.int64)


def per_scene(joined: Mask, scenes: Sequence[LabelledScene]) -> list[Mask]:
    """A mask over all label pixels, cut into one per scene."""
    return list(np.split(joined, np.cumsum([len(scene) for scene in scenes])[:-1]))


def _guarded(scenes: Sequence[LabelledScene], train: list[Mask], test: list[Mask], guard: int) -> list[Mask]:
    """The training masks without pixels at most `guard` pixels from a test pixel."""
    if guard == 0:
        return train
    kept = []
    for scene, learn, check in zip(scenes, train, test, strict=True):
        places = np.column_stack([scene.rows, scene.cols])
        near = np.zeros(len(scene), bool)
        near[learn] = distance_to(places[learn], places[check], guard) <= guard
        kept.append(learn & ~near)
    return kept


def _thinned(scenes: Sequence[LabelledScene], parts: Parts, per_class: int | None, rng: np.random.Generator) -> Parts:
    """At most `per_class` random training pixels of each class."""
    train, test = parts
    if per_class is None:
        return parts
    codes, joined = np.concatenate([scene.codes for scene in scenes]), np.concatenate(train)
    chosen = np.zeros(len(joined), bool)
    for code in np.unique(codes[joined]):
        chosen[rng.permutation(np.flatnonzero(joined & (codes == code)))[:per_class]] = True
    return per_scene(chosen, scenes), test


def _lost_text(lost: dict[str, list[int]], scenes: Sequence[LabelledScene]) -> str:
    """Which classes are lost on which side, by name."""
    named = {entry.code: entry.name for scene in scenes for entry in scene.legend.classes}
    sides = {"train": "nothing to train on", "test": "nothing to test"}
    return "; ".join(f"{words} for {', '.join(named.get(code, str(code)) for code in lost[side])}" for side, words in sides.items() if lost[side])


def _finished(
    name: str, scenes: Sequence[LabelledScene], parts: Parts, options: SplitOptions, *, guard: int, block: int | None = None, notes: tuple[str, ...] = ()
) -> Split:
    """The split with its report.

    Raises:
        SplitError: one side is empty.
    """
    train, test = parts
    for side, masks in (("train on", train), ("test", test)):
        if not any(mask.any() for mask in masks):
            raise SplitError(label_names(scenes), f"the split {name} (guard {guard}) leaves nothing to {side}", "Label more places, or use a smaller --guard")
    report = {**split_report(scenes, train, test, window=options.window), "name": name, "seed": options.seed, "guard": guard, "block": block}
    lost = _lost_text(report["lost"], scenes)
    told = [] if all(scene.group_field for scene in scenes) else overlap_notes(scenes)
    return Split(name, train, test, options.seed, (*notes, *([f"classes lost: {lost}"] if lost else []), *told), report)
