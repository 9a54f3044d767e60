"""`hsikit report`: one page that says what a map shows and what it is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import wrote
from .options import SceneArgs, grouped
from .pairs import pairs

CLASSES, DETECTION = "Of a class map", "Of a detection"


@grouped
def report(
    map_file: Annotated[Path, typer.Argument(metavar="MAP", help="Map that `hsikit classify`, `hsikit detect` or `hsikit anomaly` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file; run.json is written beside it.")],
    scene_args: SceneArgs,
    scene: Annotated[str | None, typer.Option(help="Scene of the map, for quicklook, spectra and a detection's floor.", show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the model that made it.", show_default=False, rich_help_panel=CLASSES)] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="File of `hsikit evaluate -o`; else the scores in the model folder.", show_default=False, rich_help_panel=CLASSES)
    ] = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="File of `hsikit accuracy --json`, for areas with intervals.", show_default=False, rich_help_panel=CLASSES)
    ] = None,
    hits: Annotated[
        Path | None, typer.Option(help="Hits of the same run; else they are found in the map.", show_default=False, rich_help_panel=DETECTION)
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Raster, above 0 where a target is; or polygons or points.", show_default=False, rich_help_panel=DETECTION)
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="Library of what was looked for; else the map's own metadata.", show_default=False, rich_help_panel=DETECTION)
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="Which of its spectra; repeated.", show_default=False, rich_help_panel=DETECTION)] = None,
    pixel: Annotated[
        list[str] | None,
        typer.Option(
            help="Pixels that the target was taken from, from 0: they are not scored; repeated.",
            metavar="ROW,COL", show_default=False, rich_help_panel=DETECTION,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that exists.")] = False,
) -> None:  # fmt: skip
    """One self-contained HTML page. Of a class map: split, scores beside floors, confusion, calibration, areas. Of a detection: scores, hits, ROC."""
    from hsikit.report.mapfile import read_made
    from hsikit.report.write import check_outputs

    check_outputs(output, overwrite)
    of_classes: dict[str, Any] = {"--model": model, "--evaluation": evaluation, "--accuracy": accuracy}
    of_detection: dict[str, Any] = {"--hits": hits, "--truth": truth, "--target": target, "--name": name, "--pixel": pixel}
    reading = scene_args.options()
    if read_made(map_file).holds("scores"):
        _refuse(of_classes, map_file, "a map of scores")
        from hsikit.api import write_detection_report

        places = pairs(pixel or [], "--pixel", "ROW,COL", int)
        wrote(write_detection_report(map_file, output, scene=scene, hits=hits, target=target, names=name or (), pixels=places, truth=truth,
                                     overwrite=overwrite, **reading))  # fmt: skip
        return
    _refuse(of_detection, map_file, "no map of scores")
    from hsikit.api import write_report
    from hsikit.errors import OptionError

    if model is None:
        raise OptionError("--model", f"{map_file} is no map of scores, and the page of a class map needs its model", "Give the model's folder")
    wrote(write_report(map_file, model, output, scene=scene, evaluation=evaluation, accuracy=accuracy, overwrite=overwrite, **reading))


def _refuse(options: dict[str, Any], map_file: Path, kind: str) -> None:
    """Refuses options of the other kind of map."""
    from hsikit.errors import OptionError

    given = [option for option, value in options.items() if value]
    if given:
        raise OptionError(given[0], f"{map_file} is {kind}, to which it does not belong", "Leave it out")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(report)
