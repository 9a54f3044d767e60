"""Clusters of a scene and the moments of each: a background for every kind of cover, where one for all fits nothing.

k-means on the scene's leading components at unit variance. Its centres come from a bounded draw of the scene's pixels (`drawn_pixels`); then every
pixel belongs to the nearest centre. A background is what is common: a cluster stands if it holds half of an equal share of the pixels, so that odd
objects, which lie together in these components, are no background of their own; and if it holds five pixels for each dimension of its moments. (A filter
whose covariance comes from n pixels in D dimensions loses the share D / n of its signal to noise: Reed, Mallett and Brennan, 1974,
doi:10.1109/TAES.1974.307893.) A smaller one, or one whose pixels are all equal, joins the nearest that stands, pixels and moments; where none does, all
are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer, Legend, class_layer
from hsikit.method import Partial, Reduce, Store, Tile
from hsikit.spectral.moments import Moments, merge_moments, moments
from hsikit.tasks.detection.background import CHUNK_PIXELS, chunk_moments
from hsikit.tasks.detection.drawn_pixels import draw, merge_draws
from hsikit.tasks.detection.kmeans import k_means
from hsikit.tasks.detection.leading_components import LEAST_VARIANCE, leading_components, whitened
from hsikit.tasks.detection.scene_detection import measure

CLUSTERS = 8
"""How many are looked for, where nobody says."""
MOST_CLUSTERS = 50
COMPONENTS = 10
"""Leading components in which pixels are alike or not: those beyond are noise in most scenes, and each counts as much as the first."""
DRAWN = 4096
"""Pixels from which the centres are found."""
LEAST_SHARE, LEAST_PER_DIMENSION = 0.5, 5
"""Of an equal share of the pixels; pixels for each dimension of the moments."""
FOUND = "clusters"
"""The stage that finds the centres, and the layer that says which background a pixel is measured by."""
PART_OF, STANDING = "part of", "standing"
"""What stages of statistics hold beside those of each background: which one each cluster is part of, and how many there are."""
ALIVE = 9
"""Partial results that may be alive for each thread: made, waiting for their turn, and the three of a merge."""


def checked_clusters(clusters: int) -> int:
    """The number of clusters, when it is one.

    Raises:
        OptionError: below 1, or above 50.
    """
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise OptionError("-p clusters", f"{clusters} is no number of clusters", f"Give 1 to {MOST_CLUSTERS}; the default is {CLUSTERS}")
    return clusters


def cluster_layer(wanted: int) -> Layer:
    """The layer that says which background a pixel is measured by, from 1."""
    names = {number: f"cluster {number}" for number in range(1, wanted + 1)}
    return class_layer(Legend.of(names), FOUND, "the cluster whose mean and covariance a pixel is measured by")


@dataclass(frozen=True)
class SceneClusters:
    """How the clusters of one scene are found.

    Attributes:
        wanted: how many; fewer are found where fewer pixels differ.
        components: that the stage keeps; 0: as many as clusters are found in, or as there are.
        scene: for messages.
    """

    wanted: int
    components: int
    scene: str

    def stage(self) -> Reduce:
        """After it `store[FOUND]` holds "mean" and "project", as `leading_components` returns them, and "centres" (m, j), j up to `COMPONENTS`."""
        return Reduce(FOUND, ("cube",), self._measure, self._merge, self._find)

    def cost_bytes(self, tile: tuple[int, int], bands: int, dimensions: int) -> int:
        """Bytes beside the temporary arrays of moments.

        Args:
            tile: rows and columns.
            bands: of the scene.
            dimensions: of the clusters' moments.
        """
        pixels = tile[0] * tile[1]
        drawn = (4 * bands + 24) * min(DRAWN, pixels) * ALIVE + 80 * pixels
        # Moments of all clusters; one cluster's pixels side by side, components and what is compared of them.
        measured = 8 * dimensions**2 * self.wanted * ALIVE + pixels * (4 * bands + 8 * (max(self.components, COMPONENTS) + 2 * self.wanted + 3))
        return max(drawn, measured)

    def _measure(self, tile: Tile, store: Store) -> Partial | None:
        found, drawn = measure(tile, store), draw(tile, DRAWN, 0)
        return None if found is None or drawn is None else found | drawn

    def _merge(self, left: Partial, right: Partial) -> Partial:
        return merge_moments(left, right) | merge_draws(left, right, DRAWN)

    def _find(self, found: Partial, store: Store) -> Partial:
        if self.components:
            held = leading_components(found, self.components, self.scene)
        else:
            held = leading_components(found, COMPONENTS, self.scene, "Check the scene and its nodata value", at_most=True)
        points = (found["spectra"].double() - held["mean"]) @ held["project"][:COMPONENTS].T
        return held | {"centres": torch.from_numpy(k_means(points.numpy(), self.wanted))}


def nearest(white: Tensor, centres: Tensor) -> Tensor:
    """The cluster of each pixel.

    Args:
        white: components, shape (k, rows, cols), k from j.
        centres: shape (m, j).

    Returns:
        int64 from 0, shape (rows, cols).
    """
    points = white[: centres.shape[1]].flatten(1)
    return torch.addmm(centres.square().sum(1, keepdim=True), centres, points, alpha=-2).argmin(0).view(white.shape[1:])


def clusters_of(values: Tensor, valid: Tensor, found: Mapping[str, Tensor]) -> Tensor:
    """The cluster of each pixel of a tile.

    Args:
        values: float32, shape (C, rows, cols).
        valid: bool, shape (rows, cols).
        found: as the stage leaves it.

    Returns:
        int64 from 0, shape (rows, cols); any where not valid.
    """
    centres = found["centres"]
    return nearest(whitened(values, valid, {"mean": found["mean"], "project": found["project"][: centres.shape[1]]}), centres)


def cluster_moments(values: Tensor, clusters: Tensor, counted: Tensor, number: int) -> Partial | None:
    """Moments of the pixels of each cluster.

    Args:
        values: shape (C, rows, cols).
        clusters: from 0, shape (rows, cols).
        counted: bool, shape (rows, cols): the pixels that count.
        number: of clusters.

    Returns:
        As `spectral.moments` has them, named "0 count", "1 count", ...; None where no pixel counts.
    """
    if not bool(counted.any()):
        return None
    flat = values.flatten(1)
    parts: Partial = {}
    for cluster in range(number):
        found: Moments | None = None
        places = (counted & (clusters == cluster)).flatten().nonzero()[:, 0]
        for first in range(0, len(places), CHUNK_PIXELS):
            chunk = chunk_moments(flat[:, places[first : first + CHUNK_PIXELS]])
            found = chunk if found is None else merge_moments(found, chunk)
        if found is None:
            found = moments(flat.new_zeros(0, len(flat), dtype=torch.float64))
        parts |= {f"{cluster} {key}": value for key, value in found.items()}
    return parts


def large_enough(found: Mapping[str, Tensor], centres: Tensor) -> tuple[list[Moments], Tensor]:
    """The clusters that stand, the small ones joined to them.

    Args:
        found: moments of all clusters, as `cluster_moments` names them.
        centres: shape (m, j).

    Returns:
        Moments of those that stand, and for each cluster which of these it is part of, int64 (m,).
    """
    parts = [{key: found[f"{cluster} {key}"] for key in ("count", "mean", "scatter")} for cluster in range(len(centres))]
    held = torch.stack([part["count"] for part in parts])
    spread = torch.stack([part["scatter"].trace() for part in parts]) / held.clamp(min=1)
    # A cover of one number, such as a fill that nobody declared, has no covariance.
    least = max(LEAST_PER_DIMENSION * len(parts[0]["mean"]), LEAST_SHARE * float(held.mean()))
    large = (held >= least) & (spread > LEAST_VARIANCE * spread.max())
    if not bool(large.any()):
        large[0] = True
        part_of = torch.zeros(len(parts), dtype=torch.int64)
    else:
        part_of = (centres[:, None] - centres[large]).square().sum(2).argmin(1)
    standing = [part for part, stands in zip(parts, large.tolist(), strict=True) if stands]
    for cluster in (~large).nonzero()[:, 0].tolist():
        into = int(part_of[cluster])
        standing[into] = merge_moments(standing[into], parts[cluster])
    return standing, part_of
