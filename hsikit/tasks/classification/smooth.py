"""Regularises a classifier's probabilities along edges: labels flow inside fields, and hardly across their borders.

Log-probabilities are diffused over the four neighbours, Y <- keep Y0 + (1 - keep) sum(w Y) / sum(w), with weights
w = exp(-(d / median d)^2) of the spectral difference d between neighbours (`edges`); a fixed number of steps. After Perona
and Malik, 1990 (doi:10.1109/34.56205); differs from it by diffusing log-probabilities in place of grey values, guided by the
spectra, and by the share of the data term that is kept at each step.
A pixel depends on its neighbours up to `steps` away: with that halo tiles give what the whole scene gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hsikit.errors import MethodError, OptionError
from hsikit.layers import Legend
from hsikit.method import Cost, Job, Map, Store, Tile
from hsikit.tasks.classification.decision import EXTRAS, LEAST, LOG_PROBABILITIES, decide
from hsikit.tasks.classification.diffusion import advance
from hsikit.tasks.classification.edges import EDGE_LAYER, EDGES, MEDIAN, edge_bytes, edge_stage, median_stage

if TYPE_CHECKING:
    from torch import Tensor

MOST_STEPS = 1000


def smooth(job: Job, steps: int = 60, keep: float = 0.05) -> Job:
    """A job whose class map, confidence and probabilities come from smoothed log-probabilities.

    Args:
        job: of any classifier that names its scratch layer `log_probabilities` (extras of `PixelClassifier`).
        steps: of diffusion; the halo in pixels.
        keep: share of the original log-probabilities that enters each step, above 0 and up to 1.

    Raises:
        MethodError: the job has no such layer, or no class map.
        OptionError: steps or share out of range.
    """
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise OptionError("smooth", f"{steps!r} is not a number of steps from 1 to {MOST_STEPS}")
    if not 0 < keep <= 1:
        raise OptionError("smooth", f"{keep!r} is not a share above 0 and up to 1")
    names = [layer.name for layer in job.layers]
    writer = next((stage for stage in job.stages if isinstance(stage, Map) and LOG_PROBABILITIES in stage.writes), None)
    if writer is None or "map" not in names or job.layer("map").legend is None:
        raise MethodError(job.method, "it names no log-probabilities, so there is nothing to smooth", "Ask for its layer 'log_probabilities'")
    outputs = tuple(name for name in names if name in ("map", *EXTRAS) and name != LOG_PROBABILITIES)
    legend = job.layer("map").legend
    assert legend is not None
    last = Map("smooth", (LOG_PROBABILITIES, EDGES), outputs, _apply(steps, keep, legend, outputs, job.identity), halo=(steps, steps))
    stages = tuple(_only_scratch(stage) if stage is writer else stage for stage in job.stages)
    classes, bands = len(legend), len(job.inputs[job.reference].bands)
    return replace(
        job,
        identity={**job.identity, "smooth": [steps, keep]},
        layers=job.layers if EDGES in names else (*job.layers, EDGE_LAYER),
        stages=(*stages, last) if EDGES in names else (*stages, edge_stage(), median_stage(), last),
        cost=lambda shape: _cost(job, shape, steps, classes, bands),
        provenance={**job.provenance, "smooth": f"{steps} steps, {keep} of the data term kept"},
    )


def _only_scratch(stage: Map) -> Map:
    """The classifier's stage, writing its log-probabilities alone."""

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return {LOG_PROBABILITIES: stage.apply(tile, store)[LOG_PROBABILITIES]}

    return replace(stage, writes=(LOG_PROBABILITIES,), apply=apply)


def _apply(steps: int, keep: float, legend: Legend, outputs: tuple[str, ...], identity: Mapping[str, Any]) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
    unknown_below, temperature = float(identity.get("unknown_below", 0.0)), float(identity.get("temperature", 1.0))

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        data = tile.arrays[LOG_PROBABILITIES].clamp(min=LEAST)
        diffused = advance(data, data, tile.arrays[EDGES], store[MEDIAN]["median"], steps, keep)
        rows, cols = tile.cores[LOG_PROBABILITIES]
        return decide(diffused[:, rows, cols].log_softmax(0), legend, outputs, unknown_below, temperature)

    return apply


def _cost(job: Job, shape: tuple[int, int], steps: int, classes: int, bands: int) -> Cost:
    """The classifier's, or the edges', or the diffusion's temporary arrays, whichever is most."""
    before = job.cost(shape)
    pixels = shape[0] * shape[1]
    # Diffusion holds the data, the anchor and two versions of the log-probabilities, with five weights.
    most = max(before.bytes, edge_bytes(bands) + pixels * 12, pixels * 4 * (4 * classes + 12))
    return Cost(most, before.flops + pixels * (10.0 * steps * classes + 30.0 * bands))
