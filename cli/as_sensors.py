"""`hsikit evaluate --as-sensor`: what is lost of a model's accuracy on scenes of other sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Bar, say

if TYPE_CHECKING:
    from hsikit.train.labelled import LabelledScene
    from hsikit.transfer_scores import SensorScore


def scores_as_sensors(
    model: Path, labelled: Sequence[LabelledScene], sensors: str, *, split: str | None, split_options: Mapping[str, Any], seed: int, bar: Bar
) -> list[SensorScore]:
    """Scores of a model folder, or of its method fitted on a split, as other sensors would have seen the test pixels.

    Args:
        model: the folder.
        labelled: the scene with its labels.
        sensors: names, or CSV files of bands, between commas.
        split: None for the saved model and the labels that it has not seen.
        split_options: further arguments of the split.
        seed: of everything random.
        bar: told of progress.

    Raises:
        ModelError: the folder keeps nothing for other sensors.
        OptionError: no sensor, or an unknown one.
    """
    from hsikit.engine import compute
    from hsikit.errors import OptionError
    from hsikit.models import load_method, load_record, load_transfer
    from hsikit.tasks.classification.transfer import Transfer
    from hsikit.train.record import TrainingRecord
    from hsikit.transfer import require_transfer
    from hsikit.transfer_scores import fit_on_split, score_as_sensors, unseen_part

    names = [name.strip() for name in sensors.split(",") if name.strip()]
    if not names:
        raise OptionError("as_sensor", "no sensor is named", "Name sensors of `hsikit sensors`, with commas between them")
    method, record = load_method(model), load_record(model, TrainingRecord)
    kept = load_transfer(model, Transfer)
    if split is None:
        transfer, test = require_transfer(model, kept), unseen_part(method, record, labelled)
    else:
        networks = kept is not None and kept.has_networks
        method, transfer, test = fit_on_split(
            method, record, labelled, split, seed=seed, split_options=split_options, networks=networks, run=compute, progress=bar
        )
    return score_as_sensors(method, transfer, test, names, seed=seed, run=compute, progress=bar)


def refuse_beside(**options: bool) -> None:
    """Refuses options of `evaluate` that say nothing of other sensors.

    Raises:
        OptionError: one of them is given.
    """
    from hsikit.errors import OptionError

    for name in (name for name, given in options.items() if given):
        raise OptionError(name, "is no option beside --as-sensor", "Leave it out")


def show_as_sensors(found: Sequence[SensorScore]) -> None:
    """A table: a row for each sensor and way to answer for it."""
    width = max(len(score.sensor) for score in found)
    scored = max(int(score.scores.support.sum()) for score in found if score.scores is not None)
    say(f"scored on {scored} pixels, resampled by responses alone: without noise, errors of calibration or shifts of bands")
    say(f"{'as sensor':<{max(width, 9)}}  {'by':<9}  bands  overall  average     loss")
    for score in found:
        start = f"{score.sensor:<{max(width, 9)}}  {score.way:<9}"
        if score.scores is None:
            say(f"{start}  refused: {score.refused}")
            continue
        loss = "" if score.loss is None else f"{100 * score.loss:+.1f} %"
        say(f"{start}  {score.bands:>5}  {100 * score.scores.overall:>7.1f}  {100 * score.scores.average:>7.1f}  {loss:>7}")
