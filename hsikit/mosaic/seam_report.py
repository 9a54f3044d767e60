"""Seams as a table (.csv) or as one page that needs nothing else (.html)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hsikit.convert.staged import write_staged
from hsikit.errors import OutputError
from hsikit.mosaic.maps import Map
from hsikit.mosaic.seams import Seam, seam_table
from hsikit.version import __version__
from hsikit.writers import check_target, write_table
from hsikit.writers.failures import writing

TEMPLATE = "seams.html.jinja"
PAGES = (".html", ".htm")


def check_report(path: Path, overwrite: bool) -> None:
    """Refuses, before any work, a report that cannot be written.

    Raises:
        OutputError: another ending, or a file exists without `overwrite`.
    """
    if path.suffix.lower() not in (".csv", *PAGES):
        raise OutputError(path, "a report of seams ends in .csv or .html", "Name it like seams.csv")
    check_target(path, overwrite)


def write_report(seams: Sequence[Seam], maps: Sequence[Map], path: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes seams.

    Args:
        seams: where maps meet.
        maps: all maps.
        path: .csv or .html.
        overwrite: whether an older file is replaced.

    Raises:
        OutputError: see `check_report`; or the disk does not take it.
    """
    check_report(path, overwrite)

    def write(staged: Path) -> list[Path]:
        if path.suffix.lower() == ".csv":
            return write_table(seam_table(seams, maps), staged)
        with writing(staged):
            staged.write_text(render(seams, maps), encoding="utf-8")
        return [staged]

    return write_staged(path, write, overwrite=overwrite)


def render(seams: Sequence[Seam], maps: Sequence[Map]) -> str:
    """The page; names are data, and escaped. The worst seams come first."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(percent=lambda share: _shown(share, 100, ".1f"), short=lambda value: _shown(value, 1, ".4g"))
    ranked = sorted(seams, key=lambda seam: (_last(seam.agreement), -abs(seam.mean_difference) if seam.mean_difference == seam.mean_difference else 0.0))
    of_classes = maps[0].layer.legend is not None
    return page.get_template(TEMPLATE).render(seams=ranked, names=[str(one.path) for one in maps], of_classes=of_classes, version=__version__)


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _shown(value: float, factor: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value * factor, form)
