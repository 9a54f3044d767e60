"""Small bright or dark shapes in pictures of a scene: components, and what else is drawn beside them, in levels, kept within their edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from hsikit.errors import OptionError
from hsikit.method import Map, Stage, Store, Tile
from hsikit.tasks.detection.area_filter import LEVELS, REACH, extent_stage, guided_mean, levels_of, mirrored
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.ranks import span_stage

PICTURES = 3
"""Components whose shapes are looked at."""
LARGEST = 200
"""Pixels of an object, at most: tiles see twice as far."""
NO_COMPONENTS = "Mark bands as bad that hold nothing of their own, or use rx with -p ridge=1e-6"
BYTES = 12 * PICTURES + 60 + 8 * 14
"""Of a pixel: pictures and levels, their tree (parents, order and areas of 8 bytes each), residues, and the means along edges."""


@dataclass(frozen=True)
class ObjectSearch:
    """Options of a search for objects of a size.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        object_size: pixels of the largest objects looked for.

    Raises:
        OptionError: an option out of its range.
    """

    pfa: float | None = None
    object_size: int = 50

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if not 1 <= self.object_size <= LARGEST:
            raise OptionError("-p object_size", f"{self.object_size} is no size of an object", f"Give pixels, 1 to {LARGEST}; the default is 50")


@dataclass(frozen=True, eq=False)
class Shapes:
    """The pictures of a tile with its halo.

    Attributes:
        levels: of each picture, int64 (rows, cols).
        guide: the first one, 0 to 1, where the filter along edges looks.
        there: whether a pixel has a value, at the same places.
        near: these places in the tile.
    """

    levels: list[Tensor]
    guide: Tensor
    there: Tensor
    near: tuple[slice, slice]

    def kept(self, small: Tensor) -> Tensor:
        """Evidence (n, rows, cols) of the core, kept within the edges of the first picture; no less than 0, where nothing is small."""
        return guided_mean(small[:, *self.near], self.guide, self.there).clamp(min=0).float()


def picture_stages(draw: Callable[[Tile, Store], Mapping[str, Tensor]]) -> list[Stage]:
    """Stages that draw the layer "pictures", and find its span and its extent."""
    return [Map("draw", ("cube",), ("pictures",), draw), span_stage("pictures-span", ("pictures",)), extent_stage("extent", "pictures")]


def shapes_of(tile: Tile, store: Store) -> Shapes:
    """The pictures of a tile in levels of the scene's span, mirrored where the scene ends."""
    span, found = store["pictures-span"], tile.arrays["pictures"]
    pictures = mirrored(found, tile.windows["pictures"], store["extent"])
    valid = ~pictures[0].isnan()
    levels = [levels_of(picture, valid, span["low"][i], span["high"][i]) for i, picture in enumerate(pictures)]
    rows, cols = tile.cores["pictures"]
    near = slice(rows.start - REACH, rows.stop + REACH), slice(cols.start - REACH, cols.stop + REACH)
    return Shapes(levels, (levels[0][near].double() - 1).clamp(min=0) / (LEVELS - 1), ~found[0][near].isnan(), near)
