"""A batch on one page of HTML that needs nothing else: sums, failures with their reasons, every scene."""

from __future__ import annotations

import os
from pathlib import Path

from hsikit.batch.ledger import Row
from hsikit.batch.status import Status
from hsikit.errors import OutputError
from hsikit.geo.remote import href_from
from hsikit.version import __version__
from hsikit.writers import check_target, commit
from hsikit.writers.failures import writing

TEMPLATE = "summary.html.jinja"
MARK = '<meta name="generator" content="hsikit batch'
"""By this a later run knows the page of an earlier one, and replaces it."""
MIB, DAY = 2**20, 86_400
LOOKED_AT = 1000


def check_summary(path: Path, *, overwrite: bool = False) -> None:
    """Refuses, before any work, a page that cannot be written; one that a batch wrote is replaced.

    Raises:
        OutputError: the name does not end in .html, the folder is missing, or something else has that name.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(path, "a summary ends in .html", "Name it like batch.html")
    check_target(path, overwrite or _is_ours(path))


def write_summary(path: str | Path, status: Status, *, overwrite: bool = False) -> Path:
    """Writes the page.

    Args:
        path: the file to make.
        status: of the batch.
        overwrite: whether a file that no batch wrote may be replaced.

    Raises:
        OutputError: see `check_summary`.
    """
    target = Path(path).absolute()
    check_summary(target, overwrite=overwrite)
    staged = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with writing(target):
            staged.write_text(render(status, target.parent), encoding="utf-8")
        commit([(staged, target)])
    finally:
        staged.unlink(missing_ok=True)
    return target


def render(status: Status, home: Path) -> str:
    """The page as it lies in a folder; names and messages are data, and escaped.

    Args:
        status: of the batch.
        home: the folder that links are relative to.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(duration=duration, mib=lambda size: "–" if not size else f"{size / MIB:.0f} MiB")
    return page.get_template(TEMPLATE).render(status=status, version=__version__, rows=[(row, _href(row, home)) for row in status.rows])


def duration(seconds: float | None) -> str:
    """Seconds as people read them: "–", "0.8 s", "42 s", "5 min 20 s", "3 h 20 min", "8 d 4 h"."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole < 3 * DAY else f"{whole // DAY} d {whole % DAY // 3600} h"


def _href(row: Row, home: Path) -> str:
    return href_from(home, row.output)


def _is_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return MARK in file.read(LOOKED_AT)
    except (OSError, UnicodeDecodeError):
        return False
