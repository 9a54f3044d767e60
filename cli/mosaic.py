"""`hsikit mosaic`: the maps of many scenes as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Bar, say, wrote

if TYPE_CHECKING:
    from hsikit.mosaic import Made
    from hsikit.mosaic.seams import Seam

SHOWN = 20
"""Seams that are listed; a report has them all."""
_GRID, _SEEN = "The grid", "What maps do not say"


def mosaic(
    maps: Annotated[list[str], typer.Argument(help="Maps (.tif); or a STAC collection of them, or a batch's ledger.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Over the maps' files: .vrt, .gti.gpkg; with pixels of its own: .tif, .zarr.")],
    rule: Annotated[str, typer.Option(help="first, latest, most-confident, least-cloud, or nearest-nadir.")] = "first",
    layer: Annotated[str | None, typer.Option(help="Layer that is joined, such as confidence; that of the files.", show_default=False)] = None,
    masked: Annotated[str, typer.Option(help="Masked pixels yield to values of other maps, or stay.", metavar="yield|stay")] = "yield",
    source_layer: Annotated[bool, typer.Option("--source-layer", help="Also STEM_source: which map gives each pixel.")] = False,
    report: Annotated[Path | None, typer.Option(help="Seams as .csv or .html.", show_default=False)] = None,
    facts: Annotated[
        Path | None, typer.Option(help="CSV file: map, acquired, cloud_cover (%), view_zenith (degrees).", show_default=False, rich_help_panel=_SEEN)
    ] = None,
    dst_crs: Annotated[str | None, typer.Option(help="CRS; the first map's.", metavar="EPSG:N", show_default=False, rich_help_panel=_GRID)] = None,
    resolution: Annotated[float | None, typer.Option("--res", help="Side of a pixel, in units of the CRS.", show_default=False, rich_help_panel=_GRID)] = None,
    like: Annotated[Path | None, typer.Option(help="A raster whose grid is taken over.", show_default=False, rich_help_panel=_GRID)] = None,
    resampling: Annotated[
        str | None,
        typer.Option(help="How maps of other grids get there: nearest; for numbers bilinear, cubic, average.", show_default=False, rich_help_panel=_GRID),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was made, and the seams, as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Joins maps of many scenes by a rule, and says how well they agree where they meet."""
    from hsikit.mosaic import make_mosaic

    with Bar(quiet or as_json) as bar:
        made = make_mosaic(
            maps, output, rule=rule, layer=layer, masked=masked, crs=dst_crs, resolution=resolution, like=like, resampling=resampling, facts=facts,
            source_layer=source_layer, report=report, overwrite=overwrite, progress=bar,
        )  # fmt: skip
    if as_json:
        say(json.dumps(made.to_json(), indent=2))
        return
    if not quiet:
        _show(made)
    wrote(made.files, quiet)


def _show(made: Made) -> None:
    """The seams, the worst first."""
    seams = [seam for seam in made.seams if seam.pixels]
    if not seams:
        say("no two maps have a value at one pixel")
        return
    for seam in sorted(seams, key=_badness)[:SHOWN]:
        pair = f"{made.maps[seam.first - 1].name} and {made.maps[seam.second - 1].name}"
        say(f"{pair}: {seam.pixels} pixels ({seam.hectares:.1f} ha), {_agreement(seam)}")
    if len(seams) > SHOWN:
        say(f"and {len(seams) - SHOWN} more seams; --report lists them all")


def _badness(seam: Seam) -> float:
    return seam.agreement if seam.agreement == seam.agreement else -abs(seam.mean_difference)


def _agreement(seam: Seam) -> str:
    if seam.agreement == seam.agreement:
        kappa = f" (kappa {seam.kappa:.3f})" if seam.kappa == seam.kappa else ""
        return f"{100 * seam.agreement:.1f} % agree{kappa}"
    return f"second less first {seam.mean_difference:.4g} ± {seam.sd:.4g} (sd)"


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(mosaic)
