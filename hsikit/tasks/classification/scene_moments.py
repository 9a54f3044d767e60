"""Mean and covariance of a scene's spectra, over a lattice of its pixels: what another sensor needs to know of the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Source
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.mnf_lda_choice import BATCH_BYTES, filled_windows
from hsikit.train.extract import windows_at

LATTICE = 64
"""Rows, and columns, of a scene that are looked at, at most."""
CONSTANT = 1e-6
"""A band whose deviation is a smaller share of its mean says nothing."""


def scene_moments(sources: Sequence[Source], basis: Basis, *, single: bool = False) -> dict[str, NDArray[np.float64]] | None:
    """`scene_mean` (C,), and `scene_covariance` (C, C) of means of 3 x 3 valid pixels; None where fewer than two pixels are valid.

    A lattice does, and spares another pass over the scene.

    Args:
        sources: one or more scenes of one sensor; each is counted once.
        basis: its bands.
        single: whether the covariance is that of single pixels, each scene's about its own mean.
    """
    pixels, means, scene = [], [], []
    for number, source in enumerate({id(source): source for source in sources}.values()):
        rows, cols = (np.unique(np.linspace(0, length - 1, min(length, LATTICE)).astype(np.intp)) for length in source.info.grid.shape)
        grid = np.meshgrid(rows, cols, indexing="ij")
        for _, windows in windows_at(source, grid[0].ravel(), grid[1].ravel(), basis.match(source.info), 1, budget=BATCH_BYTES):
            values, valid = filled_windows(windows, basis.bands.wavelength)
            seen = valid[:, 1, 1]
            total = values[seen].masked_fill_(~valid[seen][:, None], 0.0).sum((-2, -1))
            pixels.append(values[seen][..., 1, 1].numpy())
            means.append((total / valid[seen].sum((-2, -1))[:, None]).numpy())
            scene.append(np.full(len(pixels[-1]), number))
    if sum(map(len, means)) < 2:
        return None
    of_pixels, numbers = np.concatenate(pixels), np.concatenate(scene)
    found = np.concatenate(means)
    if single:
        found = of_pixels - np.stack([of_pixels[numbers == each].mean(0) for each in np.unique(numbers)])[np.unique(numbers, return_inverse=True)[1]]
    covariance = np.atleast_2d(np.cov(found.T))
    return {"scene_mean": np.asarray(of_pixels.mean(0), np.float64), "scene_covariance": np.asarray(covariance, np.float64)}
