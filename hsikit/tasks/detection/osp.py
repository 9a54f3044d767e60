"""Orthogonal subspace projection: how much of the target a pixel holds once the background's main directions are taken out of both.

For scenes whose background is a few materials. After Harsanyi and Chang, 1994 (doi:10.1109/36.298007), in the least-squares form of Tu, Chen and
Chang, 1997 (doi:10.1109/36.551927), which answers 1 to the target. What differs: background signatures are the leading directions of the scene's
spectra, so that nobody has to name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from hsikit.errors import OptionError
from hsikit.method import Partial
from hsikit.tasks.detection.scene_detection import checked_components
from hsikit.tasks.detection.subspaces import background_subspace, outside
from hsikit.tasks.detection.target_detector import TargetDetector


@dataclass(frozen=True)
class SubspaceProjection(TargetDetector):
    """t'Px / t'Pt, where P takes out the background's subspace.

    Attributes:
        components: directions of the background.
    """

    name: ClassVar[str] = "osp"
    description: ClassVar[str] = "orthogonal subspace projection: 1 for the target"
    belongs: ClassVar[Mapping[str, str]] = {name: kind for name, kind in TargetDetector.belongs.items() if name != "components"}
    needs_distance: ClassVar[bool] = False
    shrinkage: float = 0.0
    components: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_components(self.components, 5)
        if self.shrinkage:
            raise OptionError("-p shrinkage", "a projection has no covariance", "Leave it out; -p components is what it has")

    @property
    def own_options(self) -> dict[str, Any]:
        """See `TargetDetector`."""
        return {"components": self.components}

    def prepare(self, found: Mapping[str, Tensor], spectra: Tensor, scene: str, names: tuple[str, ...]) -> Partial:
        """See `TargetDetector`.

        Raises:
            SceneError: too few bands or pixels for the subspace, or a target that lies in it.
        """
        basis = background_subspace(found, self.components, scene)
        rest = outside(spectra, basis, self.targets.names, scene)
        return {"count": found["count"], "mean": rest.new_zeros(rest.shape[1]), "directions": rest, "lengths": rest.square().sum(1)}

    def statistic(self, along: Tensor, target: Tensor, distance: Tensor, count: Tensor, tail: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        return along / target
