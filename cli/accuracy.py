"""`hsikit accuracy`: what a class map is worth, from reference points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say, tell, wrote

if TYPE_CHECKING:
    from hsikit.assess.accuracy import Assessment

WIDE = 200
"""Columns of a table that goes to a file, which breaks no lines."""


def accuracy(
    class_map: Annotated[Path, typer.Argument(help="A class map: one band of codes.")],
    reference: Annotated[str, typer.Option(help="Points: GeoPackage, GeoJSON, shapefile, or CSV with x and y.")],
    field: Annotated[str, typer.Option(help="Field of the true class, by name or code.")] = "reference",
    crs: Annotated[str | None, typer.Option(help="CRS of points whose file does not say; the map's for CSV.", metavar="EPSG:N", show_default=False)] = None,
    simple: Annotated[bool, typer.Option("--simple", help="Take the points as a simple random sample, not by strata.")] = False,
    allow_unanswered: Annotated[bool, typer.Option("--allow-unanswered", help="Leave out points without an answer.")] = False,
    allow_unmapped: Annotated[bool, typer.Option("--allow-unmapped", help="Accept true classes that the map lacks.")] = False,
    outside: Annotated[list[int] | None, typer.Option(help="Code that is no class; repeated. 0, 254, 255 and nodata are none.", show_default=False)] = None,
    inside: Annotated[list[int] | None, typer.Option(help="Code of 0, 254 and 255 that is a class in this map.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV table.", show_default=False)] = None,
    latex: Annotated[Path | None, typer.Option(help="LaTeX table (.tex).", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace tables that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Accuracy and areas of a class map with 95 % intervals, from reference points."""
    from hsikit.assess.accuracy import assess_map
    from hsikit.assess.tables import check_tables, write_tables

    check_tables(output, latex, overwrite)
    found = assess_map(
        class_map, reference, field=field, crs=crs, simple=simple, allow_unanswered=allow_unanswered, allow_unmapped=allow_unmapped,
        outside=outside or (), inside=inside or (),
    )  # fmt: skip
    files = write_tables(found, csv=output, latex=latex, overwrite=overwrite)
    if as_json:
        say(json.dumps(found.to_json(), indent=2))
        return
    for note in found.notes:
        tell(f"note: {note}")
    _show(found)
    wrote(files)


def _show(found: Assessment) -> None:
    """The table, the overall accuracy, and kappa last."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hsikit.assess.tables import header, overall, rows

    table = Table(*header(found), caption="points: by map / by reference; ± half of the 95 % interval", caption_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows(found):
        table.add_row(*map(Text, row))
    console = Console()
    (console if console.is_terminal else Console(width=WIDE)).print(table)
    say(f"overall accuracy {overall(found)} from {found.points} points (kappa {found.accuracy.kappa:.3f})")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(accuracy)
