"""The pictures of a detection's report as data URIs; each with a text for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.metrics.detection import RocCurve
from hsikit.report.canvas import ACCENT, INK, MUTED, PALE, RULE, WARM, Picture, blank, limits_of, raster, saved, tidy, value_label, values_of
from hsikit.report.detection.content import RATES, DetectionContent, HitFacts, Line
from hsikit.report.detection.gather import Views
from hsikit.report.detection.hits import MOST_DRAWN
from hsikit.report.ground import pixel_places
from hsikit.scene import Bands
from hsikit.viz.quicklook import draw_rgb
from hsikit.viz.spectra import FEW, broken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RING = "#d7263d"
"""Colour of hits: one that neither vegetation, soil, water nor the scale of the scores has."""
SCALE = "viridis"
SHOWN = (2.0, 99.9)
"""Percentiles of the scores that the scale spans; the upper end is the threshold where that is higher."""
NUMBERED = 10
"""Hits whose numbers stand beside them."""


def quicklook(content: DetectionContent, views: Views) -> Picture | None:
    """The scene, stretched from 2 to 98 %, and the hits on it."""
    if views.quicklook is None:
        return None
    with raster(views.grid.shape) as figure:
        ax = draw_rgb(views.quicklook, views.grid, "", figure.add_subplot())
        drawn = _rings(ax, views, views.quicklook.shape[:2])
        tidy(ax)
        return Picture(saved(figure, "png"), f"Quicklook of the scene in {content.composite}, with rings around {drawn} hits")


def score_map(content: DetectionContent, views: Views) -> Picture:
    """The scores in colour, with their scale."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = _span(content, views)
    norm = Normalize(low, high, clip=True)
    rgb = np.asarray(colormaps[SCALE](norm(np.nan_to_num(views.scores)))[..., :3], np.float32)
    rgb[np.isnan(views.scores)] = np.nan
    with raster(views.grid.shape) as figure:
        ax = draw_rgb(rgb, views.grid, "", figure.add_subplot())
        if views.quicklook is None:
            _rings(ax, views, views.scores.shape)
        tidy(ax)
        facts = content.scores
        beyond = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
        bar = figure.colorbar(ScalarMappable(norm, SCALE), ax=ax, orientation="horizontal", fraction=0.05, pad=0.03, aspect=40,
                              extend=beyond[facts.lowest < low, facts.highest > high])  # fmt: skip
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, length=2.5)
        bar.set_label(_axis_label(content), fontsize=8.5)
        return Picture(saved(figure, "png"), f"Map of the scores, from {facts.lowest:.4g} to {facts.highest:.4g}; the scale spans {low:.4g} to {high:.4g}")


def _span(content: DetectionContent, views: Views) -> tuple[float, float]:
    """What the colours of the score map span."""
    seen = views.scores[np.isfinite(views.scores)]
    low, high = (float(edge) for edge in np.percentile(seen, SHOWN)) if seen.size else (0.0, 1.0)
    if content.scores.threshold is not None:
        high = max(high, content.scores.threshold)
    high = min(high, content.scores.highest)
    return low, high if high > low else low + 1.0


def _axis_label(content: DetectionContent) -> str:
    return f"score ({content.scores.ranked})" if content.scores.ranked else "score"


def _rings(ax: Axes, views: Views, shape: tuple[int, ...]) -> int:
    """Rings around hits on a picture that `draw_rgb` drew; the highest have their numbers. Returns how many."""
    if views.hits is None or not len(views.hits):
        return 0
    count = min(MOST_DRAWN, len(views.hits))
    rows, cols = pixel_places(views.grid.drawn, *views.hits.points[:count].T)
    grid = views.grid
    if grid.georeferenced and grid.transform[1] == 0 and grid.transform[3] == 0:
        x, y = views.hits.points[:count].T
    else:  # pixels of the picture, whose first has its middle at 0
        x, y = cols * shape[1] / grid.shape[1] - 0.5, rows * shape[0] / grid.shape[0] - 0.5
    limits = ax.get_xlim(), ax.get_ylim()
    ax.scatter(x, y, s=46, facecolors="none", edgecolors="white", linewidths=2.0)
    ax.scatter(x, y, s=46, facecolors="none", edgecolors=RING, linewidths=1.0)
    for number in range(min(NUMBERED, count)):
        ax.annotate(str(number + 1), (x[number], y[number]), xytext=(5, 4), textcoords="offset points", fontsize=7.5, color="white", fontweight="bold",
                    path_effects=_halo())  # fmt: skip
    ax.set(xlim=limits[0], ylim=limits[1])
    return count


