"""The background of a scene: its mean and covariance in float64, and the whitener that distances are measured with.

Sums and factors are float64, because real covariances have condition numbers of 1e9, at which a float32 Gram matrix is no longer
positive; whitening itself is float32, which moves a score by about 1e-6 of the largest. Bands are worked off in groups, since
a covariance is symmetric and a Cholesky factor triangular: a third less work than with whole matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from hsikit.errors import OptionError, SceneError
from hsikit.spectral.moments import Moments, merge_moments

CHUNK_PIXELS = 1024
"""Pixels whose moments are taken at once: temporary arrays stay within the processor's cache, whatever the tile."""
SCORED_PIXELS = 1536
"""The same for distances, which are float32."""
GROUPS = 5
RIDGE = 1e-10
"""Share of the mean eigenvalue that is added to all of them: too small to move a score, enough to keep the factor stable."""
_RANK = 8.0 * torch.finfo(torch.float64).eps


def scene_moments(values: Tensor, valid: Tensor) -> Moments | None:
    """Moments of the valid pixels of a tile.

    Args:
        values: float32, shape (C, rows, cols).
        valid: bool, shape (rows, cols).

    Returns:
        "count", "mean" (C,), "scatter" (C, C), float64, as `spectral.moments` has them; None where no pixel is valid.
    """
    found: Moments | None = None
    for rows in row_chunks(values):
        part, keep = values[:, rows].flatten(1), valid[rows].flatten()
        if not bool(keep.all()):
            part = part[:, keep]
        if part.shape[1]:
            chunk = chunk_moments(part)
            found = chunk if found is None else merge_moments(found, chunk)
    return found


def chunk_moments(part: Tensor) -> Moments:
    """Moments of a few pixels.

    Args:
        part: float32, shape (C, n), n from 1; at most about `CHUNK_PIXELS`.

    Returns:
        As `scene_moments`.
    """
    centred = part.double()
    mean = centred.mean(1)
    centred -= mean[:, None]
    scatter = centred.new_zeros(len(part), len(part))
    for rows, cols in _triangle(len(part)):
        block = centred[rows] @ centred[cols].T
        scatter[rows, cols] = block
        scatter[cols, rows] = block.T
    return {"count": mean.new_tensor(float(part.shape[1])), "mean": mean, "scatter": scatter}


