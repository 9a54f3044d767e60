"""What a model says at label pixels, by the path that makes maps: the class, how sure it is, and what is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.method import Job
from hsikit.metrics.calibration import Reliability, calibrated_confidence, reliability
from hsikit.metrics.scores import RESERVED_CODES, Scores, scores
from hsikit.scene import Source
from hsikit.train.labelled import LabelledScene, joined_groups

Run = Callable[..., Any]
"""The engine's `compute(job, sources, *, layers, at, progress) -> Result`."""

Finish = Callable[[Job], Job]
"""What is done to a classifier's job before it is scored, such as smoothing."""

TYPES = {"scene": np.int32, "rows": np.int32, "cols": np.int32, "truth": np.uint8, "predicted": np.uint8, "confidence": np.float32,
         "uncalibrated": np.float32, "group": np.int32}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Predictions:
    """Answers of a model at n label pixels.

    Attributes:
        scenes: names of the scenes.
        scene: position of each pixel's scene in `scenes`, int32 (n,).
        rows, cols: where it lies in its scene, int32 (n,).
        truth: its class code, uint8 (n,).
        predicted: the map's code, uint8 (n,); 0, 254 and 255 are no class.
        confidence: highest class probability as the model gives it, float32 (n,); NaN without data.
        uncalibrated: the same at temperature 1.
        group: its polygon, value of the group field, or connected patch; numbered through all scenes, int32 (n,).
    """

    scenes: tuple[str, ...]
    scene: NDArray[np.int32]
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    uncalibrated: NDArray[np.float32]
    group: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Where the map names a class, bool (n,)."""
        return ~np.isin(self.predicted, RESERVED_CODES)

    def scores(self, codes: Sequence[int]) -> Scores:
        """Scores over these classes and those of the truth."""
        return scores(self.truth, self.predicted, sorted({*codes, *np.unique(self.truth).tolist()}))

    def reliability(self, calibrated: bool = True, bins: int = 15) -> Reliability:
        """The reliability diagram of the answered pixels, after or before calibration."""
        confidence, known = (self.confidence if calibrated else self.uncalibrated), self.answered
        return reliability(confidence[known], (self.predicted == self.truth)[known], bins)

    def state(self) -> tuple[dict[str, NDArray[Any]], list[str]]:
        """Arrays by name, and the scenes' names."""
        return {name: getattr(self, name) for name in TYPES}, list(self.scenes)

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError, KeyError: arrays that are missing, or of different lengths.
        """
        found = {name: np.asarray(arrays[name], kind) for name, kind in TYPES.items()}
        if len({values.shape for values in found.values()}) != 1 or found["truth"].ndim != 1:
            raise ValueError("the test predictions are not of one length")
        if len(found["scene"]) and not 0 <= found["scene"].min() <= found["scene"].max() < len(names):
            raise ValueError("the test predictions lie in scenes that are not named")
        return cls(tuple(names), **found)


def predict(model: Any, scenes: Sequence[LabelledScene], run: Run, progress: Any = None, finish: Finish | None = None) -> Predictions:
    """A classifier's answers at all label pixels of scenes.

    Args:
        model: the classifier.
        scenes: labelled scenes; only their labels' places are asked for.
        run: the engine's `compute`.
        progress: passed to `run`.
        finish: what is done to its job first.
    """
    found = [_answers(model, scene, run, progress, finish) for scene in scenes]
    counts = [len(scene) for scene in scenes]
    joined = {
        "scene": np.repeat(np.arange(len(scenes)), counts),
        "group": joined_groups(scenes),
        **{name: np.concatenate([getattr(scene, name) for scene in scenes]) for name in ("rows", "cols")},
        "truth": np.concatenate([scene.codes for scene in scenes]),
        **{name: np.concatenate([answers[k] for answers in found]) for k, name in enumerate(("predicted", "confidence", "uncalibrated"))},
    }
    return Predictions.from_state(joined, [scene.source.info.name for scene in scenes])


def _answers(model: Any, scene: LabelledScene, run: Run, progress: Any, finish: Finish | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Codes, confidence, and confidence at temperature 1."""
    codes, probabilities = probabilities_at(model, scene, run, progress, finish)
    return codes, calibrated_confidence(probabilities, model.temperature), calibrated_confidence(probabilities, 1.0)


@dataclass(frozen=True, eq=False)
class ScenePixels:
    """Pixels of an open scene, without labels.

    Attributes:
        source: the scene.
        rows, cols: where they lie on its grid, shape (n,); each once, sorted by (row, col).
    """

    source: Source
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)


def probabilities_at(
    model: Any, scene: LabelledScene | ScenePixels, run: Run, progress: Any = None, finish: Finish | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The map's codes (n,) and the class probabilities at temperature 1 (n, K) at the label pixels, or others, of a scene."""
    layers = ("map", "probabilities")
    extras = ("probabilities", *(() if finish is None else ("log_probabilities",)))
    job = model.with_options(extras=extras, temperature=1.0).bind({"cube": scene.source.info})
    job = job if finish is None else finish(job)
    found = run(job, {"cube": scene.source}, layers=layers, at=(scene.rows, scene.cols), progress=progress).values
    return np.asarray(found["map"][0], np.uint8), np.asarray(found["probabilities"].T, np.float32)
