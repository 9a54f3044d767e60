"""The leading principal components of a scene, and what local methods measure in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hsikit.errors import SceneError
from hsikit.method import Partial
from hsikit.tasks.detection.background import row_chunks

LEAST_VARIANCE = 1e-12
"""A component with less than this share of the first one's variance is rounding."""


def leading_components(found: Mapping[str, Tensor], count: int, scene: str, advice: str = "", *, at_most: bool = False) -> Partial:
    """What whitens spectra into the strongest components.

    Args:
        found: moments of the scene: "count", "mean" (C,), "scatter" (C, C), float64.
        count: how many components are wanted, k.
        scene: for messages.
        advice: what to do where there are fewer; "": ask for fewer.
        at_most: where there are fewer, take those; at least one.

    Returns:
        "mean" (C,) and "project" (k, C): z = project (x - mean) has unit covariance over the scene; float64.

    Raises:
        SceneError: fewer pixels, or fewer bands that differ, than components.
    """
    variances, directions = _strongest(found, found["scatter"] / (found["count"] - 1).clamp(min=1), count, scene, advice, at_most)
    return {"mean": found["mean"], "project": (directions / variances.sqrt()).T.contiguous()}


def leading_directions(found: Mapping[str, Tensor], count: int, scene: str) -> Partial:
    """What turns spectra into the strongest components about zero, lengths and angles of spectra kept as far as they go.

    Args:
        found: see `leading_components`.
        count: how many components are wanted, k.
        scene: for messages.

    Returns:
        "mean" (C,), zeros, and "project" (k, C), rows of length 1: the directions of the largest second moments; float64.

    Raises:
        SceneError: see `leading_components`.
    """
    second = found["scatter"] / found["count"] + found["mean"].outer(found["mean"])
    _, directions = _strongest(found, second, count, scene)
    return {"mean": torch.zeros_like(found["mean"]), "project": directions.T.contiguous()}


def _strongest(found: Mapping[str, Tensor], matrix: Tensor, count: int, scene: str, advice: str = "", at_most: bool = False) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues (k,) of a matrix (C, C), descending, and their vectors (C, k)."""
    pixels = float(found["count"])
    count = max(1, min(count, int(pixels) - 1)) if at_most else count
    if pixels <= count:
        raise SceneError(scene, f"{pixels:.0f} valid pixels are too few for {count} components", advice or "Ask for fewer: -p components=5")
    values, vectors = torch.linalg.eigh(matrix)
    able = int((values > LEAST_VARIANCE * values[-1]).sum()) if float(values[-1]) > 0 else 0
    count = max(1, min(count, able)) if at_most else count
    if able < count:
        raise SceneError(
            scene, f"has {able} components that vary, and {count} are asked for", advice or f"Ask for at most {able}: -p components={max(able, 1)}"
        )
    # Signs are free: the largest loading is positive, so that no library decides.
    strongest = vectors[:, -count:].flip(1)
    signs = strongest.gather(0, strongest.abs().argmax(0, keepdim=True)).sign()
    return values[-count:].flip(0), strongest * signs


def whitened(values: Tensor, valid: Tensor, components: Mapping[str, Tensor]) -> Tensor:
    """Components of a tile.

    Args:
        values: float32, shape (C, rows, cols).
        valid: bool, shape (rows, cols).
        components: as `leading_components` or `leading_directions` returns them.

    Returns:
        float64, shape (k, rows, cols); 0 where not valid.
    """
    project = components["project"]
    shift = (project @ components["mean"])[:, None]
    out = values.new_empty(len(project), *values.shape[1:], dtype=torch.float64)
    for rows in row_chunks(values):
        part = torch.where(valid[rows], values[:, rows], 0.0).flatten(1).double()
        out[:, rows] = (project @ part - shift).view(len(project), -1, values.shape[2])
    return out.masked_fill_(~valid, 0.0)
