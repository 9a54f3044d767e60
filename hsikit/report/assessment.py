"""What a model scored, out of its folder or out of a file of `hsikit evaluate`, as the values of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import OptionError
from hsikit.layers import Legend
from hsikit.metrics.bootstrap import Intervals, bootstrap_intervals
from hsikit.metrics.calibration import Reliability
from hsikit.metrics.scores import Scores
from hsikit.report.content import AreaRow, Areas, Assessment, Diagram, Estimate, Number, ScoreRow, SplitFacts
from hsikit.train.evaluate import Evaluation
from hsikit.train.record import TrainingRecord


def plain(value: Any) -> Number:
    """A float; None for NaN and for what is not there."""
    return None if value is None or not math.isfinite(value) else float(value)


def read_document(path: str | Path, maker: str) -> Mapping[str, Any]:
    """A JSON file that a verb of hsikit wrote.

    Raises:
        OptionError: it is missing, or holds no JSON object.
    """
    advice = f"Give the file that `{maker}` wrote"
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(path, f"it cannot be read ({error.strerror})", advice) from None
    except (ValueError, RecursionError):
        raise OptionError(path, "it is not JSON", advice) from None
    if not isinstance(document, dict):
        raise OptionError(path, "it holds no JSON object", advice)
    return document


def of_record(record: TrainingRecord, method: str, legend: Legend, temperature: float) -> Assessment:
    """The scores that `hsikit train` kept in the model folder; intervals and reliability where it kept the test predictions."""
    tested = record.predictions
    intervals = bootstrap_intervals(tested.truth, tested.predicted, tested.group, record.scores["codes"]) if tested is not None else None
    found = _assessment(
        method,
        Scores.from_json(dict(record.scores)),
        {name: Scores.from_json(dict(floor)) for name, floor in record.floors.items()},
        {entry.code: entry.name for entry in legend.classes},
        intervals,
    )
    kept = [(name, Reliability.from_json(record.calibration[name])) for name in ("before", "after") if record.calibration.get(name)]
    diagrams = tuple(diagram(name, one) for name, one in kept)
    return replace(found, split=split_of_record(record), diagrams=diagrams, temperature=temperature, notes=record.notes)


def read_evaluation(path: str | Path, method: str, legend: Legend) -> Evaluation:
    """A file of `hsikit evaluate`.

    Args:
        path: the file.
        method: of the model that made the map.
        legend: its classes.

    Raises:
        OptionError: it is no such file, or scores another method or other classes.
    """
    advice = "Evaluate the model that made the map"
    try:
        found = Evaluation.from_json(read_document(path, "hsikit evaluate -o"))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise OptionError(path, "it is no evaluation of a model", "Give the file that `hsikit evaluate -o` wrote") from None
    if found.method != method:
        raise OptionError(path, f"it scores the method {found.method}, but {method} made the map", advice)
    strange = [entry.name for entry in legend.classes if found.names.get(entry.code, entry.name) != entry.name]
    if strange:
        raise OptionError(path, f"it scores a model of other classes: {strange[0]} is another class there", advice)
    return found


def of_evaluation(found: Evaluation) -> Assessment:
    """The scores of an evaluation."""
    scored = _assessment(found.method, found.scores, found.floors, found.names, found.intervals)
    diagrams = (diagram("before", found.before), diagram("after", found.after))
    scored = replace(scored, source="evaluation", smoothed=found.smoothed, diagrams=diagrams, temperature=found.temperature, notes=found.notes)
    return replace(scored, split=split_of(found.split, found.report, ()) if found.report else None)


def _assessment(method: str, scores: Scores, floors: Mapping[str, Scores], names: Mapping[int, str], intervals: Intervals | None) -> Assessment:
    rows = (_row(method, scores, False, intervals), *(_row(name, floor, True, None) for name, floor in floors.items()))
    return Assessment(
        source="training",
        split=None,
        smoothed=False,
        tested=int(scores.support.sum()),
        unscored=scores.unscored,
        rows=rows,
        codes=scores.codes,
        names=tuple(names.get(code, f"class {code}") for code in scores.codes),
        confusion=tuple(tuple(row) for row in scores.confusion.tolist()),
        groups=intervals.groups if intervals is not None else None,
    )


def _row(name: str, scores: Scores, floor: bool, intervals: Intervals | None) -> ScoreRow:
    limits = [_interval(intervals.limits[key]) if intervals is not None else None for key in ("overall", "average")]
    return ScoreRow(name, floor, plain(scores.overall), plain(scores.average), plain(scores.kappa), plain(scores.macro_f1), *limits)


def _interval(ends: tuple[float, float]) -> tuple[float, float] | None:
    return ends if all(math.isfinite(end) for end in ends) else None


def diagram(name: str, found: Reliability) -> Diagram:
    """A reliability diagram as plain values."""
    bins = tuple(plain(value) for value in found.confidence), tuple(plain(value) for value in found.accuracy)
    return Diagram(name, plain(found.ece), tuple(found.edges.tolist()), tuple(found.counts.tolist()), *bins)


def per_class(found: Assessment) -> dict[int, dict[str, Any]]:
    """F1, IoU, producer's and user's accuracy and tested pixels by class code, from the confusion matrix."""
    scores = Scores.from_confusion(np.asarray(found.confusion, np.int64), found.codes)
    hits = np.diag(scores.confusion).astype(np.float64)
    union = scores.confusion.sum(0) + scores.confusion.sum(1) - hits
    iou = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    columns = {"f1": scores.f1, "iou": iou, "producers": scores.recall, "users": scores.precision}
    return {
        code: {**{name: plain(values[i]) for name, values in columns.items()}, "tested": int(scores.support[i])}
        for i, code in enumerate(scores.codes)
    }  # fmt: skip


def split_of(name: str, report: Mapping[str, Any], labels: Sequence[str]) -> SplitFacts:
    """How the labels were split.

    Args:
        name: of the split.
        report: see `hsikit.train.split_report`.
        labels: the label files.
    """
    names = {row["code"]: row["name"] for row in report.get("classes", ())}
    lost = {code for codes in report.get("lost", {}).values() for code in codes}
    overlap = report.get("overlap", {})
    return SplitFacts(
        name=name,
        train=int(report.get("train", 0)),
        test=int(report.get("test", 0)),
        unused=int(report.get("unused", 0)),
        guard=report.get("guard"),
        nearest=report.get("nearest"),
        overlap=overlap.get("share"),
        window=overlap.get("window"),
        lost=tuple(str(names.get(code, code)) for code in sorted(lost)),
        labels=tuple(dict.fromkeys(labels)),
    )


def split_of_record(record: TrainingRecord) -> SplitFacts:
    """The split that a model was trained with."""
    return split_of(record.split, record.report, [used.labels for used in record.used])


def areas_of(path: str | Path, mapped: Sequence[str]) -> Areas:
    """Area-adjusted accuracy out of a file of `hsikit accuracy --json`.

    Args:
        path: the file.
        mapped: names of the classes that the map shows.

    Raises:
        OptionError: it is no such file, or of a map of other classes.
    """
    document = read_document(path, "hsikit accuracy --json")
    try:
        found = _areas(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise OptionError(path, "it is no accuracy assessment", "Give the file that `hsikit accuracy --json` wrote") from None
    missing = set(mapped) - {row.name for row in found.rows}
    if missing:
        raise OptionError(path, f"it assesses a map of other classes: {min(missing)} is not among them", "Assess the map that is reported")
    return found


def _areas(document: Mapping[str, Any]) -> Areas:
    counts = np.asarray(document["counts"], np.int64)
    columns = {key: document[key] for key in ("area_share", "users", "producers", "area")}
    hectares = document["unit"] == "ha"
    rows = tuple(
        AreaRow(
            name=str(name),
            hectares=_estimate(columns["area"], i) if hectares else None,
            share=_estimate(columns["area_share"], i),
            users=_estimate(columns["users"], i),
            producers=_estimate(columns["producers"], i),
            points=int(counts[:, i].sum()),
        )
        for i, name in enumerate(document["classes"])
    )
    overall = document["overall"]
    whole = Estimate(plain(overall["value"]), plain(overall["half_width"]))
    return Areas(str(document["map"]), whole, int(document["points"]), rows, tuple(map(str, document["notes"])))


def _estimate(column: Mapping[str, Any], place: int) -> Estimate:
    return Estimate(plain(column["value"][place]), plain(column["half_width"][place]))
