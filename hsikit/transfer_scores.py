"""What a model would be worth on other sensors: its test pixels, resampled to each, answered by read-out and by refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hsikit.errors import LabelError, ModelError, OptionError

if TYPE_CHECKING:
    from hsikit.metrics.scores import Scores
    from hsikit.tasks.classification.transfer import Transfer
    from hsikit.train.labelled import LabelledScene
    from hsikit.train.record import TrainingRecord

READ_OUT, REFITTED = "read out", "refitted"
OWN = "its own"


@dataclass(frozen=True)
class SensorScore:
    """How one way to answer for one sensor scored.

    Attributes:
        way: `READ_OUT` (as `hsikit classify` maps another sensor; nothing refitted) or `REFITTED` (`hsikit adapt`).
        sensor: the sensor; `OWN` for the scene as it is, where `REFITTED` is the model itself.
        bands: how many bands of the scene were used; 0 where it was refused.
        scores: on the test pixels; None where it was refused.
        loss: share of the overall accuracy on its own sensor that is lost; None there and where it was refused.
        refused: why, or "".
    """

    way: str
    sensor: str
    bands: int
    scores: Scores | None
    loss: float | None
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        scores = None if self.scores is None else self.scores.to_json()
        return {"way": self.way, "sensor": self.sensor, "bands": self.bands, "scores": scores, "loss": self.loss, "refused": self.refused}


def score_as_sensors(
    method: Any,
    transfer: Transfer,
    test: Sequence[LabelledScene],
    sensors: Sequence[str],
    *,
    seed: int = 0,
    run: Callable[..., Any],
    progress: Any = None,
) -> list[SensorScore]:
    """Scores a model on test pixels as other sensors would have seen them, by their responses alone: no noise, nothing shifted.

    Args:
        method: the trained model.
        transfer: what its folder keeps.
        test: labelled scenes of its own sensor, under its legend, of pixels that it has not seen.
        sensors: names of `list_sensors`, or CSV files of bands.
        seed: of the refits.
        run: the engine's `compute`.
        progress: passed to `run`.

    Raises:
        OptionError, WavelengthError: no such sensor, or a scene that can answer for none of its bands.
        ModelError: the scenes are not of the model's sensor.
    """
    from hsikit.tasks.classification.any_sensor import AnySensor, lacking_bands, maps_own_sensor_only
    from hsikit.transfer import adaptation_target

    for scene in test:
        if lacking_bands(method.basis, scene.source.info, own=True) is not None:
            advice = "Give a scene of the sensor that it was trained on"
            raise ModelError(scene.source.info.name, "it has not the model's bands, so nothing can be resampled from it", advice)
    targets = {name: adaptation_target(name) for name in sensors}
    mapper = AnySensor(method, transfer)
    reader = mapper.reader if maps_own_sensor_only(method) else method
    score = _Scorer(method, transfer, run, progress)
    found = [score(way, OWN, made, test, {}) for way, made in ((READ_OUT, lambda: reader), (REFITTED, lambda: method))]
    own = {part.way: part.scores for part in found}
    for name, target in targets.items():
        seen = [_as_sensor(scene, name) for scene in test]
        found.append(score(READ_OUT, name, partial(mapper.for_scene, seen[0].source.info), seen, own))
        found.append(score(REFITTED, name, partial(score.refit, target, seed), seen, own))
    return found


@dataclass(frozen=True, eq=False)
class _Scorer:
    method: Any
    transfer: Transfer
    run: Callable[..., Any]
    progress: Any

    def refit(self, target: Any, seed: int) -> Any:
        """The model refitted for a target."""
        from hsikit.tasks.classification.refitting import refitted
        from hsikit.transfer import other_sensor

        return refitted(self.method, self.transfer, other_sensor(self.transfer, target), seed=seed)[0]

    def __call__(self, way: str, sensor: str, make: Callable[[], Any], test: Sequence[LabelledScene], own: Mapping[str, Scores | None]) -> SensorScore:
        """The score of one way; what is refused says so."""
        from hsikit.train.pipeline import predict_test

        try:
            made = make()
            jobs = [made.bind({"cube": scene.source.info}) for scene in test]
        except ModelError as error:
            return SensorScore(way, sensor, 0, None, None, f"{error.wrong}")
        scored = predict_test(made, test, self.run, self.progress).scores(self.method.legend.codes)
        before = own.get(way)
        loss = None if before is None or not before.overall else 1 - scored.overall / before.overall
        return SensorScore(way, sensor, len(jobs[0].inputs["cube"].bands), scored, loss)


def _as_sensor(scene: LabelledScene, sensor: str) -> LabelledScene:
    """The labels on the scene as another sensor would have measured it; nothing is read yet."""
    from hsikit.convert.resample import resampled

    return replace(scene, source=resampled(scene.source, sensor))


def unseen_part(method: Any, record: TrainingRecord | None, scenes: Sequence[LabelledScene]) -> list[LabelledScene]:
    """The labels that a saved model has not seen, under its legend.

    Raises:
        LabelError: there are none, or the model's folder does not say.
    """
    from hsikit.train.labelled import label_names
    from hsikit.train.labels import under_legend

    scenes = under_legend(scenes, method.legend)
    if record is None:
        raise LabelError(label_names(scenes), "the model folder does not say which pixels the model was fitted on", "Give --split to fit its method anew")
    fresh = [scene.take(record.unseen(scene)) for scene in scenes]
    left = [scene for scene in fresh if len(scene)]
    if not left:
        advice = "Give labels of other places, train with --no-refit, or give --split to fit its method anew"
        raise LabelError(label_names(scenes), "the model was fitted on all of these label pixels, so none is left to score it on", advice)
    return left


def fit_on_split(
    method: Any,
    record: TrainingRecord | None,
    scenes: Sequence[LabelledScene],
    split: str,
    *,
    seed: int,
    split_options: Mapping[str, Any] | None = None,
    networks: bool = True,
    run: Callable[..., Any],
    progress: Any = None,
) -> tuple[Any, Transfer, list[LabelledScene]]:
    """The model's method fitted on the training part of a split; what it keeps for other sensors, and the test part.

    Raises:
        SplitError: nothing is left to train or to test on.
    """
    from hsikit.train.labels import under_legend
    from hsikit.train.pipeline import parts_of
    from hsikit.train.splits import make_split
    from hsikit.transfer import gather_transfer

    scenes = under_legend(scenes, method.legend)
    train, test = parts_of(scenes, make_split(split, scenes, seed=seed, **dict(split_options or {})))
    options = dict(record.options.get("method", {})) if record is not None else {}
    fitted = type(method).train(train, seed=seed, run=run, progress=progress, **options)
    transfer = gather_transfer(fitted, train, networks=networks, seed=seed, progress=progress)
    if transfer is None:
        raise OptionError("as_sensor", "the scene has no wavelengths", "Name them with --sensor or --wavelengths")
    return fitted, transfer, test
