"""Collects what the report of a detection says and shows: out of the map, its hits, the scene, and truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, MapError, OptionError
from hsikit.geo.grid import Grid
from hsikit.metrics.detection import RocCurve
from hsikit.report.detection.content import ANOMALIES, OBJECTS, TARGETS, DetectionContent, Found, HitFacts, Line, MethodFacts, ScoreFacts
from hsikit.report.detection.hits import Hits, find_hits, listed, read_hits
from hsikit.report.detection.scores import ScoreMap, bin_edges, extent, method_facts, open_scores
from hsikit.report.detection.truth import Truth, open_truth
from hsikit.report.detection.worth import Floor, Run, Scored, floor_of, histogram, lattice, score
from hsikit.report.ground import Pixels, moved, on_map, picture, plain
from hsikit.scene import Bands, Source
from hsikit.train.extract import spectra_at
from hsikit.version import __version__

if TYPE_CHECKING:
    from hsikit.tasks.detection.target_spectra import TargetSpectra

MOST_PANELS = 12
"""Hits whose spectra are shown, those of the highest scores."""
MOST_MEAN = 2500
"""Pixels of the scene's mean spectrum, spread evenly."""
MACHINERY = frozenset({"areas", "targets", "names", "bands", "weights", "pfa"})
"""Parameters of a run that the page says elsewhere, or that say nothing to a reader."""
NOWHERE: Pixels = (np.zeros(0, np.intp), np.zeros(0, np.intp))
OWN_PIXELS = ("row ", "mean of ")
"""Beginnings of the names of targets that are pixels of the scene itself."""


@dataclass(frozen=True, eq=False)
class Views:
    """What the pictures of a report are drawn from: arrays, beside the plain values of the content.

    Attributes:
        grid: the map's.
        scores: the map, made small; shape (rows, cols), NaN where there is no score.
        quicklook: shape (rows, cols, 3), 0 to 1, NaN where there is no data; None without a scene.
        hits: all of them; None where the map has no threshold.
        bands: of the scene; None without one.
        curves: ROC curves by name, the method's first.
    """

    grid: Grid
    scores: NDArray[np.float32]
    quicklook: NDArray[np.float32] | None
    hits: Hits | None
    bands: Bands | None = None
    curves: Mapping[str, RocCurve] = field(default_factory=dict)


