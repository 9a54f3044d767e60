"""Takes small patches out of a class map.

A patch is a 4-connected set of pixels of one class. One of fewer than N pixels takes the class that most of its border has,
counted in edges towards patches of at least N pixels; of equals, the lowest code. A patch without such a neighbour stays, as
do unknown, masked and nodata, which no patch grows into. All patches change at once. Differs from GDAL's sieve filter, which
merges into the largest neighbour, so that the answer is a local one: with a halo of 2 N every tile gives what the whole map
gives. Confidence and probabilities stay what the classifier said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import MethodError, OptionError
from hsikit.layers import LAST_CLASS
from hsikit.method import Cost, Job, Map, Store, Tile

if TYPE_CHECKING:
    from torch import Tensor

MOST_PIXELS = 200
"""The largest N: the halo grows with it."""


def sieve(job: Job, size: int) -> Job:
    """A job whose class map has no patch smaller than `size` pixels beside a larger one.

    Args:
        job: one with a layer "map".
        size: N, from 2 to `MOST_PIXELS`.

    Raises:
        MethodError: the job makes no class map.
        OptionError: N out of range.
    """
    if not isinstance(size, int) or not 2 <= size <= MOST_PIXELS:
        raise OptionError(
            "sieve", f"{size!r} is not a whole number from 2 to {MOST_PIXELS}", "Larger patches are rarely noise; smooth the probabilities instead"
        )
    if not any(layer.name == "map" and layer.legend is not None for layer in job.layers):
        raise MethodError(job.method, "it makes no class map, so there is nothing to sieve")

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        import torch

        codes = tile.arrays["map"]
        sieved = torch.from_numpy(sieve_codes(codes[0].cpu().numpy(), size)).to(codes.device)
        return {"map": sieved[tile.cores["map"]][None]}

    before = job.cost
    return replace(
        job,
        identity={**job.identity, "sieve": size},
        stages=(*job.stages, Map("sieve", ("map",), ("map",), apply, halo=(2 * size, 2 * size))),
        cost=lambda shape: _cost(before(shape), shape),
        provenance={**job.provenance, "sieve": f"patches below {size} pixels"},
    )


def sieve_codes(codes: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A class map (rows, cols) without patches below `size` pixels; exact at least 2 `size` pixels from the border."""
    from skimage.measure import label

    real = np.where((codes >= 1) & (codes <= LAST_CLASS), codes, 0)
    patches: NDArray[Any] = label(real, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    pixels = np.bincount(patches.ravel())
    small = pixels < size
    small[0] = False
    if not small.any():
        return codes.copy()
    replacement = _longest_border(real, patches, small)
    return np.where(replacement[patches] > 0, replacement[patches], codes).astype(np.uint8)


def _longest_border(real: NDArray[np.uint8], patches: NDArray[Any], small: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """For each patch the class it becomes, or 0 where it stays."""
    keys = []
    for ours, theirs in _neighbours():
        meets = small[patches[ours]] & ~small[patches[theirs]] & (real[theirs] > 0)
        keys.append(patches[ours][meets].astype(np.int64) * 256 + real[theirs][meets])
    pairs, edges = np.unique(np.concatenate(keys), return_counts=True)
    patch, code = pairs // 256, pairs % 256
    # Ascending by edges, then by descending code: what is written last is the longest border with the lowest code.
    order = np.lexsort((-code, edges))
    replacement = np.zeros(len(small), np.uint8)
    replacement[patch[order]] = code[order]
    return replacement


def _neighbours() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    whole, first, last = slice(None), slice(None, -1), slice(1, None)
    sides = [((whole, first), (whole, last)), ((first, whole), (last, whole))]
    return [pair for ours, theirs in sides for pair in ((ours, theirs), (theirs, ours))]


def _cost(before: Cost, shape: tuple[int, int]) -> Cost:
    pixels = shape[0] * shape[1]
    return Cost(max(before.bytes, pixels * 60), before.flops + pixels * 100.0)
