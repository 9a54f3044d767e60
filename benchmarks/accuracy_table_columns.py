"""Columns of the accuracy table: where labels and test pixels of a draw lie.

`far`, `near`, `far_g6` and `far50` of one seed share their test pixels (of `far_g6` some are left out); only the labels' place or number differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.train.labelled import LabelledScene
from hsikit.train.split_report import distance_to
from hsikit.train.splits import Split, along_longer_side, class_halves_draw, make_split

Positions = NDArray[np.intp]
PER_CLASS, BLOCK, GUARD = 10, 24, 6
POTSDAM_PER_CLASS = 50


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of a column.

    Attributes:
        train: positions of the labels among the label pixels, ascending.
        test: those of the test pixels, ascending; only classes that `train` holds.
        split: the kind of split, by which folds for calibration are cut: "class-halves", "random", "blocks" or "groups".
        block: side of blocks in pixels; 0 where there are none.
        left_out: codes of classes without labels or without test pixels.
    """

    train: Positions
    test: Positions
    split: str
    block: int
    left_out: tuple[int, ...]

    def as_split(self, count: int, seed: int) -> Split:
        """The draw as a split of `count` label pixels of one scene."""
        train, test = (np.isin(np.arange(count), part) for part in (self.train, self.test))
        return Split(self.split, [train], [test], seed, (), {"block": self.block})


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: what it is, for readers.
        draw: from a scene and a seed.
        draws: how many the table wants.
    """

    title: str
    draw: Callable[[LabelledScene, int], Draw]
    draws: int = 20


def finished(scene: LabelledScene, train: Positions, test: Positions, split: str, block: int = 0) -> Draw:
    """A draw without test pixels of classes that no label shows."""
    known, codes = np.unique(scene.codes[train]), scene.codes[test]
    test = np.sort(test[np.isin(codes, known)])
    left = set(known.tolist()) & set(scene.codes[test].tolist())
    return Draw(np.sort(train), test, split, block, tuple(sorted(set(scene.counts) - left)))


def far(scene: LabelledScene, seed: int) -> Draw:
    """Ten labels of each class from one half, the test from the other."""
    return finished(scene, *class_halves_draw(scene.rows, scene.cols, scene.codes, seed, PER_CLASS), "class-halves")


def near(scene: LabelledScene, seed: int) -> Draw:
    """The test pixels of `far`; ten labels of each class (or all) from what the test leaves of its half."""
    _, test = class_halves_draw(scene.rows, scene.cols, scene.codes, seed, PER_CLASS)
    # A generator of its own: the protocol's is spent on the test.
    rng, train = np.random.default_rng((seed, 1)), [np.zeros(0, np.intp)]
    for code in np.unique(scene.codes[test]):
        ordered = along_longer_side(scene.rows, scene.cols, np.flatnonzero(scene.codes == code))
        halves = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
        tested = next(half for half in halves if np.isin(half, test).any())
        left = tested[~np.isin(tested, test)]
        train.append(left[rng.permutation(len(left))[:PER_CLASS]])
    return finished(scene, np.concatenate(train), test, "random")


def far_guarded(scene: LabelledScene, seed: int) -> Draw:
    """`far` with test pixels more than six pixels from every label."""
    train, test = class_halves_draw(scene.rows, scene.cols, scene.codes, seed, PER_CLASS)
    places = np.column_stack([scene.rows, scene.cols])
    return finished(scene, train, test[distance_to(places[test], places[train], GUARD) > GUARD], "class-halves")


def far_fifty(scene: LabelledScene, seed: int) -> Draw:
    """The test pixels of `far`; fifty labels of each class, or half of what the half holds."""
    every, test = class_halves_draw(scene.rows, scene.cols, scene.codes, seed, len(scene))
    train = [np.zeros(0, np.intp)]
    for code in np.unique(scene.codes):
        mine = every[scene.codes[every] == code]
        train.append(mine[: min(50, max(1, len(mine) // 2))])
    return finished(scene, np.concatenate(train), test, "class-halves")


def _made(scene: LabelledScene, split: Split) -> Draw:
    train, test = (np.flatnonzero(part[0]) for part in (split.train, split.test))
    return finished(scene, train, test, split.name, int(split.report.get("block") or 0))


def blocks24(scene: LabelledScene, seed: int) -> Draw:
    """Blocks of 24 pixels with a guard of 6; ten labels of each class from the training blocks."""
    return _made(scene, make_split("blocks", [scene], seed=seed, guard=GUARD, block=BLOCK, per_class=PER_CLASS, allow_lost=True))


def random10(scene: LabelledScene, seed: int) -> Draw:
    """A tenth of each class, at random."""
    return _made(scene, make_split("random", [scene], seed=seed, test_share=0.9))


def blocks(scene: LabelledScene, seed: int) -> Draw:
    """The default blocks; at most fifty labels of each class."""
    return _made(scene, make_split("blocks", [scene], seed=seed, per_class=POTSDAM_PER_CLASS, allow_lost=True))


def patches(scene: LabelledScene, seed: int) -> Draw:
    """Whole connected patches of one class; at most fifty labels of each class."""
    return _made(scene, make_split("groups", [scene], seed=seed, per_class=POTSDAM_PER_CLASS, allow_lost=True))


COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "indian-pines": {
        "far": Column("10 labels a class from one half of each class, the test from the other", far, 100),
        "near": Column("10 labels a class from the half that is tested, the same test pixels", near),
        "far_g6": Column("far, test pixels more than 6 pixels from every label", far_guarded),
        "blocks24": Column("blocks of 24 pixels, guard 6, 10 labels a class from the training blocks", blocks24),
        "far50": Column("far with 50 labels a class, or half of what the half holds", far_fifty),
        "random10": Column("10 % of each class at random: leaks, printed for comparison with the literature", random10),
    },
    "enmap-potsdam": {
        "blocks": Column("blocks, guard 4, at most 50 labels a class", blocks, 5),
        "patches": Column("connected patches of one class, guard 4, at most 50 labels a class", patches, 5),
    },
}
