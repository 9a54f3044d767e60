"""Spectra out of a scene: of pixels, of points on the ground, and means over polygons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.matching import scene_places
from hsikit.convert.staged import write_staged
from hsikit.errors import GridError, OutputError
from hsikit.geo.bbox import window_of
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.geo.inside import points_inside
from hsikit.geo.pixels_at import OUTSIDE, pixels_at
from hsikit.geo.places import LONGITUDE_LATITUDE, CentresIn, places_of
from hsikit.layers import Features
from hsikit.library import LATITUDE, LONGITUDE, Library
from hsikit.scene import Bands, Floats, Indices, SceneInfo, Source, read_window
from hsikit.writers import write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NUMBERS = 1 << 23
"""Numbers of the scene that are held at once."""
PIXELS_AT_ONCE = 1 << 18
"""Pixels whose positions are held at once."""


@dataclass(frozen=True, eq=False)
class SceneSpectra:
    """Spectra of places in a scene.

    Attributes:
        info: of the scene.
        values: shape (n, C), in the scene's unit; NaN where missing. Bad bands are in it.
        names: of the places.
        rows: of pixels, or of the middles of polygons, shape (n,).
        cols: the same.
        spread: standard deviations over the pixels of polygons, shape (n, C), NaN where there is one pixel; None for pixels.
        counts: pixels that a spectrum stands for, shape (n,).
        notices: for the user.
    """

    info: SceneInfo
    values: NDArray[np.float32]
    names: tuple[str, ...]
    rows: Floats
    cols: Floats
    spread: NDArray[np.float32] | None = None
    counts: Indices | None = None
    notices: tuple[str, ...] = ()

    @property
    def bands(self) -> Bands:
        """The scene's spectral axis."""
        return self.info.bands

    def table(self) -> Features:
        """Columns: wavelength_nm (band, the names, where bands have none), good_band, one for each place, and for polygons their deviations behind each."""
        axis = ("wavelength_nm", np.round(self.bands.wavelength, 6)) if self.bands.spectral else ("band", np.array(self.bands.names))
        columns: dict[str, NDArray[Any]] = {axis[0]: axis[1], "good_band": self.bands.good.astype(np.uint8)}
        for i, name in enumerate(_distinct(self.names, columns, " sd" if self.spread is not None else "")):
            columns[name] = _shortest(self.values[i])
            if self.spread is not None:
                columns[f"{name} sd"] = _shortest(self.spread[i])
        return Features(columns)

    def library(self) -> Library:
        """The spectra as a library; channels of bad bands are deleted, metadata say where each was and of how many pixels."""
        metadata = {"row": [f"{row:g}" for row in self.rows], "column": [f"{col:g}" for col in self.cols]}
        if self.counts is not None:
            metadata["pixels"] = [str(count) for count in self.counts]
        places = places_of(self.info.grid, self.info.swath)
        if places is not None:
            index = np.floor(self.rows).astype(np.intp), np.floor(self.cols).astype(np.intp)
            for key, degrees in zip((LONGITUDE, LATITUDE), CentresIn(places, LONGITUDE_LATITUDE).at(*index), strict=True):
                metadata[key] = [repr(round(float(angle), 9)) if np.isfinite(angle) else "" for angle in degrees]
        values = np.where(self.bands.good, self.values, np.float32(np.nan))
        kept = {key: tuple(column) for key, column in metadata.items()}
        return Library(values, self.bands.wavelength, self.bands.fwhm, self.names, kept, self.info.name, self.info.quantity)

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Writes the table (.csv), or an ENVI library (.sli).

        Raises:
            OutputError: another ending, a file exists without `overwrite`, or the disk does not take it; a library of bands without wavelengths.
        """
        if Path(path).suffix.lower() == ".sli":
            if not self.bands.spectral:
                wrong = f"a library needs wavelengths, and bands of {self.info.name} have none"
                raise OutputError(path, wrong, "Write a table (.csv), or name them with --sensor or --wavelengths")
            return self.library().save(path, overwrite=overwrite)
        return write_staged(Path(path), lambda staged: write_table(self.table(), staged), overwrite=overwrite)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the spectra, broken at bad bands and in gaps, with bands of one standard deviation; returns the Axes."""
        axes = self.library().plot(ax)
        if self.spread is not None:
            for line, spread in zip(axes.lines[-len(self.names) :], self.spread, strict=True):
                nm, mean = np.asarray(line.get_xdata(), np.float64), np.asarray(line.get_ydata(), np.float64)
                around = np.interp(nm, self.bands.wavelength, spread)
                axes.fill_between(nm, mean - around, mean + around, color=line.get_color(), alpha=0.2, linewidth=0)
        return axes


