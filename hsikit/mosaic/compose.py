"""The pixels of a mosaic, made when they are read: of every map that has a value there, the one of the highest rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.layers import Layer
from hsikit.mosaic.lattice import Place
from hsikit.mosaic.maps import Map
from hsikit.mosaic.rules import Ranking
from hsikit.sensors.mosaic import FewOpen

MASKED_PIXELS = ("yield", "stay")
"""What becomes of masked pixels: they yield to any map that is not masked there, or stay where their map ranks highest."""
NOTHING, HIDDEN, VALUE = 0, 1, 2
"""What a map has at a pixel: nothing, a mask, a value."""
PART = (512, 2048)
"""Rows and columns that are composed at once, whatever the window that is read."""


class Composition:
    """A mosaic as writers take it (`hsikit.layers.Pixels`).

    Args:
        maps: open maps.
        layer: that they hold.
        grid: of the mosaic.
        places: of the maps.
        ranking: of the maps.
        masked: one of `MASKED_PIXELS`.
    """

    def __init__(self, maps: Sequence[Map], layer: Layer, grid: Grid, places: Sequence[Place], ranking: Ranking, masked: str = "yield") -> None:
        if masked not in MASKED_PIXELS:
            raise OptionError("masked", f"{masked!r} is not known", f"Known are {', '.join(MASKED_PIXELS)}")
        self.layer, self.grid, self.places, self.ranking = layer, grid, tuple(places), ranking
        self.masked_yields = masked == "yield"
        self._masked_has = HIDDEN if self.masked_yields else VALUE
        self._readers = [place.reader(one.source, layer.nodata) if place.window.size else None for one, place in zip(maps, places, strict=True)]
        self._order = np.array(ranking.order, np.intp)
        self._bounds = np.array([(w.row, w.col, w.row_end, w.col_end) for w in (place.window for place in places)])
        self._held = FewOpen([one.source for one in maps])
        self._held_scores = FewOpen(ranking.sources)

    def hits(self, window: Window) -> list[int]:
        """The maps whose windows meet this one, from the best to the last."""
        top, left, bottom, right = self._bounds[self._order].T
        hit = (top < window.row_end) & (bottom > window.row) & (left < window.col_end) & (right > window.col) & (bottom > top) & (right > left)
        return [int(i) for i in self._order[hit]]

    def values_of(self, index: int, window: Window) -> NDArray[Any]:
        """What a map has in a window inside of its own: shape (bands, rows, cols)."""
        reader = self._readers[index]
        if reader is None:
            raise ValueError(f"map {index} lies outside the mosaic")
        values = reader(window)
        self._held.used(index)
        return values

    def kinds(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Whether pixels hold `NOTHING`, `HIDDEN` or `VALUE`; shape (rows, cols). One band with a value makes a value."""
        absent = np.isnan(values) if math.isnan(self.layer.nodata) else values == self.layer.nodata
        found = np.where(absent.all(axis=0), NOTHING, VALUE).astype(np.uint8)
        if self.layer.masked is not None:
            found[(values == self.layer.masked).all(axis=0)] = HIDDEN
        return found

    def read(self, window: Window) -> NDArray[Any]:
        """Values of a window: shape (bands, rows, cols)."""
        out: NDArray[Any] = np.empty((self.layer.bands, *window.shape), self.layer.dtype)
        for part in tile_windows(window, PART):
            out[(slice(None), *part.slices((window.row, window.col)))] = self._compose(part)[0]
        return out

    def numbers(self, window: Window) -> NDArray[np.uint32]:
        """Which map gives each pixel: its number from 1 in the order given, 0 where none does; shape (rows, cols)."""
        out = np.empty(window.shape, np.uint32)
        for part in tile_windows(window, PART):
            out[part.slices((window.row, window.col))] = self._compose(part)[1]
        return out

    def _compose(self, window: Window) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """Values and numbers of a window, one map after the other."""
        values = np.full((self.layer.bands, *window.shape), self.layer.nodata, self.layer.dtype)
        numbers, kinds, best = np.zeros(window.shape, np.uint32), np.zeros(window.shape, np.uint8), np.full(window.shape, -np.inf)
        for index in self.hits(window):
            if not self.ranking.of_pixels and (kinds == VALUE).all():
                break  # nothing that follows ranks higher
            part = self.places[index].window.intersect(window)
            here = part.slices((window.row, window.col))
            found = self.values_of(index, part)
            kind = self.kinds(found)
            kind[kind == HIDDEN] = self._masked_has
            takes = kind > kinds[here]
            if self.ranking.of_pixels:
                score = self._scores(index, part)
                takes |= (kind == kinds[here]) & (kind > NOTHING) & (score > best[here])
                best[here][takes] = score[takes]
            numbers[here][takes], kinds[here][takes] = index + 1, kind[takes]
            values[(slice(None), *here)][:, takes] = found[:, takes]
        return values, numbers

    def _scores(self, index: int, window: Window) -> NDArray[np.float64]:
        """Ranks of a map's pixels; the lowest where they are unknown."""
        found = self.ranking.of_pixels[index](window)
        self._held_scores.used(index)
        return np.where(np.isnan(found), -np.inf, found)
