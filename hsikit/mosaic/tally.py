"""Counts of what is written, taken while it is written: pixels and hectares of each code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.area import PixelAreas
from hsikit.geo.grid import Window
from hsikit.layers import Pixels


class Tally:
    """A layer of whole numbers that counts itself as it is read.

    Args:
        pixels: the layer, read once from top to bottom.
        areas: of the pixels.
        codes: one more than the largest number.
    """

    def __init__(self, pixels: Pixels, areas: PixelAreas, codes: int) -> None:
        self._pixels, self._areas = pixels, areas
        self.pixels, self.hectares = np.zeros(codes, np.int64), np.zeros(codes)

    def read(self, window: Window) -> NDArray[Any]:
        """See `hsikit.layers.Pixels`."""
        values = self._pixels.read(window)
        for row in range(window.rows):  # by rows, so that areas take no more memory than the layer
            codes = values[0, row]
            self.pixels += np.bincount(codes, minlength=len(self.pixels))
            ground = self._areas.read(Window(window.row + row, window.col, 1, window.cols))[0]
            self.hectares += np.bincount(codes, ground, len(self.pixels))
        return values

    def by_code(self) -> dict[int, tuple[int, float | None]]:
        """Code -> (pixels, hectares) of the codes that occur."""
        return {int(code): (int(self.pixels[code]), float(self.hectares[code])) for code in np.flatnonzero(self.pixels)}
