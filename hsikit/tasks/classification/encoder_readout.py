"""What labels read out of an encoder's features: the mean of two shrinkage discriminants, and the width of the square that is averaged.

One discriminant judges the features, the other their principal components over the training scenes' unlabelled pixels. Each shrinks what few
labels tell of a class towards independent variables of their own sizes: in the features this trusts the large components and carries
far, in the principal components small ones count as much. Which is right differs from scene to scene; their mean log-probability comes
near to the better one. Both are linear, so together they are one linear head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.tasks.classification.mnf_lda_choice import BATCH_BYTES, filled_windows, gain_is_clear, held_out_hits
from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.nn.body import TaskNetwork
    from hsikit.tasks.band_scale import BandScale
    from hsikit.tasks.classification.basis import Basis
    from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]
Fit = Callable[[Floats, NDArray[np.intp], int], tuple[Floats, Floats]]
"""Features (n, M), class positions (n,) and K to weights (K, M) and intercepts (K,)."""

PLACES, RADIUS = 12, 8
"""Principal components come from squares around at most so many by so many places of a scene, of so many pixels on each side of the centre."""
NEGLIGIBLE = 1e-10
"""Variance, as a share of the largest, that is no more than what float32 rounds off."""


def principal_axes(scenes: Sequence[LabelledScene], basis: Basis, network: TaskNetwork, scales: Mapping[int, BandScale]) -> Floats:
    """Axes (width, M), a column each, along which features vary independently within the scenes; no label is looked at.

    Features of an encoder whose last layer follows a norm lack one dimension at least: there they are rounding errors, which no axis shows.

    Args:
        scenes: see `PixelClassifier.train`.
        basis: the bands.
        network: on the CPU, in evaluation mode.
        scales: of each scene, by `id` of its source.
    """
    spread = np.zeros((network.body.width, network.body.width))
    for scene in scenes:
        spread += _scatter(scene, basis, network, scales[id(scene.source)])
    return axes_of(spread)


def axes_of(scatter: Floats) -> Floats:
    """The axes of features of a scatter (F, F)."""
    variance, axes = np.linalg.eigh(scatter)
    real = variance > NEGLIGIBLE * variance[-1]
    return np.asarray(axes[:, real][:, ::-1]) if real.any() else np.eye(len(scatter))


def _scatter(scene: LabelledScene, basis: Basis, network: TaskNetwork, scale: BandScale) -> Floats:
    """Sum of squares and products of features about their mean, over a lattice of squares of one scene."""
    import torch

    from hsikit.nn.body import require_halo
    from hsikit.tasks.band_scale import band_facts

    info, halo, width = scene.source.info, require_halo(network.body), network.body.width
    index = basis.match(info)
    bands = band_facts(info.bands.take(index), scale)
    rows, cols = np.meshgrid(*(_lattice(size) for size in info.grid.shape), indexing="ij")
    scatter = Scatter(width)
    for _, windows in windows_at(scene.source, rows.ravel(), cols.ravel(), index, RADIUS + halo, budget=BATCH_BYTES):
        filled, usable = filled_windows(windows, basis.bands.wavelength)
        inner = (slice(None), slice(halo, -halo or None), slice(halo, -halo or None))
        some = usable[inner].flatten(1).any(1)
        if not some.any():
            continue
        with torch.inference_mode():
            features = network.dense(scale.standardised(filled[some]).float(), bands, usable[some]).movedim(1, -1)
        scatter.add(features[inner][usable[some][inner]].double())
    return scatter.about_mean()


class Scatter:
    """Sum of squares and products of features of so many channels, as they come."""

    def __init__(self, width: int) -> None:
        import torch

        self.count = 0
        self.total, self.products = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Features (n, width), float64."""
        self.count += len(features)
        self.total += features.sum(0)
        self.products += features.T @ features

    def about_mean(self) -> Floats:
        """About their mean, shape (width, width)."""
        import torch

        return np.asarray((self.products - torch.outer(self.total, self.total) / max(self.count, 1)).numpy())


def _lattice(size: int) -> NDArray[np.intp]:
    """Centres of squares that lie evenly along one side of a scene, beside one another where it is small."""
    number = min(PLACES, -(-size // (2 * RADIUS + 1)))
    return ((np.arange(number) + 0.5) * size / number).astype(np.intp)


def fit_both(axes: Floats, features: Floats, targets: NDArray[np.intp], classes: int) -> tuple[Floats, Floats]:
    """The mean of the discriminants of features and of their components along axes (M, N), as `fit_lda` gives one."""
    plain, offset = fit_lda(features, targets, classes)
    turned, other = fit_lda(features @ axes, targets, classes)
    return (plain + turned @ axes.T) / 2, (offset + other) / 2


def read_out(features: Mapping[int, Floats], samples: Samples, axes: Floats, tried: Sequence[int]) -> tuple[int, Floats, Floats]:
    """The width that is chosen, weights (K, M) and intercepts (K,) of features (n, M) of each width."""
    fit: Fit = partial(fit_both, axes)
    width = chosen_width(features, samples, tried, fit)
    return (width, *fit(features[width], samples.targets, len(samples.legend)))


def chosen_width(features: Mapping[int, Floats], samples: Samples, tried: Sequence[int], fit: Fit = fit_lda) -> int:
    """The first width, unless another is clearly better inside the labels."""
    if len(tried) == 1:
        return tried[0]
    hits = {width: held_out_hits(features[width], samples, fit) for width in tried}
    usual = hits[tried[0]]
    if not len(usual):
        return tried[0]
    better = [width for width in tried[1:] if gain_is_clear(hits[width], usual, 1)]
    return max(better, key=lambda width: float(hits[width].mean()), default=tried[0])
