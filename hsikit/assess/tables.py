"""An assessment as tables: as CSV for further work, as LaTeX for a paper, and as the cells that the command line prints."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.accuracy import Assessment
from hsikit.errors import OutputError
from hsikit.layers import Features
from hsikit.metrics.area_accuracy import Estimates
from hsikit.writers.failures import writing
from hsikit.writers.staging import check_target, commit
from hsikit.writers.table import require_csv, write_table

ALL = "all classes"
_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def header(found: Assessment) -> tuple[str, ...]:
    """What stands above `rows`."""
    return "class", "points", "user's accuracy", "producer's accuracy", f"mapped, {found.unit}", f"estimated, {found.unit}"


def rows(found: Assessment) -> list[tuple[str, ...]]:
    """One row of text for each class: name, points by map and reference, accuracies and areas as value ± half-width of the 95 % interval."""
    of, digits = found.accuracy, _area_digits(float(np.nansum(found.area.value)), found.unit)
    points = [f"{here} / {there}" for here, there in zip(of.counts.sum(1), of.counts.sum(0), strict=True)]
    mapped = [f"{area:,.{digits}f}" for area in found.mapped]
    return list(zip(of.classes, points, intervals(of.users, 3), intervals(of.producers, 3), mapped, intervals(found.area, digits), strict=True))


def overall(found: Assessment) -> str:
    """The overall accuracy, value ± half-width."""
    return intervals(Estimates(np.atleast_1d(found.accuracy.overall.value), np.atleast_1d(found.accuracy.overall.error)), 3)[0]


def intervals(of: Estimates, digits: int) -> list[str]:
    """Each value ± half-width, "-" where it is undefined."""
    pairs = zip(of.value, of.half_width, strict=True)
    return ["-" if np.isnan(value) else f"{value:,.{digits}f} ± {half:,.{digits}f}" for value, half in pairs]


def _area_digits(total: float, unit: str) -> int:
    """Decimals of areas: none for large maps and for pixels."""
    return 0 if unit == "pixels" or total >= 1e4 else 1 if total >= 100 else 3


def check_tables(csv: str | Path | None, latex: str | Path | None, overwrite: bool) -> None:
    """Refuses tables that cannot or must not be written, before any work.

    Raises:
        OutputError: one exists without `overwrite`, its folder is missing, or its name ends in neither .csv nor .tex.
    """
    if csv is not None:
        require_csv(Path(csv))
    if latex is not None and Path(latex).suffix.lower() != ".tex":
        raise OutputError(latex, "is no name of a LaTeX table", "Let it end in .tex")
    for path in (csv, latex):
        if path is not None:
            check_target(Path(path), overwrite)


def write_tables(found: Assessment, *, csv: str | Path | None = None, latex: str | Path | None = None, overwrite: bool = False) -> list[Path]:
    """Writes the tables, all or none.

    Args:
        found: the assessment.
        csv: one row for each class, and one for all; numbers in full precision, empty where undefined.
        latex: a plain tabular, for a document to take in.
        overwrite: whether existing files may be replaced.

    Returns:
        What was written.

    Raises:
        OutputError: see `check_tables`; or the disk does not take it.
    """
    check_tables(csv, latex, overwrite)
    made: list[tuple[Path, Callable[[Path], Any]]] = []
    if csv is not None:
        made.append((Path(csv), lambda part: write_table(Features(_columns(found)), part)))
    if latex is not None:
        made.append((Path(latex), lambda part: part.write_text(latex_table(found), encoding="utf-8")))
    with ExitStack() as held:
        pairs = []
        for target, write in made:
            held.enter_context(writing(target))
            part = Path(held.enter_context(tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent))) / target.name
            write(part)
            pairs.append((part, target))
        commit(pairs)
    return [target for target, _ in made]


def _columns(found: Assessment) -> dict[str, NDArray[Any]]:
    """Columns of the CSV: a row for each class, then one for all. Half-widths are of 95 % intervals."""
    of = found.accuracy
    empty = Estimates(np.array([np.nan]), np.array([np.nan]))
    total = Estimates(np.atleast_1d(of.overall.value), np.atleast_1d(of.overall.error))
    none = Estimates(np.full(len(of.classes), np.nan), np.full(len(of.classes), np.nan))
    columns: dict[str, list[Any]] = {
        "code": [*("" if code is None else code for code in found.codes), ""],
        "class": [*of.classes, ALL],
        "map_points": [*of.counts.sum(1).tolist(), int(of.counts.sum())],
        "reference_points": [*of.counts.sum(0).tolist(), int(of.counts.sum())],
    }
    measures = {"users": (of.users, empty), "producers": (of.producers, empty), "overall": (none, total)}
    for name, (each, whole) in {**measures, f"area_{found.unit}": (found.area, empty)}.items():
        columns[name] = [*each.value.tolist(), *whole.value.tolist()]
        columns[f"{name}_half_width"] = [*each.half_width.tolist(), *whole.half_width.tolist()]
    columns[f"mapped_{found.unit}"] = [*found.mapped.tolist(), float(found.mapped.sum())]
    return {name: np.array(values, object) for name, values in columns.items()}


def latex_table(found: Assessment) -> str:
    """A plain tabular of `rows`, with the overall accuracy below; needs no package."""
    head = header(found)
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows(found)]
    caption = f"Overall accuracy {_latex(overall(found))}; 95\\,\\% intervals from {found.points} reference points (map / reference)."
    lines = [
        r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
        r"\hline",
        " & ".join(_latex(cell) for cell in head) + r" \\",
        r"\hline",
        *body,
        r"\hline",
        rf"\multicolumn{{{len(head)}}}{{l}}{{{caption}}} \\",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    """Text with LaTeX's own signs escaped, and ± as math."""
    return "".join(_ESCAPES.get(sign, sign) for sign in text).replace("±", r"$\pm$")