def _halo() -> list[object]:
    """A dark rim around white letters."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.8, foreground=INK)]


def histogram(content: DetectionContent) -> Picture:
    """How many pixels have each score, on a logarithmic axis; the threshold; the targets where they are known."""
    facts = content.scores
    with blank(6.4, 2.7) as figure:
        ax = figure.add_subplot()
        edges = np.array(facts.edges)
        ax.stairs(_at_least(facts.counts), edges, baseline=0.5, fill=True, color=PALE, label="all pixels")
        told = f"Histogram of {facts.scored} scores from {facts.lowest:.4g} to {facts.highest:.4g}"
        if facts.targets is not None:
            ax.stairs(_at_least(facts.targets), edges, baseline=0.5, fill=True, color=ACCENT, label="target pixels")
            told += f", {sum(facts.targets)} of them of targets"
        if facts.threshold is not None:
            ax.axvline(facts.threshold, color=WARM, linewidth=1.3, label=f"threshold {facts.threshold:.4g}")
            told += f"; {facts.above} lie above the threshold of {facts.threshold:.4g}"
        ax.set(yscale="log", ylim=(0.5, 2 * max(facts.counts)), xlabel=_axis_label(content), ylabel="pixels")
        ax.legend(frameon=False, fontsize=8.5)
        return Picture(saved(figure, "svg"), told)


def _at_least(counts: Sequence[int]) -> NDArray[np.float64]:
    """Counts for a logarithmic axis: none lies at its bottom."""
    return np.maximum(np.array(counts, np.float64), 0.5)


def roc(content: DetectionContent, views: Views) -> Picture | None:
    """Rate of detection over the false-alarm rate, on a logarithmic axis."""
    worth = content.worth
    if worth is None:
        return None
    least = 0.5 / worth.background
    with blank(5.6, 3.6) as figure:
        ax = figure.add_subplot()
        chance = np.geomspace(least, 1, 60)
        ax.plot(chance, chance, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="chance")
        for row, colour in zip(worth.rows, (ACCENT, MUTED), strict=False):
            curve = views.curves[row.name]
            name = f"floor: {row.name}" if row.floor else row.name
            ax.plot(*_outline(curve, least), color=colour, linewidth=1.1 if row.floor else 1.7, label=f"{name}, area {row.area:.4f}")
        for rate in RATES:
            if rate > least:
                ax.axvline(rate, color=RULE, linewidth=0.8, zorder=0)
        if worth.false_alarms is not None and worth.pixels_found is not None:
            place = max(worth.false_alarms / worth.background, least), worth.pixels_found / worth.targets
            ax.plot(*place, marker="o", color=WARM, markersize=6, linestyle="none", label="the map's threshold", zorder=4, clip_on=False)
        ax.set(xscale="log", xlim=(least, 1), ylim=(0, 1.01), xlabel="false-alarm rate (share of the background)", ylabel="share of the target pixels found")
        ax.legend(frameon=False, fontsize=8.5, loc="best")
        told = "; ".join(f"{row.name} has an area of {row.area:.4f}" for row in worth.rows)
        return Picture(saved(figure, "svg"), f"ROC curve: {told}")


def _outline(curve: RocCurve, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve on a logarithmic axis, where no false alarm at all stands at the left end; thinned where it has more points than are seen."""
    false, found = np.maximum(curve.false_alarm, least), curve.detection
    if len(false) > 4000:
        kept = np.unique(np.linspace(0, len(false) - 1, 4000).astype(np.intp))
        false, found = false[kept], found[kept]
    return false, found


def hit_spectra(content: DetectionContent, views: Views) -> list[tuple[HitFacts, Picture]]:
    """For each of the highest hits its spectrum, beside that of the target or of the scene's mean."""
    if views.bands is None or not content.lines:
        return []
    label = value_label(content.quantity, content.units)
    beside = [line for line in content.lines if line.kind != "hit"]
    own = [line for line in content.lines if line.kind == "hit"]
    limits = limits_of(np.array([values_of(line.values) for line in content.lines]))
    hits = [hit for hit in content.found.listed if hit.row is not None][: len(own)]
    return [(hit, _panel(hit, line, _chosen(hit, beside), views.bands, limits, label)) for hit, line in zip(hits, own, strict=True)]


def _chosen(hit: HitFacts, beside: Sequence[Line]) -> Line | None:
    """The target that a hit is most like; the first where there is one alone."""
    return next((line for line in beside if line.name == hit.like), beside[0] if beside else None)


def _panel(hit: HitFacts, own: Line, other: Line | None, bands: Bands, limits: tuple[float, float], label: str) -> Picture:
    with blank(3.3, 2.3) as figure:
        ax = figure.add_subplot()
        marker = "." if len(bands) < FEW else None
        if other is not None:
            nm, values = broken(bands, values_of(other.values)[None])
            ax.plot(nm, values[0], color=WARM, linewidth=1.1, marker=marker, label=_short(other.name), zorder=2)
        nm, values = broken(bands, values_of(own.values)[None])
        ax.plot(nm, values[0], color=INK, linewidth=1.3, marker=marker, label=own.name, zorder=3)
        ax.set(ylim=limits, xlabel="wavelength (nm)", ylabel=label)
        ax.locator_params(nbins=4)
        ax.legend(frameon=False, fontsize=7.5)
        beside = f" beside {other.name}" if other is not None else ""
        return Picture(saved(figure, "png"), f"Spectrum of hit {hit.number}, score {hit.score:.4g},{beside}")


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
