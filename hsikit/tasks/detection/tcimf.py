"""The target-constrained interference-minimised filter: it answers 1 to a target and 0 to all others that are given.

For targets that have a look-alike: give both, and each has a filter that is blind to the other. After Ren and Chang, 2000
(doi:10.1109/36.885197). For one target it is `cem`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import SceneError
from hsikit.method import Partial
from hsikit.tasks.detection.cem import Cem

ALIKE = 1e-10
"""Least eigenvalue of the targets' products, each scaled to 1: below, one is a mixture of others."""


@dataclass(frozen=True)
class ConstrainedFilter(Cem):
    """x'w with w = R^-1 T (T'R^-1 T)^-1 e, where R are the second moments of the scene and T all targets."""

    name: ClassVar[str] = "tcimf"
    description: ClassVar[str] = "constrained filter: 1 for the target, 0 for the others"
    backgrounds: ClassVar[tuple[str, ...]] = ("global", "clusters")

    def prepare(self, found: Mapping[str, Tensor], spectra: Tensor, scene: str, names: tuple[str, ...]) -> Partial:
        """See `TargetDetector`.

        Raises:
            SceneError: targets of which one is a mixture of others.
        """
        background = super().prepare(found, spectra, scene, names)
        products = background["directions"] @ spectra.to(background["directions"]).T
        scale = products.diagonal().sqrt()
        if float(torch.linalg.eigvalsh(products / scale.outer(scale))[0]) < ALIKE:
            advice = "Leave one out, or use cem, which looks at each alone"
            raise SceneError(scene, f"one of the targets {', '.join(self.targets.names[:5])} is a mixture of the others", advice)
        return background | {"directions": torch.linalg.solve(products, background["directions"]), "lengths": torch.ones_like(background["lengths"])}
