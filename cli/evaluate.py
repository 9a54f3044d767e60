"""`hsikit evaluate`: what a model is worth on labels that it has not seen."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .as_sensors import refuse_beside, scores_as_sensors, show_as_sensors
from .console import Bar, say, tell, wrote
from .options import LabelArgs, MaskArgs, SceneArgs, SplitArgs, grouped

if TYPE_CHECKING:
    from hsikit.train.evaluate import Evaluation


@grouped
def evaluate(
    scene: Annotated[str, typer.Argument(help="A scene.")],
    model: Annotated[Path, typer.Option(help="Model folder.")],
    labels: Annotated[str, typer.Option(help="Polygons, points, or a raster.")],
    label_args: LabelArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    split_args: SplitArgs,
    split: Annotated[str | None, typer.Option(help="Refit the method on this split, and score that.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    as_sensor: Annotated[
        str | None, typer.Option(help="What is lost on other sensors: names or CSV files of bands, with commas between them.", show_default=False)
    ] = None,
    smooth: Annotated[bool, typer.Option("--smooth", help="Score the map that `classify --smooth` makes.")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate/--no-calibrate", help="With --split: find a temperature inside the training part.")] = True,
    confusion: Annotated[bool, typer.Option("--confusion", help="Also print the confusion matrix.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file of it all.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Scores a model on label pixels that it has not seen: accuracies with intervals, F1 and IoU by class, calibration."""
    from hsikit.api import load_method, read_labels, source_of
    from hsikit.engine import compute
    from hsikit.models import load_record
    from hsikit.tasks.classification.smooth import smooth as smoothed
    from hsikit.train import evaluate as scoring
    from hsikit.train.record import TrainingRecord
    from hsikit.transfer import method_for
    from hsikit.writers import check_target

    if output is not None:
        check_target(output, overwrite)
    source = source_of(scene, **scene_args.options())
    with Bar(quiet or as_json) as bar:
        method = load_method(model) if split is not None or as_sensor is not None else method_for(model, source, bar)
        record = load_record(model, TrainingRecord)
        labelled = [read_labels(source, labels, **label_args.options(), **mask_args.options())]
        for note in labelled[0].notes:
            bar.note(f"note: {note}")
        if as_sensor is not None:
            refuse_beside(smooth=smooth, confusion=confusion)
            lost = scores_as_sensors(model, labelled, as_sensor, split=split, split_options=split_args.options(), seed=seed, bar=bar)
            _deliver([score.to_json() for score in lost], output, as_json, lambda: show_as_sensors(lost))
            return
        found = scoring.evaluate(
            method, record, labelled, split=split, seed=seed, run=compute, split_options=split_args.options(), calibrate=calibrate,
            finish=smoothed if smooth else None, progress=bar,
        )  # fmt: skip
    _deliver(found.to_json(), output, as_json, lambda: _show(found, confusion))


def _deliver(facts: Any, output: Path | None, as_json: bool, show: Callable[[], None]) -> None:
    """JSON into a file, and onto stdout; or words."""
    if output is not None:
        _write(facts, output)
    if as_json:
        say(json.dumps(facts, indent=2))
        return
    show()
    wrote([output] if output else [])


def _show(found: Evaluation, confusion: bool) -> None:
    from .scores import show_calibration, show_classes, show_confusion, show_overlap, show_scores

    for note in found.notes:
        tell(f"note: {note}")
    names = dict(found.names)
    say(f"scored on {found.tested} pixels" + (", smoothed" if found.smoothed else ""))
    show_overlap(found.report)
    show_scores(found.method, found.scores, found.floors, found.intervals)
    show_classes(found.scores, names)
    show_calibration(found.before.to_json(), found.after.to_json(), found.temperature)
    if confusion:
        show_confusion(found.scores, names)


def _write(facts: Any, target: Path) -> None:
    """The JSON file, written beside its place and renamed."""
    from hsikit.writers import commit
    from hsikit.writers.failures import writing

    with writing(target), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        part = Path(folder) / target.name
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        commit([(part, target)])


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(evaluate)
