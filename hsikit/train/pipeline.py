"""Training a classifier so that its score means something.

A spatially disjoint split comes first. A model is fitted on its training part, calibrated inside it, and scored, by the very
path that makes maps, on its test part, beside two floors: the nearest label, and a support vector machine on single spectra.
Then the model that is saved is fitted on all labels, unless the user wants the scored one. The record keeps the split, the
scores, the answers at the test pixels and the pixels used, so that no later evaluation scores a pixel that the model has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.layers import Legend
from hsikit.method import Job
from hsikit.metrics.scores import Scores, scores
from hsikit.scene import SceneInfo
from hsikit.train.calibrate import Calibration, find_temperature
from hsikit.train.floors import nearest_label, spectra_svm
from hsikit.train.labelled import LabelledScene, label_names, require_classes
from hsikit.train.predictions import Finish, Predictions, predict
from hsikit.train.predictions import Run as Run
from hsikit.train.record import TrainingRecord, UsedPixels
from hsikit.train.splits import Split, make_split

CLEARLY = 0.01
"""Overall accuracy by which a floor must lead before a note says so: less is a matter of a few pixels."""
REFITTED = "The scores are those of a model fitted on the training part of the split; the saved model was then fitted on all labels."
UNLABELLED = "From all pixels of the training scenes, those at the test places among them, it learned without any label: {}."
WORSE = "On these test pixels calibration did harm: the expected calibration error is {:.1f} % without it and {:.1f} % with it."
ELSEWHERE = "Labels in one place cannot calibrate another: on ground unlike the labels' the map is less often right than its confidence says."


class Classifier(Protocol):
    """What is trained here: `hsikit.tasks.classification.base.PixelClassifier`, or another package's."""

    name: str
    legend: Legend
    temperature: float

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Run, progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes."""
        ...

    def refit(self, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Run, progress: Any = None, **options: Any) -> Self:
        """Learns from other labels of the same scenes."""
        ...

    def with_options(self, **options: Any) -> Self:
        """A copy with other `extras` or another `temperature`."""
        ...

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene."""
        ...


def train_classifier(
    kind: type[Classifier],
    scenes: Sequence[LabelledScene],
    *,
    split: str = "blocks",
    refit: bool = True,
    calibrate: bool = True,
    seed: int = 0,
    run: Run,
    options: Mapping[str, Any] | None = None,
    split_options: Mapping[str, Any] | None = None,
    floors: bool = True,
    progress: Any = None,
    workspace: Path | None = None,
    fitted: Callable[[Sequence[LabelledScene]], object] = lambda scenes: None,
) -> tuple[Any, TrainingRecord]:
    """Splits, fits, calibrates, scores, and fits again on all labels.

    Args:
        kind: the classifier's class.
        scenes: labelled scenes with one legend (`combine_legends`).
        split: a name that `make_split` knows.
        refit: whether the model returned is fitted on all labels; else it is the one that was scored.
        calibrate: whether a temperature is found inside the training part (a fit and a map for each of its folds).
        seed: of the split and the classifier.
        run: the engine's `compute`.
        options: the classifier's training options.
        split_options: further arguments of `make_split` (guard, block, ...).
        floors: whether the two floors are scored beside it.
        progress: passed to `run`.
        workspace: folder for snapshots of trainings that keep any, so that the same call after a kill goes on.
        fitted: told the labels that the model returned was fitted on, while their scenes are open.

    Returns:
        The model, and how it was trained.

    Raises:
        LabelError: fewer than two classes.
        SplitError: nothing is left to train or to test on.
        ModelError, OptionError: from the classifier.
    """
    require_classes(scenes, 2)
    chosen: dict[str, Any] = dict(options or {})
    drawn = make_split(split, scenes, seed=seed, **dict(split_options or {}))
    train, test = parts_of(scenes, drawn)
    kept = _snapshots(kind, workspace, "training-part")
    model, found = fit_calibrated(kind, train, drawn, seed=seed, run=run, calibrate=calibrate, progress=progress, options=chosen, snapshots=kept)
    answers = predict_test(model, test, run, progress)
    scored = answers.scores(model.legend.codes)
    below = score_floors(train, test) if floors else {}
    used, notes = train, [*fit_notes(kind, drawn, found, calibrate, answers), *_floor_notes(scored, below)]
    if refit:
        again = model.refit if {id(scene.source) for scene in train} == {id(scene.source) for scene in scenes} else kind.train
        kept = _snapshots(kind, workspace, "all-labels")
        model = again(scenes, seed=seed, run=run, progress=progress, **kept, **chosen).with_options(temperature=found.temperature)
        used, notes = list(scenes), [*notes, REFITTED]
    fitted(used)
    record = TrainingRecord(
        split=drawn.name,
        seed=seed,
        notes=tuple(notes),
        report=drawn.report,
        scores=scored.to_json(),
        floors={name: score.to_json() for name, score in below.items()},
        options={"method": chosen, "split": dict(split_options or {})},
        refitted=refit,
        used=tuple(UsedPixels.of(scene) for scene in used),
        fitted=tuple(UsedPixels.of(scene) for scene in train),
        predictions=answers,
        calibration=calibration_facts(found, answers),
    )
    return model, record


