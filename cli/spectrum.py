"""`hsikit spectrum`: spectra of places in a scene."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say, tell, wrote
from .options import SceneArgs, grouped
from .pairs import pairs

if TYPE_CHECKING:
    from hsikit.convert.sampling import SceneSpectra
    from hsikit.scene import Source


@grouped
def spectrum(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    scene_args: SceneArgs,
    xy: Annotated[list[str] | None, typer.Option(help="A point in the scene's CRS; repeated.", metavar="X,Y", show_default=False)] = None,
    lonlat: Annotated[list[str] | None, typer.Option(help="A point in degrees; repeated.", metavar="LON,LAT", show_default=False)] = None,
    pixel: Annotated[list[str] | None, typer.Option(help="A pixel, from 0; repeated.", metavar="ROW,COL", show_default=False)] = None,
    polygons: Annotated[Path | None, typer.Option(help="Vector file: means and standard deviations.", show_default=False)] = None,
    field: Annotated[str | None, typer.Option(help="Field that names the polygons; those of one name make one mean.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table (.csv) or ENVI library (.sli); the table to the terminal.", show_default=False)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the spectra (.png, .pdf, .svg).", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
) -> None:
    """Spectra of pixels, points or polygons of a scene, as a table and a plot."""
    from hsikit.api import require_new, source_of
    from hsikit.convert.pictures import check_picture
    from hsikit.errors import OptionError

    asked = [name for name, given in {"--xy": xy, "--lonlat": lonlat, "--pixel": pixel, "--polygons": polygons}.items() if given]
    if len(asked) != 1:
        raise OptionError("spectrum", f"{' and '.join(asked) or 'no place'} given", "Give one of --xy, --lonlat, --pixel, --polygons; the first three repeated")
    if field is not None and polygons is None:
        raise OptionError("--field", "it names polygons, and none are given", "Give --polygons")
    for path in (output, plot):
        if path is not None:
            require_new(path, overwrite)
    if plot is not None:
        check_picture(plot)
    source = source_of(scene[0] if len(scene) == 1 else scene, **scene_args.options(), inspect=False)
    try:
        found = _sampled(source, xy or [], lonlat or [], pixel or [], polygons, field)
    finally:
        source.close()
    for notice in found.notices:
        tell(f"note: {notice}")
    _deliver(found, output, plot, overwrite)


def _sampled(source: Source, xy: list[str], lonlat: list[str], pixel: list[str], polygons: Path | None, field: str | None) -> SceneSpectra:
    from hsikit.convert.sampling import at_pixels, at_points, polygon_means

    if polygons is not None:
        return polygon_means(source, polygons, field)
    if pixel:
        places = pairs(pixel, "--pixel", "ROW,COL", int)
        return at_pixels(source, [row for row, _ in places], [col for _, col in places])
    if xy:
        return at_points(source, pairs(xy, "--xy", "X,Y", float))
    return at_points(source, pairs(lonlat, "--lonlat", "LON,LAT", float), "EPSG:4326")


def _deliver(found: SceneSpectra, output: Path | None, plot: Path | None, overwrite: bool) -> None:
    """The table to a file, or to the terminal where nothing else is asked for; and the plot."""
    from hsikit.convert.pictures import save_plot

    if output is not None:
        wrote(found.save(output, overwrite=overwrite))
    elif plot is None:
        with TemporaryDirectory() as folder:
            say(found.save(Path(folder) / "spectra.csv")[0].read_text(encoding="utf-8").rstrip())
    if plot is not None:
        wrote(save_plot(found.plot, plot, overwrite=overwrite))


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(spectrum)
