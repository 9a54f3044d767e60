"""Detectors by mean area under the ROC curve, with intervals over objects, and what choosing on other scenes gives.

An interval over objects says what other objects of the scene might give: objects are drawn with replacement, each with all of its pixels, and the background
stays. All rows of a scene are resampled alike, so that a difference is one of the same objects and the same draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.metrics.object_resampling import resampled_areas
from hsikit.ranking.cells import RATES, DetectorCell
from hsikit.ranking.plan import RankingPlan
from hsikit.train.benchmark_statistics import NAN, paired_difference, without_nan

Floats = NDArray[np.float64]
ALL = "all scenes"
RESAMPLES = 2000
DETECTION = tuple(f"{rate:g}" for rate in RATES)


@dataclass(frozen=True)
class DetectorStanding:
    """One row of the table.

    Attributes:
        scene: its title, or `ALL`.
        rank: 1 for the highest mean area of the scene; 0 where every draw failed.
        row: name of the row.
        floor: whether it is the floor.
        scored: draws (for all scenes: scenes) that have a score.
        failed: those that have none.
        area: mean area under the ROC curve, 0 to 1; NaN where there is none, as for all numbers below.
        worst: the least of the areas.
        low, high: bounds of the 95 % interval of the mean area.
        over: what the intervals are over: "objects", "draws", "scenes", or "" where there is none.
        reference: the row that differences are taken to; "" where there is none.
        difference: mean area less that of the reference, over what both have.
        difference_low, difference_high: bounds of its 95 % interval.
        average_precision: mean.
        partial_area: mean of the detection rate at false-alarm rates up to 1 %.
        detection: mean rate of detection by false-alarm rate; NaN where the background is too small.
        seconds: of a map, median over the draws: the first also loads libraries. For all scenes the mean.
        objects: with a scored pixel in any draw.
        targets: scored target pixels in any draw.
        background: scored pixels that are no target.
    """

    scene: str
    rank: int
    row: str
    floor: bool
    scored: int
    failed: int
    area: float
    worst: float
    low: float
    high: float
    over: str
    reference: str
    difference: float
    difference_low: float
    difference_high: float
    average_precision: float
    partial_area: float
    detection: Mapping[str, float]
    seconds: float
    objects: int
    targets: int
    background: int

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {name: without_nan(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Choice:
    """The row that is best on the other scenes, and what it has on this one.

    Attributes:
        scene: title of the scene that is left out.
        row: with the highest mean area over the others.
        area: of it on this scene.
    """

    scene: str
    row: str
    area: float


def detector_standings(plan: RankingPlan, cells: Sequence[DetectorCell]) -> list[DetectorStanding]:
    """All rows: a block for each scene, in the order of the cells, ranked by mean area; where there are several, then one over all of them."""
    scenes = list(dict.fromkeys(cell.scene for cell in cells))
    blocks = [_scene_block(plan, [cell for cell in cells if cell.scene == scene]) for scene in scenes]
    return [row for block in [*blocks, *([_all_block(plan, blocks)] if len(blocks) > 1 else [])] for row in block]


def left_out_choices(rows: Sequence[DetectorStanding]) -> list[Choice]:
    """For each scene the row that is best on the others, of those that have a score on every scene; nothing for a single scene."""
    table = _areas_by_scene(rows)
    scenes = next(iter(table.values()), {})
    names = [name for name, areas in table.items() if not any(np.isnan(area) for area in areas.values())]
    if len(scenes) < 2 or not names:
        return []
    found = []
    for scene in scenes:
        best = max(names, key=lambda name: float(np.mean([area for other, area in table[name].items() if other != scene])))
        found.append(Choice(scene, best, table[best][scene]))
    return found


def _scene_block(plan: RankingPlan, cells: Sequence[DetectorCell]) -> list[DetectorStanding]:
    """The rows of one scene."""
    mine = {row: [cell for cell in cells if cell.row == row] for row in dict.fromkeys(cell.row for cell in cells)}
    areas = {row: _mean([cell.area for cell in own if not cell.error]) for row, own in mine.items()}
    ranked = _ranked(areas)
    reference = _reference(plan, areas, ranked)
    return [_standing(plan, mine[row], rank, reference, mine.get(reference, [])) for rank, row in enumerate(ranked, start=1)]


def _standing(plan: RankingPlan, mine: Sequence[DetectorCell], rank: int, reference: str, others: Sequence[DetectorCell]) -> DetectorStanding:
    """One row of a scene; `others` are the reference's cells."""
    done = [cell for cell in mine if not cell.error]
    areas = [cell.area for cell in done]
    low, high, over = _interval(done)
    apart, apart_low, apart_high = _difference(done, [cell for cell in others if not cell.error]) if mine[0].row != reference else (NAN, NAN, NAN)
    return DetectorStanding(
        scene=mine[0].scene, rank=rank if done else 0, row=mine[0].row, floor=mine[0].row == plan.floor, scored=len(done), failed=len(mine) - len(done),
        area=_mean(areas), worst=min(areas, default=NAN), low=low, high=high, over=over, reference=reference,
        difference=apart, difference_low=apart_low, difference_high=apart_high,
        average_precision=_mean([cell.average_precision for cell in done]), partial_area=_mean([cell.partial_area for cell in done]),
        detection={rate: _mean([cell.detection.get(rate, NAN) for cell in done]) for rate in DETECTION},
        seconds=float(np.median([cell.seconds for cell in done])) if done else NAN,
        objects=int((_sums(done)[1].sum(axis=0) > 0).sum()) if done else 0,
        targets=max((sum(cell.pixels) for cell in done), default=0), background=max((cell.background for cell in done), default=0),
    )  # fmt: skip


