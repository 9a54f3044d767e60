"""Forests of decision trees: grown by scikit-learn, stored as flat arrays, walked by torch.

No forest is ever pickled: its arrays go where other arrays go. Thresholds are rounded down to float32, so that for float32 values the
comparisons come out as scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16_384
"""Pixels that walk a tree at once: many enough for its nodes to stay in the cache, few enough to bound the temporary arrays."""


def flat_forest(trees: Sequence[Any], leaf_values: Callable[[Any, NDArray[np.intp]], NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a forest.

    Args:
        trees: scikit-learn's (`tree_` of its estimators).
        leaf_values: K values (L, K) of some leaves of a tree, given by their numbers (L,).

    Returns:
        Over the N nodes of all T trees one after another: "band" and "threshold" of each node; "child", the position of its left child within the
        tree (the right one follows it; a leaf is its own child, with threshold infinity); "leaf", its row in "leaves" (L, K), or 0; "first" and
        "depth" of each tree.
    """
    parts = [_flatten(tree, leaf_values) for tree in trees]
    sizes = np.array([len(part["band"]) for part in parts])
    starts = np.cumsum([0] + [len(part["leaves"]) for part in parts])
    arrays: dict[str, NDArray[Any]] = {key: np.concatenate([part[key] for part in parts]) for key in ("band", "threshold", "child", "leaves")}
    arrays["leaf"] = np.concatenate([part["leaf"] + start for part, start in zip(parts, starts, strict=False)]).astype(np.int32)
    arrays["first"] = (np.cumsum(sizes) - sizes).astype(np.int32)
    arrays["depth"] = np.array([tree.max_depth for tree in trees], np.int32)
    return arrays


def _flatten(tree: Any, leaf_values: Callable[[Any, NDArray[np.intp]], NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One tree, its nodes renumbered breadth first, so that siblings are neighbours and the busy nodes come first."""
    left, right = tree.children_left, tree.children_right
    order, place = [0], 0
    while place < len(order):
        if left[order[place]] >= 0:
            order += [left[order[place]], right[order[place]]]
        place += 1
    nodes = np.array(order)
    number = np.empty(len(nodes), np.int32)
    number[nodes] = np.arange(len(nodes))
    leaf = left[nodes] < 0
    threshold = tree.threshold[nodes].astype(np.float32)
    threshold = np.where(threshold > tree.threshold[nodes], np.nextafter(threshold, np.float32(-np.inf)), threshold)
    return {
        "band": np.where(leaf, 0, tree.feature[nodes]).astype(np.int32),
        "threshold": np.where(leaf, np.float32(np.inf), threshold).astype(np.float32),
        "child": np.where(leaf, np.arange(len(nodes)), number[left[nodes]]).astype(np.int32),
        "leaf": np.where(leaf, np.cumsum(leaf) - 1, 0).astype(np.int32),
        "leaves": leaf_values(tree, nodes[leaf]).astype(np.float32),
    }


def forest_mean(forest: Mapping[str, Tensor], spectra: Tensor) -> Tensor:
    """The mean of the leaves that pixels end in, over the trees.

    Args:
        forest: see `flat_forest`.
        spectra: float32, shape (n, C).

    Returns:
        float64, shape (n, K).
    """
    import torch

    flat = spectra.T.reshape(-1)
    pixel = torch.arange(len(spectra), dtype=torch.int32, device=spectra.device)
    total = torch.zeros(len(spectra), forest["leaves"].shape[1], dtype=torch.float64, device=spectra.device)
    firsts = forest["first"].tolist()
    ends = [*firsts[1:], len(forest["band"])]
    for first, end, depth in zip(firsts, ends, forest["depth"].tolist(), strict=True):
        # One tree at a time: its nodes stay in the cache while thousands of pixels walk it.
        offset = forest["band"][first:end] * len(spectra)
        threshold, child = forest["threshold"][first:end], forest["child"][first:end]
        node = torch.zeros_like(pixel)
        for _ in range(depth):
            value = flat.index_select(0, offset.index_select(0, node).add_(pixel))
            node = child.index_select(0, node).add_(value > threshold.index_select(0, node))
        total += forest["leaves"].index_select(0, forest["leaf"][first:end].index_select(0, node))
    return total / len(firsts)
