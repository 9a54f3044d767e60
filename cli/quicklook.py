"""`hsikit quicklook`: a picture of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import say, wrote
from .options import SceneArgs, grouped


@grouped
def quicklook(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG file.")],
    scene_args: SceneArgs,
    max_size: Annotated[int, typer.Option(help="Pixels of the longer side, at most.")] = 1024,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that exists.")] = False,
) -> None:
    """A picture of a scene in natural colours, or false ones where it has no visible bands; of a class map with its legend."""
    from hsikit.api import draw_quicklook

    note = draw_quicklook(scene[0] if len(scene) == 1 else scene, output, max_size=max_size, overwrite=overwrite, **scene_args.options())
    say(note)
    wrote([output])


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(quicklook)
