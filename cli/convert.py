"""`hsikit convert`: a scene in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import SceneArgs, grouped
from .scenes import write_cube


@grouped
def convert(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ending tells the format: .tif, .zarr, .hdr or .nc.")],
    scene_args: SceneArgs,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Writes a scene as GeoTIFF, Zarr, ENVI or CF NetCDF: physical values, float32, with all that is known of its bands and place."""
    write_cube(scene, output, scene_args, lambda source: source, overwrite=overwrite, quiet=quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(convert)
