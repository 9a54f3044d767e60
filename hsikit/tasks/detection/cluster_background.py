"""A mean and covariance for each cluster of the scene: every pixel is compared with targets in the metric of its own kind of cover.

For scenes of several covers, where one covariance is too wide for each. After Funk, Theiler, Roberts and Borel, 2001 (doi:10.1109/36.934073). What
differs: small clusters join large ones (`scene_clusters`), and covariances are shrunk as those of the whole scene are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hsikit.layers import Layer
from hsikit.method import Cost, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.spectral.moments import merge_moments
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
from hsikit.tasks.detection.sought import Sought


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

        return [
            *([] if again else [self._clusters.stage()]),
            Reduce(name, sought.reads(again), measured, merge_moments, self._statistics),
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
            values, valid, found = tile.inner("cube"), tile.inner_valid("cube"), store[name]
            own = found[PART_OF][clusters_of(values, valid, store[FOUND])]
            flat = values.flatten(1)
            out = flat.new_full((len(sought.options.band_names), flat.shape[1]), float("nan"))
            for number in range(int(found[STANDING])):
                places = (valid & (own == number)).flatten().nonzero()[:, 0]
                if len(places):
                    background = {key: value[number] for key, value in found.items() if key not in (PART_OF, STANDING)}
                    out[:, places] = sought.options.scores(flat[:, places, None], sought.spectra, background)[:, :, 0]
            return sought.result(out.view(-1, *valid.shape)) | {FOUND: (own + 1)[None].to(torch.uint8)}

        return apply

    def cost(self, tile: tuple[int, int]) -> Cost:
        """What a tile needs."""
        bands = len(self.sought.used)
        plain = scoring_cost(tile, bands, len(self.sought.spectra))
        return Cost(plain.bytes + self._clusters.cost_bytes(tile, bands, bands), plain.flops)