def gather_detection(
    path: str | Path,
    run: Run,
    *,
    scene: Source | None = None,
    hits: str | Path | None = None,
    target: TargetSpectra | None = None,
    pixels: Sequence[tuple[int, int]] = (),
    truth: str | Path | None = None,
) -> tuple[DetectionContent, Views]:
    """Everything that a report of a detection says and shows.

    Args:
        path: the map of scores.
        run: runs a method on a scene, for the floor.
        scene: the scene that the map was made from, for quicklook, spectra and floor.
        hits: a file of the run's hits; None: they are found in the map.
        target: what was looked for, at the scene's bands; None: what the map's own metadata say.
        pixels: rows and columns in the scene of the pixels that the target was taken from, which are not scored.
        truth: see `open_truth`.

    Raises:
        MapError: no map of scores.
        OptionError: hits of another run, or another target than the map's.
        GridError: scene, hits or truth do not lie on the map.
        LabelError: truth that cannot be used.
        SceneError: the scene is damaged.
    """
    with open_scores(path) as scores:
        made_by = method_facts(scores.made)
        _check_target(made_by, target, path)
        source = on_map(scene, scores.grid, str(path)) if scene is not None else None
        known = open_truth(truth, scores.grid, str(path)) if truth is not None else None
        taken = _taken(scene, pixels, scores.grid)
        facts, threshold = _score_facts(scores, known)
        found, points = _found(scores, made_by, hits, threshold, known)
        spectra = target if target is not None or source is None else _own_target(scores, made_by, source)
        scored = _scored(scores, made_by, known, str(truth), threshold, taken, floor_of(made_by, scores, source, spectra, run)) if known is not None else None
        content = DetectionContent(
            title=f"{'Anomalies' if made_by.task == ANOMALIES else 'Objects' if made_by.task == OBJECTS else 'Targets'} in {_scene_name(scores, scene)}",
            map=scores.made.facts(MACHINERY),
            made_by=made_by,
            scores=facts,
            found=found,
            worth=scored.worth if scored is not None else None,
            scene=scene.info.name if scene is not None else "",
            warnings=_warnings(scores, made_by, scene, found, scored, pixels),
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        views = Views(scores.grid, scores.picture(), None, points, curves=scored.curves if scored is not None else {})
        return (content, views) if source is None else _with_scene(content, views, scores, source, spectra)


def _taken(scene: Source | None, pixels: Sequence[tuple[int, int]], grid: Grid) -> Pixels:
    """Pixels of a scene as pixels of the map."""
    if scene is None or not len(pixels):
        return NOWHERE
    rows, cols = np.array(pixels, np.intp).T
    return moved(scene.info.grid, rows, cols, grid)[0]


def _with_scene(content: DetectionContent, views: Views, scores: ScoreMap, source: Source, target: TargetSpectra | None) -> tuple[DetectionContent, Views]:
    """Adds what only the scene can tell: quicklook and spectra."""
    shown, composite = picture(source)
    info = source.info
    lines = _lines(content, scores, source, target)
    more = replace(
        content, composite=composite, lines=lines, wavelengths=tuple(float(nm) for nm in info.bands.wavelength) if lines else (),
        quantity=info.quantity, units=info.units,
    )  # fmt: skip
    return more, replace(views, quicklook=shown, bands=info.bands)


def _scene_name(scores: ScoreMap, scene: Source | None) -> str:
    named = scene.info.name if scene is not None else scores.made.made_from
    return Path(named).name or scores.made.path.name


def _check_target(made_by: MethodFacts, target: TargetSpectra | None, path: str | Path) -> None:
    """A target is given for a map of targets alone, and it is the map's."""
    if target is None:
        return
    if made_by.task != TARGETS:
        raise OptionError("target", f"{made_by.method}, which made {path}, looks for no target", "Leave it out")
    if made_by.targets and set(made_by.targets) != set(target.names):
        wrong = f"{target.source} gives {', '.join(target.names)}, and {path} was made for {', '.join(made_by.targets)}"
        raise OptionError("target", wrong, "Give the target of the map, or leave it out: the map's own metadata know it")


def _own_target(scores: ScoreMap, made_by: MethodFacts, source: Source) -> TargetSpectra | None:
    """What was looked for, out of the file beside the map; None where it does not say."""
    from hsikit.tasks.detection.target_spectra import TargetSpectra

    told = scores.made.table("parameters")
    if made_by.task != TARGETS or not {"targets", "names", "bands"} <= set(told):
        return None
    try:
        values, used, names = np.asarray(told["targets"], np.float64), np.asarray(told["bands"], np.intp), tuple(map(str, told["names"]))
    except (TypeError, ValueError):
        return None
    if values.ndim != 2 or values.shape != (len(names), len(used)) or not len(used):
        return None
    bands = source.info.bands
    if used.min() < 0 or used.max() >= len(bands):
        wrong = f"has {len(bands)} bands, and the map {scores.name} was made of band {int(used.max()) + 1}"
        raise MapError(source.info.name, wrong, "Give the scene that the map was made from, read with the same options")
    return TargetSpectra(names, values, bands.wavelength[used], bands.fwhm[used], source.info.quantity, f"the map {scores.name}")


def _score_facts(scores: ScoreMap, truth: Truth | None) -> tuple[ScoreFacts, float | None]:
    scored, nodata, low, high = extent(scores)
    edges = bin_edges(low, high)
    every, targets = histogram(scores, edges, truth)
    threshold = scores.threshold()
    above = None if threshold is None else sum(int((values > threshold).sum()) for _, values in scores.strips())
    told = ScoreFacts(
        scored, nodata, low, high, tuple(edges.tolist()), tuple(every.tolist()), None if targets is None else tuple(targets.tolist()),
        scores.pfa, threshold, above, scores.ranked,
    )  # fmt: skip
    return told, threshold


def _found(scores: ScoreMap, made_by: MethodFacts, path: str | Path | None, threshold: float | None, truth: Truth | None) -> tuple[Found, Hits | None]:
    """The hits of the user's file, else those of the map itself where it has a threshold."""
    if path is not None:
        if made_by.task != OBJECTS and scores.pfa is None:
            raise OptionError(path, f"the map {scores.name} was made without a threshold, so that these hits are of another run", "Leave them out")
        hits, source = read_hits(path, scores, threshold), "file"
        exact = threshold is not None and made_by.task != OBJECTS and not scores.placed
        groups = len(find_hits(scores, threshold)) if exact and threshold is not None else None
    elif threshold is None or made_by.task == OBJECTS:
        return Found("none"), None
    else:
        hits, source = find_hits(scores, threshold), "map"
        groups = len(hits)
    return Found(source, "" if path is None else str(path), len(hits), groups, listed(hits, scores, truth, threshold, path)), hits


def _scored(scores: ScoreMap, made_by: MethodFacts, known: Truth, path: str, threshold: float | None, taken: Pixels, floor: Floor) -> Scored:
    try:
        return score(scores, known, path, threshold, made_by, floor, taken)
    except LabelError as error:
        raise LabelError(path, error.wrong, error.advice) from None


def _lines(content: DetectionContent, scores: ScoreMap, source: Source, target: TargetSpectra | None) -> tuple[Line, ...]:
    """Spectra of the highest hits, and what they are beside: the targets, or the scene's mean."""
    shown = [hit for hit in content.found.listed if hit.row is not None][:MOST_PANELS]
    if not shown:
        return ()
    good, everything = source.info.bands.good, np.arange(len(source.info.bands))
    spectra = spectra_at(source, np.array([hit.row for hit in shown]), np.array([hit.col for hit in shown]), everything)
    lines = [Line(_hit_name(hit), "hit", plain(values, good)) for hit, values in zip(shown, spectra, strict=True)]
    if target is None:
        mean = spectra_at(source, *lattice(scores, MOST_MEAN), everything)
        mean = mean[np.isfinite(mean[:, good]).all(axis=1)]
        beside = [Line(f"mean of {len(mean):,} pixels of the scene", "mean", plain(mean.mean(axis=0, dtype=np.float64), good))] if len(mean) else []
        return (*lines, *beside)
    used, values = target.seen_by(source.info)
    every: NDArray[np.float64] = np.full((len(values), len(everything)), np.nan)
    every[:, used] = values
    return (*lines, *(Line(name, "target", plain(row, good)) for name, row in zip(target.names, every, strict=True)))


def _hit_name(hit: HitFacts) -> str:
    return f"hit {hit.number}"


def _warnings(
    scores: ScoreMap, made_by: MethodFacts, scene: Source | None, hits: Found, scored: Scored | None, pixels: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    """What a reader must know before anything else."""
    found = []
    made_from = scores.made.made_from
    if scene is not None and made_from and Path(made_from).name != Path(scene.info.name).name:
        found.append(f"The map's own metadata name the scene {Path(made_from).name}; quicklook and spectra are of {Path(scene.info.name).name}.")
    if scored is not None and not pixels and any(name.startswith(OWN_PIXELS) for name in made_by.targets):
        found.append(
            "The target was taken from pixels of this scene, which are scored below with all others, and score high for that reason alone. "
            "With --pixel they are left out."
        )
    if hits.groups is not None and hits.groups != hits.count:
        told = f"holds {hits.count:,} of the {hits.groups:,} groups of pixels that lie above the map's threshold"
        found.append(f"The file {Path(hits.file).name} {told}: the scores below are of the map, not of that choice.")
    if scores.placed:
        found.append(
            "The map was put in place from the sensor's own grid, where measurements lie closer or further apart: threshold and counts are of the map's "
            "pixels, and differ a little from those of the run."
        )
    return tuple(found)
