"""What a map of scores is worth against truth, beside the cheapest detector there is: the spectral angle, or RX of the whole scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window
from hsikit.metrics.detection import RocCurve
from hsikit.metrics.detection_strips import BACKGROUND, TARGET, UNKNOWN, RankedTargets, Strips, rank_targets
from hsikit.report.detection.content import ANOMALIES, OBJECTS, RATES, MethodFacts, Rate, Worth
from hsikit.report.detection.scores import ScoreMap
from hsikit.report.detection.truth import Truth, mark
from hsikit.report.ground import Pixels
from hsikit.scene import Source

if TYPE_CHECKING:
    from hsikit.tasks.detection.target_spectra import TargetSpectra

MOST_FLOOR = 1 << 24
"""Pixels of a map whose floor is computed, at most: its scores are held, 64 MB of them."""
ANGLE, RX = "spectral-angle", "rx"
NONE = np.zeros(0, np.intp)


class Unscored:
    """Hides from a detector the pixels that the map does not score (`hsikit.engine.options.HiddenPixels`); held, since threads read it.

    Args:
        scores: the map.
    """

    def __init__(self, scores: ScoreMap) -> None:
        self.identity: tuple[Any, ...] = ("unscored", scores.name)
        self._hidden = np.concatenate([np.isnan(values) for _, values in scores.strips()])

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where there is no score; the window lies inside the map."""
        return self._hidden[window.slices()]


Run = Callable[[Any, Source, Unscored], NDArray[np.float32]]
"""Scores of a method on a scene, pixels hidden: the highest of all bands, shape (rows, cols)."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A map against truth, and the curves that the page draws.

    Attributes:
        worth: in numbers.
        curves: by name, the method's first.
    """

    worth: Worth
    curves: dict[str, RocCurve]


@dataclass(frozen=True, eq=False)
class Floor:
    """The cheapest detector's scores on the same scene.

    Attributes:
        name: of the method.
        scores: shape (rows, cols); None where there are none.
        why: there are none; "" where there are.
    """

    name: str
    scores: NDArray[np.float32] | None
    why: str = ""


def floor_of(made_by: MethodFacts, scores: ScoreMap, source: Source | None, targets: TargetSpectra | None, run: Run) -> Floor:
    """The floor of a detection.

    Args:
        made_by: the method.
        scores: its map.
        source: the scene on the map's grid; None where it is not known.
        targets: what was looked for; None where that is not known, and for anomalies.
        run: runs a method.
    """
    name = RX if made_by.task == ANOMALIES else ANGLE
    if made_by.task == OBJECTS:
        return Floor("", None, "What a network learned to find has no spectrum of its own, so that no floor stands beside it.")
    if made_by.method == name:
        return Floor(name, None, f"The method is itself the floor that others are held against ({name}).")
    if source is None:
        return Floor(name, None, f"No floor stands beside it: the scene was not given, from which {name} would be computed.")
    if scores.grid.whole.size > MOST_FLOOR:
        return Floor(name, None, f"No floor stands beside it: for a map of more than {MOST_FLOOR:,} pixels it is not computed.")
    if name == ANGLE and targets is None:
        return Floor(name, None, "No floor stands beside it: the map does not say which spectrum was looked for.")
    from hsikit.tasks.detection.rx import RX as GlobalRX
    from hsikit.tasks.detection.spectral_angle import SpectralAngle

    method = GlobalRX() if targets is None or name == RX else SpectralAngle(targets=targets)
    return Floor(name, run(method, source, Unscored(scores)))


