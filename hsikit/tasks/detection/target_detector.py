"""The base of detectors that compare each pixel with target spectra in the metric of the scene's background.

All of them are functions of three numbers of a pixel x, once the background has mean m and covariance S: how far it is from the
background, how far the target t is, and how far it goes in the target's direction. With z = W (x - m) and u = W (t - m) for a
whitener W of S these are z'z, u'u and z'u. So a detector is one small function, and everything else is here: the background's
statistics in float64 with a declared shrinkage, the targets' own pixels left out of it, thresholds, and hits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import RIDGE, SCORED_PIXELS, distances, row_chunks, scene_moments, temporary_bytes, whitener
from hsikit.tasks.detection.hit_stages import checked_pfa, hit_layer, hit_provenance, hit_stages
from hsikit.tasks.detection.quantile import quantile_stages
from hsikit.tasks.detection.target_spectra import TargetSpectra

SHRINKAGE = 1e-2
"""Share of the covariance that gives way to its mean eigenvalue. It is worth more than the choice of a detector: the covariance
holds the targets themselves, and a target of a few pixels is noisy."""
APART = 1e-6
"""Least squared distance of a target from the background's mean, in its deviations."""
POSITIVE = "positive"


@dataclass(frozen=True)
class TargetDetector:
    """A detector of known spectra.

    Attributes:
        targets: what to look for; the layer "scores" has a band for each.
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        shrinkage: from 0 (the covariance as it is) to below 1.
        exclude: share of the pixels, those with the highest scores, that a second estimate of the background leaves out.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str]
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)
    description: ClassVar[str]
    centred: ClassVar[bool] = True
    """Whether the background's mean is subtracted; else its second moments stand for the covariance (shrunk before the mean joins)."""
    needs_distance: ClassVar[bool] = True
    """Whether the statistic needs z'z, which costs most."""
    needs_background: ClassVar[bool] = True
    """Whether the scene's background is measured first."""

    targets: TargetSpectra
    pfa: float | None = None
    shrinkage: float = SHRINKAGE
    exclude: float = 0.0

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if not 0 <= self.shrinkage < 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share below 1", f"Give 0 to 1; the default is {SHRINKAGE:g}")
        if not 0 <= self.exclude < 0.5:
            raise OptionError("-p exclude", f"{self.exclude} is not a share below a half", "Give the share that targets may fill, such as 0.001")

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands of scores: a band for each target, if no subclass says otherwise."""
        return self.targets.names

    @property
    def own_options(self) -> dict[str, Any]:
        """Options that a subclass adds, for the run's identity and the metadata."""
        return {}

    def prepare(self, found: Mapping[str, Tensor], spectra: Tensor, scene: str, names: tuple[str, ...]) -> Partial:
        """What `scores` is given, from the moments of the background: the whitener, and per target its direction in spectra and its squared distance.

        Args:
            found: moments of the background.
            spectra: the targets, float64 (T, D).
            scene: for messages.
            names: of the bands, for messages.

        Raises:
            SceneError: no covariance, or a target that is its background's mean.
        """
        share = self.shrinkage
        white = whitener(found, max(share / (1 - share), RIDGE), scene, names)
        matrix = white["whitener"] / (1 - share) ** 0.5
        mean = white["mean"]
        if self.centred:
            towards = (spectra.to(matrix) - mean) @ matrix.T
            directions, lengths = towards @ matrix, (towards**2).sum(1)
        else:
            directions, lengths = uncentred(spectra.to(matrix), mean, matrix, found["count"])
            mean = torch.zeros_like(mean)
        same = [name for name, length in zip(self.targets.names, lengths.tolist(), strict=True) if not length > APART]
        if same:
            raise SceneError(scene, f"the target {same[0]} is its background's mean, from which nothing can be told", "Give another target")
        return {"count": found["count"], "mean": mean, "whitener": matrix, "directions": directions, "lengths": lengths}

    def scores(self, values: Tensor, spectra: Tensor, background: Mapping[str, Tensor]) -> Tensor:
        """Scores of all targets.

        Args:
            values: spectra of pixels, float32 (D, rows, cols).
            spectra: the targets, float64 (T, D).
            background: "count", "mean" (D,), "whitener" (D, D), "directions" (T, D) and "lengths" (T,), float64.

        Returns:
            float32, shape (T, rows, cols); NaN where a band is missing.
        """
        directions, target = background["directions"], background["lengths"][:, None]
        out = values.new_empty(len(self.band_names), *values.shape[1:])
        apart = distances(values, background) if self.needs_distance else values.new_zeros(values.shape[1:])
        shift = (directions @ background["mean"])[:, None]
        chunks = row_chunks(values, SCORED_PIXELS)
        # In float64, since the directions' entries are large and of both signs; one buffer, which stays in the cache.
        doubled = values.new_empty(values.shape[0], chunks[0].stop * values.shape[2] if chunks else 0, dtype=torch.float64)
        for rows in chunks:
            part = values[:, rows]
            spectra = doubled[:, : part.shape[1] * part.shape[2]]
            spectra.view(part.shape).copy_(part)
            distance = apart[rows].reshape(1, -1).double()
            found = self.statistic(directions @ spectra - shift, target, distance, background["count"], len(values))
            out[:, rows] = found.view(len(out), -1, values.shape[2]).float()
        return out

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, bands: int) -> Tensor:
        """The score.

        Args:
            along: z'u, shape (T, n), float64.
            target: u'u, shape (T, 1).
            distance: z'z, shape (1, n); zeros where `needs_distance` is False.
            count: pixels of the background.
            bands: number of bands.

        Returns:
            Shape (T, n).
        """
        raise NotImplementedError

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, a band for each target), and "hits" with `pfa`.

        Raises:
            OptionError: targets that the scene's sensor cannot see.
        """
        scene = inputs["cube"]
        used, spectra = self.targets.seen_by(scene)
        return _Detection(self, scene, tuple(int(i) for i in used), torch.from_numpy(spectra)).job()


@dataclass(frozen=True, eq=False)
class _Detection:
    """The stages for one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of the bands, D of them.
        spectra: the targets there, float64 (T, D).
    """

    options: TargetDetector
    scene: SceneInfo
    used: tuple[int, ...]
    spectra: Tensor

    @property
    def positive(self) -> bool:
        """Whether a quantile of the scores is asked for."""
        return self.options.exclude > 0 or self.options.pfa is not None

    def job(self) -> Job:
        told = self.options
        layers = [Layer("scores", bands=len(told.band_names), band_names=told.band_names, description=told.description)]
        if self.positive:
            layers.append(Layer(POSITIVE, description="the highest score of all targets, where it is positive", delivered=False))
        written = ("scores", POSITIVE) if self.positive else ("scores",)
        stages: list[Stage] = []
        if told.needs_background:
            stages.append(Reduce("background", ("cube",), self._measure, merge_moments, self._statistics))
        stages.append(Map("score", ("cube",), written, self._score("background")))
        if told.exclude:
            stages += [
                *quantile_stages(POSITIVE, told.exclude, "excluded"),
                Reduce("background-alone", ("cube", POSITIVE), self._measure_rest, merge_moments, self._statistics),
                Map("score-again", ("cube",), written, self._score("background-alone")),
            ]
        provenance = {"bands_used": str(len(self.used)), "targets": ", ".join(told.targets.names)}
        if told.needs_background:
            left_out = f"without the {told.exclude:g} of the pixels that score highest" if told.exclude else "all valid pixels"
            provenance |= {"shrinkage": f"{told.shrinkage:g}", "background": left_out} | {name: str(value) for name, value in told.own_options.items()}
        if told.pfa is not None:
            layers.append(hit_layer(told.pfa))
            stages += hit_stages(POSITIVE, told.pfa)
            provenance |= hit_provenance(told.pfa)
        return Job(
            method=told.name,
            identity={
                "targets": self.spectra.tolist(), "names": list(told.targets.names), "pfa": told.pfa, "shrinkage": told.shrinkage,
                "exclude": told.exclude, "bands": list(self.used), **told.own_options,
            },
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=tuple(layers),
            stages=tuple(stages),
            cost=self._cost,
            provenance=provenance,
        )  # fmt: skip

    def _cost(self, tile: tuple[int, int]) -> Cost:
        pixels, bands = tile[0] * tile[1], len(self.used)
        scoring = pixels * 8 * (4 * len(self.spectra) + 2) + 8 * bands * max(SCORED_PIXELS, tile[1])
        return Cost(temporary_bytes(bands, tile[1]) + scoring, 2.0 * bands**2 * pixels)

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        return scene_moments(tile.inner("cube"), tile.inner_valid("cube"))

    def _measure_rest(self, tile: Tile, store: Store) -> Partial | None:
        below = tile.inner(POSITIVE)[0] <= float(store["excluded3"]["threshold"])
        return scene_moments(tile.inner("cube"), tile.inner_valid("cube") & below)

    def _statistics(self, found: Partial, store: Store) -> Partial:
        return self.options.prepare(found, self.spectra, self.scene.name, tuple(self.scene.bands.names[i] for i in self.used))

    def _score(self, background: str) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            scores = self.options.scores(tile.inner("cube"), self.spectra, store.get(background, {}))
            if not self.positive:
                return {"scores": scores}
            return {"scores": scores, POSITIVE: positive(scores)}

        return apply


def positive(scores: Tensor) -> Tensor:
    """The highest of all bands where it is positive, else 0, shape (1, rows, cols); NaN where the first band is."""
    return scores.amax(0, keepdim=True).clamp(min=0.0).masked_fill(scores[:1].isnan(), float("nan"))


def uncentred(spectra: Tensor, mean: Tensor, matrix: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """R^-1 t and t'R^-1 t for second moments R = S + m m', by what whitens S: large means cost no digits.

    Args:
        spectra: targets t (T, D).
        mean: m (D,).
        matrix: W with W S W' = 1, for S over the count less one (D, D).
        count: of pixels.
    """
    whole = matrix * (count / (count - 1)).sqrt()  # second moments are over the count
    towards, away = spectra @ whole.T, whole @ mean
    share = (towards @ away) / (1 + away @ away)
    return (towards - share[:, None] * away) @ whole, (towards**2).sum(1) - share * (towards @ away)