def _interval(done: Sequence[DetectorCell]) -> tuple[float, float, str]:
    """Bounds of the mean area, and what they are over: objects where there are several, else draws."""
    if not done:
        return NAN, NAN, ""
    sums, pixels = _sums(done)
    if (pixels.sum(axis=0) > 0).sum() > 1:
        return *_percentiles(_resampled(sums, pixels)), "objects"
    if len(done) > 1:
        mean = paired_difference([cell.area for cell in done], np.zeros(len(done)))
        return float(np.clip(mean.low, 0, 1)), float(np.clip(mean.high, 0, 1)), "draws"
    return NAN, NAN, ""


def _difference(mine: Sequence[DetectorCell], others: Sequence[DetectorCell]) -> tuple[float, float, float]:
    """Mean difference over the draws that both have, and bounds of it, over what `_interval` is over."""
    by_seed = {cell.seed: cell for cell in others}
    pairs = [(cell, by_seed[cell.seed]) for cell in mine if cell.seed in by_seed]
    if not pairs:
        return NAN, NAN, NAN
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    found = paired_difference([cell.area for cell in one], [cell.area for cell in other])
    over = _interval(one)[2]
    if over == "objects":
        return found.mean, *_percentiles(_resampled(*_sums(one)) - _resampled(*_sums(other)))
    return found.mean, found.low, found.high


def _sums(cells: Sequence[DetectorCell]) -> tuple[Floats, Floats]:
    """Sums and pixels, shape (draws, objects)."""
    return np.array([cell.sums for cell in cells], np.float64), np.array([cell.pixels for cell in cells], np.float64)


def _resampled(sums: Floats, pixels: Floats) -> Floats:
    return resampled_areas(sums, pixels, resamples=RESAMPLES)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _all_block(plan: RankingPlan, blocks: Sequence[Sequence[DetectorStanding]]) -> list[DetectorStanding]:
    """The rows over all scenes, with differences scene by scene."""
    mine = {row.row: [found for block in blocks for found in block if found.row == row.row] for row in blocks[0]}
    areas = {name: float(np.mean([row.area for row in own])) for name, own in mine.items()}  # NaN where a scene has none
    ranked = _ranked(areas)
    reference = _reference(plan, areas, ranked)
    return [_over_scenes(mine[name], rank if not np.isnan(areas[name]) else 0, reference, mine.get(reference, [])) for rank, name in enumerate(ranked, start=1)]


def _over_scenes(mine: Sequence[DetectorStanding], rank: int, reference: str, others: Sequence[DetectorStanding]) -> DetectorStanding:
    """One row over all scenes; without numbers where a scene has none."""
    scored = [row for row in mine if row.rank]
    there = scored if rank else []
    other = {row.scene: row.area for row in others if row.rank}
    pairs = [(row.area, other[row.scene]) for row in there if row.scene in other and mine[0].row != reference]
    apart = paired_difference([one for one, _ in pairs], [two for _, two in pairs])
    mean = paired_difference([row.area for row in there], np.zeros(len(there)))
    low, high = (float(np.clip(bound, 0, 1)) for bound in (mean.low, mean.high))
    return DetectorStanding(
        scene=ALL, rank=rank, row=mine[0].row, floor=mine[0].floor, scored=len(scored), failed=len(mine) - len(scored),
        area=mean.mean, worst=min((row.area for row in there), default=NAN), low=low, high=high, over="scenes", reference=reference,
        difference=apart.mean, difference_low=apart.low, difference_high=apart.high,
        average_precision=_mean([row.average_precision for row in there]), partial_area=_mean([row.partial_area for row in there]),
        detection={rate: _mean([row.detection[rate] for row in there]) for rate in DETECTION}, seconds=_mean([row.seconds for row in there]),
        objects=sum(row.objects for row in there), targets=sum(row.targets for row in there), background=sum(row.background for row in there),
    )  # fmt: skip


def _areas_by_scene(rows: Sequence[DetectorStanding]) -> dict[str, dict[str, float]]:
    """Mean area by row and scene."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.scene != ALL:
            found.setdefault(row.row, {})[row.scene] = row.area
    return found


def _ranked(areas: Mapping[str, float]) -> list[str]:
    """Names from the highest area; those without one last."""
    return sorted(areas, key=lambda name: -np.nan_to_num(areas[name], nan=-1.0))


def _reference(plan: RankingPlan, areas: Mapping[str, float], ranked: Sequence[str]) -> str:
    """The row asked for, else the first; "" if it has no score."""
    name = plan.against or ranked[0]
    return "" if np.isnan(areas[name]) else name


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else NAN
