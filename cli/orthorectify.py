"""`hsikit orthorectify`: a swath on a map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, tell, wrote
from .mapping import MappedSceneArgs
from .options import grouped


@grouped
def orthorectify(
    scene: Annotated[str, typer.Argument(help="A scene on the sensor's own grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The scene on a map: .tif, .zarr, .hdr or .nc.")],
    scene_args: MappedSceneArgs,
    crs: Annotated[
        str | None, typer.Option(help="CRS of the map; that of the product's table, else the UTM zone of the centre.", metavar="EPSG:N", show_default=False)
    ] = None,
    radius: Annotated[float | None, typer.Option(help="Metres within which a measurement must lie.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Puts a scene of the sensor's own grid on a map, by its lookup table or the positions of its pixels."""
    from hsikit.api import require_new
    from hsikit.convert.orthorectify import orthorectify as put_on_map

    require_new(output, overwrite)
    source = scene_args.opened(scene)
    try:
        if not quiet:
            for notice in source.info.notices:
                tell(f"note: {notice}")
        with Bar(quiet) as bar:
            files = put_on_map(source, output, resolution=scene_args.resolution, crs=crs, radius=radius, overwrite=overwrite, progress=bar)
    finally:
        source.close()
    wrote(files, quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(orthorectify)