def _shortest(values: NDArray[np.float32]) -> Floats:
    """Numbers that print in the fewest digits that give the float32 back."""
    return np.array([float(str(value)) for value in values], np.float64)


def _distinct(names: Sequence[str], taken: Iterable[str], behind: str = "") -> list[str]:
    """Names as titles of columns: one that another column has gets a number; so does one whose second column, with `behind`, would."""
    used, titles = set(taken), []
    for name in names:
        title, number = name, 1
        while {title, title + behind} & used:
            number += 1
            title = f"{name} ({number})"
        used |= {title, title + behind}
        titles.append(title)
    return titles


def at_pixels(source: Source, rows: Sequence[int], cols: Sequence[int], names: Sequence[str] = ()) -> SceneSpectra:
    """Spectra of pixels, each read on its own.

    Args:
        source: an open scene.
        rows: from 0, n of them.
        cols: from 0, the same.
        names: of the spectra; "row R column C" unless told.

    Raises:
        GridError: a pixel lies outside the scene.
    """
    height, width = source.info.grid.shape
    for row, col in zip(rows, cols, strict=True):
        if not (0 <= row < height and 0 <= col < width):
            raise GridError(source.info.name, f"pixel (row {row}, column {col}) lies outside the scene", f"It has {height} rows and {width} columns")
    values = [read_window(source, Window(int(row), int(col), 1, 1))[:, 0, 0] for row, col in zip(rows, cols, strict=True)]
    told = tuple(names) or tuple(f"row {row} column {col}" for row, col in zip(rows, cols, strict=True))
    return SceneSpectra(source.info, np.stack(values), told, np.asarray(rows, np.float64), np.asarray(cols, np.float64))


def at_points(source: Source, points: Sequence[tuple[float, float]], crs: str | None = None) -> SceneSpectra:
    """Spectra of the pixels under points.

    Args:
        source: an open scene, on a map grid or a swath.
        points: (x, y) each.
        crs: of the points; None: the scene's own (longitude and latitude for a swath).

    Raises:
        GridError: the scene has no georeference, a point lies outside it, or the CRS is not understood.
    """
    info = source.info
    places = scene_places(info)
    x, y = np.array(points, np.float64).T
    rows, cols = pixels_at(places, x, y, crs or places.crs)
    for i in np.flatnonzero(rows == OUTSIDE):
        left, bottom, right, top = places.bounds
        extent = f"It reaches from ({left:.8g}, {bottom:.8g}) to ({right:.8g}, {top:.8g}) in {Grid((1, 1), crs=places.crs).crs_name}"
        raise GridError(info.name, f"point ({x[i]:.8g}, {y[i]:.8g}) lies outside the scene", extent)
    return at_pixels(source, rows.tolist(), cols.tolist(), [f"{px:.8g} {py:.8g}" for px, py in points])


