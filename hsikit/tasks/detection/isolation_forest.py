"""Isolation forest: pixels that few random cuts set apart from all others are anomalies.

For backgrounds of any shape: no covariance, no distance, and the same answer for any gain of the components. Liu, Ting and Zhou, 2008
(doi:10.1109/ICDM.2008.17), in the leading principal components at unit variance. Grown by scikit-learn on pixels drawn from the whole scene by a
seed, stored as arrays, and walked here: its scores are scikit-learn's with the sign turned, 0 to 1, and about 0.5 for an ordinary pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import row_chunks, temporary_bytes
from hsikit.tasks.detection.drawn_pixels import checked_seed, draw, drawn_bytes, merge_draws
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.scene_detection import SceneDetection, checked_components, good_bands_for, measure
from hsikit.tasks.forest import CHUNK, flat_forest, forest_mean

SAMPLE = 4096
"""Pixels drawn from the scene, of which each tree draws its own."""
MOST_TREES = 2000


@dataclass(frozen=True)
class IsolationForest:
    """Isolation forest on components.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that are looked at.
        trees: how many, 1 to 2000: their mean is the steadier, the more there are.
        tree_pixels: pixels that each tree is grown on, 2 to 4096.
        seed: of the pixels drawn, and of the trees.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "isolation-forest"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = 20
    trees: int = 300
    tree_pixels: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_components(self.components)
        checked_seed(self.seed)
        if not 1 <= self.trees <= MOST_TREES:
            raise OptionError("-p trees", f"{self.trees} is no number of trees", f"Give 1 to {MOST_TREES}; the default is 300")
        if not 2 <= self.tree_pixels <= SAMPLE:
            raise OptionError("-p tree_pixels", f"a tree cannot be grown on {self.tree_pixels} pixels", f"Give 2 to {SAMPLE}; the default is 256")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, 0 to 1), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene, told = inputs["cube"], self
        used = good_bands_for(scene, self.components)

        def gather(tile: Tile, store: Store) -> Partial | None:
            found, drawn = measure(tile, store), draw(tile, SAMPLE, told.seed)
            return None if found is None or drawn is None else {**found, **drawn}

        def merge(left: Partial, right: Partial) -> Partial:
            return {**merge_moments(left, right), **merge_draws(left, right, SAMPLE)}

        def grow(found: Partial, store: Store) -> Partial:
            held = leading_components(found, told.components, scene.name)
            sample = whitened(found["spectra"].T[:, None], torch.ones(1, len(found["spectra"]), dtype=torch.bool), held)[:, 0].T.float()
            forest = isolation_trees(sample.numpy(), told.trees, told.tree_pixels, told.seed)
            return {**held, **{name: torch.from_numpy(array) for name, array in forest.items()}}

        def score(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            return {"scores": isolation(tile.inner("cube"), tile.inner_valid("cube"), store["forest"])[None]}

        def cost(tile: tuple[int, int]) -> Cost:
            pixels, bands = tile[0] * tile[1], len(used)
            walking = max(CHUNK, tile[1]) * (12 * told.components + 48)
            measuring = temporary_bytes(bands, tile[1]) + drawn_bytes(SAMPLE, bands, pixels)
            depth = np.log2(told.tree_pixels) + 1
            return Cost(max(measuring, walking + 4 * pixels), pixels * (2.0 * bands * told.components + 20.0 * told.trees * depth))

        layers = [Layer("scores", description=f"how few random cuts set a pixel apart, in {self.components} components (isolation forest)")]
        stages: list[Stage] = [Reduce("forest", ("cube",), gather, merge, grow), Map("score", ("cube",), ("scores",), score)]
        options = {name: getattr(self, name) for name in ("components", "trees", "tree_pixels", "seed")}
        says = {**{name: str(value) for name, value in options.items()}, "grown_on": f"up to {SAMPLE} pixels drawn from the scene"}
        return SceneDetection(self.name, used, self.pfa).job(layers, stages, cost, options, says)


def isolation_trees(sample: NDArray[np.float32], trees: int, tree_pixels: int, seed: int) -> dict[str, NDArray[Any]]:
    """A forest grown on pixels.

    Args:
        sample: shape (n, k), n at least 2.
        trees: how many.
        tree_pixels: of each tree; all n where there are fewer.
        seed: of the trees.

    Returns:
        See `flat_forest`: each leaf holds the cuts that lead to it, and those that its own pixels would take on average, as a share of what a tree
        of so many pixels takes on average.
    """
    from sklearn.ensemble import IsolationForest as Grower

    own = min(tree_pixels, len(sample))
    grown = Grower(n_estimators=trees, max_samples=own, random_state=seed).fit(sample)
    usual = float(_cuts(np.array([own]))[0])

    def lengths(tree: Any, leaves: NDArray[np.intp]) -> NDArray[Any]:
        return ((_depths(tree)[leaves] + _cuts(tree.n_node_samples[leaves])) / usual)[:, None]

    return flat_forest([each.tree_ for each in grown.estimators_], lengths)


def _depths(tree: Any) -> NDArray[np.int64]:
    """Cuts that lead to each node; parents stand before their children."""
    depth = np.zeros(tree.node_count, np.int64)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depth[[left, right]] = depth[node] + 1
    return depth


def _cuts(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Mean number of cuts after which a pixel is alone among so many: that of an unsuccessful search in a binary tree."""
    many = np.maximum(pixels, 3).astype(np.float64)
    found = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(pixels > 2, found, np.where(pixels == 2, 1.0, 0.0))


def isolation(values: Tensor, valid: Tensor, forest: Mapping[str, Tensor]) -> Tensor:
    """Scores of a tile.

    Args:
        values: float32, shape (C, rows, cols).
        valid: bool, shape (rows, cols).
        forest: components, and a forest on them, see `isolation_trees`.

    Returns:
        float32, shape (rows, cols), 0 to 1: 2 to the power of minus the mean length.
    """
    out = values.new_empty(values.shape[1:])
    for rows in row_chunks(values, CHUNK):
        white = whitened(values[:, rows], valid[rows], forest).flatten(1).float()
        out[rows] = torch.exp2(-forest_mean(forest, white.T)[:, 0]).float().view(-1, values.shape[2])
    return out
