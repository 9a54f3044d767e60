"""Spectra and windows of a scene at given pixels, read strip by strip in bounded memory, with the engine's rule of what is valid.

Only the blocks of the file that hold such pixels are read, each once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.geo.grid import Window
from hsikit.geo.places import windows_around
from hsikit.scene import Indices, Source
from hsikit.spectral.gaps import fill_gaps, valid_spectra
from hsikit.train.labelled import LabelledScene

BUDGET = 48 << 20
"""Bytes of float32 that one read may take."""

Batch = tuple[Indices, NDArray[np.float32]]


def windows_at(source: Source, rows: Indices, cols: Indices, bands: Indices, radius: int = 0, *, budget: int = BUDGET) -> Iterator[Batch]:
    """Square windows around pixels, in batches.

    Args:
        source: the scene.
        rows: rows of the pixels, shape (n,).
        cols: their columns.
        bands: positions in the scene's bands, ascending.
        radius: pixels on each side of the centre; 0 gives the spectra alone.
        budget: bytes that one read, and one batch, may take.

    Yields:
        Which of the pixels (positions 0 to n - 1, shape (m,)), and their values: float32 of shape
        (m, bands, 2 radius + 1, 2 radius + 1), NaN where missing or outside the scene. Each pixel comes once.

    Raises:
        SceneError: the scene is truncated or damaged.
    """
    cell_rows, cell_cols = _cell(source, len(bands), budget)
    across = -(-source.info.grid.shape[1] // cell_cols)
    cell = (np.asarray(rows) // cell_rows) * across + np.asarray(cols) // cell_cols
    order = np.argsort(cell, kind="stable")
    side = 2 * radius + 1
    batch = max(1, budget // (4 * max(1, len(bands)) * side * side))
    for part in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        if not part.size:
            continue
        block, origin = _block(source, rows[part], cols[part], bands, radius)
        view = np.lib.stride_tricks.sliding_window_view(block, (side, side), axis=(1, 2))
        for start in range(0, len(part), batch):
            index = part[start : start + batch]
            values = view[:, rows[index] - radius - origin.row, cols[index] - radius - origin.col]
            yield index, np.ascontiguousarray(np.moveaxis(values, 0, 1))


def _cell(source: Source, bands: int, budget: int) -> tuple[int, int]:
    """(rows, cols) of the parts of the scene that are read at once: whole blocks of the file, full rows where they fit."""
    pixels = max(1, budget // (4 * max(1, bands)))
    rows, cols = source.block
    width = source.info.grid.shape[1]
    if rows * width <= pixels:
        return pixels // width // rows * rows, width
    if rows * cols <= pixels:
        return rows, pixels // rows // cols * cols
    return max(1, pixels // cols), min(cols, pixels)


def _block(source: Source, rows: Indices, cols: Indices, bands: Indices, radius: int) -> tuple[NDArray[np.float32], Window]:
    """Values of the smallest window that holds the pixels and their surroundings, NaN outside the scene."""
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1).expand((radius, radius))
    inside = window.intersect(source.info.grid.whole)
    block = np.full((len(bands), *window.shape), np.nan, np.float32)
    source.read(inside, bands).decode(inside, block[(slice(None), *inside.slices((window.row, window.col)))])
    return block, window


def spectra_at(source: Source, rows: Indices, cols: Indices, bands: Indices, *, budget: int = BUDGET) -> NDArray[np.float32]:
    """Spectra at pixels, ready for a method: the few missing bands of a valid pixel are interpolated along the wavelength.

    Args:
        source: the scene.
        rows: rows of the pixels, shape (n,).
        cols: their columns.
        bands: positions in the scene's bands, ascending.
        budget: bytes that one read may take.

    Returns:
        Float32 of shape (n, bands); NaN throughout for pixels that are not valid.

    Raises:
        SceneError: the scene is truncated or damaged.
    """
    out = np.full((len(rows), len(bands)), np.nan, np.float32)
    chosen = source.info.bands.take(bands)
    for index, values in windows_at(source, rows, cols, bands, budget=budget):
        spectra = values[:, :, 0, 0]
        valid = valid_spectra(spectra, chosen.good)
        out[index[valid]] = fill_gaps(spectra[valid], chosen.wavelength)
    return out


def drop_invalid(scene: LabelledScene, bands: Indices | None = None) -> LabelledScene:
    """Leaves out the label pixels where the scene has no data, and notes how many.

    Args:
        scene: the labelled scene.
        bands: the bands that count; the good ones when None.

    Raises:
        LabelError: none is left.
        SceneError: the scene is truncated or damaged.
    """
    info = scene.source.info
    index = info.bands.used if bands is None else bands
    valid = np.zeros(len(scene), bool)
    for part, values in windows_at(scene.source, scene.rows, scene.cols, index):
        valid[part] = valid_spectra(values[:, :, 0, 0], info.bands.good[index])
    if valid.all():
        return scene
    if not valid.any():
        raise LabelError(scene.name, f"at all {len(scene)} label pixels the scene {info.name} has no data", "Give labels where the scene has data")
    note = f"{scene.name}: {int((~valid).sum())} of {len(scene)} label pixels were left out, the scene has no data there"
    return replace(scene.take(valid), notes=(*scene.notes, note))


class Hidden(Protocol):
    """What a mask hides of a scene."""

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where a pixel is hidden, of the window's shape."""
        ...


def drop_hidden(scene: LabelledScene, mask: Hidden) -> LabelledScene:
    """Leaves out the label pixels that a mask hides, and notes how many.

    Args:
        scene: the labelled scene.
        mask: on its grid.

    Raises:
        LabelError: none is left.
    """
    hidden = hidden_at(mask, scene.rows, scene.cols, scene.source.info.grid.shape)
    if not hidden.any():
        return scene
    if hidden.all():
        raise LabelError(scene.name, f"the mask hides all {len(scene)} label pixels", "Give labels elsewhere, or hide less")
    note = f"{scene.name}: {int(hidden.sum())} of {len(scene)} label pixels were left out, the mask hides them"
    return replace(scene.take(~hidden), notes=(*scene.notes, note))


def hidden_at(mask: Hidden, rows: Indices, cols: Indices, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels a mask hides, shape (n,); it is read in strips around them."""
    hidden = np.zeros(len(rows), bool)
    for part, window in windows_around(rows, cols, shape):
        hidden[part] = mask.read(window)[rows[part] - window.row, cols[part] - window.col]
    return hidden