def fit_calibrated(
    kind: type[Classifier],
    train: Sequence[LabelledScene],
    drawn: Split,
    *,
    seed: int,
    run: Run,
    calibrate: bool,
    progress: Any = None,
    options: Mapping[str, Any] | None = None,
    snapshots: Mapping[str, Any] | None = None,
) -> tuple[Classifier, Calibration]:
    """A model fitted on the training part of a split, with the temperature that was found inside it; and how that was found.

    `snapshots` are arguments of that fit alone: the folds of the calibration keep none.
    """
    chosen: dict[str, Any] = dict(options or {})
    model = kind.train(train, seed=seed, run=run, progress=progress, **dict(snapshots or {}), **chosen)
    found = find_temperature(model, train, drawn, seed=seed, run=run, progress=progress, options=chosen) if calibrate else Calibration()
    return model.with_options(temperature=found.temperature), found


def _snapshots(kind: type[Classifier], workspace: Path | None, fit: str) -> dict[str, Path]:
    """Where one of the fits keeps its snapshots: an argument of it, where the classifier keeps any."""
    return {"workspace": workspace / fit} if workspace is not None and getattr(kind, "keeps_snapshots", False) else {}


def calibration_facts(found: Calibration, answers: Predictions) -> dict[str, Any]:
    """What the record keeps of a calibration: how it was found, and reliability diagrams before and after."""
    return {**asdict(found), "before": answers.reliability(calibrated=False).to_json(), "after": answers.reliability().to_json()}


def fit_notes(kind: type[Classifier], drawn: Split, found: Calibration, calibrated: bool, answers: Predictions) -> list[str]:
    """What a user should know of a split, of a fit on its training part, and of how sure the answers on its test part are."""
    unlabelled = getattr(kind, "learned_unlabelled", "")
    notes = [*drawn.notes, *([UNLABELLED.format(unlabelled)] if unlabelled else [])]
    if not calibrated:
        return notes
    if found.folds == "none":
        return [*notes, f"The confidence is not calibrated: of the training labels only {found.held} could be held out."]
    before, after = (answers.reliability(calibrated=wanted).ece for wanted in (False, True))
    worse = [WORSE.format(100 * before, 100 * after)] if after > before + CLEARLY else []
    return [*notes, *([ELSEWHERE] if drawn.name != "random" else []), *worse]


def _floor_notes(scored: Scores, below: Mapping[str, Scores]) -> list[str]:
    """Which floors the method does not reach."""
    above = [name for name, floor in below.items() if floor.overall > scored.overall + CLEARLY]
    return [f"The method scores below {' and '.join(above)}, a floor: a simpler one serves these labels better."] if above else []


def parts_of(scenes: Sequence[LabelledScene], drawn: Split) -> tuple[list[LabelledScene], list[LabelledScene]]:
    """The training and the test part of a split: scenes that have pixels in it."""
    train = [scene.take(keep) for scene, keep in zip(scenes, drawn.train, strict=True) if keep.any()]
    test = [scene.take(keep) for scene, keep in zip(scenes, drawn.test, strict=True) if keep.any()]
    return train, test


def predict_test(model: Any, test: Sequence[LabelledScene], run: Run, progress: Any = None, finish: Finish | None = None) -> Predictions:
    """A model's answers at the label pixels of scenes; see `predict`.

    Raises:
        LabelError: there is no pixel to score.
    """
    if not sum(len(scene) for scene in test):
        raise LabelError(label_names(test) or "labels", "no pixel is left to score", "Give labels of other places")
    return predict(model, test, run, progress, finish)


def score_floors(train: Sequence[LabelledScene], test: Sequence[LabelledScene]) -> dict[str, Scores]:
    """The nearest label (where the test lies in trained scenes) and a support vector machine on single spectra."""
    trained = {id(scene.source) for scene in train}
    codes = sorted({int(code) for scene in train for code in np.unique(scene.codes)})
    below = {}
    if all(id(scene.source) in trained for scene in test):
        below["nearest-label"] = _scored(test, np.concatenate(nearest_label(train, test)), codes)
    below["svm on spectra"] = _scored(test, np.concatenate(spectra_svm(train, test)), codes)
    return below


def _scored(test: Sequence[LabelledScene], predicted: NDArray[Any], codes: Sequence[int]) -> Scores:
    truth = np.concatenate([scene.codes for scene in test])
    return scores(truth, predicted, sorted({*codes, *(int(code) for code in np.unique(truth))}))
