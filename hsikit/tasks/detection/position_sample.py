"""A draw of a scene's pixels that does not depend on how the scene is cut: those whose positions have the smallest hashes.

For statistics that need pixels side by side, such as clusters, of a scene that never stands in memory. Every position has a number that looks like
chance; the pixels with the smallest ones are a draw without replacement, and the smallest of two parts are the smallest of both. After Cohen and
Kaplan, 2007 (doi:10.1145/1281100.1281133), with the hash of Steele, Lea and Flood, 2014 (doi:10.1145/2660193.2660195).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.geo.grid import Window
from hsikit.method import Partial

_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def position_keys(window: Window) -> NDArray[np.int64]:
    """A number for each pixel of a window, that of no other position of the scene; shape (rows, cols)."""
    rows = np.arange(window.row, window.row_end, dtype=np.int64).astype(np.uint64)
    cols = np.arange(window.col, window.col_end, dtype=np.int64).astype(np.uint64)
    mixed = ((rows << np.uint64(32))[:, None] ^ cols[None]) + _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)


def draw(values: Tensor, valid: Tensor, window: Window, most: int) -> Partial:
    """What a tile gives to the draw.

    Args:
        values: float32, shape (C, rows, cols).
        valid: bool, shape (rows, cols).
        window: where the pixels lie in the scene.
        most: pixels of the draw.

    Returns:
        "keys" (n,) ascending, and "spectra" (n, C), float32; n is at most `most`.
    """
    places = valid.flatten().nonzero()[:, 0]
    keys = torch.from_numpy(position_keys(window)).to(values.device).flatten()[places]
    found, order = keys.topk(min(most, len(keys)), largest=False, sorted=True)
    return {"keys": found, "spectra": values.flatten(1)[:, places[order]].T}


def merge_draws(left: Mapping[str, Tensor], right: Mapping[str, Tensor], most: int) -> Partial:
    """The draw of two parts of a scene."""
    keys, order = torch.cat((left["keys"], right["keys"])).sort()
    return {"keys": keys[:most], "spectra": torch.cat((left["spectra"], right["spectra"]))[order[:most]]}
