"""`hsikit train`: a classifier from a scene and its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import Bar, say, tell, wrote
from .options import LabelArgs, MaskArgs, Params, SceneArgs, SplitArgs, grouped, parameters


@grouped
def train(
    method: Annotated[str, typer.Argument(help="A classifier of `hsikit methods`, such as mnf-lda.")],
    scenes: Annotated[list[str], typer.Argument(help="One scene, or several, each with labels of its own.")],
    labels: Annotated[list[str], typer.Option(help="Polygons, points, or a raster; repeated, one for each scene.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    label_args: LabelArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    split_args: SplitArgs,
    split: Annotated[str, typer.Option(help="blocks, class-halves, groups, leave-polygon-out, scene, fixed; or random, which leaks.")] = "blocks",
    refit: Annotated[bool, typer.Option("--refit/--no-refit", help="Fit the saved model on all labels; or keep the scored one.")] = True,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Find a temperature inside the training part: a fit for each of its folds.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    base: Annotated[
        Path | None, typer.Option(help="Folder of a pretrained encoder for the method encoder; hsikit's own otherwise.", show_default=False)
    ] = None,
    head: Annotated[str | None, typer.Option(help="What is learned on top of a network: lda, linear, lora, ...", show_default=False)] = None,
    param: Params = None,
    spectra: Annotated[bool, typer.Option("--spectra/--no-spectra", help="Keep labelled spectra, by which `hsikit adapt` refits the model.")] = True,
    any_sensor: Annotated[
        bool, typer.Option("--any-sensor/--no-any-sensor", help="Learn two networks, for some ten seconds, that read out scenes of other sensors.")
    ] = True,
    licence: Annotated[str, typer.Option(help="Licence of the model, kept in its folder.")] = "",
    pixels: Annotated[Path | None, typer.Option(help="GeoPackage to write the label pixels to.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Trains a classifier: a spatially disjoint split, its score beside two floors, how sure it may be, then a fit on all labels."""
    import inspect
    import shutil

    import hsikit
    from hsikit.api import source_of
    from hsikit.errors import OptionError
    from hsikit.models import check_target

    check_target(output, overwrite=overwrite)
    options = parameters(param, own={*inspect.signature(hsikit.train).parameters, "scenes", "run"} - {"options"})
    options |= {name: str(value) for name, value in {"base": base, "head": head}.items() if value is not None}
    if not calibrate:
        options["calibrate"] = False
    if len(labels) != len(scenes):
        raise OptionError("--labels", f"{len(labels)} label files for {len(scenes)} scenes", "Give one for each scene, in the same order")
    sources: Any = [source_of(scene, **scene_args.options()) for scene in scenes]
    if not quiet:
        for notice in (notice for source in sources for notice in source.info.notices):
            tell(f"note: {notice}")
    workspace = output.absolute().parent / f".{output.name}.training"
    with Bar(quiet) as bar:
        model = hsikit.train(
            method, sources, labels, split=split, split_options=split_args.options(), refit=refit, seed=seed, label_options=label_args.options(),
            pixels=pixels, overwrite=overwrite, progress=bar, workspace=workspace, spectra=spectra, any_sensor=any_sensor,
            **mask_args.options(), **options,
        )  # fmt: skip
    model.save(output, licence=licence, overwrite=overwrite)
    shutil.rmtree(workspace, ignore_errors=True)
    if not quiet:
        _report(model)
    wrote([output, *([pixels] if pixels else [])], quiet)


def _report(model: Any) -> None:
    from hsikit.metrics.scores import Scores
    from hsikit.tasks.telling import learned_share

    from .scores import show_calibration, show_classes, show_overlap, show_scores

    record = model.record
    scores = Scores.from_json(record.scores)
    for note in record.notes:
        tell(f"note: {note}")
    say(f"split: {record.split}, seed {record.seed}; scored on {record.scores['scored']} pixels")
    if learned := learned_share(getattr(model.method, "settings", {})):
        say(f"parameters that learned from the labels: {learned}")
    names = {entry.code: entry.name for entry in model.method.legend.classes}
    show_overlap(record.report)
    show_scores(model.method.name, scores, {name: Scores.from_json(floor) for name, floor in record.floors.items()})
    show_classes(scores, names)
    show_calibration(record.calibration["before"], record.calibration["after"], record.calibration["temperature"])


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(train)
