"""`hsikit warp`: a scene on another grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .mapping import MappedSceneArgs
from .options import grouped
from .scenes import write_cube


@grouped
def warp(
    scene: Annotated[list[str], typer.Argument(help="A scene on a map; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The scene on the other grid: .tif, .zarr, .hdr or .nc.")],
    scene_args: MappedSceneArgs,
    dst_crs: Annotated[str | None, typer.Option(help="CRS of the new grid; the scene's.", metavar="EPSG:N", show_default=False)] = None,
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Edges of the new grid, in its CRS; the scene's.", metavar="LEFT BOTTOM RIGHT TOP", show_default=False),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A scene whose grid is taken over.", show_default=False)] = None,
    resampling: Annotated[str, typer.Option(help="nearest, bilinear, cubic, or average.")] = "nearest",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Puts a scene on another grid: another CRS, another pixel size, the grid of another scene."""
    from hsikit.api import source_of
    from hsikit.convert.warp import grid_for, warped
    from hsikit.convert.warp_grid import require_map
    from hsikit.errors import OptionError

    resolution = scene_args.resolution
    if like is not None and any(given is not None for given in (dst_crs, resolution, bounds)):
        raise OptionError("--like", "names a grid as a whole", "Leave out --dst-crs, --res and --bounds")
    if like is None and all(given is None for given in (dst_crs, resolution, bounds)):
        raise OptionError("warp", "nothing says what the new grid is", "Give --dst-crs, --res, --bounds or --like")
    grid = None
    if like is not None:
        other = source_of(str(like))
        grid = require_map(other.info.grid, str(like))
        other.close()
    write_cube(
        scene,
        output,
        scene_args,
        lambda source: warped(source, grid or grid_for(source, crs=dst_crs, resolution=resolution, bounds=bounds), resampling),
        overwrite=overwrite,
        quiet=quiet,
    )


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(warp)
