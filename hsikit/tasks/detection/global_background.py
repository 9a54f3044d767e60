"""One mean and covariance for the whole scene: the background of target detectors, if nobody asks for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.layers import Layer
from hsikit.method import Cost, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import SCORED_PIXELS, distances, scene_moments, temporary_bytes
from hsikit.tasks.detection.sought import TAIL, Sought
from hsikit.tasks.detection.tail import distance_sums


@dataclass(frozen=True, eq=False)
class GlobalBackground:
    """The stages of a detector against the whole scene."""

    sought: Sought
    layers: ClassVar[tuple[Layer, ...]] = ()
    says: ClassVar[Mapping[str, str]] = {}

    def stages(self, again: bool) -> list[Stage]:
        """The background and the scores; `again` without the pixels that scored highest."""
        sought = self.sought
        name, score = ("background-alone", "score-again") if again else ("background", "score")

        def measure(tile: Tile, store: Store) -> Partial | None:
            return scene_moments(tile.inner("cube"), sought.counted(tile, store, again)[tile.cores["cube"]])

        def statistics(found: Partial, store: Store) -> Partial:
            return sought.prepare(found)

        def away(tile: Tile, store: Store) -> Partial | None:
            return distance_sums(distances(tile.inner("cube"), store[name])[sought.counted(tile, store, again)[tile.cores["cube"]]])

        measured: list[Stage] = [Reduce(name, sought.reads(again), measure, merge_moments, statistics)] if sought.options.needs_background else []
        if sought.options.needs_tail:
            measured.append(Reduce(f"{name} {TAIL}", sought.reads(again), away, finish=sought.tail))
        return [*measured, Map(score, ("cube",), sought.written, self._score(name))]

    def _score(self, name: str) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
        sought = self.sought

        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            background = {**store.get(name, {}), **store.get(f"{name} {TAIL}", {})}
            return sought.result(sought.options.scores(tile.inner("cube"), sought.spectra, background))

        return apply

    def cost(self, tile: tuple[int, int]) -> Cost:
        """What a tile needs."""
        return scoring_cost(tile, len(self.sought.used), len(self.sought.spectra))


def scoring_cost(tile: tuple[int, int], bands: int, targets: int) -> Cost:
    """What moments and scores of a tile need."""
    pixels = tile[0] * tile[1]
    scoring = pixels * 8 * (4 * targets + 2) + 8 * bands * max(SCORED_PIXELS, tile[1])
    return Cost(temporary_bytes(bands, tile[1]) + scoring, 2.0 * bands**2 * pixels)
