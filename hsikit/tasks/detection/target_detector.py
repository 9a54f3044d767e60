"""The base of detectors that compare each pixel with target spectra in the metric of the scene's background.

All of them are functions of three numbers of a pixel x, once the background has mean m and covariance S: how far it is from the
background, how far the target t is, and how far it goes in the target's direction. With z = W (x - m) and u = W (t - m) for a
whitener W of S these are z'z, u'u and z'u. So a detector is one small function. Everything else is shared: where the background is measured (over the
scene, in clusters of it, around each pixel), its statistics in float64 with a declared shrinkage, pixels left out of it, thresholds, and hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError, SceneError
from hsikit.method import Job, Partial
from hsikit.scene import SceneInfo
from hsikit.tasks.detection.background import SCORED_PIXELS, distances, row_chunks, shrunk_whitener
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.ring_moments import Ring
from hsikit.tasks.detection.scene_clusters import CLUSTERS, checked_clusters
from hsikit.tasks.detection.sought import Sought
from hsikit.tasks.detection.target_job import KINDS, target_job
from hsikit.tasks.detection.target_spectra import TargetSpectra

SHRINKAGE = 1e-2
"""Share of the covariance that gives way to its mean eigenvalue. It is worth more than the choice of a detector: the covariance
holds the targets themselves, and a target of a few pixels is noisy."""
APART = 1e-6
"""Least squared distance of a target from the background's mean, in its deviations."""
WHERE = {"clusters": "each pixel's own cluster", "local": "the ring around each pixel"}
"""Backgrounds other than the scene's, in words."""


@dataclass(frozen=True)
class TargetDetector:
    """A detector of known spectra.

    Attributes:
        targets: what to look for; the layer "scores" has a band for each.
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        shrinkage: from 0 (the covariance as it is) to below 1.
        exclude: share of the pixels, those with the highest scores, that a second estimate of the background leaves out.
        background: "global", "clusters" or "local": over the scene, in each pixel's own cluster of it, or in the ring around each pixel.
        clusters: how many are looked for, with "clusters"; None: 8.
        components, inner, outer: leading components and sides of the two windows, with "local"; None: as `local-rx`.

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
    needs_tail: ClassVar[bool] = False
    """Whether the statistic needs to know how heavy the background's tails are."""
    needs_background: ClassVar[bool] = True
    """Whether the scene's background is measured first."""
    backgrounds: ClassVar[tuple[str, ...]] = ("global",)
    """Where the detector can take its background from."""
    belongs: ClassVar[Mapping[str, str]] = {"clusters": "clusters", "components": "local", "inner": "local", "outer": "local"}
    """Options that belong to one background alone."""

    targets: TargetSpectra
    pfa: float | None = None
    shrinkage: float = SHRINKAGE
    exclude: float = 0.0
    background: str = "global"
    clusters: int | None = None
    components: int | None = None
    inner: int | None = None
    outer: int | None = None

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if not 0 <= self.shrinkage < 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share below 1", f"Give 0 to 1; the default is {SHRINKAGE:g}")
        if not 0 <= self.exclude < 0.5:
            raise OptionError("-p exclude", f"{self.exclude} is not a share below a half", "Give the share that targets may fill, such as 0.001")
        self._check_background()

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands of scores: a band for each target, if no subclass says otherwise."""
        return self.targets.names

    def _check_background(self) -> None:
        if self.background not in KINDS:
            raise OptionError("--background", f"'{self.background}' is no background", f"Give {', '.join(KINDS)}")
        if self.background not in self.backgrounds:
            able = "ace, cem, glrt, matched-filter, smf, spsmf" + (", asd, tcimf" if self.background == "clusters" else "")
            raise OptionError("--background", f"{self.name} cannot be measured against {WHERE[self.background]}", f"Leave it out, or take one of {able}")
        for option, kind in self.belongs.items():
            if getattr(self, option) is not None and self.background != kind:
                raise OptionError(f"-p {option}", f"belongs to a background that is {kind}", f"Add --background {kind}, or leave it out")
        if self.background == "local":
            _ = self.ring
        checked_clusters(CLUSTERS if self.clusters is None else self.clusters)

    @property
    def ring(self) -> Ring:
        """The windows of a local background.

        Raises:
            OptionError: out of range.
        """
        given = {name: getattr(self, name) for name in ("components", "inner", "outer")}
        return Ring(**{name: value for name, value in given.items() if value is not None})

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
        mean, matrix = found["mean"], shrunk_whitener(found, self.shrinkage, scene, names)
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
            background: "count", "mean" (D,), "whitener" (D, D), "directions" (T, D) and "lengths" (T,), float64; and the tail, where it is needed.

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
            found = self.statistic(directions @ spectra - shift, target, distance, background["count"], background)
            out[:, rows] = found.view(len(out), -1, values.shape[2]).float()
        return out

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """The score.

        Args:
            along: z'u, shape (T, n), float64.
            target: u'u, shape (T, 1); (T, n) where each pixel has a background of its own.
            distance: z'z, shape (1, n); zeros where `needs_distance` is False.
            count: pixels of the background; of each pixel's own, shape (n,), where it has one.
            tail: as `tail_of` has it, where `needs_tail`.

        Returns:
            Shape (T, n).
        """
        raise NotImplementedError

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, a band for each target), "clusters" with such a background, and "hits" with `pfa`.

        Raises:
            OptionError: targets that the scene's sensor cannot see.
        """
        scene = inputs["cube"]
        used, spectra = self.targets.seen_by(scene)
        return target_job(Sought(self, scene, tuple(int(i) for i in used), torch.from_numpy(spectra)))


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
