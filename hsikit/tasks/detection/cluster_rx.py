"""Cluster RX: how far each pixel lies from the nearest of several backgrounds, one for each kind of cover in the scene.

For scenes of several covers that lie anywhere: where local RX looks next to a pixel, this looks for the pixels that are like it. After Carlotto,
2005 (doi:10.1109/TGRS.2004.841481). What differs: k-means in the leading principal components at unit variance; small clusters join large ones
(`scene_clusters`); covariances give way to their mean eigenvalues by a declared share; and the score is the least distance over all clusters, not that to the
cluster whose centre is nearest. A pixel is unusual if it belongs to no background, and a pixel on the border of two is not: its distance to the one whose
centre happens to be nearer may be large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import row_chunks, shrunk_whitener, temporary_bytes
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import whitened
from hsikit.tasks.detection.scene_clusters import (
    CLUSTERS,
    FOUND,
    STANDING,
    SceneClusters,
    checked_clusters,
    cluster_layer,
    cluster_moments,
    large_enough,
    nearest,
)
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, checked_components, good_bands_for

SHRINKAGE = 1e-2


@dataclass(frozen=True)
class ClusterRX:
    """RX against clusters of the scene.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        clusters: how many are looked for; small ones join large ones.
        components: leading principal components that are looked at.
        shrinkage: share of a cluster's covariance that gives way to its mean eigenvalue, from 0 to below 1.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "cluster-rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    clusters: int = CLUSTERS
    components: int = 20
    shrinkage: float = SHRINKAGE

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_clusters(self.clusters)
        checked_components(self.components)
        if not 0 <= self.shrinkage < 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share below 1", f"Give 0 to 1; the default is {SHRINKAGE:g}")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layers "scores" (float32) and "clusters" (which one is nearest), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, good_bands_for(scene, self.components)).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[ClusterRX]):
    """The stages for one scene."""

    @property
    def clusters(self) -> SceneClusters:
        """How they are found."""
        return SceneClusters(self.options.clusters, self.options.components, self.scene.name)

    def job(self) -> Job:
        told = self.options
        layers = [Layer("scores", description="least squared Mahalanobis distance from the clusters of the scene (cluster RX)"), cluster_layer(told.clusters)]
        stages: list[Stage] = [
            self.clusters.stage(),
            Reduce("background", ("cube",), self._measure, merge_moments, self._backgrounds),
            Map("score", ("cube",), ("scores", FOUND), self._score),
        ]
        options = {name: getattr(told, name) for name in ("clusters", "components", "shrinkage")}
        says = {name: f"{value:g}" for name, value in options.items()}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        pixels, bands, told = tile[0] * tile[1], len(self.used), self.options
        held = temporary_bytes(bands, tile[1]) + self.clusters.cost_bytes(tile, bands, told.components) + 8 * (told.clusters + 2) * pixels
        return Cost(held, 2.0 * pixels * told.components * (bands + told.clusters * told.components))

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        valid, found = tile.inner_valid("cube"), store[FOUND]
        white = whitened(tile.inner("cube"), valid, found)
        return cluster_moments(white, nearest(white, found["centres"]), valid, len(found["centres"]))

    def _backgrounds(self, found: Partial, store: Store) -> Partial:
        """Means and whiteners of the clusters that stand."""
        standing, _ = large_enough(found, store[FOUND]["centres"].cpu())
        names = tuple(f"component {number}" for number in range(1, self.options.components + 1))
        matrices = [shrunk_whitener(part, self.options.shrinkage, self.scene.name, names) for part in standing]
        means = torch.stack([part["mean"] for part in standing])
        return {"mean": means, "whitener": torch.stack(matrices), STANDING: torch.tensor(len(standing))}

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        found = store["background"]
        white = whitened(tile.inner("cube"), tile.inner_valid("cube"), store[FOUND])
        shift = found["whitener"] @ found["mean"][:, :, None]
        apart = white.new_empty(len(shift), *white.shape[1:])
        for rows in row_chunks(white):
            part = white[:, rows].flatten(1)
            for number, matrix in enumerate(found["whitener"]):
                apart[number, rows] = (matrix @ part - shift[number]).square_().sum(0).view(-1, white.shape[2])
        least, own = apart.min(0)
        return {"scores": least[None].float(), FOUND: (own + 1)[None].to(torch.uint8)}
