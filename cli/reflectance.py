"""`hsikit reflectance`: a scene into surface reflectance by field spectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say, tell
from .options import SceneArgs, grouped
from .scenes import write_cube

if TYPE_CHECKING:
    from hsikit.convert.empirical_line import LineSource
    from hsikit.scene import Source


@grouped
def reflectance(
    scene: Annotated[list[str], typer.Argument(help="A scene of any quantity; or several tiles on one grid.")],
    spectra: Annotated[Path, typer.Option(help="Field spectra of targets: a library, or a folder of .asd, .sig or .sed files.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Surface reflectance: .tif, .zarr, .hdr or .nc.")],
    scene_args: SceneArgs,
    polygons: Annotated[Path | None, typer.Option(help="Outlines of the targets; else each spectrum's position.", show_default=False)] = None,
    field: Annotated[str | None, typer.Option(help="Field of the polygons that holds the names of the spectra.", show_default=False)] = None,
    splice: Annotated[bool, typer.Option("--splice", help="Take out jumps between the detectors of the field spectrometer.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Turns a scene into surface reflectance by the empirical line through targets that were measured on the ground."""
    from hsikit.convert.empirical_line import fit
    from hsikit.convert.sampling import polygon_means
    from hsikit.errors import OptionError
    from hsikit.sensors.libraries import open_library

    if (polygons is None) != (field is None):
        raise OptionError("--polygons", "--polygons and --field go together", "Give both, or neither")
    library = open_library(spectra)
    library = library.splice_corrected() if splice else library

    def change(source: Source) -> LineSource:
        line = fit(source, library, polygon_means(source, polygons, field) if polygons is not None else None)
        if not quiet:
            for notice in library.notices:
                tell(f"note: {notice}")
            say(line.report())
        return line.apply(source)

    write_cube(scene, output, scene_args, change, overwrite=overwrite, quiet=quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(reflectance)
