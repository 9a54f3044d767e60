"""`hsikit anomaly`: what stands out from the scene's background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene


@grouped
def anomaly(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str | None, typer.Option(help="A method of `hsikit methods`; object-anomaly with --object-size, else rx.", show_default=False)] = None,
    object_size: Annotated[int | None, typer.Option(help="Look for objects of up to so many pixels.", show_default=False)] = None,
    hits: Annotated[Path | None, typer.Option(help="GeoPackage of what exceeds the threshold.", show_default=False)] = None,
    pfa: Annotated[float, typer.Option(help="False-alarm rate of the threshold, with --hits.")] = 1e-3,
    param: Params = None,
) -> None:
    """Scores how far each pixel lies from the background; with --hits, points where that is too far."""
    from hsikit.api import make_method

    named, own = ({"named": {"hits": hits}}, {"pfa": pfa}) if hits else ({}, {})
    chosen = parameters(param, own=("pfa", "object_size"))
    if object_size is not None:
        chosen["object_size"] = object_size
    name = method or ("rx" if object_size is None else "object-anomaly")
    map_scene(lambda: make_method(name, **own, **chosen), {"cube": (scene, {})}, output, run_args, mask_args, scene_args, **named)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(anomaly)
