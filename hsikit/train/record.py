"""How a model was trained: its split, its scores, and the pixels that it has seen. Kept in the model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Coefficients, Grid
from hsikit.scene import SceneInfo
from hsikit.train.labelled import LabelledScene
from hsikit.train.predictions import Predictions
from hsikit.train.split_report import distance_to

FACTS = ("split", "seed", "report", "scores", "floors", "options", "refitted")
TESTED = "tested."
"""Before the names of the arrays of `Predictions`."""


@dataclass(frozen=True, eq=False)
class UsedPixels:
    """Pixels of one scene that a model was fitted on.

    Attributes:
        scene: the scene's name.
        labels: the label file's name.
        grid: the scene's grid.
        acquired: when, or "".
        identity: the scene's, see `SceneInfo.identity`.
        rows: shape (n,), int32.
        cols: shape (n,), int32.
    """

    scene: str
    labels: str
    grid: Grid
    acquired: str
    identity: Sequence[Any]
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]

    @classmethod
    def of(cls, scene: LabelledScene) -> UsedPixels:
        """All label pixels of a scene."""
        info = scene.source.info
        return cls(info.name, scene.name, info.grid, info.acquired, list(info.identity), scene.rows.astype(np.int32), scene.cols.astype(np.int32))

    def facts(self) -> dict[str, Any]:
        """All but the pixels, JSON-able."""
        return {"scene": self.scene, "labels": self.labels, "shape": list(self.grid.shape), "transform": list(self.grid.transform),
                "crs": self.grid.crs, "acquired": self.acquired, "identity": list(self.identity), "pixels": len(self.rows)}  # fmt: skip

    def is_another(self, info: SceneInfo) -> bool:
        """Whether a scene is known to be of another time."""
        return bool(self.acquired and info.acquired and self.acquired != info.acquired)

    def seen(self, info: SceneInfo, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which pixels of a scene are among these.

        The same place counts, in whatever file: a crop or a copy of the scene holds the same measurements. Not so where both
        scenes name their time of acquisition and these differ. Without georeference, scenes of one shape count as one scene.
        """
        none = np.zeros(len(rows), bool)
        if self.is_another(info):
            return none
        if self.grid.crs != info.grid.crs or self.grid.georeferenced != info.grid.georeferenced:
            return none
        if not self.grid.georeferenced:
            if self.grid.shape != info.grid.shape:
                return none
            row, col = rows, cols
        else:
            row, col = _pixels_on(self.grid, info.grid, rows, cols)
        width = int(max(self.grid.shape[1], col.max(initial=0) + 1))
        inside = (row >= 0) & (col >= 0)
        keys = self.rows.astype(np.int64) * width + self.cols
        return np.asarray(inside & np.isin(row.astype(np.int64) * width + col, keys))


def _pixels_on(grid: Grid, other: Grid, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of one grid that hold the centres of another's pixels."""
    a, b, c, d, e, f = other.transform
    x, y = a * (cols + 0.5) + b * (rows + 0.5) + c, d * (cols + 0.5) + e * (rows + 0.5) + f
    a, b, c, d, e, f = grid.transform
    scale = a * e - b * d
    col, row = (e * (x - c) - b * (y - f)) / scale, (a * (y - f) - d * (x - c)) / scale
    return np.floor(row).astype(np.int64), np.floor(col).astype(np.int64)


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """How a model was trained.

    Attributes:
        split: name of the split that it was scored with.
        seed: of everything random.
        notes: what the user should know, one sentence each.
        report: of the split, JSON-able.
        scores: on the split's test part, of a model fitted on its training part; JSON-able.
        floors: scores of the simplest methods on the same test pixels, by name; JSON-able.
        options: what the method was trained with, and which options the split was given; JSON-able.
        refitted: whether the saved model was then fitted on all labels.
        used: the pixels that the saved model was fitted on.
        fitted: the pixels that the scored model was fitted on; the same where the saved model is the scored one.
        predictions: what the scored model says at the test pixels; None in records of the first release.
        calibration: JSON-able: `temperature`, the `folds` of the training labels that it was found by and the pixels `held` out
            in them, and reliability diagrams (`Reliability.to_json`) of the test pixels `before` and `after`; empty in older records.
    """

    split: str
    seed: int
    notes: tuple[str, ...]
    report: Mapping[str, Any]
    scores: Mapping[str, Any]
    floors: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    refitted: bool
    used: tuple[UsedPixels, ...] = ()
    fitted: tuple[UsedPixels, ...] = ()
    predictions: Predictions | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def unseen(self, scene: LabelledScene) -> NDArray[np.bool_]:
        """Which label pixels of a scene the saved model was not fitted on."""
        seen = np.zeros(len(scene.rows), bool)
        for used in self.used:
            seen |= used.seen(scene.source.info, scene.rows, scene.cols)
        return ~seen

    def near(self, scene: LabelledScene) -> NDArray[np.bool_]:
        """Which label pixels of a scene lie within the split's guard of pixels that the saved model was fitted on."""
        guard, places = int(self.report.get("guard") or 0), np.column_stack([scene.rows, scene.cols])
        close = np.zeros(len(places), bool)
        for used in self.used:
            if guard and used.grid == scene.source.info.grid and not used.is_another(scene.source.info):
                close |= distance_to(places, np.column_stack([used.rows, used.cols]), guard) <= guard
        return close

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON-able facts, for the model folder."""
        arrays = {f"{prefix}{i}.{part}": getattr(pixels, part) for prefix, kept in (("", self.used), ("fitted.", self.fitted))
                  for i, pixels in enumerate(kept) for part in ("rows", "cols")}  # fmt: skip
        facts = {name: getattr(self, name) for name in FACTS}
        facts |= {"notes": list(self.notes), "used": [pixels.facts() for pixels in self.used], "fitted": [pixels.facts() for pixels in self.fitted]}
        facts["calibration"] = dict(self.calibration)
        if self.predictions is not None:
            tested, facts["tested_scenes"] = self.predictions.state()
            arrays |= {TESTED + name: values for name, values in tested.items()}
        return arrays, facts

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError, KeyError, TypeError: facts or arrays that do not fit together.
        """
        used, fitted = (
            tuple(_used(row, arrays[f"{prefix}{i}.rows"], arrays[f"{prefix}{i}.cols"]) for i, row in enumerate(rows))
            for prefix, rows in (("", facts["used"]), ("fitted.", facts.get("fitted", ())))
        )
        tested = None
        if "tested_scenes" in facts:
            tested = Predictions.from_state({name.removeprefix(TESTED): values for name, values in arrays.items()}, facts["tested_scenes"])
        kept = {name: facts[name] for name in FACTS}
        return cls(**kept, notes=tuple(facts["notes"]), used=used, fitted=fitted, predictions=tested, calibration=dict(facts.get("calibration", {})))


def _used(facts: Mapping[str, Any], rows: NDArray[Any], cols: NDArray[Any]) -> UsedPixels:
    if rows.ndim != 1 or rows.shape != cols.shape or len(rows) != facts["pixels"]:
        raise ValueError("the pixels used are not as many as the record says")
    a, b, c, d, e, f = (float(number) for number in facts["transform"])
    transform: Coefficients = (a, b, c, d, e, f)
    grid = Grid((int(facts["shape"][0]), int(facts["shape"][1])), transform, facts["crs"])
    return UsedPixels(facts["scene"], facts["labels"], grid, facts["acquired"], facts["identity"], rows, cols)
