"""From values and pictures to the page of a detection, which needs nothing else: no network, no script, no font."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsikit.report.content import Number
from hsikit.report.detection import figures, words
from hsikit.report.detection.content import RATES, DetectionContent
from hsikit.report.detection.gather import Views
from hsikit.report.detection.hits import MOST_DRAWN
from hsikit.report.pages import environment, number

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE = "detection/page.html.jinja"


def render(content: DetectionContent, views: Views) -> str:
    """The whole page."""
    pages = environment()
    pages.filters["place"] = _place
    return pages.get_template(TEMPLATE).render(
        content=content,
        words=words,
        rates=RATES,
        quicklook=figures.quicklook(content, views),
        map_picture=figures.score_map(content, views),
        histogram=figures.histogram(content),
        roc=figures.roc(content, views),
        spectra=figures.hit_spectra(content, views),
        drawn=min(MOST_DRAWN, content.found.count),
        step=-(-views.grid.shape[0] // views.scores.shape[0]),
    )


def _place(value: Number) -> Markup:
    """A map coordinate: metres to a tenth, degrees to a millionth."""
    return number(value, "" if value is None else f"{value:.1f}" if abs(value) > 360 else f"{value:.6f}")
