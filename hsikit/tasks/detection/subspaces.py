"""Background subspaces: the directions in which most of a scene's spectra lie, and what of a target stands out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hsikit.errors import SceneError

APART = 1e-12
"""Least share of a target's square that lies outside a subspace."""


def background_subspace(found: Mapping[str, Tensor], components: int, scene: str) -> Tensor:
    """The directions that hold most of the background's spectra, about zero and not about their mean.

    Args:
        found: moments of the background: "count", "mean" (D,), "scatter" (D, D), float64.
        components: how many, k.
        scene: for messages.

    Returns:
        Orthonormal, float64 of shape (k, D).

    Raises:
        SceneError: no more bands or pixels than directions.
    """
    mean, count = found["mean"], float(found["count"])
    if components >= len(mean) - 1 or count <= components:
        told = f"{components} directions of {len(mean)} bands and {count:.0f} valid pixels leave nothing to look at"
        raise SceneError(scene, told, "Ask for fewer: -p components=3")
    _, vectors = torch.linalg.eigh(found["scatter"] / count + mean.outer(mean))
    leading: Tensor = vectors[:, -components:].T.flip(0).contiguous()
    return leading


def outside(spectra: Tensor, basis: Tensor, names: Sequence[str], scene: str) -> Tensor:
    """What of targets is not in a subspace.

    Args:
        spectra: the targets, float64 (T, D).
        basis: orthonormal (k, D).
        names: of the targets, for messages.
        scene: for messages.

    Returns:
        Float64, shape (T, D).

    Raises:
        SceneError: a target that lies in the subspace.
    """
    rest: Tensor = spectra.to(basis) - (spectra.to(basis) @ basis.T) @ basis
    for name, part, whole in zip(names, rest.square().sum(1).tolist(), spectra.square().sum(1).tolist(), strict=True):
        if not part > APART * whole:
            raise SceneError(scene, f"the target {name} lies in the subspace of its background", "Ask for fewer directions: -p components=3")
    return rest