def polygon_means(source: Source, path: str | Path, field: str | None = None) -> SceneSpectra:
    """Mean spectra, and standard deviations, of the pixels whose centres lie inside polygons.

    Args:
        source: an open scene, on a map grid or a swath.
        path: a vector file in any CRS.
        field: the field that names the polygons; polygons of one name make one mean. None: numbered from 1, each on its own.

    Returns:
        One spectrum for each name, in order of appearance. Names without a pixel are left out, with a notice.

    Raises:
        OptionError: no vector file, no polygon, or no such field.
        GridError: the scene or the file has no CRS, or no polygon holds a pixel.
    """
    from hsikit.convert.polygons import read_polygons

    info = source.info
    shapes, names, crs = read_polygons(Path(path), field)
    found = _pixels_inside(info, shapes, crs, Path(path))
    groups = {name: np.unique(np.concatenate([found[i] for i, own in enumerate(names) if own == name])) for name in dict.fromkeys(names)}
    empty = [name for name, pixels in groups.items() if not pixels.size]
    kept = {name: pixels for name, pixels in groups.items() if pixels.size}
    if not kept:
        raise GridError(path, f"its polygons hold no pixel centre of {info.name}", "Check that they lie in the scene, and are not smaller than its pixels")
    notices = (f"no pixel centre lies inside {', '.join(empty)}",) if empty else ()
    sums = [_statistics(source, pixels) for pixels in kept.values()]
    rows, cols = np.array([np.divmod(pixels, info.grid.shape[1]) for pixels in (p[len(p) // 2] for p in kept.values())]).T
    return SceneSpectra(
        info, np.stack([mean for mean, _ in sums]), tuple(kept), rows.astype(np.float64), cols.astype(np.float64), np.stack([sd for _, sd in sums]),
        np.array([len(pixels) for pixels in kept.values()]), notices,
    )  # fmt: skip


def _pixels_inside(info: SceneInfo, shapes: NDArray[Any], crs: Any, path: Path) -> list[Indices]:
    """Flat positions of the pixels whose centres lie in each polygon."""
    import shapely

    centres = CentresIn(scene_places(info), crs)
    bounds = shapely.total_bounds(shapes)
    try:
        window = window_of(info.grid, tuple(bounds), str(crs.to_wkt()), info.name, info.swath)
    except GridError:
        raise GridError(path, f"its polygons lie outside {info.name}", "Give polygons of the same area") from None
    tree, found = shapely.STRtree(shapes), [[np.zeros(0, np.intp)] for _ in shapes]
    for part in tile_windows(window, (max(1, PIXELS_AT_ONCE // window.cols), window.cols)):
        x, y = centres.centres(part)
        known = np.isfinite(x) & np.isfinite(y)
        if not known.any():
            continue
        for i in tree.query(shapely.box(x[known].min(), y[known].min(), x[known].max(), y[known].max())):
            row, col = np.nonzero(points_inside(shapes[i], x, y))
            found[i].append((row + part.row) * info.grid.shape[1] + col + part.col)
    return [np.concatenate(parts) for parts in found]


def _statistics(source: Source, pixels: Indices) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each band over pixels, merged from window to window (Chan et al. 1983)."""
    count, mean, squares = (np.zeros(len(source.info.bands)) for _ in range(3))
    rows, cols = np.divmod(pixels, source.info.grid.shape[1])
    around = Window(int(rows.min()), int(cols.min()), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
    most = max(1, MOST_NUMBERS // len(source.info.bands))
    width = min(around.cols, most)
    for part in tile_windows(around, (max(1, most // width), width)):
        inside = (rows >= part.row) & (rows < part.row_end) & (cols >= part.col) & (cols < part.col_end)
        if not inside.any():
            continue
        values = read_window(source, part)[:, rows[inside] - part.row, cols[inside] - part.col].astype(np.float64)
        present = np.isfinite(values)
        here = present.sum(axis=1)
        own = np.where(present, values, 0).sum(axis=1) / np.maximum(here, 1)
        total = np.maximum(count + here, 1)
        squares += (np.where(present, values - own[:, None], 0) ** 2).sum(axis=1) + (own - mean) ** 2 * count * here / total
        mean += (own - mean) * here / total
        count += here
    spread = np.sqrt(squares / np.maximum(count - 1, 1))
    return np.where(count > 0, mean, np.nan).astype(np.float32), np.where(count > 1, spread, np.nan).astype(np.float32)
