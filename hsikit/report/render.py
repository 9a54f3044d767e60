"""From values and pictures to one page of HTML that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hsikit.layers import Colour
from hsikit.report import figures, words
from hsikit.report.content import Content, Estimate
from hsikit.report.gather import Views
from hsikit.report.pages import css, environment, number, percent
from hsikit.viz.spectra import LABELS

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE = "template.html.jinja"
RIGHT, WRONG = (11, 90, 148), (194, 84, 0)
"""Cells of the confusion matrix, at a share of 1."""
DARK = 0.18
"""Luminance below which white text stands out more than dark text."""


def render(content: Content, views: Views) -> str:
    """The whole page."""
    diagrams = content.assessment.diagrams if content.assessment else ()
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            content=content,
            words=words,
            quicklook=figures.quicklook(content, views),
            map_picture=figures.class_map(content, views),
            split_picture=figures.split_map(content, views),
            swatches={name: css(getattr(figures, name.upper())) for name in ("training", "right", "wrong")},
            bars=figures.score_bars(content),
            reliability=figures.reliability(diagrams),
            spectra=figures.class_spectra(content, views),
            curve=figures.training_curve(content),
            confusion=_confusion(content),
            quantity=LABELS.get(content.model.quantity, content.model.quantity),
            plus_minus=_plus_minus,
        )
    )


def _plus_minus(estimate: Estimate | None, kind: str) -> Markup:
    """A value and half of its interval, to the same digits."""
    from markupsafe import Markup

    if estimate is None or estimate.value is None:
        return Markup("–")
    parts = (estimate.value, estimate.half_width)
    if kind == "hectares":
        digits = 0 if abs(estimate.value) >= 1000 else 1
        shown = [number(part, "" if part is None else f"{part:,.{digits}f}") for part in parts]
    else:
        shown = [percent(part) for part in parts]
    return shown[0] + Markup("&nbsp;±&nbsp;") + shown[1]


def _confusion(content: Content) -> list[dict[str, Any]]:
    """Rows of the confusion matrix with the colour of each cell: its share of the reference class."""
    if content.assessment is None:
        return []
    found = content.assessment
    return [
        {"code": code, "name": name, "total": sum(row), "cells": [_cell(count, sum(row), i == j) for j, count in enumerate(row)]}
        for i, (code, name, row) in enumerate(zip(found.codes, found.names, found.confusion, strict=True))
    ]


def _cell(count: int, total: int, right: bool) -> dict[str, Any]:
    share = count / total if total else 0.0
    strength = share**0.5 if count else 0.0  # few errors are still seen
    red, green, blue = (round(255 + (part - 255) * strength) for part in (RIGHT if right else WRONG))
    return {"count": count, "background": css((red, green, blue)), "ink": "#fff" if _luminance((red, green, blue)) < DARK else "#1b2126", "right": right}


def _luminance(colour: Colour) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
