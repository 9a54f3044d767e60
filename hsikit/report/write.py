"""Writes a report: the page, and `run.json` with every number in it, together or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hsikit.errors import OutputError
from hsikit.scene import Source
from hsikit.writers import check_target, commit
from hsikit.writers.failures import writing
from hsikit.writers.provenance import write_json

NUMBERS = "run.json"


def write_report(
    path: str | Path,
    model: str | Path,
    output: str | Path,
    *,
    scene: Source | None = None,
    evaluation: str | Path | None = None,
    accuracy: str | Path | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Writes one self-contained HTML page about a class map, and `run.json` beside it.

    Args:
        path: the class map.
        model: the folder of the model that made it.
        output: the page; its name ends in `.html`.
        scene: the scene that the map was made from, for the quicklook and the class spectra.
        evaluation: a file of `hsikit evaluate -o`; None: the scores kept in the model folder.
        accuracy: a file of `hsikit accuracy --json`; None: mapped areas, without intervals.
        overwrite: whether an older report may be replaced.

    Returns:
        The page and `run.json`.

    Raises:
        OutputError: the page or `run.json` exists (without `overwrite`), is that of another report, or cannot be written.
        MapError, ModelError, GridError, OptionError, SceneError: as `hsikit.report.gather.gather`.
    """
    page = Path(output)
    numbers = check_outputs(page, overwrite)
    from hsikit.report.gather import gather
    from hsikit.report.render import render

    content, views = gather(path, model, scene=scene, evaluation=evaluation, accuracy=accuracy)
    return put_report(page, numbers, render(content, views), content.to_json())


def put_report(page: Path, numbers: Path, text: str, facts: Mapping[str, Any]) -> list[Path]:
    """Writes a page and its numbers, together or not at all.

    Args:
        page: where the page goes.
        numbers: where its numbers go, as `check_outputs` says.
        text: of the page.
        facts: every number in it, JSON-able.

    Returns:
        The page and `run.json`.

    Raises:
        OutputError: the disk does not take it.
    """
    staged = page.absolute().parent / f".{page.name}.{os.getpid()}.new"
    try:
        with writing(page):
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            (staged / page.name).write_text(text, encoding="utf-8")
            write_json(staged / NUMBERS, {"report": page.name, **facts})
        commit([(staged / NUMBERS, numbers), (staged / page.name, page)])
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return [page, numbers]


def check_outputs(page: Path, overwrite: bool) -> Path:
    """Checks, before any work, that a report can be written; returns where its numbers go.

    Raises:
        OutputError: see `write_report`.
    """
    numbers = page.parent / NUMBERS
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError(page, f"a report does not end in {page.suffix!r}" if page.suffix else "the name has no ending", "Name it like report.html")
    check_target(page, overwrite, also=[numbers])
    if numbers.exists() and _report_of(numbers) != page.name:
        raise OutputError(numbers, "holds the numbers of something else than this report", "Write the report into a folder of its own")
    return numbers


def _report_of(numbers: Path) -> str:
    """The page that a `run.json` belongs to; "" where that is not known."""
    try:
        document = json.loads(numbers.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(document.get("report", "")) if isinstance(document, dict) else ""
