"""`hsikit evaluate`: what a model is worth on labels that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, say, tell
from .options import LabelArgs, SceneArgs, SplitArgs, grouped


@grouped
def evaluate(
    scene: Annotated[str, typer.Argument(help="A scene.")],
    model: Annotated[Path, typer.Option(help="Model folder.")],
    labels: Annotated[str, typer.Option(help="Polygons, points, or a raster.")],
    label_args: LabelArgs,
    scene_args: SceneArgs,
    split_args: SplitArgs,
    split: Annotated[str | None, typer.Option(help="Refit the method on this split, and score that.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Scores a model on label pixels that it has not seen: overall and average accuracy, kappa, F1, confusion matrix."""
    import hsikit
    from hsikit.api import source_of

    from .scores import show_confusion, show_scores

    source = source_of(scene, **scene_args.options())
    with Bar(quiet or as_json) as bar:
        found = hsikit.evaluate(model, source, labels, split=split, split_options=split_args.options(), seed=seed,
                                label_options=label_args.options(), progress=bar)  # fmt: skip
    if as_json:
        say(json.dumps(found.to_json(), indent=2))
        return
    for note in found.notes:
        tell(f"note: {note}")
    loaded = hsikit.load_method(model)
    names = dict(found.names)
    say(f"scored on {found.tested} pixels")
    show_scores(loaded.name, found.scores.to_json(), {name: scores.to_json() for name, scores in found.floors.items()}, names)
    show_confusion(found.scores.to_json(), names)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(evaluate)
