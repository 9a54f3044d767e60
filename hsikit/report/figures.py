"""The pictures of a report as data URIs: PNG, and SVG where they are few lines; each with a text for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.report.canvas import ACCENT, INK, MUTED, PALE, RULE, WARM, Picture, blank, limits_of, raster, saved, tidy, value_label, values_of
from hsikit.report.content import ClassFacts, Content, Diagram, Spectra
from hsikit.report.gather import Views
from hsikit.report.ground import Pixels
from hsikit.scene import Bands
from hsikit.viz.maps import draw_class_map
from hsikit.viz.quicklook import draw_rgb
from hsikit.viz.spectra import FEW, broken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING, RIGHT, WRONG = (0, 114, 178), (0, 158, 115), (213, 94, 0)
"""Colours that the colour-blind tell apart."""
FINE = 320
"""Pictures longer than this have their label pixels drawn three pixels wide, to be seen."""


def quicklook(content: Content, views: Views) -> Picture | None:
    """The scene, stretched from 2 to 98 %."""
    if views.quicklook is None:
        return None
    with raster(views.grid.shape) as figure:
        ax = draw_rgb(views.quicklook, views.grid, "", figure.add_subplot())
        tidy(ax)
        return Picture(saved(figure, "png"), f"Quicklook of the scene in {content.composite}")


def class_map(content: Content, views: Views) -> Picture:
    """The map in the legend's colours; the legend itself is text of the page."""
    with raster(views.grid.shape) as figure:
        transform = views.grid.transform if views.grid.georeferenced else None
        ax = draw_class_map(views.codes, views.legend, _coarser(transform, views), "", figure.add_subplot())
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
        tidy(ax)
        largest = sorted((c for c in content.classes if c.share), key=lambda c: -(c.share or 0))[:3]
        shares = ", ".join(f"{c.name} {100 * (c.share or 0):.0f} %" for c in largest)
        return Picture(saved(figure, "png"), f"Class map of {len(content.classes)} classes; the largest are {shares}")


def _coarser(transform: Any, views: Views) -> Any:
    """The transform of the decimated codes."""
    if transform is None:
        return None
    down, across = views.grid.shape[0] / views.codes.shape[0], views.grid.shape[1] / views.codes.shape[1]
    a, b, c, d, e, f = transform
    return a * across, b * down, c, d * across, e * down, f


def split_map(content: Content, views: Views) -> Picture | None:
    """Training and test pixels over a pale quicklook."""
    places = content.places
    if places.kind == "none":
        return None
    with raster(views.grid.shape) as figure:
        back = _pale(views)
        ax = draw_rgb(_with_labels(back, views), views.grid, "", figure.add_subplot())
        tidy(ax)
        what = f"{places.training} training pixels and {places.right + places.wrong} test pixels, {places.wrong} of them wrong"
        return Picture(saved(figure, "png"), f"Label pixels over the scene: {what if places.kind == 'split' else f'{places.training} label pixels'}")


def _pale(views: Views) -> NDArray[np.float32]:
    """A light grey picture of the scene; without a scene, of where the map has data."""
    if views.quicklook is None:
        return np.repeat(np.where(views.codes > 0, np.float32(0.88), np.float32("nan"))[..., None], 3, axis=-1)
    grey = 0.55 + 0.4 * views.quicklook.mean(axis=-1)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)


def _with_labels(back: NDArray[np.float32], views: Views) -> NDArray[np.float32]:
    """The picture with label pixels painted on, wrong ones last."""
    places, out = views.places, np.array(back)
    wrong = places.truth != places.predicted
    test_rows, test_cols = places.test
    layers = [(places.training, TRAINING), ((test_rows[~wrong], test_cols[~wrong]), RIGHT), ((test_rows[wrong], test_cols[wrong]), WRONG)]
    for pixels, colour in layers:
        _paint(out, pixels, views.grid.shape, colour)
    return out


