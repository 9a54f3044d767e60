"""Scoring a saved model on labels, without ever scoring a pixel that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsikit.errors import LabelError
from hsikit.metrics.scores import Scores
from hsikit.train.labelled import LabelledScene, label_names
from hsikit.train.labels import under_legend
from hsikit.train.pipeline import Run, parts_of, score_floors, score_model
from hsikit.train.record import TrainingRecord
from hsikit.train.splits import make_split


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model scored.

    Attributes:
        scores: on the test pixels.
        floors: of the simplest methods on the same pixels, by name; empty for the saved model.
        tested: number of test pixels.
        seen: label pixels left out because the model was fitted on them.
        refitted: whether other models than the saved one were scored: fitted on the training part of a split.
        notes: what the user should know, one sentence each.
        names: of the classes by code: the model's, and those that only the labels have.
    """

    scores: Scores
    floors: Mapping[str, Scores]
    tested: int
    seen: int
    refitted: bool
    notes: tuple[str, ...]
    names: Mapping[int, str]

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        floors = {name: score.to_json() for name, score in self.floors.items()}
        counts = {"tested": self.tested, "seen": self.seen, "refitted": self.refitted}
        names = {str(code): name for code, name in self.names.items()}
        return {"scores": self.scores.to_json(), "floors": floors, **counts, "names": names, "notes": list(self.notes)}


def evaluate(
    model: Any,
    record: TrainingRecord | None,
    scenes: Sequence[LabelledScene],
    *,
    split: str | None = None,
    seed: int = 0,
    run: Run,
    split_options: Mapping[str, Any] | None = None,
    progress: Any = None,
) -> Evaluation:
    """Scores a saved model on the labels that it has not seen, or its method on a split.

    Args:
        model: the saved model.
        record: how it was trained; None where its folder does not say, which is enough for a split only.
        scenes: labelled scenes; their classes are matched with the model's by name, see `under_legend`.
        split: a name that `make_split` knows: a model of the same method and options is then fitted on the split's training
            part and scored on its test part, whatever the saved model has seen.
        seed: of the split and of that fit.
        run: the engine's `compute`.
        split_options: further arguments of `make_split`.
        progress: passed to `run`.

    Raises:
        LabelError: every label pixel was used in training; the folder does not say which were; or no class is one of the model's.
        SplitError: nothing is left to train or to test on.
    """
    scenes = under_legend(scenes, model.legend)
    if split is not None:
        return _refitted(model, record, scenes, split, seed, run, split_options, progress)
    if record is None:
        raise LabelError(label_names(scenes), "the model folder does not say which pixels the model was fitted on", "Give --split to score its method instead")
    fresh = [record.unseen(scene) for scene in scenes]
    seen = int(sum((~mask).sum() for mask in fresh))
    test = [scene.take(mask) for scene, mask in zip(scenes, fresh, strict=True) if mask.any()]
    if not test:
        advice = "Give labels of other places, train with --no-refit, or give --split to fit and score anew"
        raise LabelError(label_names(scenes), f"the model was fitted on all {seen} of these label pixels, so none is left to score it on", advice)
    notes = [f"{seen} label pixels that the model was fitted on are left out."] if seen else []
    close = int(sum(record.near(scene).sum() for scene in test))
    if close:
        notes.append(f"{close} of the pixels lie within {record.report['guard']} pixels of such pixels: their score may be too high.")
    names = _names(test)
    unknown = sorted({int(code) for scene in test for code in np.unique(scene.codes)} - set(model.legend.codes))
    if unknown:
        notes.append(f"The model does not know the classes {', '.join(names[code] for code in unknown)}: all their pixels count as wrong.")
    tested = sum(len(scene.rows) for scene in test)
    return Evaluation(score_model(model, test, run, progress), {}, tested, seen, False, tuple(notes), names)


def _names(scenes: Sequence[LabelledScene]) -> dict[int, str]:
    """Class names by code; the scenes have one legend."""
    return {entry.code: entry.name for entry in scenes[0].legend.classes}


def _refitted(
    model: Any,
    record: TrainingRecord | None,
    scenes: Sequence[LabelledScene],
    split: str,
    seed: int,
    run: Run,
    split_options: Mapping[str, Any] | None,
    progress: Any,
) -> Evaluation:
    drawn = make_split(split, scenes, seed=seed, **dict(split_options or {}))
    train, test = parts_of(scenes, drawn)
    options = dict(record.options.get("method", {})) if record is not None else {}
    fitted = type(model).train(train, seed=seed, run=run, progress=progress, **options)
    note = f"Not the saved model: one of the same method was fitted on the training part of the split {drawn.name!r}."
    tested = sum(len(scene.rows) for scene in test)
    return Evaluation(score_model(fitted, test, run, progress), score_floors(train, test), tested, 0, True, (note, *drawn.notes), _names(scenes))
