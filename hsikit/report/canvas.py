"""What all pictures of a report share: style, sizes, a data URI at the end, and the text for those who cannot see it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.report.content import Number
from hsikit.viz.spectra import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, ACCENT, WARM, PALE = "#1b2126", "#5a6570", "#d8dde2", "#0b5a94", "#c25400", "#b8c1c9"
WIDE = 4.8
"""Inches of a raster picture that fills half of the page."""
STYLE: dict[Any, Any] = {
    "font.size": 9.0, "axes.edgecolor": MUTED, "axes.labelcolor": INK, "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "svg.hashsalt": "hsikit", "svg.fonttype": "path",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, and what it shows in words."""

    uri: str
    alt: str


@contextmanager
def blank(width: float, height: float) -> Iterator[Figure]:
    """An empty figure in the report's style (inches)."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def saved(figure: Figure, kind: str) -> str:
    """A figure as a data URI, "png" or "svg"; equal figures give equal text."""
    out = io.BytesIO()
    stamp: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(out, format=kind, dpi=200, bbox_inches="tight", pad_inches=0.04, metadata=stamp, facecolor="white")
    media = "image/png" if kind == "png" else "image/svg+xml"
    return f"data:{media};base64,{base64.b64encode(out.getvalue()).decode()}"


def raster(shape: tuple[int, int]) -> Any:
    """A blank figure of the proportions of a scene."""
    return blank(WIDE, float(np.clip(WIDE * shape[0] / shape[1], 1.4, 2.0 * WIDE)))


def tidy(ax: Axes) -> None:
    """Few, small coordinates, and nothing that the caption says."""
    ax.set_title("")
    ax.set_xlabel("")
    ax.set_ylabel("")
    ax.locator_params(nbins=3)
    ax.tick_params(labelsize=8, length=2.5)
    for label in ax.get_yticklabels():
        label.set(rotation=90, va="center")
    for spine in ax.spines.values():
        spine.set(visible=True, color=RULE)


def values_of(line: Sequence[Number]) -> NDArray[np.float64]:
    """Numbers of a content as an array, NaN where undefined."""
    return np.array([np.nan if value is None else value for value in line], np.float64)


def limits_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """From the 2nd to the 98th percentile and a third of that more on each side, but no further than the values reach."""
    seen = values[np.isfinite(values)]
    if not seen.size:
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.percentile(seen, [2, 98]))
    span = (high - low) or 1.0
    bottom, top = max(float(seen.min()), low - span / 3), min(float(seen.max()), high + span / 3)
    return bottom - 0.04 * span, top + 0.04 * span


def value_label(quantity: str, units: str) -> str:
    """What the vertical axis of spectra says."""
    return LABELS.get(quantity, quantity or "value") + (f" ({units})" if units not in ("", "1") else "")
