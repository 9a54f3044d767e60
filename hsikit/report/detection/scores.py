"""A map of scores, read strip by strip: what ranks its pixels, its threshold, its histogram, and a picture in which no small thing is lost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.map_raster import MapRaster, open_map_raster
from hsikit.errors import MapError
from hsikit.geo.grid import Window, tile_windows
from hsikit.registry import list_methods
from hsikit.report.detection.content import ANOMALIES, OBJECTS, TARGETS, MethodFacts
from hsikit.report.mapfile import MOST_SHOWN, MadeFile, read_made

SCORES, INFEASIBILITY = "scores", "infeasibility"
MIXTURES = "mtmf"
"""The method whose hits are by scores over infeasibility."""
BINS = 120
MACHINERY = frozenset({
    "layer", "description", "units", "targets", "acquired", "view_zenith", "cloud_cover", "samples", "lines", "bands", "header_offset", "file_type",
    "data_type", "interleave", "byte_order", "data_ignore_value", "band_names", "map_info", "coordinate_system_string", "sensor_type", "data_units",
})  # fmt: skip
"""Tags that the page says elsewhere, or that say nothing of a detection."""
Scores = NDArray[np.float32]


class ScoreMap(MapRaster):
    """An open map of scores; made by `open_scores`.

    Attributes:
        made: what is known of its making.
        bands: names of its bands, one for each target.
        ranked: what ranks the pixels, where it is not the score itself; else "".
    """

    def __init__(self, made: MadeFile, dataset: Any, beside: MapRaster | None) -> None:
        super().__init__(str(made.path), dataset)
        self.made, self._beside = made, beside
        self.bands = tuple(name or f"band {i}" for i, name in enumerate(dataset.descriptions, 1))
        self.ranked = "abundance over infeasibility" if beside is not None else ""

    def read(self, window: Window) -> NDArray[np.float32]:
        """What ranks the pixels of a window by each band, shape (bands, rows, cols); NaN where there is no score."""
        values = self.stored(window, None).astype(np.float32, copy=False)
        if self._beside is None:
            return values
        infeasible = self._beside.stored(window, None).astype(np.float64)
        return (values / np.maximum(infeasible, 1.0)).astype(np.float32)

    def highest(self, window: Window) -> Scores:
        """The highest of all bands, shape (rows, cols)."""
        return np.asarray(self.read(window).max(axis=0))

    def strips(self) -> Iterator[tuple[Window, Scores]]:
        """All of it from the top, the highest of all bands."""
        for window in self.windows(len(self.bands)):
            yield window, self.highest(window)

    def parts(self, box: Window) -> Iterator[Window]:
        """A part of the map in pieces that may be held."""
        rows = next(self.windows(len(self.bands))).rows
        yield from tile_windows(box.intersect(self.grid.whole), (rows, max(1, box.cols)))

    @property
    def pfa(self) -> float | None:
        """The false-alarm rate that was asked for; None where there was none."""
        told = self.made.table("parameters").get("pfa", self.made.tags.get("pfa"))
        try:
            rate = float(told)
        except (TypeError, ValueError):
            return None
        return rate if 0 < rate < 1 else None

    @property
    def placed(self) -> bool:
        """Whether it was put on the map from the sensor's own grid, so that measurements are repeated and dropped."""
        return str(self.made.tags.get("hsikit_grid", self.made.fact("grid") or "")).startswith("map")

    def threshold(self) -> float | None:
        """The score that at most the share `pfa` of the pixels exceed, as the run found it; None where none was asked for."""
        if self.made.method == MIXTURES and not self.ranked:
            return None
        if self.pfa is None:
            least = self.made.tags.get("least")
            return float(least) if least is not None else None
        import torch

        from hsikit.tasks.detection.quantile import exact_quantile

        return float(exact_quantile(lambda: (torch.from_numpy(np.maximum(scores, 0.0)) for _, scores in self.strips()), self.pfa)["threshold"])

    def picture(self) -> Scores:
        """The map so small that neither side is above `MOST_SHOWN`: each pixel is the highest of those that it stands for."""
        step = max(1, -(-max(self.grid.shape) // MOST_SHOWN))
        rows, cols = self.grid.shape
        out = np.full((-(-rows // step), -(-cols // step)), np.nan, np.float32)
        for window, scores in self.strips():
            across = np.fmax.reduceat(scores, np.arange(0, cols, step), axis=1)
            row = (np.arange(window.rows) + window.row) // step
            first = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
            down = np.fmax.reduceat(across, first, axis=0)
            out[row[first]] = np.fmax(out[row[first]], down)
        return out


def method_facts(made: MadeFile) -> MethodFacts:
    """What made a map of scores.

    Raises:
        MapError: it holds no scores, or no detector made it.
    """
    advice = "Give the map that `hsikit detect` or `hsikit anomaly` wrote"
    if not made.holds(SCORES):
        layer = made.tags.get("hsikit_layer") or made.tags.get("layer")
        raise MapError(made.path, f"holds the layer {layer!r}, not scores" if layer else "does not say that it holds scores of a detection", advice)
    entry = next((entry for entry in list_methods() if entry.name == made.method), None)
    given = made.table("parameters").get("names")
    targets = tuple(map(str, given)) if isinstance(given, list) else tuple(name for name in made.tags.get("targets", "").split(", ") if name)
    task = entry.task if entry is not None and entry.task in (TARGETS, ANOMALIES, OBJECTS) else TARGETS if targets else ANOMALIES
    if entry is not None and entry.task not in (TARGETS, ANOMALIES, OBJECTS, "plug-in"):
        raise MapError(made.path, f"was made by {made.method}, which detects nothing", advice)
    told = {name: text for name, text in made.tags.items() if name.islower() and name not in MACHINERY and not name.startswith("hsikit_")}
    told |= {"masked": made.tags["hsikit_masked"]} if "hsikit_masked" in made.tags else {}
    return MethodFacts(
        made.method, task, entry.line if entry else "", entry.paper if entry else "", made.tags.get("description", ""), targets, dict(sorted(told.items()))
    )


@contextmanager
def open_scores(path: str | Path) -> Iterator[ScoreMap]:
    """Opens a map of scores for the time of a `with` block.

    Raises:
        MapError: missing, unreadable, or no map of scores.
    """
    made = read_made(path)
    method_facts(made)
    with ExitStack() as held:
        dataset = held.enter_context(open_map_raster(path, "map of scores"))
        if any(np.dtype(kind).kind != "f" for kind in dataset.dtypes):
            raise MapError(path, f"holds {dataset.dtypes[0]}, not scores", "Give the map that `hsikit detect` or `hsikit anomaly` wrote")
        beside = None
        if made.method == MIXTURES:
            other = made.path.with_name(f"{made.path.stem}_{INFEASIBILITY}{made.path.suffix}")
            beside = MapRaster(str(other), held.enter_context(open_map_raster(other))) if other.exists() else None
            if beside is not None and (beside.grid.shape != (dataset.height, dataset.width) or beside.dataset.count != dataset.count):
                raise MapError(other, f"is not of the same run as {made.path.name}: its size or its bands differ", "Put the run's own file there")
        yield ScoreMap(made, dataset, beside)


def extent(scores: ScoreMap) -> tuple[int, int, float, float]:
    """Pixels with and without a score, the lowest and the highest.

    Raises:
        MapError: no pixel has a score.
    """
    scored, total, low, high = 0, 0, math.inf, -math.inf
    for _, values in scores.strips():
        known = values[np.isfinite(values)]
        scored, total = scored + known.size, total + values.size
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if not scored:
        raise MapError(scores.name, "no pixel has a score", "Look at the scene: `hsikit info` says what share of it has data")
    return scored, total - scored, low, high


def bin_edges(low: float, high: float) -> NDArray[np.float64]:
    """Edges of a histogram."""
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)
