"""A mean and covariance for each pixel, those of the ring around it: targets are looked for against what lies next to them.

For scenes of several covers, and small targets, which the inner window keeps out of their own background. The dual window of `local-rx` in the
scene's leading components at unit variance: what tells a target from its surroundings must show there. After Reed and Yu, 1990 (doi:10.1109/29.60107).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.ring_moments import Ring, RingMoments, ring_cost, ring_moments
from hsikit.tasks.detection.scene_detection import measure
from hsikit.tasks.detection.sought import TAIL, Sought
from hsikit.tasks.detection.tail import distance_sums

APART = 1e-6
"""Least squared distance of a target from a ring's mean, in the ring's deviations: a ring of the target itself makes no score infinite."""


@dataclass(frozen=True, eq=False)
class LocalBackground:
    """The stages of a detector against the ring around each pixel."""

    sought: Sought
    layers: ClassVar[tuple[Layer, ...]] = ()

    @property
    def ring(self) -> Ring:
        """The windows."""
        return self.sought.options.ring

    @property
    def says(self) -> Mapping[str, str]:
        """For the metadata."""
        ring = self.ring
        told = "the ring around each pixel; the scene's, where that holds no more valid pixels than components"
        return {"background": told, "components": str(ring.components), "inner": str(ring.inner), "outer": str(ring.outer)}

    def stages(self, again: bool) -> list[Stage]:
        """Components and scores; `again` without the pixels that scored highest, in the same components."""
        reach, sought = self.ring.reach, self.sought
        name = "score-again" if again else "score"
        stages: list[Stage] = [] if again else [Reduce("components", ("cube",), measure, merge_moments, self._components)]
        if sought.options.needs_tail:
            stages.append(Reduce(f"{name} {TAIL}", sought.reads(again), self._away(again), finish=sought.tail, halo=(reach, reach)))
        return [*stages, Map(name, sought.reads(again), sought.written, self._score(name, again), halo=(reach, reach))]

    def _components(self, found: Partial, store: Store) -> Partial:
        """Components, the targets there (T, k), and where a spectrum of zeros lies, sign changed (k,)."""
        scene, wanted = self.sought.scene, self.ring.components
        bands = len(self.sought.used)
        if bands < wanted:
            told = f"the targets answer for {bands} of its bands, and {wanted} components are asked for"
            raise SceneError(scene.name, told, "Ask for fewer: -p components=5")
        held = leading_components(found, wanted, scene.name)
        targets = (self.sought.spectra.to(held["mean"]) - held["mean"]) @ held["project"].T
        return held | {"count": found["count"], "targets": targets, "origin": held["project"] @ held["mean"]}

    def _score(self, name: str, again: bool) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
        sought = self.sought

        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            tail = store.get(f"{name} {TAIL}", {})
            rows = [sought.options.statistic(*row, tail) for row in self._rows(tile, store, again)]
            return sought.result(torch.stack(rows, 1).float())

        return apply

    def _away(self, again: bool) -> Callable[[Tile, Store], Partial | None]:
        """Distances of the pixels that count from their rings."""

        def sums(tile: Tile, store: Store) -> Partial | None:
            counted = self.sought.counted(tile, store, again)[tile.cores["cube"]]
            found = torch.cat([distance for _, _, distance, _ in self._rows(tile, store, again)])
            return distance_sums(found[counted])

        return sums

    def _rows(self, tile: Tile, store: Store, again: bool) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The same for each row of a tile."""
        ring, sought, found = self.ring, self.sought, store["components"]
        white = whitened(tile.arrays["cube"], tile.valid["cube"], found)
        rows, cols = tile.cores["cube"]
        rings = ring_moments(white, sought.counted(tile, store, again), ring.inner, ring.outer, sought.options.shrinkage)
        for row, around in enumerate(rings):
            yield self._row(white[:, rows.start + row, cols].T, around, found)

    def _row(self, pixels: Tensor, around: RingMoments, found: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a statistic is made of, for the pixels of a row: z'u (T, cols), u'u (T, cols), z'z (1, cols) and the count (cols,).

        Args:
            pixels: components, shape (cols, k).
            around: their rings.
            found: as `_components` returns it.
        """
        told, targets = self.sought.options, found["targets"]
        spectra = torch.cat((pixels[:, None], targets.expand(len(pixels), -1, -1), around.mean[:, None]), dim=1)
        # What is not centred on the ring's mean is counted from a spectrum of zeros.
        spectra = spectra - around.mean[:, None] if told.centred else spectra + found["origin"]
        away = torch.linalg.solve_triangular(around.factor, spectra.transpose(1, 2), upper=False)
        pixel, target, mean = away[:, :, 0], away[:, :, 1:-1], away[:, :, -1]
        along, length = torch.einsum("nk,nkt->tn", pixel, target), target.square().sum(1).T
        if not told.centred:  # second moments: the covariance, and the mean's square
            share = torch.einsum("nk,nkt->tn", mean, target) / (1 + mean.square().sum(1))
            along, length = along - share * (pixel * mean).sum(1), length - share.square() * (1 + mean.square().sum(1))
        count = torch.where(around.enough, around.count, found["count"])
        return along, length.clamp(min=APART), pixel.square().sum(1)[None], count

    def cost(self, tile: tuple[int, int]) -> Cost:
        """What a tile needs, with its halo."""
        k, targets = self.ring.components, len(self.sought.spectra)
        plain = ring_cost(tile, len(self.sought.used), k)
        # Pixel, targets and mean of a row in three arrays; scores, in two types, and what they are made of.
        return Cost(plain.bytes + 24 * tile[1] * k * (targets + 2) + tile[0] * tile[1] * 16 * (targets + 1), plain.flops)
