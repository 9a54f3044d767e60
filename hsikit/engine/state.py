"""What a run finds of each pixel: nothing measured, measured, or hidden by the mask.

The stage that first reads the scene writes it down, tile by tile. Its codes are those of a class map, so that the working file is at once the
layer `masked`, which is delivered where the main layer cannot tell a hidden pixel from a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hsikit.engine.layerfile import LayerFile, scaled
from hsikit.engine.plan import tile_stages
from hsikit.geo.grid import Window
from hsikit.layers import MASKED, NODATA, Layer, Legend, class_layer
from hsikit.method import Job, Map

INVALID, VALID, HIDDEN = NODATA, 1, MASKED
"""State of a reference pixel: nothing measured, usable, hidden by the mask."""
STATE = class_layer(Legend.of({VALID: "measured"}, {VALID: (0, 158, 115)}), "masked", "no data, measured, or masked")


def is_state(layer: Layer) -> bool:
    """Whether a layer is the state of the pixels, on whatever grid."""
    return layer.legend == STATE.legend


def with_state(job: Job, *, masked: bool) -> Job:
    """A job that delivers the state of its pixels too, on the grid of its main raster.

    Args:
        job: what is run.
        masked: whether the run has a mask; without one the job stays what it is, as where the main raster has a code for what is hidden.
    """
    main = next((layer for layer in job.layers if layer.kind == "raster" and layer.delivered), None)
    known = any(isinstance(stage, Map) and job.reference in stage.reads for stage in tile_stages(job.stages))
    if not masked or main is None or main.masked is not None or not known:
        return job
    return replace(job, layers=(*job.layers, replace(STATE, zoom=main.zoom)))


def fine_state(state: NDArray[np.uint8], part: Window, fine: Window, zoom: Fraction) -> NDArray[np.uint8]:
    """The state of each pixel of a finer grid: that of the reference pixel that holds its centre.

    Args:
        state: of the reference pixels of `part`.
        part: a window that holds all of `fine`.
        fine: what is asked for, on the finer grid.
        zoom: fine pixels per reference pixel.
    """
    if zoom == 1:
        return state
    rows = _holding(fine.row, fine.row_end, zoom) - part.row
    cols = _holding(fine.col, fine.col_end, zoom) - part.col
    return state[rows][:, cols]


def _holding(first: int, end: int, zoom: Fraction) -> NDArray[np.intp]:
    """The reference pixels that hold the centres of fine pixels; a centre on a border belongs to the pixel before, as in `scaled`."""
    double = (2 * np.arange(first, end) + 1) * zoom.denominator
    return -(-double // (2 * zoom.numerator)) - 1


@dataclass(frozen=True)
class FineState:
    """The state of the pixels of a finer grid, as writers read it (`hsikit.layers.Pixels`), counted from the corner of the area.

    Attributes:
        file: the states of the reference pixels.
        zoom: fine pixels per reference pixel.
    """

    file: LayerFile
    zoom: Fraction

    def read(self, window: Window) -> NDArray[np.uint8]:
        """See `hsikit.layers.Pixels`."""
        corner = scaled(self.file.area, self.zoom)
        fine = Window(window.row + corner.row, window.col + corner.col, *window.shape)
        rows, cols = _holding(fine.row, fine.row_end, self.zoom), _holding(fine.col, fine.col_end, self.zoom)
        held = Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        return fine_state(self.file.read(held)[0], held, fine, self.zoom)[None]


def count_valid(file: LayerFile) -> int:
    """Valid pixels, from the state that the stages wrote."""
    rows = max(1, 2**22 // max(1, file.area.cols))
    total = 0
    for row in range(file.area.row, file.area.row_end, rows):
        window = Window(row, file.area.col, min(rows, file.area.row_end - row), file.area.cols)
        total += int(np.count_nonzero(file.read(window) == VALID))
    return total
