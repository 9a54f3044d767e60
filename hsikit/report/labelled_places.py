"""Where the labels lie on a map: training and test pixels, out of the record in the model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid
from hsikit.report.content import Places
from hsikit.report.ground import Pixels, moved
from hsikit.train.record import TrainingRecord, UsedPixels

NOTHING: Pixels = (np.zeros(0, np.intp), np.zeros(0, np.intp))
Codes = NDArray[np.uint8]


def _no_codes() -> Codes:
    return np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class LabelPlaces:
    """Label pixels on a map's grid.

    Attributes:
        training: pixels that the scored model was fitted on; where the record does not keep these, all that the saved model was.
        test: pixels that were scored.
        truth: their classes, shape (n,).
        predicted: their predicted classes, shape (n,).
        split: whether the two parts are known apart.
    """

    training: Pixels = NOTHING
    test: Pixels = NOTHING
    truth: Codes = field(default_factory=_no_codes)
    predicted: Codes = field(default_factory=_no_codes)
    split: bool = False

    def facts(self) -> Places:
        """As a report says it."""
        right = int((self.truth == self.predicted).sum())
        kind = "none" if not len(self.training[0]) + len(self.test[0]) else "split" if self.split else "labels"
        return Places(kind, len(self.training[0]), right, len(self.truth) - right)


def places_of(record: TrainingRecord, grid: Grid) -> LabelPlaces:
    """Where a record's pixels lie on a map's grid; what lies elsewhere, or in a scene whose grid it does not keep, is left out."""
    tested = record.predictions
    if tested is None:
        return LabelPlaces(training=_joined(record.used, grid))
    grids = {used.scene: used.grid for used in (*record.fitted, *record.used)}
    parts: list[Pixels] = [NOTHING]
    chosen: list[NDArray[np.intp]] = [NOTHING[0]]
    for number, name in enumerate(tested.scenes):
        if name in grids:
            here = np.flatnonzero(tested.scene == number)
            pixels, inside = moved(grids[name], tested.rows[here], tested.cols[here], grid)
            parts.append(pixels)
            chosen.append(here[inside])
    index = np.concatenate(chosen)
    return LabelPlaces(_joined(record.fitted or record.used, grid), _concatenated(parts), tested.truth[index], tested.predicted[index], split=True)


def _joined(used: Sequence[UsedPixels], grid: Grid) -> Pixels:
    return _concatenated([NOTHING, *(moved(pixels.grid, pixels.rows, pixels.cols, grid)[0] for pixels in used)])


def _concatenated(parts: Sequence[Pixels]) -> Pixels:
    rows, cols = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(cols)
