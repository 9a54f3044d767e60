"""`hsikit.rank_detectors`: detectors on scenes whose targets are known, in one call. Imports nothing heavy until it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.errors import OptionError

if TYPE_CHECKING:
    from hsikit.engine.options import Progress
    from hsikit.ranking.table import Ranking
    from hsikit.sensors.masking import Masks


def rank_detectors(scenes: Any, truth: Any, methods: Sequence[Any], folder: str | Path | None = None, *, target_pixels: int | None = None,
                   target: Any = None, names: Sequence[str] = (), seeds: Iterable[int] | None = None, against: str | None = None,
                   truth_options: Mapping[str, Any] | None = None, mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None,
                   threads: int | None = None, progress: Progress | None = None) -> Ranking:  # fmt: skip
    """Ranks detectors of targets, or of anomalies, on scenes whose targets are known pixel by pixel. See docs/benchmark.md.

    Example:
        >>> print(hsikit.rank_detectors("scene.tif", "truth.tif", ["local-rx", "object-anomaly"]))
        >>> print(hsikit.rank_detectors("scene.tif", "truth.tif", ["ace", ("matched-filter", {"exclude": 0.005})], target_pixels=3))

    Args:
        scenes: one scene, or a list of scenes (then `truth` is a list of as many).
        truth: for each scene a raster or array on its grid (above 0 a target, 0 background, nodata not scored), or points and polygons.
        methods: names, or (name, options).
        folder: keeps cells and tables, for a run that is gone on with; None: nothing is written.
        target_pixels: look for the mean of so many target pixels, drawn by each seed and not scored.
        target: look for spectra of a library instead.
        names: which of them.
        seeds: of the draws; None: 0 to 9.
        against: row that differences are taken to; None: the first.
        truth_options: for polygons: `buffer`, `min_coverage`, `all_touched`.
        mask: what neither methods nor scores see: see `run`.
        dilate: as for `run`.
        aoi: as for `run`.
        threads: of a map; None: all cores.
        progress: told of progress.

    Raises:
        OptionError, MethodError, LabelError: a plan that cannot be run, or a truth that cannot be used.
    """
    from hsikit.api import opened
    from hsikit.ranking.plan import make_ranking_plan
    from hsikit.ranking.run import run_ranking
    from hsikit.ranking.table import ranking_of
    from hsikit.ranking.truth import read_truth

    plan = make_ranking_plan(methods, target_pixels=target_pixels, target=target, names=names, seeds=seeds, against=against)
    several = isinstance(truth, list) and isinstance(scenes, list)
    if several and len(truth) != len(scenes):
        raise OptionError("truth", f"{len(truth)} of them for {len(scenes)} scenes", "Give one for each scene, in the same order")
    pairs = list(zip(scenes, truth, strict=True)) if several else [(scenes, truth)]
    with ExitStack() as held:
        truths = [read_truth(held.enter_context(opened(scene)), known, mask=mask, dilate=dilate, aoi=aoi, options=truth_options) for scene, known in pairs]
        found = ranking_of(plan, run_ranking(truths, plan, folder, threads=threads, progress=progress), truths)
    return found if folder is None else replace(found, files=tuple(found.write(folder)))
