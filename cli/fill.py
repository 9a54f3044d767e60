"""`hsikit fill`: a scene with its bad and missing bands estimated from the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import say
from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene

METHODS = {"encoder": "encoder-filling"}
"""Short names."""


@grouped
def fill(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Filled cube: .tif, .zarr or .hdr. Flags of its values, and the check, lie beside it.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str, typer.Option(help="interpolate, gaussian, or encoder.")] = "interpolate",
    bands: Annotated[
        str | None, typer.Option(help="Ranges of wavelengths (nm), such as 1350-1450,1800-1950, to fill too.", metavar="NM-NM,...", show_default=False)
    ] = None,
    keep_bad: Annotated[bool, typer.Option("--keep-bad", help="Leave bad bands as they are.")] = False,
    mark_good: Annotated[bool, typer.Option("--mark-good", help="Mark bands as good that were filled whole.")] = False,
    library: Annotated[
        Path | None, typer.Option(help="Spectra from which gaussian estimates bands that no pixel has: any of `hsikit library`.", show_default=False)
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder of a pretrained encoder for the method encoder; hsikit's own otherwise.", show_default=False)
    ] = None,
    sigma: Annotated[bool, typer.Option("--sigma", help="Write the standard deviation of each estimate too (gaussian).")] = False,
    report: Annotated[bool, typer.Option("--report", help="Print the check of every band.")] = False,
    param: Params = None,
) -> None:
    """Estimates bad, missing and named bands from the others, flags every estimate, and checks it on known bands that were hidden."""
    from hsikit.api import make_method
    from hsikit.convert.clip import band_ranges

    chosen = parameters(param, own=("bands", "bad", "mark_good", "library", "base", "sigma"))
    chosen |= {"bands": tuple(band_ranges(bands)) if bands else (), "bad": not keep_bad, "mark_good": mark_good}
    chosen |= {"sigma": True} if sigma else {}
    chosen |= {"base": str(base)} if base is not None else {}

    def make() -> Any:
        return make_method(METHODS.get(method, method), **chosen, **({} if library is None else {"library": _spectra(scene, library, scene_args)}))

    done = map_scene(make, {"cube": (scene, {})}, output, run_args, mask_args, scene_args)
    if not run_args.quiet:
        _tell(done, next(path for path in done.files if path.name == f"{output.stem}_check.csv") if report else None)


def _spectra(scene: list[str], library: Path, scene_args: SceneArgs) -> Any:
    """The library at the scene's bands."""
    from hsikit.api import opened
    from hsikit.targets import library_references

    with opened(scene[0] if len(scene) == 1 else scene, **scene_args.options(), inspect=False) as source:
        return library_references(source.info, library)


def _tell(done: Any, table: Path | None) -> None:
    """How much was filled, and what that is worth."""
    from hsikit.tasks.filling.check import CHECK, summaries
    from hsikit.tasks.filling.known import KNOWN

    known = done.store[KNOWN]
    say(f"{int(known['missing'].sum())} values of known bands were missing, in {int(known['lack'])} of {int(known['pixels'])} pixels")
    for line in summaries(done.store[CHECK]):
        say(line)
    if table is not None:
        say(table.read_text(encoding="utf-8").rstrip())


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(fill)
