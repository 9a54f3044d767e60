"""A scene with labels: which pixels have a known class, and which of them belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.layers import Legend
from hsikit.scene import Source


@dataclass(frozen=True, eq=False)
class LabelledScene:
    """An open scene and its n label pixels.

    Attributes:
        source: the scene.
        rows: rows of the label pixels on the source's grid, shape (n,); pixels are unique and sorted by (row, col).
        cols: their columns, shape (n,).
        codes: class codes 1 to 250, shape (n,).
        groups: what a pixel belongs to, shape (n,): the value of the group field, else its polygon, else its 8-connected
            component of one class. Units of bootstraps and of leave-polygon-out; with a group field no split cuts one.
        legend: the classes.
        name: the label file, for messages.
        group_field: the field that `groups` comes from, or "".
        group_names: with a group field, its values: `groups` are positions in them. Else empty.
        numbered: whether the codes were given to class names here, alphabetically, so that they may still be renumbered.
        notes: what happened on the way that the user should know, one sentence each.
        parts: which part of a fixed split each pixel belongs to, uint8 (n,), see `hsikit.train.fixed_parts`; None where the labels
            do not say.
    """

    source: Source
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    codes: NDArray[np.uint8]
    groups: NDArray[np.int64]
    legend: Legend
    name: str
    group_field: str = ""
    group_names: tuple[str, ...] = ()
    numbered: bool = False
    notes: tuple[str, ...] = ()
    parts: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, keep: NDArray[np.bool_]) -> LabelledScene:
        """The scene with only those of its label pixels where `keep`, bool of shape (n,), is True."""
        parts = None if self.parts is None else self.parts[keep]
        return replace(self, rows=self.rows[keep], cols=self.cols[keep], codes=self.codes[keep], groups=self.groups[keep], parts=parts)

    @property
    def counts(self) -> dict[int, int]:
        """Label pixels of each class that has any, by code."""
        codes, pixels = np.unique(self.codes, return_counts=True)
        return dict(zip(codes.tolist(), pixels.tolist(), strict=True))


def label_names(scenes: Sequence[LabelledScene]) -> str:
    """The label files, for messages: each once."""
    return ", ".join(dict.fromkeys(scene.name for scene in scenes))


def joined_groups(scenes: Sequence[LabelledScene]) -> NDArray[np.intp]:
    """The group of each label pixel, numbered through all scenes, shape (n,); groups of one name in a group field are one."""
    names = sorted({name for scene in scenes for name in scene.group_names})
    place = {name: k for k, name in enumerate(names)}
    keys, offset = [np.zeros(0, np.int64)], len(names)
    for scene in scenes:
        if scene.group_field:
            keys.append(np.array([place[name] for name in scene.group_names], np.int64)[scene.groups])
        else:
            keys.append(scene.groups + offset)
            offset += int(scene.groups.max(initial=-1)) + 1
    return np.unique(np.concatenate(keys), return_inverse=True)[1]


def require_classes(scenes: Sequence[LabelledScene], least: int = 2) -> None:
    """Checks that the scenes together have label pixels of at least so many classes.

    Raises:
        LabelError: they have fewer.
    """
    found = sorted({code for scene in scenes for code in scene.counts})
    if len(found) >= least:
        return
    if not found:
        raise LabelError(label_names(scenes), "no labelled pixel is left", "Check where the scene has data, and the labels' place")
    named = {entry.code: entry.name for scene in scenes for entry in scene.legend.classes}
    classes = ", ".join(f"{code} ({named.get(code, '?')})" for code in found)
    raise LabelError(label_names(scenes), f"the labels hold only class {classes}, but at least {least} classes are needed", "Add labels of other classes")


def connected_groups(rows: NDArray[np.intp], cols: NDArray[np.intp], codes: NDArray[np.integer], width: int) -> NDArray[np.int64]:
    """Numbers the 8-connected components of pixels of one class, from 0 in the order of their first pixel.

    Args:
        rows: shape (n,), with `cols` sorted by (row, col) and unique.
        cols: shape (n,).
        codes: class of each pixel, shape (n,).
        width: columns of the grid.

    Returns:
        Component of each pixel, shape (n,). Memory follows the number of label pixels, not the scene's size.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(rows):
        return np.zeros(0, np.int64)
    # Runs of one class along a row are the nodes: far fewer than pixels in a map of fields.
    flat = rows.astype(np.int64) * (width + 2) + cols
    new = np.r_[True, (np.diff(flat) != 1) | (codes[1:] != codes[:-1])]
    start = np.flatnonzero(new)
    left, right, kind = flat[start], flat[np.r_[start[1:], len(flat)] - 1], codes[start]
    # The runs of the next row that touch a run, corners included, follow one another.
    first = np.searchsorted(right, left + width + 1)
    count = np.maximum(np.searchsorted(left, right + width + 3, side="right") - first, 0)
    upper = np.repeat(np.arange(len(start)), count)
    lower = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    linked = kind[upper] == kind[lower]
    graph = coo_matrix((np.ones(int(linked.sum()), np.int8), (upper[linked], lower[linked])), shape=(len(start), len(start)))
    component = connected_components(graph, directed=False)[1]
    _, seen, inverse = np.unique(component, return_index=True, return_inverse=True)
    number: NDArray[np.int64] = np.argsort(np.argsort(seen))[inverse].astype(np.int64)
    return np.repeat(number, np.diff(np.r_[start, len(flat)]))
