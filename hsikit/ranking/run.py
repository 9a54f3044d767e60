"""Scenes x draws x detectors: every map once, scored, and kept in a folder, so that detectors are compared on the very same pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import HsikitError, LabelError, MethodError
from hsikit.ranking.cells import DetectorCell, ground_of, read_cell, score_map, scored_cell, write_cell
from hsikit.ranking.plan import Detector, RankingPlan
from hsikit.ranking.truth import Truth
from hsikit.targets import library_targets, scene_target
from hsikit.tasks.detection.mtmf import INFEASIBILITY
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.train.benchmark_cells import cell_place, digest, made_folder

if TYPE_CHECKING:
    from hsikit.engine.options import Progress

FORM = ("detectors", 1)
"""Kind and version of a cell's file."""


def run_ranking(truths: Sequence[Truth], plan: RankingPlan, folder: str | Path | None = None, *, threads: int | None = None,
                progress: Progress | None = None) -> list[DetectorCell]:  # fmt: skip
    """Every cell of a plan: those that the folder holds are read, the others are mapped, scored and kept.

    Args:
        truths: scenes with their truth.
        plan: what is compared, see `make_ranking_plan`.
        folder: a new or empty folder, or that of an earlier benchmark; None: nothing is kept.
        threads: of a map; None: all cores.
        progress: told of cells.

    Returns:
        One cell for each scene, draw and row. One that failed with an error of hsikit says so, and is tried again next time.

    Raises:
        LabelError: a scene has not more target pixels than are drawn.
        OptionError, SceneError, WavelengthError: a library that cannot be looked for.
        OutputError: the folder holds something else, or cannot be written.
    """
    for truth in truths:
        if len(truth) <= plan.drawn:
            wrong = f"it has {len(truth)} target pixels, and {plan.drawn} would be drawn, which are not scored"
            raise LabelError(truth.targets.name, wrong, "Draw fewer (--target-pixels), or give truth with more")
    scenes = [_scene(truth, title, plan) for truth, title in zip(truths, scene_titles(truths), strict=True)]
    home = None if folder is None else made_folder(folder)
    places = [(scene, seed, scene.places(home, seed)) for scene in scenes for seed in plan.seeds]
    known = [{row: read_cell(place, scene.title) if place else None for row, place in own.items()} for scene, _, own in places]
    if progress is not None:
        there = [cell for row in known for cell in row.values()]
        progress.begin("", len(there), sum(cell is not None for cell in there))
    found: list[DetectorCell] = []
    for (scene, seed, own), done in zip(places, known, strict=True):
        for cell in scene.scored(seed, [detector for detector in plan.detectors if done[detector.row] is None], threads):
            place = own[cell.row]
            if place is not None:
                write_cell(place, cell)
            done[cell.row] = cell
            if progress is not None:
                progress.advance(f"{scene.title}, {f'seed {seed}, ' if plan.drawn else ''}{cell.row}" + (": failed" if cell.error else ""))
        found += [cell for cell in done.values() if cell is not None]
    return found


def scene_titles(truths: Sequence[Truth]) -> list[str]:
    """The scenes as the table names them: as the user did, and with a number where two have one name."""
    names = [truth.source.info.name for truth in truths]
    return [name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)]


def drawn_pixels(truth: Truth, count: int, seed: int) -> NDArray[np.intp]:
    """Positions of the target pixels that a seed draws, shape (count,)."""
    if not count:
        return np.zeros(0, np.intp)
    return np.asarray(np.random.default_rng(seed).choice(len(truth), count, replace=False), np.intp)


def _scene(truth: Truth, title: str, plan: RankingPlan) -> _Scene:
    library = None if plan.target is None else library_targets(truth.source.info, plan.target, plan.names)
    return _Scene(truth, title, plan, library, ground_of(truth))


@dataclass(frozen=True, eq=False)
class _Scene:
    """A scene at work.

    Attributes:
        truth: of it.
        title: in the table.
        plan: of the ranking.
        library: what is looked for, where nothing is drawn.
        ground: what tells scene and truth from others.
    """

    truth: Truth
    title: str
    plan: RankingPlan
    library: TargetSpectra | None
    ground: str

    def places(self, folder: Path | None, seed: int) -> dict[str, Path | None]:
        """The file of each row's cell."""
        if folder is None:
            return dict.fromkeys((detector.row for detector in self.plan.detectors), None)
        sought: list[Any] = ["pixels", self.plan.drawn, seed]
        if self.library is not None:
            sought = ["library", digest([self.library.values.tolist(), self.library.wavelength.tolist(), self.library.quantity])]
        return {each.row: cell_place(folder, FORM, [self.ground, each.method, dict(each.options), sought]) for each in self.plan.detectors}

    def scored(self, seed: int, detectors: Sequence[Detector], threads: int | None) -> Iterator[DetectorCell]:
        """New cells of one draw."""
        if not detectors:
            return
        drawn = drawn_pixels(self.truth, self.plan.drawn, seed)
        try:
            targets = self._targets(drawn)
        except HsikitError as error:
            yield from (DetectorCell(scene=self.title, row=detector.row, seed=seed, error=str(error)) for detector in detectors)
            return
        for detector in detectors:
            try:
                yield self._cell(detector, targets, drawn, seed, threads)
            except HsikitError as error:
                yield DetectorCell(scene=self.title, row=detector.row, seed=seed, error=str(error))

    def _targets(self, drawn: NDArray[np.intp]) -> TargetSpectra | None:
        """What is looked for."""
        if not len(drawn):
            return self.library
        where = self.truth.targets
        return scene_target(self.truth.source, [(int(where.rows[i]), int(where.cols[i])) for i in drawn])

    def _cell(self, detector: Detector, targets: TargetSpectra | None, drawn: NDArray[np.intp], seed: int, threads: int | None) -> DetectorCell:
        """Maps the scene, and scores the map."""
        from hsikit.engine import compute

        source = self.truth.source
        start = time.perf_counter()
        job = detector.made(targets).bind({"cube": source.info})
        wanted = [layer.name for layer in job.layers if layer.name in ("scores", INFEASIBILITY)]
        if "scores" not in wanted:
            raise MethodError(detector.method, "gives no score to each pixel (no layer named scores)", "Leave it out")
        scores = score_map(compute(job, {"cube": source}, layers=wanted, threads=threads).layers)
        blank = DetectorCell(scene=self.title, row=detector.row, seed=seed, seconds=time.perf_counter() - start)
        return scored_cell(blank, scores, self.truth, drawn)
