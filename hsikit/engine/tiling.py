"""The tiles of a stage: cores of one size that cover the area, row by row."""

from __future__ import annotations

from dataclasses import dataclass

from hsikit.geo.grid import Window, tile_windows


@dataclass(frozen=True)
class Tiling:
    """Tiles over an area of the reference grid.

    Attributes:
        area: what is run.
        shape: (rows, cols) of every core; the last ones reach past the area.
        cores: all cores, of full size.
        clipped: the same, cut to the area.
        grid: (tile rows, tile columns).
    """

    area: Window
    shape: tuple[int, int]
    cores: list[Window]
    clipped: list[Window]
    grid: tuple[int, int]

    def __len__(self) -> int:
        return len(self.cores)

    def panels(self, cols: int) -> list[list[int]]:
        """The tiles in panels of about `cols` columns, from left to right, row by row in each; 0: one panel of all."""
        count = max(1, cols // self.shape[1]) if cols else self.grid[1]
        starts = range(0, self.grid[1], count)
        return [[row * self.grid[1] + col for row in range(self.grid[0]) for col in range(first, min(first + count, self.grid[1]))] for first in starts]

    def holding(self, row: int, col: int) -> int:
        """The tile whose core holds a pixel of the area."""
        first = self.cores[0]
        return (row - first.row) // self.shape[0] * self.grid[1] + (col - first.col) // self.shape[1]


def make_tiling(area: Window, shape: tuple[int, int], align: int = 1) -> Tiling:
    """Tiles of `shape` over `area`, whose first row and column are multiples of `align`."""
    row, col = area.row // align * align, area.col // align * align
    whole = Window(row, col, area.row_end - row, area.col_end - col)
    rows, cols = (-(-size // align) * align for size in shape)
    windows = [Window(w.row, w.col, rows, cols) for w in tile_windows(whole, (rows, cols))]
    grid = (-(-whole.rows // rows), -(-whole.cols // cols))
    return Tiling(area, (rows, cols), windows, [w.intersect(area) for w in windows], grid)
