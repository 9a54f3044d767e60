"""The matched subspace detector: how much better a pixel is explained by background and target than by the background alone.

For backgrounds of a few materials, and targets of any brightness. The likelihood ratio of Scharf and Friedlander, 1994 (doi:10.1109/78.301849).
What differs: the background's subspace is that of the scene's own leading directions; and the sign of the target's share is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.method import Partial
from hsikit.tasks.detection.background import row_chunks
from hsikit.tasks.detection.osp import SubspaceProjection
from hsikit.tasks.detection.subspaces import background_subspace, outside


@dataclass(frozen=True)
class MatchedSubspace(SubspaceProjection):
    """sign(s'x) (s'x)^2 / (x'Px - (s'x)^2), where P takes out the background's subspace and s = Pt / |Pt|."""

    name: ClassVar[str] = "msd"
    description: ClassVar[str] = "matched subspace detector with its sign"

    def prepare(self, found: Mapping[str, Tensor], spectra: Tensor, scene: str, names: tuple[str, ...]) -> Partial:
        """See `SubspaceProjection`."""
        basis = background_subspace(found, self.components, scene)
        rest = outside(spectra, basis, self.targets.names, scene)
        return {"basis": basis, "directions": rest / rest.norm(dim=1, keepdim=True)}

    def scores(self, values: Tensor, spectra: Tensor, background: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        basis, directions = background["basis"], background["directions"]
        both, k = torch.cat((basis, directions)), len(basis)
        out = values.new_empty(len(directions), *values.shape[1:])
        for rows in row_chunks(values):
            # In float64: what is left of a pixel outside the subspace is a difference of large numbers.
            part = values[:, rows].flatten(1).double()
            found = both @ part
            along, left = found[k:], part.square().sum(0) - found[:k].square().sum(0)
            ratio = along * along.abs() / (left - along.square()).clamp(min=1e-12 * part.square().sum(0).clamp(min=1e-30))
            out[:, rows] = ratio.view(len(directions), -1, values.shape[2]).float()
        return out
