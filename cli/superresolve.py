"""`hsikit superresolve`: a finer cube."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene


@grouped
def superresolve(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Finer cube: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str, typer.Option(help="A method of `hsikit methods`.")] = "bicubic",
    zoom: Annotated[int, typer.Option(help="How many times finer: 2 to 8.")] = 2,
    param: Params = None,
) -> None:
    """Makes a scene's pixels 2 to 8 times smaller."""
    from hsikit.api import make_method

    chosen = parameters(param, own=("zoom",))
    map_scene(lambda: make_method(method, zoom=zoom, **chosen), {"cube": (scene, {})}, output, run_args, mask_args, scene_args)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(superresolve)
