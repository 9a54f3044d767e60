"""Blocks of rows under one heading, as text for a terminal and as LaTeX for a paper, and the files of a benchmark: the same for every kind of table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsikit.layers import Features
from hsikit.train.benchmark_cells import write_whole

Block = tuple[str, Sequence[Sequence[str]]]
"""A title, and rows of words."""

RESULTS, CSV, LATEX = "results.json", "table.csv", "table.tex"
SPECIAL = {
    "%": "\\%", "_": "\\_", "&": "\\&", "#": "\\#", "{": "\\{", "}": "\\}", "$": "\\$", "±": "$\\pm$",
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
}  # fmt: skip
"""What LaTeX reads as commands."""
FLUSH_LEFT = 2
"""Columns that are flush left: rank and method."""


def blocks_text(headings: Sequence[str], blocks: Sequence[Block]) -> str:
    """Blocks for a terminal, each with its headings.

    Args:
        headings: of the columns.
        blocks: titles and rows, with a word for each column.
    """
    found = []
    for title, rows in blocks:
        lines = [headings, *rows]
        width = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = [place < FLUSH_LEFT for place in range(len(width))]
        text = ["  ".join(word.ljust(w) if flush else word.rjust(w) for word, w, flush in zip(line, width, left, strict=True)).rstrip() for line in lines]
        found.append("\n".join([title, *text]))
    return "\n\n".join(found)


def blocks_latex(headings: Sequence[str], blocks: Sequence[Block]) -> str:
    """Blocks as one table for a paper; needs the package booktabs. Arguments as for `blocks_text`."""
    lines = ["% needs \\usepackage{booktabs}", "\\begin{tabular}{rl" + "r" * (len(headings) - FLUSH_LEFT) + "}", "\\toprule"]
    lines += [" & ".join(_escaped(word) for word in headings) + " \\\\"]
    for title, rows in blocks:
        lines += ["\\midrule", f"\\multicolumn{{{len(headings)}}}{{l}}{{{_escaped(title)}}} \\\\"]
        lines += [" & ".join(_escaped(word) for word in row) + " \\\\" for row in rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def write_tables(folder: str | Path, columns: Features, latex: str, facts: Mapping[str, Any]) -> list[Path]:
    """Writes `table.csv`, `table.tex` and `results.json` into the folder of a benchmark; those of an earlier run are replaced.

    Args:
        folder: of the benchmark.
        columns: the table.
        latex: the same.
        facts: all that there is, JSON-able.

    Raises:
        OutputError: the disk is full, or the folder is read-only.
    """
    from hsikit.writers import write_table

    table, text, results = (Path(folder) / name for name in (CSV, LATEX, RESULTS))
    document = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    write_whole(
        {
            table: lambda new: write_table(columns, new),
            text: lambda new: new.write_text(latex, encoding="utf-8"),
            results: lambda new: new.write_text(document, encoding="utf-8"),
        }
    )
    return [table, text, results]


def _escaped(text: str) -> str:
    """Text as LaTeX; signs before numbers become those of mathematics."""
    written = "".join(SPECIAL.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w.:=-])([+-])(?=\d)", r"$\1$", written)
