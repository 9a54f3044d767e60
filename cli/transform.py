"""`hsikit transform`: a scene's spectra as a few components."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene


@grouped
def transform(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Components: .tif, .zarr or .hdr. Tables of strengths and loadings lie beside it.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str, typer.Option(help="mnf, pca, or another method of `hsikit methods`.")] = "mnf",
    components: Annotated[int | None, typer.Option(help="How many; 20, or all of fewer bands.", show_default=False)] = None,
    param: Params = None,
) -> None:
    """Components of a scene, strongest first: by signal to noise (mnf) or by variance (pca)."""
    from hsikit.api import make_method

    chosen = parameters(param, own=("components",))
    map_scene(lambda: make_method(method, components=components, **chosen), {"cube": (scene, {})}, output, run_args, mask_args, scene_args)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(transform)
