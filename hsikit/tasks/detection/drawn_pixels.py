"""Pixels drawn from a whole scene by a seed, the same ones however the scene is cut into tiles.

Each pixel has a number that follows from its place and the seed alone, and the pixels with the lowest numbers are the sample: simple random
sampling by bottom keys, which merges like a sum (Cohen and Kaplan, 2007, doi:10.1145/1281100.1281133). The numbers are those of the generator
SplitMix64 (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195), which gives no two places the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.method import Partial, Tile

_STEP, _FIRST, _SECOND = (number - (1 << 64) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Constants of SplitMix64 as signed numbers: integers of torch wrap round like unsigned ones."""
DRAWN = ("keys", "places", "spectra")


def checked_seed(seed: int) -> int:
    """The seed, when it is one.

    Raises:
        OptionError: below 0, or above 32 bits, which scikit-learn does not take.
    """
    if not 0 <= seed < 1 << 32:
        raise OptionError("-p seed", f"{seed} is no seed", "Give a whole number from 0, below 4294967296")
    return seed


def draw(tile: Tile, most: int, seed: int) -> Partial | None:
    """A tile's own pixels of the sample, for a `Reduce`.

    Args:
        tile: with the role "cube".
        most: pixels of the sample, n.
        seed: of the draw.

    Returns:
        "keys" (n,) int64, ascending; "places" (n, 2), row and column in the scene; "spectra" (n, C), float32. None where no pixel is valid.
    """
    rows, cols = tile.inner_valid("cube").nonzero(as_tuple=True)
    if not len(rows):
        return None
    places = torch.stack((rows + tile.core.row, cols + tile.core.col), 1)
    keys, chosen = _lowest(_numbers(places, seed), most)
    return {"keys": keys, "places": places[chosen], "spectra": tile.inner("cube")[:, rows[chosen], cols[chosen]].T.contiguous()}


def merge_draws(left: Partial, right: Partial, most: int) -> Partial:
    """The sample of the union of two parts of a scene; other entries are left out."""
    both = {name: torch.cat((left[name], right[name])) for name in DRAWN}
    keys, chosen = _lowest(both["keys"], most)
    return {"keys": keys, "places": both["places"][chosen], "spectra": both["spectra"][chosen]}


def drawn_bytes(most: int, bands: int, pixels: int) -> int:
    """Bytes of temporary arrays: a tile's places and numbers; two samples, both together, and the merged one."""
    return 80 * pixels + 6 * most * (4 * bands + 24)


def _lowest(keys: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The lowest numbers, ascending, and where they stand."""
    found = keys.topk(min(most, len(keys)), largest=False, sorted=True)
    return found.values, found.indices


def _numbers(places: Tensor, seed: int) -> Tensor:
    """A number for each place (n, 2), int64, that no other place has."""
    word = (places[:, 0] << 32) + places[:, 1] + _signed(_STEP * (seed + 1))
    word = (word ^ _right(word, 30)) * _FIRST
    word = (word ^ _right(word, 27)) * _SECOND
    return word ^ _right(word, 31)


def _right(word: Tensor, bits: int) -> Tensor:
    """Bits moved to the right with zeros after them, as of an unsigned number."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """The signed number of the same 64 bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
