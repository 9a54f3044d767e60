"""Labels that come in a training and a test part: two files, or one with a field that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, SplitError
from hsikit.train.labelled import LabelledScene

TRAIN, TEST, NEITHER = 1, 2, 0
"""Parts of a fixed split."""
WORDS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
"""What a field may call them; other values are in neither."""


def join_parts(train: LabelledScene, test: LabelledScene) -> LabelledScene:
    """One labelled scene of two, under one legend, that knows which pixels train and which test.

    Raises:
        LabelError: pixels are in both.
    """
    rows, cols = (np.concatenate([getattr(part, name) for part in (train, test)]) for name in ("rows", "cols"))
    order = np.lexsort((cols, rows))
    twice = int(((np.diff(rows[order]) == 0) & (np.diff(cols[order]) == 0)).sum())
    if twice:
        raise LabelError(test.name, f"{twice} of its pixels are also in {train.name}, so they would train and test", "Take them out of one of the two")
    names, groups = _joined_groups(train, test)
    parts = np.repeat(np.array([TRAIN, TEST], np.uint8), [len(train), len(test)])
    codes = np.concatenate([train.codes, test.codes])[order]
    name, notes = f"{train.name}, {test.name}", tuple(dict.fromkeys((*train.notes, *test.notes)))
    return replace(train, rows=rows[order], cols=cols[order], codes=codes, groups=groups[order], parts=parts[order], name=name, group_names=names, notes=notes)


def _joined_groups(train: LabelledScene, test: LabelledScene) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names and numbers of the groups of both; with a group field, a name in both is one group."""
    if not train.group_field:
        return (), np.concatenate([train.groups, test.groups + int(train.groups.max(initial=-1)) + 1])
    names = tuple(dict.fromkeys((*train.group_names, *test.group_names)))
    place = {name: k for k, name in enumerate(names)}
    return names, np.concatenate([np.array([place[name] for name in part.group_names], np.int64)[part.groups] for part in (train, test)])


def parts_of_field(scene: LabelledScene, field: str) -> NDArray[np.uint8]:
    """The part of each label pixel by the words of its group field: train, test, or another for neither.

    Raises:
        SplitError: the labels were read with another group field, or it lacks one of the words.
    """
    if scene.group_field != field:
        known = f"read with the group field {scene.group_field!r}" if scene.group_field else "read without a group field"
        raise SplitError(scene.name, f"the split asks for the parts in {field!r}, but the labels were {known}", f"Give --group-field {field}")
    table = np.array([WORDS.get(name.strip().lower(), NEITHER) for name in scene.group_names], np.uint8)
    if not {TRAIN, TEST} <= set(table.tolist()):
        there = ", ".join(scene.group_names[:6])
        raise SplitError(scene.name, f"the field {field!r} does not say both train and test (it says {there})", "Write one of the two words into it")
    return np.asarray(table[scene.groups], np.uint8)
