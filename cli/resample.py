"""`hsikit resample`: a scene as another sensor would have measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import SceneArgs, grouped
from .scenes import write_cube


@grouped
def resample(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    to: Annotated[str, typer.Option(help="A sensor of `hsikit sensors`, or a CSV file of bands (columns wavelength, fwhm, name).", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ending tells the format: .tif, .zarr, .hdr or .nc.")],
    scene_args: SceneArgs,
    min_coverage: Annotated[float, typer.Option(help="Share of a band's response that must lie where the scene measured something.")] = 0.8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Resamples a scene to another sensor's bands, by its measured responses or by Gaussians of its band widths."""
    from hsikit.convert.resample import resampled

    write_cube(scene, output, scene_args, lambda source: resampled(source, to, min_coverage=min_coverage), overwrite=overwrite, quiet=quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(resample)
