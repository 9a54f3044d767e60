"""`hsikit train`: a classifier from a scene and its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import Bar, say, tell, wrote
from .options import LabelArgs, SceneArgs, grouped

_METHOD = "The method"


@grouped
def train(
    method: Annotated[str, typer.Argument(help="A classifier of `hsikit methods`, such as mnf-lda.")],
    scenes: Annotated[list[str], typer.Argument(help="One scene, or several, each with labels of its own.")],
    labels: Annotated[list[str], typer.Option(help="Polygons, points, or a raster; repeated, one for each scene.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    label_args: LabelArgs,
    scene_args: SceneArgs,
    split: Annotated[str, typer.Option(help="blocks, class-halves, groups, leave-polygon-out, scene; or random, which leaks.")] = "blocks",
    guard: Annotated[int | None, typer.Option(help="Pixels between training and test.", show_default=False)] = None,
    allow_lost_classes: Annotated[bool, typer.Option("--allow-lost-classes", help="Accept a split that loses a class.")] = False,
    refit: Annotated[bool, typer.Option("--refit/--no-refit", help="Fit the saved model on all labels; or keep the scored one.")] = True,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="Option of the method, such as components=40; repeated.", rich_help_panel=_METHOD)
    ] = None,
    pixels: Annotated[Path | None, typer.Option(help="GeoPackage to write the label pixels to.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Trains a classifier: a spatially disjoint split, its score beside two floors, then a fit on all labels."""
    import hsikit
    from hsikit.api import require_new, source_of
    from hsikit.errors import OptionError

    require_new(output, overwrite)
    if len(labels) != len(scenes):
        raise OptionError("--labels", f"{len(labels)} label files for {len(scenes)} scenes", "Give one for each scene, in the same order")
    sources: Any = [source_of(scene, **scene_args.options()) for scene in scenes]
    if not quiet:
        for notice in (notice for source in sources for notice in source.info.notices):
            tell(f"note: {notice}")
    split_options = {name: value for name, value in {"guard": guard, "allow_lost": allow_lost_classes or None}.items() if value is not None}
    with Bar(quiet) as bar:
        model = hsikit.train(
            method, sources, labels, split=split, split_options=split_options, refit=refit, seed=seed, label_options=label_args.options(),
            pixels=pixels, progress=bar, **_params(param or []),
        )  # fmt: skip
    model.save(output, overwrite=overwrite)
    if not quiet:
        _report(model)
    wrote([output, *([pixels] if pixels else [])], quiet)


def _report(model: Any) -> None:
    from .scores import show_scores

    record = model.record
    for note in record.notes:
        tell(f"note: {note}")
    say(f"split: {record.split}, seed {record.seed}; scored on {record.scores['scored']} pixels")
    names = {entry.code: entry.name for entry in model.method.legend.classes}
    show_scores(model.method.name, record.scores, record.floors, names)


def _params(pairs: list[str]) -> dict[str, Any]:
    """Options of the method: name=value, where a value is a number, true, false, or text.

    Raises:
        OptionError: not of that form.
    """
    from hsikit.errors import OptionError

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise OptionError("--param", f"'{pair}' is not name=value", "Write it like components=40")
        found[name.replace("-", "_")] = _value(text)
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(train)
