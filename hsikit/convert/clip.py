"""A part of a scene: a rectangle of its pixels, what lies inside polygons, some of its bands. Lazily: a window reads only itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsikit.convert.orthorectify import stored_type
from hsikit.errors import GridError, OptionError
from hsikit.geo.bbox import Box, window_of
from hsikit.geo.grid import Window
from hsikit.geo.mask import Mask, open_polygons
from hsikit.geo.places import strips
from hsikit.scene import Indices, Raw, SceneInfo, Source, bands_within

Range = tuple[float, float]
"""Shortest and longest wavelength (nm), both included."""
_RANGE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*-\s*(\d+(?:\.\d*)?)\s*(?:nm)?\s*$")


def clipped(
    source: Source,
    *,
    bbox: Box | None = None,
    bbox_crs: str | None = None,
    polygon: str | Path | None = None,
    bands: Sequence[Range] | None = None,
    drop_bad: bool = False,
) -> Source:
    """A part of a scene.

    The pixels that are kept form a rectangle of the scene's own grid, map or swath: those that the box touches (of a swath, all
    rows and columns of the pixels whose centres lie in it), and no more than polygons need. Pixels whose centres lie outside the
    polygons are missing.

    Example:
        >>> part = clipped(scene, bbox=(400_000, 5_790_000, 410_000, 5_800_000), bands=[(450, 900)])

    Args:
        source: an open scene; closing it is left to whoever opened it.
        bbox: left, bottom, right, top.
        bbox_crs: of the box; the scene's own, or longitude and latitude for a swath.
        polygon: a vector file in any CRS.
        bands: ranges of wavelengths (nm); all bands unless told.
        drop_bad: leave out bands that are not good.

    Returns:
        The scene of that part, in stored numbers. Outside of polygons it has the fill value: the scene's own, NaN in floats without
        one; integers without one become floats.

    Raises:
        OptionError: the box is none, its CRS or the polygons cannot be used, or no band is left.
        GridError: box or polygons lie outside the scene, or it has no georeference.
    """
    info = source.info
    window = info.grid.whole if bbox is None else window_of(info.grid, bbox, bbox_crs, info.name, info.swath)
    inside = None if polygon is None else open_polygons(polygon, info.grid, "--polygon", info.swath)
    if inside is not None:
        window = _touched(inside, window, info)
    return ClippedSource(source, window, chosen_bands(info, bands, drop_bad), inside)


def band_ranges(text: str) -> list[Range]:
    """Ranges of wavelengths out of text such as "450-900,1000-1300".

    Raises:
        OptionError: it is no list of ranges.
    """
    found = []
    for part in text.split(","):
        match = _RANGE.match(part)
        if match is None or not float(match[1]) < float(match[2]):
            raise OptionError("--bands", f"{part.strip()!r} is no range of wavelengths in nm", "Write ranges like 450-900,1000-1300")
        found.append((float(match[1]), float(match[2])))
    return found


def chosen_bands(info: SceneInfo, ranges: Sequence[Range] | None, drop_bad: bool) -> Indices:
    """Positions of the bands that are kept, ascending.

    Raises:
        OptionError: a range holds no band, or no band is left.
    """
    kept = info.bands.good.copy() if drop_bad else np.ones(len(info.bands), bool)
    if ranges is not None:
        kept &= np.logical_or.reduce([bands_within(info, one) for one in ranges])
    if not kept.any():
        raise OptionError("--drop-bad" if drop_bad else "--bands", f"no band of {info.name} is left", "Widen the ranges, or keep bad bands")
    return np.flatnonzero(kept)


def _touched(inside: Mask, window: Window, info: SceneInfo) -> Window:
    """The smallest part of a window with all pixels whose centres lie inside polygons."""
    rows: list[int] = []
    cols = np.zeros(window.cols, bool)
    for strip in strips(window.shape):
        found = inside.read(Window(strip.row + window.row, window.col, *strip.shape))
        rows += (strip.row + np.flatnonzero(found.any(axis=1))).tolist()
        cols |= found.any(axis=0)
    if not rows:
        raise GridError(info.name, "no pixel's centre lies inside the polygons, or inside both them and the box", "Give larger polygons, or another box")
    across = np.flatnonzero(cols)
    row, col = rows[0], int(across[0])
    return Window(window.row + row, window.col + col, rows[-1] - row + 1, int(across[-1]) - col + 1)


class ClippedSource:
    """A rectangle and some bands of another source; see `clipped`. Closing is left to whoever opened that one.

    Args:
        base: the whole scene.
        window: the rectangle, in its pixels.
        bands: positions of the bands that are kept.
        inside: pixels that are kept; None for all.
    """

    def __init__(self, base: Source, window: Window, bands: Indices, inside: Mask | None = None) -> None:
        self._base, self._window, self._bands, self._inside = base, window, bands, inside
        self._dtype, self._fill = np.dtype(base.info.dtype), base.info.nodata
        if inside is not None:
            self._dtype, fill = stored_type(base.info)
            self._fill = None if np.isnan(fill) else fill
        self.info = self._clipped_info(base.info)
        self.block = (min(base.block[0], window.rows), min(base.block[1], window.cols))

    def _clipped_info(self, info: SceneInfo) -> SceneInfo:
        polygons = None if self._inside is None else self._inside.identity
        return info.with_(
            grid=info.grid.crop(self._window),
            bands=info.bands.take(self._bands),
            dtype=self._dtype.name,
            nodata=self._fill,
            identity=(*info.identity, ("clipped", list(self._window), self._bands.tolist(), polygons)),
            attrs={key: text for key, text in info.attrs.items() if key != "missing_share"},
            swath=None if info.swath is None else info.swath.crop(self._window),
            quality=None if info.quality is None else info.quality.crop(self._window),
        )

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window that lies inside the part; see `Source`."""
        row, col = self._window.row, self._window.col
        raw = self._base.read(Window(window.row + row, window.col + col, *window.shape), self._bands[np.asarray(bands, np.intp)])
        values, decoding = raw.values, raw.decoding
        if self._inside is not None:
            values, decoding = raw.values.astype(self._dtype), replace(raw.decoding, nodata=self._fill)
            np.copyto(values, np.asarray(np.nan if self._fill is None else self._fill, self._dtype), where=~self._inside.read(raw.window))
        return Raw(values, Window(raw.window.row - row, raw.window.col - col, *raw.window.shape), decoding)

    def close(self) -> None:
        """Does nothing."""
