"""What a model is worth on labels that it was not fitted on: scores with intervals, calibration, and the floors beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hsikit.errors import LabelError
from hsikit.metrics.bootstrap import Intervals, bootstrap_intervals
from hsikit.metrics.calibration import Reliability
from hsikit.metrics.scores import Scores
from hsikit.train.labelled import LabelledScene, label_names
from hsikit.train.labels import under_legend
from hsikit.train.pipeline import ELSEWHERE, fit_calibrated, fit_notes, parts_of, predict_test, score_floors
from hsikit.train.predictions import Finish, Predictions, Run
from hsikit.train.record import TrainingRecord
from hsikit.train.splits import make_split


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What a model scored.

    Attributes:
        method: the classifier's name.
        scores: on the test pixels.
        intervals: of the scores, 95 %, by resampling the groups of the test pixels.
        before: reliability diagram of the test pixels at temperature 1.
        after: at the model's temperature.
        temperature: what the log-probabilities were divided by.
        floors: of the simplest methods on the same pixels, by name, fitted on what the scored model was fitted on; empty where
            these labels do not hold that.
        tested: number of test pixels.
        seen: label pixels left out because the model was fitted on them.
        refitted: whether other models than the saved one were scored: fitted on the training part of a split.
        smoothed: whether the class probabilities were smoothed.
        split: name of the split, or "".
        report: of the split, see `split_report`; empty without one.
        notes: what the user should know, one sentence each.
        names: of the classes by code: the model's, and those that only the labels have.
        predictions: the answers at the test pixels; None where read from JSON, which does not keep them.
    """

    method: str
    scores: Scores
    intervals: Intervals
    before: Reliability
    after: Reliability
    temperature: float
    floors: Mapping[str, Scores] = field(default_factory=dict)
    tested: int
    seen: int = 0
    refitted: bool = False
    smoothed: bool = False
    split: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: Mapping[int, str]
    predictions: Predictions | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able form, without the predictions."""
        return {
            **{name: getattr(self, name) for name in PLAIN},
            "scores": self.scores.to_json(),
            "intervals": self.intervals.to_json(),
            "reliability": {"before": self.before.to_json(), "after": self.after.to_json()},
            "floors": {name: score.to_json() for name, score in self.floors.items()},
            "report": dict(self.report),
            "names": {str(code): name for code, name in self.names.items()},
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json`; there are no predictions then.

        Raises:
            KeyError, TypeError, ValueError: not what `to_json` gives.
        """
        return cls(
            **{name: record[name] for name in PLAIN},
            scores=Scores.from_json(record["scores"]),
            intervals=Intervals.from_json(record["intervals"]),
            before=Reliability.from_json(record["reliability"]["before"]),
            after=Reliability.from_json(record["reliability"]["after"]),
            floors={name: Scores.from_json(score) for name, score in record["floors"].items()},
            report=dict(record["report"]),
            names={int(code): name for code, name in record["names"].items()},
            notes=tuple(record["notes"]),
        )


PLAIN = ("method", "temperature", "tested", "seen", "refitted", "smoothed", "split")
"""Fields of an `Evaluation` that JSON keeps as they are."""


