"""`hsikit pansharpen`: a cube with the detail of a panchromatic image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene


@grouped
def pansharpen(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    pan: Annotated[str, typer.Option(help="Panchromatic image, one band, finer pixels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Sharpened cube: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str, typer.Option(help="A method of `hsikit methods`.")] = "brovey",
    pan_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Response of the panchromatic band in nm.", metavar="FROM TO", show_default=False)
    ] = None,
    pan_variable: Annotated[str | None, typer.Option(help="Which array of a .mat or .zarr the panchromatic image is.", show_default=False)] = None,
    param: Params = None,
) -> None:
    """Sharpens a scene with a panchromatic image of the same place."""
    from hsikit.api import make_method

    reading = {"role": "pan", "pan_range": pan_range, "variable": pan_variable}
    own = {"pan_range": pan_range} if pan_range else {}
    chosen = parameters(param, own=("pan_range",))
    map_scene(lambda: make_method(method, **own, **chosen), {"hs": (scene, {}), "pan": ([pan], reading)}, output, run_args, mask_args, scene_args)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(pansharpen)
