"""Hierarchical CEM: the filter again and again, each time on a scene in which what did not look like the target is suppressed.

For targets that one linear filter does not part from the rest. After Zou and Shi, 2016 (doi:10.1109/TGRS.2015.2456957): y is the filter's answer,
each pixel is multiplied by 1 - exp(-200 y), by 0 where y is negative, and so on, until the energy of the answers changes no more. As their released
code has it, the second moments of every layer are loaded by one amount, here the declared share of the mean eigenvalue of the whole scene: loaded by
a share of what is left of a suppressed scene, a filter tells the target's pixels from each other. What differs: no filter is learned from
fewer than five pixels for each band, which the targets themselves soon would be; the last one then stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Loop, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import chunk_moments, scene_moments, temporary_bytes, whitener
from hsikit.tasks.detection.cem import Cem
from hsikit.tasks.detection.hit_stages import hit_layer, hit_stages
from hsikit.tasks.detection.scene_clusters import LEAST_PER_DIMENSION
from hsikit.tasks.detection.sought import POSITIVE, positive
from hsikit.tasks.detection.target_detector import uncentred

STEEPNESS, SETTLED = 200.0, 1e-6
"""Of the suppression; change of the mean squared answer below which it ends."""
WEIGHTS = "weights"
MOMENTS = ("count", "mean", "scatter")


@dataclass(frozen=True)
class HierarchicalCem(Cem):
    """CEM on a scene whose pixels are weighted by earlier answers.

    Attributes:
        iterations: filters in a row, at most.
    """

    name: ClassVar[str] = "hcem"
    description: ClassVar[str] = "hierarchical constrained energy minimisation: 1 for the target"
    backgrounds: ClassVar[tuple[str, ...]] = ("global",)
    iterations: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.iterations <= 100:
            raise OptionError("-p iterations", f"{self.iterations} is no number of filters", "Give 1 to 100; the default is 20")
        if not self.shrinkage:
            raise OptionError("-p shrinkage", "what is left of a suppressed scene has a singular covariance without any", "Give a share above 0")
        if self.exclude:
            raise OptionError("-p exclude", "hcem leaves no pixel out: it suppresses what does not look like the target", "Leave it out")

    @property
    def own_options(self) -> dict[str, Any]:
        """See `TargetDetector`."""
        return {"iterations": self.iterations}

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """See `TargetDetector`."""
        scene = inputs["cube"]
        used, spectra = self.targets.seen_by(scene)
        plain = super().bind(inputs)
        own = _Filtering(self, scene.name, tuple(scene.bands.names[i] for i in used), torch.from_numpy(spectra))
        layers = [plain.layer("scores"), Layer(WEIGHTS, bands=len(spectra), dtype="float64", delivered=False)]
        filters = (
            Reduce("moments", ("cube", WEIGHTS), own.measure, merge_moments, own.filters),
            Map("filter", ("cube", WEIGHTS), ("scores", WEIGHTS), own.answers),
            Reduce("energy", ("scores",), own.energies, finish=own.changes),
        )
        stages: list[Stage] = [
            Map("start", ("cube",), (WEIGHTS,), own.start),
            Loop("hierarchy", filters, self.iterations, lambda store, iteration: iteration > 1 and float(store["energy"]["change"].max()) < SETTLED),
        ]
        if self.pfa is not None:
            layers += [Layer(POSITIVE, delivered=False), hit_layer(self.pfa)]
            stages.append(Map("best", ("scores",), (POSITIVE,), lambda tile, store: {POSITIVE: positive(tile.inner("scores"))}))
            stages += hit_stages(POSITIVE, self.pfa)
        return replace(plain, inputs={"cube": Input(tuple(int(i) for i in used))}, layers=tuple(layers), stages=tuple(stages), cost=own.cost)


@dataclass(frozen=True, eq=False)
class _Filtering:
    """The stages of one filter after the other.

    Attributes:
        options: the method.
        scene: for messages.
        names: of the bands.
        spectra: the targets, float64 (T, D).
    """

    options: HierarchicalCem
    scene: str
    names: tuple[str, ...]
    spectra: Tensor

    def cost(self, tile: tuple[int, int]) -> Cost:
        pixels, bands, targets = tile[0] * tile[1], len(self.names), len(self.spectra)
        held = temporary_bytes(bands, tile[1]) + targets * 4 * 8 * bands * bands + pixels * (16 * bands + 24 * targets)
        return Cost(held, self.options.iterations * targets * 2.0 * bands**2 * pixels)

    def start(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        """Weights of 1. They are float64: suppression is so steep that it makes digits of float32 visible."""
        return {WEIGHTS: torch.ones_like(tile.inner("cube")[:1], dtype=torch.float64).expand(len(self.spectra), -1, -1)}

    def measure(self, tile: Tile, store: Store) -> Partial | None:
        """Moments of the weighted scene, and of the weights, for each target."""
        values, valid, weights = tile.inner("cube"), tile.inner_valid("cube"), tile.inner(WEIGHTS)
        parts: Partial = {}
        for number, weight in enumerate(weights):
            found = scene_moments(values.double() * weight, valid)
            if found is None:
                return None
            parts |= {f"{number} {key}": value for key, value in found.items()}
            parts |= {f"{number} weight {key}": value for key, value in chunk_moments(weight[valid][None]).items()}
        return parts

    def filters(self, found: Partial, store: Store) -> Partial:
        """A filter for each target.

        Returns:
            "directions" (T, D); "level" (T,), the mean eigenvalue of the scene before any suppression; "ended" (T,), where the filter is an earlier one.
        """
        parts = [{key: found[f"{number} {key}"] for key in MOMENTS} for number in range(len(self.spectra))]
        levels = torch.stack([part["scatter"].trace() / part["count"] for part in parts]) / len(self.names)
        before = store.get("moments")
        first = levels if before is None else before["level"]
        ended = [before is not None and self._few(found, number) for number in range(len(parts))]
        directions = [
            before["directions"][number] if before is not None and ended[number] else self._direction(number, part, float(first[number] / levels[number]))
            for number, part in enumerate(parts)
        ]
        return {"directions": torch.stack(directions), "level": first, "ended": torch.tensor(ended)}

    def _few(self, found: Partial, number: int) -> bool:
        """Whether what is left of the scene is too few pixels for second moments, by the effective number of weighted pixels."""
        weight = {key: float(found[f"{number} weight {key}"]) for key in MOMENTS}
        total = weight["count"] * weight["mean"]
        return total**2 <= LEAST_PER_DIMENSION * len(self.names) * (weight["scatter"] + total * weight["mean"])

    def _direction(self, number: int, part: Partial, scale: float) -> Tensor:
        """The filter that answers 1 to a target, float64 (D,).

        Args:
            number: of the target.
            part: moments of the weighted scene.
            scale: the first scene's mean eigenvalue over that of this one.
        """
        share = self.options.shrinkage
        white = whitener(part, scale * share / (1 - share), self.scene, self.names)
        target = self.spectra[number : number + 1].to(part["mean"])
        towards, length = uncentred(target, white["mean"], white["whitener"] / (1 - share) ** 0.5, part["count"])
        return towards[0] / length[0]

    def answers(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        """Answers to the weighted scene, and the weights that follow from them."""
        values, weights, found = tile.inner("cube"), tile.inner(WEIGHTS), store["moments"]
        plain = (found["directions"] @ values.flatten(1).double()).view(weights.shape)
        answers = weights * plain
        suppressed = weights * -torch.expm1(-STEEPNESS * answers.clamp(min=0))
        return {"scores": answers.float(), WEIGHTS: torch.where(found["ended"][:, None, None], weights, suppressed)}

    def energies(self, tile: Tile, store: Store) -> Partial:
        """Sums of squared answers."""
        scores = tile.inner("scores").double()
        return {"square": scores.square().nansum((1, 2)), "count": (~scores[0].isnan()).sum().double()}

    def changes(self, total: Partial, store: Store) -> Partial:
        """The mean squared answer, and how far it is from that of the filter before."""
        level = total["square"] / total["count"]
        before = store["energy"]["level"] if "energy" in store else torch.zeros_like(level)
        return {"level": level, "change": (level - before).abs()}