def _paint(out: NDArray[np.float32], pixels: Pixels, shape: tuple[int, int], colour: tuple[int, int, int]) -> None:
    rows, cols = (np.asarray(place) * size // full for place, size, full in zip(pixels, out.shape[:2], shape, strict=True))
    reach = 1 if max(out.shape[:2]) > FINE else 0
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            out[np.clip(rows + down, 0, out.shape[0] - 1), np.clip(cols + across, 0, out.shape[1] - 1)] = np.asarray(colour, np.float32) / 255


def score_bars(content: Content) -> Picture | None:
    """Overall accuracy of the method beside its floors."""
    rows = [row for row in content.assessment.rows if row.overall is not None] if content.assessment else []
    if not rows:
        return None
    with blank(4.8, 0.5 + 0.34 * len(rows)) as figure:
        ax = figure.add_subplot()
        values = [100 * (row.overall or 0.0) for row in rows]
        ax.barh(range(len(rows)), values, height=0.62, color=[PALE if row.floor else ACCENT for row in rows])
        for place, (row, value) in enumerate(zip(rows, values, strict=True)):
            end = value
            if row.overall_interval is not None:
                low, high = (100 * edge for edge in row.overall_interval)
                ax.errorbar(value, place, xerr=[[max(0.0, value - low)], [max(0.0, high - value)]], color=INK, capsize=3, linewidth=1)
                end = high
            ax.text(max(end, value) + 1, place, f"{value:.1f} %", va="center", fontsize=9, fontweight="normal" if row.floor else "bold")
        ax.set_yticks(range(len(rows)), [f"floor: {row.name}" if row.floor else row.name for row in rows])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.invert_yaxis()
        ax.set_xlim(0, 112)
        ax.set_xticks(range(0, 101, 20))
        ax.set_xlabel("overall accuracy (%)")
        ax.spines["left"].set_visible(False)
        told = ", ".join(f"{row.name} {value:.1f} %" for row, value in zip(rows, values, strict=True))
        return Picture(saved(figure, "svg"), f"Bars of overall accuracy: {told}")


def reliability(diagrams: Sequence[Diagram]) -> Picture | None:
    """Share of right pixels against confidence, one line for each diagram, over a histogram of the confidence."""
    if not diagrams:
        return None
    with blank(4.6, 4.6) as figure:
        top, bottom = figure.subplots(2, 1, height_ratios=[3.2, 1], sharex=True)
        top.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        top.text(0.30, 0.34, "as right as it is sure", rotation=33, color=MUTED, fontsize=8, rotation_mode="anchor")
        for found, colour, marker in zip(diagrams, (WARM, ACCENT), "os", strict=False):
            _reliability_line(top, bottom, found, colour, marker)
        top.set(ylim=(0, 1), ylabel="share of pixels that are right")
        bottom.set(xlim=(0, 1), xlabel="confidence", ylabel="pixels (%)")
        top.legend(frameon=False, loc="upper left", fontsize=8.5)
        told = "; ".join(f"{found.name} calibration, expected calibration error {100 * (found.ece or 0):.1f} %" for found in diagrams)
        return Picture(saved(figure, "svg"), f"Reliability diagram: {told}")


def _reliability_line(top: Axes, bottom: Axes, found: Diagram, colour: str, marker: str) -> None:
    sure, right, counts = (np.array([np.nan if v is None else v for v in values], np.float64) for values in (found.confidence, found.accuracy, found.counts))
    name = f"{found.name} calibration" + (f" (ECE {100 * found.ece:.1f} %)" if found.ece is not None else "")
    seen = counts > 0
    top.plot(sure[seen], right[seen], color=colour, linewidth=1.0, label=name, clip_on=False)
    top.scatter(sure[seen], right[seen], s=8 + 60 * counts[seen] / max(1.0, counts.max()), color=colour, marker=marker, clip_on=False, zorder=3)
    bottom.stairs(100 * counts / max(1.0, counts.sum()), found.edges, color=colour, linewidth=1.2)


def class_spectra(content: Content, views: Views) -> list[tuple[ClassFacts, Spectra, Picture]]:
    """For each class the mean and the band of its spectra, over the means of the others; limits follow 2 to 98 % of all of them."""
    if views.bands is None:
        return []
    bands = views.bands
    every = np.array([values_of(line) for found in content.spectra for line in (found.mean, found.low, found.high)])
    limits = limits_of(every)
    label = value_label(views.quantity, views.units)
    by_code = {facts.code: facts for facts in content.classes}
    return [(by_code[found.code], found, _class_panel(by_code[found.code], found, content.spectra, bands, limits, label)) for found in content.spectra]


def _class_panel(facts: ClassFacts, own: Spectra, spectra: Sequence[Spectra], bands: Bands, limits: tuple[float, float], label: str) -> Picture:
    with blank(3.3, 2.3) as figure:
        ax = figure.add_subplot()
        marker = "." if len(bands) < FEW else None
        for other in spectra:
            if other.code != own.code:
                nm, lines = broken(bands, values_of(other.mean)[None])
                ax.plot(nm, lines[0], color=RULE, linewidth=0.8, zorder=1)
        nm, lines = broken(bands, np.array([values_of(line) for line in (own.mean, own.low, own.high)]))
        colour = tuple(part / 255 for part in facts.colour)
        ax.fill_between(nm, lines[1], lines[2], color=colour, alpha=0.45, linewidth=0, zorder=2)
        ax.plot(nm, lines[0], color=INK, linewidth=1.3, marker=marker, zorder=3)
        ax.set(ylim=limits, xlabel="wavelength (nm)", ylabel=label)
        ax.locator_params(nbins=4)
        return Picture(saved(figure, "png"), f"Spectra of {facts.name}: mean of {own.pixels} pixels, and the band from the 10th to the 90th percentile")


def training_curve(content: Content) -> Picture | None:
    """The history of a network's training."""
    curves = {name: values_of(values) for name, values in content.model.history.items() if any(value is not None for value in values)}
    if not curves:
        return None
    with blank(4.8, 2.6) as figure:
        ax = figure.add_subplot()
        for (name, values), colour in zip(curves.items(), (ACCENT, WARM, "#0a7a55", MUTED) * len(curves), strict=False):
            ax.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.4, label=name, marker="." if len(values) < FEW else None)
        ax.set(xlabel="epoch", ylabel="value")
        ax.legend(frameon=False, fontsize=8.5)
        known = {name: values[np.isfinite(values)] for name, values in curves.items()}
        told = "; ".join(f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in known.items())
        return Picture(saved(figure, "svg"), f"Training curve: {told}")
