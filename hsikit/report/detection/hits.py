"""Hits: the user's file, held against the map; or found in the map as the run found them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Grid, Window
from hsikit.metrics.detection_strips import TARGET
from hsikit.report.detection.content import HitFacts
from hsikit.report.detection.scores import ScoreMap
from hsikit.report.detection.truth import Truth
from hsikit.report.ground import pixel_places
from hsikit.sensors.crs import same_crs

MOST_LISTED = 20
MOST_DRAWN = 500
"""Hits on the picture, those of the highest scores."""
SAME = 1e-5
"""Share by which a hit's score may differ from the map's, which was rounded."""
ADVICE = "Give the hits of the run that made the map, or leave them out: they are found again in the map"
BOX = ("left", "bottom", "right", "top")


@dataclass(frozen=True, eq=False)
class Hits:
    """Groups of pixels above the threshold, the highest first.

    Attributes:
        score: the highest of each, shape (n,).
        points: their middles as `Grid.drawn` has them, shape (n, 2).
        pixels: how many each has, shape (n,); None where unknown.
        boxes: left, top, right, bottom in columns and rows, shape (n, 4); None where unknown.
        classes: of objects, n of them; None where there are none.
    """

    score: NDArray[np.float64]
    points: NDArray[np.float64]
    pixels: NDArray[np.int64] | None = None
    boxes: NDArray[np.int64] | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.score)


def find_hits(scores: ScoreMap, threshold: float) -> Hits:
    """The groups of pixels above a threshold, as the run found them."""
    from hsikit.tasks.detection.components import hits

    found = hits(((window.row, values) for window, values in scores.strips()), threshold, scores.grid)
    points = np.zeros((0, 2)) if found.points is None else found.points
    boxes = _pixel_boxes(np.stack([found.columns[side] for side in BOX], 1).reshape(-1, 4), scores.grid)
    return Hits(np.asarray(found.columns["peak"], np.float64), points, np.asarray(found.columns["pixels"], np.int64), boxes)


def read_hits(path: str | Path, scores: ScoreMap, threshold: float | None) -> Hits:
    """Hits of a file, which must be of this map.

    Args:
        path: a vector file that `hsikit detect --hits` or `hsikit anomaly --hits` wrote.
        scores: the map.
        threshold: of the map; None where it is not known.

    Raises:
        OptionError: the file cannot be read, is no file of hits, or its scores are not the map's.
        GridError: its hits do not lie on the map.
    """
    frame = _frame(Path(path))
    column = next((name for name in ("peak", "score") if name in frame.columns), None)
    if column is None or not all(name in frame.columns for name in BOX):
        raise OptionError(path, "is no file of hits: it lacks peaks or boxes", "Give what `hsikit detect --hits` or `hsikit anomaly --hits` wrote")
    if not scores.grid.georeferenced:
        if frame.crs is not None:
            raise GridError(path, f"has a CRS, and the map {scores.name} has none", ADVICE)
    elif frame.crs is None or not same_crs(frame.crs.to_wkt(), scores.grid.crs):
        if frame.crs is None or Path(path).suffix.lower() not in (".geojson", ".json"):  # GeoJSON is in degrees whatever the map
            raise GridError(path, f"its CRS is not that of the map {scores.name}", ADVICE)
        frame = frame.to_crs(scores.grid.crs)
    frame = frame.sort_values(column, ascending=False, kind="stable")
    points = np.column_stack([frame.geometry.x, frame.geometry.y]).reshape(-1, 2)
    boxes = None if scores.placed else _pixel_boxes(frame[list(BOX)].to_numpy(np.float64), scores.grid)
    pixels = frame["pixels"].to_numpy(np.int64) if "pixels" in frame.columns else None
    classes = tuple(map(str, frame["class"])) if "class" in frame.columns else None
    found = Hits(frame[column].to_numpy(np.float64), points, pixels, boxes, classes)
    _check_inside(found, scores, path)
    if column == "peak" and threshold is not None and len(found) and not scores.placed:
        lowest = float(found.score[-1])
        if lowest < threshold - SAME * abs(threshold):
            raise OptionError(path, f"its lowest hit scores {lowest:.6g}, and the map's threshold is {threshold:.6g}: they are of another run", ADVICE)
    return found


def _frame(path: Path) -> Any:
    import geopandas

    if not path.exists():
        raise OptionError(path, "does not exist", "Check the path")
    try:
        frame = geopandas.read_parquet(path) if path.suffix.lower() == ".parquet" else geopandas.read_file(path)
        kinds = set(frame.geometry.geom_type)
    except Exception as error:  # GDAL, pyogrio, pyarrow and geopandas raise each their own
        raise OptionError(path, f"cannot be read as hits ({error})", "Give what `hsikit detect --hits` or `hsikit anomaly --hits` wrote") from error
    if not kinds <= {"Point"}:
        raise OptionError(path, "is no file of hits: these are points", "Give what `hsikit detect --hits` or `hsikit anomaly --hits` wrote")
    return frame


def _pixel_boxes(boxes: NDArray[np.float64], grid: Grid) -> NDArray[np.int64]:
    """Boxes of map coordinates (left, bottom, right, top) as left, top, right, bottom of columns and rows."""
    corners = [pixel_places(grid.drawn, boxes[:, i], boxes[:, j]) for i in (0, 2) for j in (1, 3)]
    rows, cols = np.stack([row for row, _ in corners]), np.stack([col for _, col in corners])
    return np.asarray(np.rint(np.stack((cols.min(0), rows.min(0), cols.max(0), rows.max(0)), 1)), np.int64)


def _check_inside(found: Hits, scores: ScoreMap, path: str | Path) -> None:
    row, col = pixel_places(scores.grid.drawn, *found.points.T)
    height, width = scores.grid.shape
    away = (row < -1) | (row > height + 1) | (col < -1) | (col > width + 1)
    if away.any():
        x, y = found.points[int(np.argmax(away))]
        raise GridError(path, f"its hit at ({x:.8g}, {y:.8g}) lies outside of the map {scores.name}", ADVICE)


def listed(found: Hits, scores: ScoreMap, truth: Truth | None, threshold: float | None, path: str | Path | None) -> tuple[HitFacts, ...]:
    """The hits of the highest scores, each with its highest pixel.

    Args:
        found: all of them.
        scores: the map.
        truth: on its grid.
        threshold: of the map.
        path: the user's file, whose scores are held against the map; None where the hits are the map's own.

    Raises:
        OptionError: a hit's score is nowhere in its box: the hits are of another map.
    """
    exact = found.boxes is not None and found.classes is None
    rows = []
    for i in range(min(MOST_LISTED, len(found))):
        score, (x, y) = float(found.score[i]), (float(value) for value in found.points[i])
        place, like, true = _middle(found.points[i], scores.grid), "" if found.classes is None else found.classes[i], None
        if exact and found.boxes is not None:
            box = _window(found.boxes[i])
            place, apart, band = _nearest(scores, box, score)
            if path is not None and not apart <= SAME * max(abs(score), 1e-6):
                wrong = f"its hit at ({x:.8g}, {y:.8g}) has a score of {score:.6g}, which the map {scores.name} has nowhere in its box"
                raise OptionError(path, f"{wrong}: they are of another run", ADVICE)
            like = scores.bands[band] if len(scores.bands) > 1 else ""
            if truth is not None and threshold is not None:
                true = sum(int(((truth.read(part) == TARGET) & (scores.highest(part) > threshold)).sum()) for part in scores.parts(box))
        rows.append(HitFacts(i + 1, score, None if found.pixels is None else int(found.pixels[i]), x, y, place[0], place[1], like, true))
    return tuple(rows)


def _window(box: NDArray[np.int64]) -> Window:
    left, top, right, bottom = (int(edge) for edge in box)
    return Window(top, left, max(1, bottom - top), max(1, right - left))


def _middle(point: NDArray[np.float64], grid: Grid) -> tuple[int, int]:
    """The pixel that a point lies in."""
    row, col = (int(np.floor(place)[0]) for place in pixel_places(grid.drawn, point[:1], point[1:]))
    return min(max(row, 0), grid.shape[0] - 1), min(max(col, 0), grid.shape[1] - 1)


def _nearest(scores: ScoreMap, box: Window, score: float) -> tuple[tuple[int, int], float, int]:
    """The pixel of a box whose score is nearest to this one, by how much it differs, and the band that it has it from."""
    best: tuple[tuple[int, int], float, int] = ((box.row, box.col), float("inf"), 0)
    for part in scores.parts(box):
        values = scores.read(part)
        apart = np.abs(values.max(axis=0).astype(np.float64) - score)
        if np.isnan(apart).all():
            continue
        row, col = (int(i) for i in np.unravel_index(int(np.nanargmin(apart)), apart.shape))
        if apart[row, col] < best[1]:
            best = (row + part.row, col + part.col), float(apart[row, col]), int(np.argmax(values[:, row, col]))
    return best
