"""The adaptive subspace detector: the squared cosine between a pixel and the span of all targets, where the background is white.

For one material of several looks: give all its spectra, and any mixture of them is found. After Kraut, Scharf and McWhorter, 2001
(doi:10.1109/78.890324). For one target it is `ace` without its sign, since a span has no direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import SceneError
from hsikit.method import Partial
from hsikit.tasks.detection.target_detector import TargetDetector

ALIKE = 1e-5
"""Least singular value of the targets' directions, each of length 1: below, one is a mixture of others."""


@dataclass(frozen=True)
class AdaptiveSubspace(TargetDetector):
    """z'P z / z'z, where P projects on the span of the whitened targets; one band for all."""

    name: ClassVar[str] = "asd"
    description: ClassVar[str] = "adaptive subspace detector: all targets as one subspace, 0 to 1"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters")

    @property
    def band_names(self) -> tuple[str, ...]:
        """One band."""
        names = self.targets.names
        return (names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",)

    def prepare(self, found: Mapping[str, Tensor], spectra: Tensor, scene: str, names: tuple[str, ...]) -> Partial:
        """See `TargetDetector`.

        Raises:
            SceneError: targets of which one is a mixture of others.
        """
        background = super().prepare(found, spectra, scene, names)
        towards = (spectra.to(background["mean"]) - background["mean"]) @ background["whitener"].T
        _, strengths, axes = torch.linalg.svd(towards / towards.norm(dim=1, keepdim=True), full_matrices=False)
        if len(towards) > towards.shape[1] or float(strengths[-1]) < ALIKE:
            raise SceneError(scene, f"one of the {len(towards)} targets is a mixture of the others", "Leave it out: it adds nothing to their span")
        return background | {"directions": axes @ background["whitener"]}

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along.square().sum(0, keepdim=True) / distance.clamp(min=1e-30)
