"""A mean and covariance for each cluster of the scene: every pixel is compared with targets in the metric of its own kind of cover.

For scenes of several covers, where one covariance is too wide for each. After Funk, Theiler, Roberts and Borel, 2001 (doi:10.1109/36.934073). What
differs: small clusters join large ones (`scene_clusters`), and covariances are shrunk as those of the whole scene are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hsikit.layers import Layer
from hsikit.method import Cost, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import distances
from hsikit.tasks.detection.global_background import scoring_cost
from hsikit.tasks.detection.scene_clusters import (
    CLUSTERS,
    FOUND,
    PART_OF,
    STANDING,
    SceneClusters,
    cluster_layer,
    cluster_moments,
    clusters_of,
    large_enough,
)
from hsikit.tasks.detection.sought import TAIL, Sought
from hsikit.tasks.detection.tail import distance_sums


@dataclass(frozen=True, eq=False)
class ClusterBackground:
    """The stages of a detector against clusters of the scene."""

    sought: Sought

    @property
    def wanted(self) -> int:
        """How many clusters are looked for."""
        return self.sought.options.clusters or CLUSTERS

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Which background each pixel is measured by."""
        return (cluster_layer(self.wanted),)

    @property
    def says(self) -> Mapping[str, str]:
        """For the metadata; the areas of the layer say how many clusters stood."""
        return {"background": "each pixel's own cluster", "clusters": str(self.wanted)}

    @property
    def _clusters(self) -> SceneClusters:
        return SceneClusters(self.wanted, 0, self.sought.scene.name)

    def stages(self, again: bool) -> list[Stage]:
        """Clusters, their backgrounds, and the scores; `again` without the pixels that scored highest, in the same clusters."""
        sought = self.sought
        name, score = ("background-alone", "score-again") if again else ("background", "score")

        def measured(tile: Tile, store: Store) -> Partial | None:
            values, counted = tile.inner("cube"), sought.counted(tile, store, again)[tile.cores["cube"]]
            return cluster_moments(values, clusters_of(values, tile.inner_valid("cube"), store[FOUND]), counted, len(store[FOUND]["centres"]))

        def away(tile: Tile, store: Store) -> Partial | None:
            counted = sought.counted(tile, store, again)[tile.cores["cube"]]
            own = self._own(tile, store, name)
            found = [distances(spectra, background)[:, 0] for spectra, _, background in self._parts(tile, store, name, own, counted)]
            return distance_sums(torch.cat(found)) if found else None

        return [
            *([] if again else [self._clusters.stage()]),
            Reduce(name, sought.reads(again), measured, merge_moments, self._statistics),
            *([Reduce(f"{name} {TAIL}", sought.reads(again), away, finish=sought.tail)] if sought.options.needs_tail else []),
            Map(score, ("cube",), (*sought.written, FOUND), self._score(name)),
        ]

    def _statistics(self, found: Partial, store: Store) -> Partial:
        """What the method needs of each background, stacked."""
        standing, part_of = large_enough(found, store[FOUND]["centres"].cpu())
        prepared = [self.sought.prepare(part) for part in standing]
        stacked = {key: torch.stack([one[key] for one in prepared]) for key in prepared[0]}
        return stacked | {PART_OF: part_of, STANDING: torch.tensor(len(standing))}

    def _score(self, name: str) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
        sought = self.sought

        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            valid, own = tile.inner_valid("cube"), self._own(tile, store, name)
            tail = store.get(f"{name} {TAIL}", {})
            out = tile.inner("cube").new_full((len(sought.options.band_names), valid.numel()), float("nan"))
            for spectra, places, background in self._parts(tile, store, name, own, valid):
                out[:, places] = sought.options.scores(spectra, sought.spectra, {**background, **tail})[:, :, 0]
            return sought.result(out.view(-1, *valid.shape)) | {FOUND: (own + 1)[None].to(torch.uint8)}

        return apply

    def _own(self, tile: Tile, store: Store, name: str) -> Tensor:
        """Which background each pixel is measured by, shape (rows, cols)."""
        own: Tensor = store[name][PART_OF][clusters_of(tile.inner("cube"), tile.inner_valid("cube"), store[FOUND])]
        return own

    def _parts(self, tile: Tile, store: Store, name: str, own: Tensor, counted: Tensor) -> Iterator[tuple[Tensor, Tensor, Mapping[str, Tensor]]]:
        """For each background that pixels have: their spectra (D, n, 1), their places in the tile, and the background."""
        flat, found = tile.inner("cube").flatten(1), store[name]
        for number in range(int(found[STANDING])):
            places = (counted & (own == number)).flatten().nonzero()[:, 0]
            if len(places):
                yield flat[:, places, None], places, {key: value[number] for key, value in found.items() if key not in (PART_OF, STANDING)}

    def cost(self, tile: tuple[int, int]) -> Cost:
        """What a tile needs."""
        bands = len(self.sought.used)
        plain = scoring_cost(tile, bands, len(self.sought.spectra))
        return Cost(plain.bytes + self._clusters.cost_bytes(tile, bands, bands), plain.flops)