def score(scores: ScoreMap, truth: Truth, name: str, threshold: float | None, made_by: MethodFacts, floor: Floor, taken: Pixels = (NONE, NONE)) -> Scored:
    """Scores a map against truth.

    Args:
        scores: the map.
        truth: on its grid.
        name: of the truth's file.
        threshold: of the map; None where it has none.
        made_by: the method.
        floor: beside it.
        taken: rows and columns of pixels that the target was taken from, which are not scored.

    Raises:
        LabelError: no scored pixel is a target, or none is background.
    """
    strips = _against(scores.strips, truth, taken)
    ranked = rank_targets(strips)
    curves, rows = {made_by.method: ranked.curve}, [_rate(made_by.method, False, ranked)]
    if floor.scores is not None:
        values = floor.scores
        beside = rank_targets(_against(lambda: _strips_of(scores, values), truth, taken))
        curves[floor.name] = beside.curve
        rows.append(_rate(floor.name, True, beside))
    found: dict[str, Any] = {}
    if threshold is not None:
        above = ranked.scores > threshold
        false = sum(int(((codes == BACKGROUND) & (values > threshold)).sum()) for values, codes in strips())
        found = {"objects_found": len(np.unique(ranked.objects[above])), "pixels_found": int(above.sum()), "false_alarms": false}
    unknown = sum(int(((codes == UNKNOWN) & ~np.isnan(values)).sum()) for values, codes in strips())
    own, targets = _taken(scores, truth, taken)
    curve = ranked.curve
    told = Worth(name, truth.kind, curve.targets, ranked.count, curve.background, ranked.unscored - targets, unknown, own, tuple(rows), floor.why, **found)
    return Scored(told, curves)


def _against(strips: Callable[[], Iterator[tuple[Window, NDArray[np.float32]]]], truth: Truth, taken: Pixels) -> Strips:
    """Scores and truth; a pixel that the target was taken from has no score, and still belongs to its object."""

    def pairs() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int8]]]:
        for window, values in strips():
            kept = values.copy() if len(taken[0]) else values
            mark(kept, taken, window, np.nan)
            yield kept, truth.read(window)

    return pairs


def _taken(scores: ScoreMap, truth: Truth, taken: Pixels) -> tuple[int, int]:
    """How many of these pixels have a score, and how many of them are targets."""
    own = targets = 0
    for row, col in {(int(row), int(col)) for row, col in zip(*taken, strict=True)}:
        pixel = Window(row, col, 1, 1)
        scored = not np.isnan(scores.highest(pixel)[0, 0])
        own, targets = own + scored, targets + (scored and truth.read(pixel)[0, 0] == TARGET)
    return own, int(targets)


def _strips_of(scores: ScoreMap, values: NDArray[np.float32]) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """The floor's scores where the map has some, so that both are scored on the same pixels."""
    for window, own in scores.strips():
        yield window, np.where(np.isnan(own), np.float32(np.nan), values[window.slices()])


def _rate(name: str, floor: bool, ranked: RankedTargets) -> Rate:
    curve = ranked.curve
    return Rate(name, floor, curve.area, ranked.interval(), tuple(curve.detection_at(rate) for rate in RATES), curve.average_precision)


def histogram(scores: ScoreMap, edges: NDArray[np.float64], truth: Truth | None) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Scored pixels in each bin, all bins equally wide, and the targets among them; None without truth."""

    def counted(values: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.histogram(values[~np.isnan(values)], len(edges) - 1, (float(edges[0]), float(edges[-1])))[0].astype(np.int64)

    every = np.zeros(len(edges) - 1, np.int64)
    targets = None if truth is None else np.zeros_like(every)
    for window, values in scores.strips():
        every += counted(values)
        if truth is not None and targets is not None:
            targets += counted(values[truth.read(window) == TARGET])
    return every, targets


def lattice(scores: ScoreMap, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of scored pixels spread evenly over the map, some `count` of them at most."""
    rows, cols = scores.grid.shape
    step = max(1, int(np.ceil(np.sqrt(rows * cols / count))))
    found_rows, found_cols = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for window, values in scores.strips():
        first = -window.row % step
        row, col = np.nonzero(~np.isnan(values[first::step, ::step]))
        found_rows.append(row * step + first + window.row)
        found_cols.append(col * step)
    return np.concatenate(found_rows), np.concatenate(found_cols)