def row_chunks(values: Tensor, pixels: int = CHUNK_PIXELS) -> list[slice]:
    """Slices of rows that hold at most about `pixels` pixels each."""
    step = max(1, pixels // max(1, values.shape[2]))
    return [slice(row, row + step) for row in range(0, values.shape[1], step)]


def _triangle(bands: int) -> list[tuple[slice, slice]]:
    """Groups of rows of a matrix, each with the columns up to its own last one."""
    edges = [bands * i // GROUPS for i in range(GROUPS + 1)]
    return [(slice(a, b), slice(0, b)) for a, b in pairwise(edges) if b > a]


def whitener(found: Mapping[str, Tensor], ridge: float, scene: str, names: tuple[str, ...], loading: str = "ridge=1e-6") -> dict[str, Tensor]:
    """What distances are measured with.

    Args:
        found: moments of the background.
        ridge: share of the mean eigenvalue that is added to the covariance. Above `RIDGE` it is shrinkage that the caller
            asks for, and the covariance may be singular.
        scene: for messages.
        names: the bands' names, for messages.
        loading: the option by which a user loads the covariance, for messages.

    Returns:
        "mean" (C,) and "whitener" (C, C), lower triangular W with W (S + ridge) W^T = 1 for the covariance S over n - 1;
        float64; and "condition", the condition number of S.

    Raises:
        SceneError: too few pixels for the number of bands, or a band that is constant or a combination of others.
    """
    count, bands = float(found["count"]), len(found["mean"])
    forced = ridge > RIDGE
    advice = f"Mark bands as bad, or load the covariance: -p {loading}"
    if count < 2 or (count <= bands and not forced):
        raise SceneError(scene, f"{count:.0f} valid pixels are too few for a covariance of {bands} bands", advice)
    covariance = found["scatter"] / (count - 1)
    values = torch.linalg.eigvalsh(covariance)
    lowest, highest = float(values[0]), float(values[-1])
    if highest <= 0:
        raise SceneError(scene, "all of its valid pixels are equal", "Check the scene and its nodata value")
    if lowest <= _RANK * bands * highest and not forced:
        constant = [name for name, variance in zip(names, covariance.diagonal().tolist(), strict=True) if variance <= 0]
        cause = f"these bands are constant: {', '.join(constant[:5])}" if constant else "some bands are combinations of others"
        raise SceneError(scene, f"the covariance of its {bands} bands is singular; {cause}", advice)
    loaded = covariance + ridge * values.mean() * torch.eye(bands, dtype=covariance.dtype)
    factor = torch.linalg.cholesky(loaded)
    inverse = torch.linalg.solve_triangular(factor, torch.eye(bands, dtype=covariance.dtype), upper=False)
    return {"mean": found["mean"], "whitener": inverse, "condition": values.new_tensor(highest / max(lowest, 1e-300))}


def shrunk_whitener(found: Mapping[str, Tensor], share: float, scene: str, names: tuple[str, ...]) -> Tensor:
    """What distances are measured with where a share of the covariance gives way to its mean eigenvalue.

    Args:
        found: moments of the background.
        share: from 0 (then `RIDGE` alone is added) to below 1.
        scene: for messages.
        names: the bands' names, for messages.

    Returns:
        W (C, C), lower triangular, with W ((1 - share) S + share mean eigenvalue) W^T = 1; float64.

    Raises:
        SceneError: as `whitener`.
    """
    white = whitener(found, max(share / (1 - share), RIDGE), scene, names, "shrinkage=0.01")
    matrix: Tensor = white["whitener"] / (1 - share) ** 0.5
    return matrix


def distances(values: Tensor, background: Mapping[str, Tensor]) -> Tensor:
    """Squared Mahalanobis distance of every pixel from the background's mean.

    Args:
        values: float32, shape (C, rows, cols).
        background: as `whitener` returns it.

    Returns:
        float32, shape (rows, cols); NaN where a band is missing.
    """
    mean = background["mean"].float()
    # What float32 cuts off the mean goes through the whitener in float64, so that large offsets cost no accuracy.
    shift = (background["whitener"] @ (mean.double() - background["mean"])).float()[:, None]
    matrix = background["whitener"].float()
    factors = [(group, used, matrix[group, used].contiguous()) for group, used in _triangle(len(matrix))]
    out = values.new_empty(values.shape[1:])
    # Written again and again, so that they stay in the cache.
    chunks = row_chunks(values, SCORED_PIXELS)
    most = chunks[0].stop * values.shape[2] if chunks else 0
    spectra, whitened = values.new_empty(2, len(matrix), most)
    with torch.autocast(values.device.type, enabled=False):
        for rows in chunks:
            part, scores = values[:, rows], out[rows].view(-1)
            centred, white = spectra[:, : len(scores)], whitened[:, : len(scores)]
            torch.sub(part, mean[:, None, None], out=centred.view(part.shape))
            for group, used, factor in factors:
                torch.addmm(shift[group], factor, centred[used], out=white[group])
            torch.sum(white.square_(), 0, out=scores)
    return out


def temporary_bytes(bands: int, cols: int) -> int:
    """Bytes of temporary arrays for a tile of so many columns: the larger of moments and distances."""
    # Moments: the gathered chunk (4), its float64 copy (8); scatters of two merged parts and their sum.
    moments = 12 * bands * max(CHUNK_PIXELS, cols) + 8 * 6 * bands * bands
    # Distances: centred and whitened spectra (4 each), the whitener and its groups in float32.
    return max(moments, 8 * bands * max(SCORED_PIXELS, cols) + 8 * bands * bands)


def checked_ridge(ridge: float) -> float:
    """The ridge, when it is one.

    Raises:
        OptionError: below 0, or not a number.
    """
    if not 0 <= ridge < float("inf"):
        raise OptionError("-p ridge", f"{ridge} is not a share of the mean eigenvalue", f"Give 0 or more; the default is {RIDGE:g}")
    return ridge
