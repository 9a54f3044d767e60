"""A look at a small part of a scene on opening: which bands are empty or constant, and how much of the scene is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hsikit.geo.grid import Window, tile_windows
from hsikit.scene import Booleans, Source

SAMPLE_ROWS = 64
SAMPLE_BYTES = 48 << 20
LEAST_PIXELS = 16  # fewer valid pixels say nothing of a band


@dataclass(frozen=True)
class Sample:
    """What a sample of the scene shows.

    Attributes:
        usable: False for bands that are missing or constant wherever others are not, shape (C,).
        missing: share of sampled pixels without any value.
        flat: whether all sampled pixels are alike in every band.
    """

    usable: Booleans
    missing: float
    flat: bool = False


def inspect(source: Source) -> None:
    """Marks bands that are constant, all NaN or all fill, with one notice; `attrs["missing_share"]` becomes the sampled share of missing pixels.

    Raises:
        SceneError: the file is truncated or damaged.
    """
    sample = sample_scene(source)
    info = source.info
    # Layers that are no spectrum (flags, angles) may well be constant.
    good = info.bands.good & sample.usable if info.bands.spectral else info.bands.good
    attrs = {**info.attrs, "missing_share": f"{sample.missing:.3f}"}
    notices = info.notices
    spoilt = np.flatnonzero(info.bands.good & ~good)
    if spoilt.size and good.any():
        shown = ", ".join(f"{info.bands.wavelength[i]:.1f}" for i in spoilt[:5]) + (", ..." if len(spoilt) > 5 else "")
        notices = (*notices, f"{len(spoilt)} of {len(good)} bands are constant or empty and will not be used ({shown} nm)")
        info = info.with_(bands=replace(info.bands, good=good))
    if sample.flat:
        notices = (*notices, "all sampled pixels have the same values; if these mean missing data, name the value with --nodata")
    source.info = info.with_(attrs=attrs, notices=notices)


def sample_scene(source: Source) -> Sample:
    """Reads up to 64 rows, or a few blocks of a tiled file, spread over the scene."""
    count = len(source.info.bands)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    valid, empty, total = 0, 0, 0
    index = np.arange(count)
    for window in sample_windows(source):
        values = np.empty((count, *window.shape), np.float32)
        missing = source.read(window, index).decode(window, values)
        total += window.size
        if missing:
            absent = np.isnan(values).all(axis=0)
            empty += int(absent.sum())
            low = np.fmin(low, np.fmin.reduce(values, axis=(1, 2)))
            high = np.fmax(high, np.fmax.reduce(values, axis=(1, 2)))
        else:
            low, high = np.minimum(low, values.min(axis=(1, 2))), np.maximum(high, values.max(axis=(1, 2)))
    valid = total - empty
    usable = high > low
    flat = valid >= LEAST_PIXELS and not usable.any()
    if valid < LEAST_PIXELS or flat:
        usable = np.ones(count, bool)
    return Sample(usable, empty / max(1, total), flat)


def sample_windows(source: Source) -> Iterator[Window]:
    """Windows worth at most 48 MiB of stored numbers, along the blocks of the file and spread over the scene; all of a small one."""
    rows, cols = source.info.grid.shape
    pixel = len(source.info.bands) * np.dtype(source.info.dtype).itemsize
    if rows * cols * pixel <= SAMPLE_BYTES:  # a share of so small a scene is counted, not estimated
        yield from tile_windows(source.info.grid.whole, (max(1, SAMPLE_BYTES // 4 // (cols * pixel)), cols))
        return
    block = (min(source.block[0], rows), min(source.block[1], cols))
    # Of a large block only a part is kept: decoding it cannot be avoided, holding it can.
    width = max(1, min(block[1], SAMPLE_BYTES // 4 // pixel))
    height = max(1, min(block[0], SAMPLE_BYTES // 4 // (width * pixel)))
    most = max(4, min(SAMPLE_ROWS, SAMPLE_BYTES // (height * width * pixel)))
    places = [(row, col) for row in _spread(rows, block[0], most) for col in _spread(cols, block[1], most)]
    if len(places) > most:  # one out of each of as many equal stretches
        edges, rng = np.linspace(0, len(places), most + 1).astype(int), np.random.default_rng(0)
        places = [places[rng.integers(low, high)] for low, high in pairwise(edges)]
    for row, col in places:
        yield Window(row, col, min(height, rows - row), min(width, cols - col))


def _spread(size: int, block: int, most: int) -> list[int]:
    """Starts of up to `most` blocks, evenly over an axis of `size`, the first and the last among them."""
    blocks = -(-size // block)
    chosen = sorted({round(i) for i in np.linspace(0, blocks - 1, min(blocks, most))})
    return [i * block for i in chosen]
