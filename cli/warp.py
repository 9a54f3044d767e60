"""`hsikit warp`: a scene on another grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .mapping import MappedSceneArgs
from .options import grouped
from .scenes import write_cube


class LayerArgs(MappedSceneArgs):
    """How a scene is read, or a layer, whose bands may have no wavelengths."""

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.open_scene`."""
        return {"role": "layer", **super().options()}


@grouped
def warp(
    scene: Annotated[list[str], typer.Argument(help="A scene or layer on a map; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The scene on the other grid: .tif, .zarr, .hdr or .nc.")],
    scene_args: LayerArgs,
    dst_crs: Annotated[str | None, typer.Option(help="CRS of the new grid; the scene's.", metavar="EPSG:N", show_default=False)] = None,
    bounds: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Edges of the new grid, in its CRS; the scene's.", metavar="LEFT BOTTOM RIGHT TOP", show_default=False),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A scene or any raster on a map, whose grid is taken over.", show_default=False)] = None,
    resampling: Annotated[str, typer.Option(help="nearest, bilinear, cubic, or average; a map with a legend or colour table takes nearest.")] = "nearest",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Puts a scene, or layers without wavelengths, on another grid: another CRS, another pixel size, the grid of another raster."""
    from hsikit.convert.warp import grid_for, warped
    from hsikit.convert.warp_grid import grid_like
    from hsikit.errors import OptionError

    resolution = scene_args.resolution
    if like is not None and any(given is not None for given in (dst_crs, resolution, bounds)):
        raise OptionError("--like", "names a grid as a whole", "Leave out --dst-crs, --res and --bounds")
    if like is None and all(given is None for given in (dst_crs, resolution, bounds)):
        raise OptionError("warp", "nothing says what the new grid is", "Give --dst-crs, --res, --bounds or --like")
    grid = None if like is None else grid_like(str(like))
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
