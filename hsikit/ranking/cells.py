"""One map against the truth: what a cell of the table holds, how it is scored, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.metrics.detection import roc_corners
from hsikit.metrics.object_resampling import shares_below
from hsikit.ranking.truth import Truth
from hsikit.tasks.detection.mtmf import INFEASIBILITY
from hsikit.train.benchmark_cells import digest, scene_facts, write_facts

RATES = (1e-3, 1e-4)
"""False-alarm rates at which detection is told."""
LEAST_ALARMS = 5
"""A rate is told where at least so many pixels of background may exceed the threshold: else single pixels decide."""
PARTIAL = 0.01
"""The area up to this false-alarm rate is told."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectorCell:
    """What one method scored on one draw of one scene.

    Attributes:
        scene: its title in the table.
        row: name of the row.
        seed: of the draw; 0 where nothing is drawn.
        error: why there is no score; "" where there is one.
        seconds: of the whole map.
        background: scored pixels that are no target.
        average_precision: 0 to 1.
        partial_area: mean rate of detection at false-alarm rates up to `PARTIAL`, 0 to 1.
        detection: rate of detection by false-alarm rate ("0.001"); rates for which the background is too small are left out.
        sums: by object, sum over its scored pixels of the share of the background that scores lower.
        pixels: by object, its scored pixels.
    """

    scene: str
    row: str
    seed: int
    error: str = ""
    seconds: float = 0.0
    background: int = 0
    average_precision: float = 0.0
    partial_area: float = 0.0
    detection: Mapping[str, float] = field(default_factory=dict)
    sums: tuple[float, ...] = ()
    pixels: tuple[int, ...] = ()

    @property
    def area(self) -> float:
        """Area under the ROC curve; NaN where there is no score."""
        return sum(self.sums) / sum(self.pixels) if sum(self.pixels) else float("nan")

    @property
    def objects(self) -> int:
        """Objects with a scored pixel."""
        return sum(count > 0 for count in self.pixels)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "detection": dict(self.detection)}


def score_map(layers: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """One score for each pixel, as hits of the method are ranked: the highest of several targets; abundance over infeasibility where that is told.

    Args:
        layers: "scores", and perhaps "infeasibility", shape (targets, rows, cols).

    Returns:
        Shape (rows, cols); NaN where there is none.
    """
    scores: NDArray[Any] = layers["scores"]
    if INFEASIBILITY in layers:
        scores = scores / np.maximum(layers[INFEASIBILITY], 1)
    return np.asarray(scores[0] if len(scores) == 1 else scores.max(axis=0), np.float32)


def scored_cell(blank: DetectorCell, scores: NDArray[np.float32], truth: Truth, drawn: NDArray[np.intp]) -> DetectorCell:
    """A cell with its scores. Five bytes for each pixel are held beside the map.

    Args:
        blank: the cell without.
        scores: of a map, shape (rows, cols); is written to.
        truth: of the scene.
        drawn: positions of target pixels that are not scored.

    Raises:
        LabelError: the map scores no target, or no background.
    """
    rows, cols = truth.targets.rows, truth.targets.cols
    values = scores[rows, cols]
    values[drawn] = np.nan
    scores[rows, cols] = np.nan
    if truth.unscored is not None:
        scores[truth.unscored] = np.nan
    background = scores[~np.isnan(scores)]
    background.sort()
    there, objects = ~np.isnan(values), truth.objects
    if not there.any() or not len(background):
        missing = "background" if there.any() else "target that was not drawn"
        raise LabelError(truth.targets.name, f"{blank.row} scores no {missing}", "Look at its map, and at the truth")
    curve, count = roc_corners(values[there], background), int(objects.max()) + 1
    sums = np.bincount(objects[there], shares_below(values[there], background), minlength=count)
    return replace(
        blank,
        background=len(background),
        average_precision=curve.average_precision,
        partial_area=curve.partial_area(PARTIAL),
        detection={f"{rate:g}": curve.detection_at(rate) for rate in RATES if rate * len(background) >= LEAST_ALARMS},
        sums=tuple(sums.tolist()),
        pixels=tuple(np.bincount(objects[there], minlength=count).tolist()),
    )


def ground_of(truth: Truth) -> str:
    """What tells a scene and its truth from others."""
    unscored = "" if truth.unscored is None else digest(np.packbits(truth.unscored).tobytes().hex())
    return digest([scene_facts(truth.targets), unscored])


def read_cell(place: Path, scene: str) -> DetectorCell | None:
    """The cell of a file under the scene's title; None where there is none, a broken one, or one that failed and may be tried again."""
    try:
        facts = json.loads(place.read_text(encoding="utf-8"))
        found = {name: facts[name] for name in DetectorCell.__dataclass_fields__}
        cell = DetectorCell(**{**found, "scene": scene, "sums": tuple(facts["sums"]), "pixels": tuple(facts["pixels"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if cell.error else cell


def write_cell(place: Path, cell: DetectorCell) -> None:
    """Writes a cell whole.

    Raises:
        OutputError: the disk is full, or the folder is read-only.
    """
    write_facts(place, cell.to_json())
