"""Training a classifier so that its score means something.

A spatially disjoint split comes first. A model is fitted on its training part and scored, by the very path that makes maps,
on its test part, beside two floors: the nearest label, and a support vector machine on single spectra. Then the model that
is saved is fitted on all labels, unless the user wants the scored one. The record keeps the split, the scores and the
pixels used, so that no later evaluation scores a pixel that the model has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.layers import Legend
from hsikit.method import Job
from hsikit.metrics.scores import Scores, scores
from hsikit.scene import SceneInfo, Source
from hsikit.train.floors import nearest_label, spectra_svm
from hsikit.train.labelled import LabelledScene, label_names, require_classes
from hsikit.train.record import TrainingRecord, UsedPixels
from hsikit.train.splits import Split, make_split

CLEARLY = 0.01
"""Overall accuracy by which a floor must lead before a note says so: less is a matter of a few pixels."""

Codes = NDArray[np.uint8]
Run = Callable[..., Any]
"""The engine's `compute(job, sources, *, layers, at, progress) -> Result`."""


class Classifier(Protocol):
    """What is trained here: `hsikit.tasks.classification.base.PixelClassifier`, or another package's."""

    name: str
    legend: Legend

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Run, progress: Any = None, **options: Any) -> Classifier:
        """Learns from labelled scenes."""
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
    seed: int = 0,
    run: Run,
    options: Mapping[str, Any] | None = None,
    split_options: Mapping[str, Any] | None = None,
    floors: bool = True,
    progress: Any = None,
) -> tuple[Any, TrainingRecord]:
    """Splits, fits, scores, and fits again on all labels.

    Args:
        kind: the classifier's class.
        scenes: labelled scenes with one legend (`combine_legends`).
        split: a name that `make_split` knows.
        refit: whether the model returned is fitted on all labels; else it is the one that was scored.
        seed: of the split and the classifier.
        run: the engine's `compute`.
        options: the classifier's training options.
        split_options: further arguments of `make_split` (guard, block, ...).
        floors: whether the two floors are scored beside it.
        progress: passed to `run`.

    Returns:
        The model, and how it was trained.

    Raises:
        LabelError: fewer than two classes.
        SplitError: nothing is left to train or to test on.
        ModelError, OptionError: from the classifier.
    """
    require_classes(scenes, 2)
    chosen = dict(options or {})
    drawn = make_split(split, scenes, seed=seed, **dict(split_options or {}))
    train, test = parts_of(scenes, drawn)
    model = kind.train(train, seed=seed, run=run, progress=progress, **chosen)
    scored = score_model(model, test, run, progress)
    below = score_floors(train, test) if floors else {}
    notes = list(drawn.notes)
    above = [name for name, floor in below.items() if floor.overall > scored.overall + CLEARLY]
    if above:
        notes.append(f"The method scores below {' and '.join(above)}, a floor: a simpler one serves these labels better.")
    used = train
    if refit:
        model, used = kind.train(scenes, seed=seed, run=run, progress=progress, **chosen), list(scenes)
        notes.append("The scores are those of a model fitted on the training part of the split; the saved model was then fitted on all labels.")
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
    )
    return model, record


def parts_of(scenes: Sequence[LabelledScene], drawn: Split) -> tuple[list[LabelledScene], list[LabelledScene]]:
    """The training and the test part of a split: scenes that have pixels in it."""
    train = [scene.take(keep) for scene, keep in zip(scenes, drawn.train, strict=True) if keep.any()]
    test = [scene.take(keep) for scene, keep in zip(scenes, drawn.test, strict=True) if keep.any()]
    return train, test


def predict_codes(model: Any, scene: LabelledScene, run: Run, progress: Any = None) -> Codes:
    """The map's codes at the label pixels of a scene, by the path that makes maps."""
    job = model.bind({"cube": scene.source.info})
    sources: dict[str, Source] = {"cube": scene.source}
    result = run(job, sources, layers=("map",), at=(scene.rows, scene.cols), progress=progress)
    return np.asarray(result.values["map"][0], np.uint8)


def score_model(model: Any, test: Sequence[LabelledScene], run: Run, progress: Any = None) -> Scores:
    """Scores a model on the label pixels of scenes.

    Raises:
        LabelError: there is no pixel to score.
    """
    if not sum(len(scene.rows) for scene in test):
        raise LabelError(label_names(test) or "labels", "no pixel is left to score", "Give labels of other places")
    predicted = np.concatenate([predict_codes(model, scene, run, progress) for scene in test])
    return _scored(test, predicted, model.legend.codes)


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
