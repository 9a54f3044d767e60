"""`hsikit detect`: where a known spectrum is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import tell
from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .pairs import pairs
from .running import map_scene

if TYPE_CHECKING:
    from hsikit.tasks.detection.target_spectra import TargetSpectra

TASK = "target detection"


@grouped
def detect(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Scores, a band for each target: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    target: Annotated[Path | None, typer.Option(help="Spectra to look for: any file of `hsikit library`.", show_default=False)] = None,
    name: Annotated[list[str] | None, typer.Option(help="Which of them, by name or words of it; repeated.", show_default=False)] = None,
    pixel: Annotated[list[str] | None, typer.Option(help="Look for the mean of such pixels, from 0; repeated.", metavar="ROW,COL", show_default=False)] = None,
    xy: Annotated[list[str] | None, typer.Option(help="The same by points in the scene's CRS.", metavar="X,Y", show_default=False)] = None,
    lonlat: Annotated[list[str] | None, typer.Option(help="The same by points in degrees.", metavar="LON,LAT", show_default=False)] = None,
    method: Annotated[str, typer.Option(help="A target detector of `hsikit methods`.")] = "matched-filter",
    model: Annotated[Path | None, typer.Option(help="Model of `hsikit train-objects` instead: boxes of the objects it learned.", show_default=False)] = None,
    hits: Annotated[Path | None, typer.Option(help="GeoPackage of what exceeds the threshold.", show_default=False)] = None,
    pfa: Annotated[float, typer.Option(help="False-alarm rate of the threshold, with --hits.")] = 1e-3,
    background: Annotated[str, typer.Option(help="Where the background is measured.", metavar="global|clusters|local")] = "global",
    param: Params = None,
) -> None:
    """Scores how alike each pixel is to known spectra; with --hits, points where that is beyond chance."""
    from hsikit.api import make_method

    places = {"--target": target, "--pixel": pixel, "--xy": xy, "--lonlat": lonlat}
    if model is not None:
        given = {**places, "--name": name, "--background": background != "global"}
        return _learned(model, given, scene, output, run_args, mask_args, scene_args, hits, parameters(param))
    _check_method(method)
    named: dict[str, Any] = {"named": {"hits": hits}} if hits else {}
    own: dict[str, Any] = {"pfa": pfa} if hits else {}
    if background != "global":  # which is what every method has
        own["background"] = background
    chosen = parameters(param, own=("pfa", "targets", "background"))

    def make() -> Any:
        return make_method(method, targets=_targets(scene, scene_args, places, name or [], run_args.quiet), **own, **chosen)

    map_scene(make, {"cube": (scene, {})}, output, run_args, mask_args, scene_args, **named)


def _learned(model: Path, places: dict[str, Any], scene: list[str], output: Path, run_args: RunArgs, mask_args: MaskArgs, scene_args: SceneArgs,
             hits: Path | None, options: dict[str, Any]) -> None:  # fmt: skip
    """Detects the objects that a model learned."""
    from hsikit.errors import OptionError
    from hsikit.targets import learned_targets

    given = [option for option, value in places.items() if value]
    if given:
        raise OptionError(given[0], "the model has learned what to look for", "Leave it out, or --model")

    def make() -> Any:
        return learned_targets(model).with_options(**options)

    map_scene(make, {"cube": (scene, {})}, output, run_args, mask_args, scene_args, **({"named": {"hits": hits}} if hits else {}))


def _check_method(method: str) -> None:
    from hsikit.errors import OptionError
    from hsikit.registry import list_methods, load_class

    load_class(method)  # a name that there is not is told with all that there are
    able = [entry.name for entry in list_methods() if entry.task in (TASK, "plug-in")]
    if method not in able:
        raise OptionError("--method", f"{method} looks for no target", f"Those that do are {', '.join(able)}")


def _targets(scene: list[str], scene_args: SceneArgs, places: dict[str, Any], names: Sequence[str], quiet: bool) -> TargetSpectra:
    """What is looked for, and how many of the scene's bands it answers for."""
    from hsikit.api import source_of
    from hsikit.errors import OptionError
    from hsikit.targets import read_targets

    given = [option for option, value in places.items() if value]
    if len(given) != 1:
        told = f"{' and '.join(given) or 'nothing to look for'} given"
        raise OptionError("detect", told, "Give one of --target, --pixel, --xy, --lonlat; the last three repeated")
    option, value = given[0], places[given[0]]
    source = source_of(scene[0] if len(scene) == 1 else scene, **scene_args.options(), inspect=False)
    try:
        if option == "--target":
            found = read_targets(source, value, names=names)
        elif option == "--pixel":
            found = read_targets(source, names=names, pixels=pairs(value, option, "ROW,COL", int))
        else:
            found = read_targets(source, names=names, points=pairs(value, option, "X,Y", float), crs="EPSG:4326" if option == "--lonlat" else None)
        answered, good = len(found.seen_by(source.info)[0]), len(source.info.bands.used)
    finally:
        source.close()
    if answered < good and not quiet:
        tell(f"note: {found.source}: answers for {answered} of the {good} good bands; the others are left out")
    return found


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(detect)
