"""The scene behind a map: cut to the map's grid, shown as a quicklook, and read at label pixels; everything bounded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError
from hsikit.geo.grid import Coefficients, Grid, Window
from hsikit.report.content import Number, Spectra
from hsikit.report.mapfile import MOST_SHOWN
from hsikit.scene import Floats, Indices, Raw, SceneInfo, Source
from hsikit.sensors.crs import same_crs
from hsikit.train.extract import spectra_at
from hsikit.viz.quicklook import limits, rgb_bands, sample, to_unit

STRETCH = (2.0, 98.0)
"""Percentiles that become black and full colour."""
MOST_SPECTRA = 400
"""Spectra of a class that are read: enough for a mean and two percentiles."""
BAND = (10.0, 90.0)
ALIGNED = 1e-3
"""Pixels by which the grids of a scene and of a map cut from it may differ."""

Pixels = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns."""


class CutSource:
    """A part of a scene, as a `Source` of its own."""

    def __init__(self, whole: Source, window: Window) -> None:
        self.whole, self.window = whole, window
        self.info: SceneInfo = whole.info.with_(grid=whole.info.grid.crop(window))
        self.block = whole.block

    def read(self, window: Window, bands: Indices) -> Raw:
        """See `Source`."""
        raw = self.whole.read(window._replace(row=window.row + self.window.row, col=window.col + self.window.col), bands)
        return Raw(raw.values, raw.window._replace(row=raw.window.row - self.window.row, col=raw.window.col - self.window.col), raw.decoding)

    def close(self) -> None:
        """See `Source`."""
        self.whole.close()


def on_map(source: Source, grid: Grid, name: str, advice: str = "Give the scene that the map was made from") -> Source:
    """The part of a scene that a map covers.

    Args:
        source: the scene.
        grid: the map's grid.
        name: the map, for messages.
        advice: what to do where the two do not fit.

    Raises:
        GridError: the map does not lie on whole pixels of the scene, or reaches outside it.
    """
    scene = source.info.grid
    if source.info.swath is not None and grid.georeferenced:
        wrong = f"lies on the sensor's own grid, and {name} was put on a map"
        raise GridError(source.info.name, wrong, "Give what `hsikit orthorectify` makes of the scene, or leave it out")
    if scene.georeferenced != grid.georeferenced or not same_crs(scene.crs, grid.crs):
        raise GridError(source.info.name, f"its coordinate reference system ({scene.crs_name}) is not that of the map {name} ({grid.crs_name})", advice)
    if not scene.georeferenced:
        if scene.shape != grid.shape:
            raise GridError(source.info.name, f"its size {_size(scene)} is not that of the map {name}, {_size(grid)}", advice)
        return source
    rows, cols = grid.shape
    # Centres of three corner pixels: enough to tell size, place and rotation.
    down, across = np.array([0, rows - 1, 0]), np.array([0, 0, cols - 1])
    row_at, col_at = _on(scene, *grid.centres(down, across))
    row, col = round(float(row_at[0] - 0.5)), round(float(col_at[0] - 0.5))
    off = max(float(np.abs(row_at - 0.5 - row - down).max()), float(np.abs(col_at - 0.5 - col - across).max()))
    window = Window(row, col, rows, cols)
    if off > ALIGNED or window.intersect(scene.whole) != window:
        wrong = f"the map {name} ({_size(grid)}, pixels of {grid.pixel_size[0]:g}) does not lie on its pixels ({_size(scene)}, {scene.pixel_size[0]:g})"
        raise GridError(source.info.name, wrong, advice)
    return source if window == scene.whole else CutSource(source, window)


def _on(grid: Grid, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    return pixel_places(grid.transform, x, y)


def pixel_places(transform: Coefficients, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Rows and columns of a grid, from its upper-left corner, at coordinates of its transform, or of what `Grid.drawn` says."""
    a, b, c, d, e, f = transform
    area = a * e - b * d
    return (a * (y - f) - d * (x - c)) / area, (e * (x - c) - b * (y - f)) / area


def _size(grid: Grid) -> str:
    return f"{grid.shape[0]} x {grid.shape[1]} pixels"


def picture(source: Source) -> tuple[NDArray[np.float32], str]:
    """The quicklook: shape (rows, cols, 3), 0 to 1, NaN where there is no data; and what its colours are."""
    choice = rgb_bands(source.info.bands)
    values = sample(source, choice.indices, MOST_SHOWN)
    return np.moveaxis(to_unit(values, limits(values, STRETCH)), 0, -1), choice.name


def moved(grid: Grid, rows: NDArray[np.integer], cols: NDArray[np.integer], to: Grid) -> tuple[Pixels, NDArray[np.bool_]]:
    """Pixels of one grid as pixels of another.

    Args:
        grid: the pixels' own.
        rows: shape (n,).
        cols: shape (n,).
        to: the other grid.

    Returns:
        Rows and columns on the other grid of those whose centres lie on it, and which these are, bool of shape (n,). None does
        where the two are of different systems, or are not georeferenced and differ in size.
    """
    none = np.zeros(len(rows), bool)
    row, col = np.asarray(rows, np.intp), np.asarray(cols, np.intp)
    if grid.georeferenced != to.georeferenced or not same_crs(grid.crs, to.crs) or (not grid.georeferenced and grid.shape != to.shape):
        return (row[none], col[none]), none
    if grid.georeferenced:
        row, col = (np.floor(place).astype(np.intp) for place in _on(to, *grid.centres(row, col)))
    inside = (row >= 0) & (row < to.shape[0]) & (col >= 0) & (col < to.shape[1])
    return (row[inside], col[inside]), inside


def class_spectra(source: Source, places: Mapping[int, Pixels]) -> tuple[Spectra, ...]:
    """Mean and percentiles of the spectra at pixels of each class; classes whose pixels hold no data are left out.

    Args:
        source: the scene, on the map's grid.
        places: rows and columns by class code.
    """
    good = source.info.bands.good
    everything = np.arange(len(good))
    found = []
    for code, (rows, cols) in sorted(places.items()):
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(MOST_SPECTRA, len(rows))).round().astype(np.intp))
        spectra = spectra_at(source, rows[chosen], cols[chosen], everything)
        spectra = spectra[np.isfinite(spectra[:, good]).all(axis=1)]
        if len(spectra):
            low, high = np.percentile(spectra, BAND, axis=0)
            mean = spectra.mean(axis=0, dtype=np.float64)
            found.append(Spectra(code, len(spectra), len(rows), *(plain(values, good) for values in (mean, low, high))))
    return tuple(found)


def plain(values: NDArray[np.floating], good: NDArray[np.bool_]) -> tuple[Number, ...]:
    """Numbers by band, None at bad bands."""
    return tuple(float(value) if keep and np.isfinite(value) else None for value, keep in zip(values, good, strict=True))
