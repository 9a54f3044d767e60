"""The mixture-tuned matched filter: the abundance, and how far a pixel is from any mixture of background and target that gives it.

For minerals and other targets smaller than a pixel: a false alarm of the matched filter has a high abundance, but lies off the line from the
background to the target. After Boardman and Kruse, 2011 (doi:10.1109/TGRS.2011.2161585). What differs: the noise is measured in the scene, by
neighbours in a row, and its covariance enters by its mean over the whitened bands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import SceneError
from hsikit.layers import Layer
from hsikit.method import Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.detection.background import distances
from hsikit.tasks.detection.hit_stages import hit_layer, hit_stages
from hsikit.tasks.detection.matched_filter import MatchedFilter
from hsikit.tasks.detection.sought import POSITIVE, positive

INFEASIBILITY = "infeasibility"


@dataclass(frozen=True)
class MixtureTuned(MatchedFilter):
    """a = z'u / u'u, and |z - a u| over its deviation for a mixture: that of (1 - a) background and a noise."""

    name: ClassVar[str] = "mtmf"
    description: ClassVar[str] = "abundance by the mixture-tuned matched filter: 0 the background, 1 the target"
    backgrounds: ClassVar[tuple[str, ...]] = ("global",)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layers "scores" and "infeasibility" (about 1 for what is a mixture), and "hits" with `pfa`, of scores over infeasibility.

        Raises:
            OptionError: targets that the scene's sensor cannot see.
        """
        plain = MatchedFilter.bind(replace(self, pfa=None), inputs) if self.pfa is not None else super().bind(inputs)
        tuned = _Tuning(inputs["cube"].name, "background-alone" if self.exclude else "background")
        described = "distance from mixtures of background and target, over its deviation: about 1 for a mixture"
        layers = [*plain.layers, Layer(INFEASIBILITY, bands=len(self.band_names), band_names=self.band_names, description=described)]
        stages: list[Stage] = [
            Reduce("noise", ("cube",), tuned.differences, finish=tuned.level, halo={"cube": (0, 1)}),
            Map("tune", ("cube", "scores"), (INFEASIBILITY, *((POSITIVE,) if self.pfa is not None else ())), tuned.apply),
        ]
        provenance = dict(plain.provenance)
        if self.pfa is not None:
            layers += [] if self.exclude else [Layer(POSITIVE, description="abundance over infeasibility, where it is positive", delivered=False)]
            layers.append(hit_layer(self.pfa))
            stages += hit_stages(POSITIVE, self.pfa)
            provenance |= {"pfa": f"{self.pfa:g}", "threshold": "the scene's own quantile of abundance over infeasibility"}
        return replace(
            plain, identity={**plain.identity, "pfa": self.pfa}, layers=tuple(layers), stages=(*plain.stages, *stages), provenance=provenance
        )  # fmt: skip


@dataclass(frozen=True)
class _Tuning:
    """What follows the matched filter.

    Attributes:
        scene: for messages.
        background: the stage whose statistics hold.
    """

    scene: str
    background: str

    def differences(self, tile: Tile, store: Store) -> Partial | None:
        """Squared whitened differences of pixels to those on their right."""
        rows, cols = tile.cores["cube"]
        right = slice(cols.start + 1, cols.stop + 1)
        values, valid = tile.arrays["cube"], tile.valid["cube"]
        both = valid[rows, cols] & valid[rows, right]
        if not bool(both.any()):
            return None
        whiten = {**store[self.background], "mean": torch.zeros_like(store[self.background]["mean"])}
        apart = distances((values[:, rows, right] - values[:, rows, cols]).contiguous(), whiten)
        return {"square": apart[both].double().sum(), "pairs": both.sum().double()}

    def level(self, total: Partial, store: Store) -> Partial:
        """Mean variance of the noise over the whitened bands: a difference holds that of two pixels."""
        variance = total["square"] / (2 * total["pairs"] * len(store[self.background]["mean"]))
        if not float(variance) > 0:
            raise SceneError(self.scene, "neighbours do not differ, so that its noise cannot be measured", "Use matched-filter, which needs none")
        return {"variance": variance.clamp(max=1.0)}

    def apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        """Infeasibility, and abundance over it."""
        background, noise = store[self.background], float(store["noise"]["variance"])
        values, abundance = tile.inner("cube"), tile.inner("scores").double()
        apart = distances(values, background).double() - abundance.square() * background["lengths"][:, None, None]
        share = abundance.clamp(0, 1)
        found = (apart.clamp(min=0) / (len(values) * ((1 - share).square() + share.square() * noise))).sqrt()
        return {INFEASIBILITY: found.float(), POSITIVE: positive((abundance / found.clamp(min=1.0)).float())}
