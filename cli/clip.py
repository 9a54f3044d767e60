"""`hsikit clip`: a part of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import SceneArgs, grouped
from .scenes import write_cube


@grouped
def clip(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The part: .tif, .zarr, .hdr or .nc.")],
    scene_args: SceneArgs,
    bbox: Annotated[
        tuple[float, float, float, float] | None, typer.Option(help="Left bottom right top.", metavar="LEFT BOTTOM RIGHT TOP", show_default=False)
    ] = None,
    bbox_crs: Annotated[str | None, typer.Option(help="CRS of --bbox; the scene's.", metavar="EPSG:N", show_default=False)] = None,
    polygon: Annotated[Path | None, typer.Option(help="Polygons; pixels outside are missing.", show_default=False)] = None,
    bands: Annotated[str | None, typer.Option(help="Ranges of wavelengths (nm), such as 450-900,1000-1300.", metavar="NM-NM,...", show_default=False)] = None,
    drop_bad: Annotated[bool, typer.Option("--drop-bad", help="Leave out bands that are not good.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Cuts a part out of a scene: by a box, by polygons, by bands."""
    from hsikit.convert.clip import band_ranges, clipped
    from hsikit.errors import OptionError

    if bbox is None and polygon is None and bands is None and not drop_bad:
        raise OptionError("clip", "nothing says what is cut", "Give --bbox, --polygon, --bands or --drop-bad; `hsikit convert` copies a whole scene")
    if bbox_crs is not None and bbox is None:
        raise OptionError("--bbox-crs", "there is no --bbox that it could be of", "Give --bbox too")
    ranges = None if bands is None else band_ranges(bands)
    write_cube(
        scene,
        output,
        scene_args,
        lambda source: clipped(source, bbox=bbox, bbox_crs=bbox_crs, polygon=polygon, bands=ranges, drop_bad=drop_bad),
        overwrite=overwrite,
        quiet=quiet,
    )


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(clip)