def evaluate(
    model: Any,
    record: TrainingRecord | None,
    scenes: Sequence[LabelledScene],
    *,
    split: str | None = None,
    seed: int = 0,
    run: Run,
    split_options: Mapping[str, Any] | None = None,
    calibrate: bool = True,
    finish: Finish | None = None,
    progress: Any = None,
) -> Evaluation:
    """Scores a saved model on the labels that it has not seen, or its method on a split.

    Args:
        model: the saved model.
        record: how it was trained; None where its folder does not say, which is enough for a split only.
        scenes: labelled scenes; their classes are matched with the model's by name, see `under_legend`.
        split: a name that `make_split` knows: a model of the same method and options is then fitted on the split's training
            part and scored on its test part, whatever the saved model has seen.
        seed: of the split, of that fit, and of the resamples of the intervals.
        run: the engine's `compute`.
        split_options: further arguments of `make_split`.
        calibrate: with a split, whether a temperature is found inside the training part; the saved model has its own.
        finish: what is done to the classifier's job before it is scored, such as smoothing.
        progress: passed to `run`.

    Raises:
        LabelError: every label pixel was used in training; the folder does not say which were; or no class is one of the model's.
        SplitError: nothing is left to train or to test on.
    """
    scenes = under_legend(scenes, model.legend)
    if split is not None:
        return _on_split(model, record, scenes, split, seed, run, split_options, calibrate, finish, progress)
    if record is None:
        raise LabelError(label_names(scenes), "the model folder does not say which pixels the model was fitted on", "Give --split to score its method instead")
    fresh = [record.unseen(scene) for scene in scenes]
    test = [scene.take(mask) for scene, mask in zip(scenes, fresh, strict=True) if mask.any()]
    train = [scene.take(~mask) for scene, mask in zip(scenes, fresh, strict=True) if not mask.all()]
    seen = sum(len(scene) for scene in train)
    notes = _seen_notes(model, record, scenes, test, seen)
    found = predict_test(model, test, run, progress, finish)
    whole = seen and seen == sum(len(used.rows) for used in record.used)
    return _evaluation(model, found, scenes, seed, finish, floors=score_floors(train, test) if whole else {}, seen=seen, notes=notes)


def _seen_notes(model: Any, record: TrainingRecord, scenes: Sequence[LabelledScene], test: Sequence[LabelledScene], seen: int) -> tuple[str, ...]:
    """What to say of label pixels that the saved model was fitted on, or that lie close to such.

    Raises:
        LabelError: there are no others.
    """
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
    return (*notes, ELSEWHERE) if model.temperature != 1 else tuple(notes)


def _on_split(
    model: Any,
    record: TrainingRecord | None,
    scenes: Sequence[LabelledScene],
    split: str,
    seed: int,
    run: Run,
    split_options: Mapping[str, Any] | None,
    calibrate: bool,
    finish: Finish | None,
    progress: Any,
) -> Evaluation:
    """Scores of a model of the same method, fitted on the training part of a split."""
    drawn = make_split(split, scenes, seed=seed, **dict(split_options or {}))
    train, test = parts_of(scenes, drawn)
    options = dict(record.options.get("method", {})) if record is not None else {}
    fitted, found = fit_calibrated(type(model), train, drawn, seed=seed, run=run, calibrate=calibrate, progress=progress, options=options)
    answers = predict_test(fitted, test, run, progress, finish)
    note = f"Not the saved model: one of the same method was fitted on the training part of the split {drawn.name!r}."
    notes = (note, *fit_notes(type(model), drawn, found, calibrate, answers))
    return _evaluation(
        fitted, answers, scenes, seed, finish, floors=score_floors(train, test), refitted=True, split=drawn.name, report=drawn.report, notes=notes
    )


def _evaluation(model: Any, answers: Predictions, scenes: Sequence[LabelledScene], seed: int, finish: Finish | None, **facts: Any) -> Evaluation:
    """What follows from the answers."""
    scored = answers.scores(model.legend.codes)
    intervals = bootstrap_intervals(answers.truth, answers.predicted, answers.group, scored.codes, seed=seed)
    return Evaluation(
        method=model.name,
        scores=scored,
        intervals=intervals,
        before=answers.reliability(calibrated=False),
        after=answers.reliability(),
        temperature=model.temperature,
        tested=len(answers),
        smoothed=finish is not None,
        names=_names(scenes),
        predictions=answers,
        **{**facts, "notes": (*facts["notes"], *intervals.notes)},
    )


def _names(scenes: Sequence[LabelledScene]) -> dict[int, str]:
    """Class names by code; the scenes have one legend."""
    return {entry.code: entry.name for entry in scenes[0].legend.classes}
