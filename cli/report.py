"""`hsikit report`: one page that says what a map shows and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import wrote
from .options import SceneArgs, grouped


@grouped
def report(
    class_map: Annotated[Path, typer.Argument(metavar="MAP", help="Class map that `hsikit classify` wrote.")],
    model: Annotated[Path, typer.Option(help="Folder of the model that made it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file; run.json is written beside it.")],
    scene_args: SceneArgs,
    scene: Annotated[str | None, typer.Option(help="Scene of the map, for the quicklook and the class spectra.", show_default=False)] = None,
    evaluation: Annotated[Path | None, typer.Option(help="File of `hsikit evaluate -o`; else the scores in the model folder.", show_default=False)] = None,
    accuracy: Annotated[Path | None, typer.Option(help="File of `hsikit accuracy --json`, for areas with intervals.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that exists.")] = False,
) -> None:
    """One self-contained HTML page: quicklook, map, split, scores beside floors, confusion, spectra, calibration, areas, methods text."""
    from hsikit.api import source_of
    from hsikit.report import write_report
    from hsikit.report.write import check_outputs

    check_outputs(output, overwrite)
    source = source_of(scene, **scene_args.options()) if scene is not None else None
    wrote(write_report(class_map, model, output, scene=source, evaluation=evaluation, accuracy=accuracy, overwrite=overwrite))


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(report)
