"""A swath put on a map, lazily: a window of the map reads only the part of the sensor's grid that it needs.

For looking, and for tools that need a map grid. A table repeats measurements and drops others, so statistics, splits and noise
estimates belong on the sensor's grid; methods run there, and their results are put on the map (`hsikit.engine.deliver`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.write import Progress, code_layer, cube_layer, losses, refuse_input, scene_tags, write_scene
from hsikit.errors import GridError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.nearest import make_table
from hsikit.geo.swath import CroppedTable, LookupTable
from hsikit.geo.table import gather, pieces, trimmed
from hsikit.layers import NODATA
from hsikit.scene import QUALITY_FLAGS, Decoding, Indices, Quality, Raw, SceneInfo, Source
from hsikit.sensors.mosaic import decoding_of

PIECE = 1 << 16
"""Pixels of the sensor's grid that are read at once."""
BLOCK = 128
NO_DATA = "no-data"
_NONE: Mapping[str, str] = MappingProxyType({})


def table_of(info: SceneInfo, *, grid: Grid | None = None, resolution: float | None = None, crs: str | None = None,
             radius: float | None = None) -> LookupTable:  # fmt: skip
    """The lookup table of a scene: the product's own, else (or where the user wants another map) one made from the positions.

    That of a part of a product holds no more of the map than the part needs.

    Args:
        info: facts of a scene on the sensor's own grid.
        grid: the map; then no `resolution` and `crs`.
        resolution: side of a map pixel, in units of `crs`.
        crs: of the map.
        radius: metres within which a measurement must lie.

    Raises:
        GridError: the scene is no swath, its positions are missing, or the CRS is not understood.
        OptionError: a resolution or radius that makes no sense.
    """
    if info.swath is None:
        what = "lies on a map grid already" if info.grid.georeferenced else "has no georeference"
        raise GridError(info.name, what, "Use `hsikit warp` for another grid" if info.grid.georeferenced else "Give a product with positions")
    table = info.swath.table
    if table is not None and grid is None and resolution is None and crs is None and radius is None:
        return trimmed(table) if isinstance(table, CroppedTable) else table
    if table is not None and grid is None and crs is None:
        crs = table.grid.crs
    return make_table(info.swath, grid, resolution=resolution, crs=crs, radius=radius, name=info.name)


def orthorectified(source: Source, *, grid: Grid | None = None, resolution: float | None = None, crs: str | None = None,
                   radius: float | None = None) -> Source:  # fmt: skip
    """A swath as a scene on a map grid; nothing is read before a window of it is asked for, but the positions where a table is made.

    Example:
        >>> map_scene = orthorectified(open_source("EMIT_L2A_RFL.nc"))

    Args:
        source: an open scene on the sensor's own grid.
        grid: the map; then no `resolution` and `crs`.
        resolution: side of a map pixel, in units of `crs`; the product's table, else the median distance of neighbours.
        crs: of the map; the product's, else the UTM zone of the centre.
        radius: metres within which a measurement must lie.

    Returns:
        A scene of the same bands in stored numbers. Where there is no measurement it has the fill value: the scene's own, NaN in floats
        without one; integers without one become floats.

    Raises:
        GridError, OptionError: as `table_of`.
    """
    return _mapped(source, grid, resolution, crs, radius)


def orthorectify(source: Source, path: Path, *, resolution: float | None = None, crs: str | None = None, radius: float | None = None,
                 overwrite: bool = False, progress: Progress | None = None, tags: Mapping[str, str] = _NONE) -> list[Path]:  # fmt: skip
    """Writes a swath as a cube on a map grid, in bounded memory.

    A GeoTIFF is written uncompressed, in tiles, band after band, each part of the scene read once; it keeps the stored numbers,
    with their scale, offset and fill value. Any other format is written as `hsikit.convert.write.write_scene` does, from `orthorectified`.

    Args:
        source: an open scene on the sensor's own grid.
        path: the file to make; its ending tells the format.
        resolution: as for `orthorectified`.
        crs: the same.
        radius: the same.
        overwrite: whether an existing output is replaced.
        progress: told of rows.
        tags: facts to keep in the file, beside those of the scene.

    Returns:
        The files.

    Raises:
        OutputError: the output exists without `overwrite`, is the scene itself, or cannot be written.
        GridError, OptionError: as `table_of`.
        SceneError: the scene is truncated or damaged.
    """
    refuse_input(source.info, path)
    mapped = _mapped(source, None, resolution, crs, radius)
    if progress is not None:
        progress.note(f"note: {mapped.info.notices[-1]}")
    if path.suffix.lower() not in (".tif", ".tiff"):
        return write_scene(mapped, path, overwrite=overwrite, progress=progress, tags=tags)
    from hsikit.convert.staged import write_staged
    from hsikit.convert.sweep import sweep_to_geotiff

    if progress is not None:
        for loss in losses(mapped.info, "gtiff"):
            progress.note(f"note: {loss}")
    facts = {**scene_tags(mapped.info, "gtiff"), **tags}
    return write_staged(
        path, lambda staged: sweep_to_geotiff(mapped, code_layer(mapped.info) or cube_layer(mapped.info), staged, facts, progress), overwrite=overwrite
    )


def _mapped(source: Source, grid: Grid | None, resolution: float | None, crs: str | None, radius: float | None) -> OrthorectifiedSource:
    table = table_of(source.info, grid=grid, resolution=resolution, crs=crs, radius=radius)
    own = all(given is None for given in (grid, resolution, crs, radius))
    return OrthorectifiedSource(source, table, "the product's table, if it has one" if own else f"positions, radius {radius}")


class OrthorectifiedSource:
    """A swath read through its lookup table. Closing is left to whoever opened the swath.

    Args:
        swath: an open scene on the sensor's own grid.
        table: for each map pixel, where its measurement is.
        told: what its grid does not tell of the table; two that differ make two inputs of a run.
    """

    def __init__(self, swath: Source, table: LookupTable, told: str = "") -> None:
        self.swath, self.table = swath, table
        info, grid = swath.info, table.grid
        self.dtype, self.fill = stored_type(info)
        self.info = info.with_(
            grid=grid,
            dtype=self.dtype.name,
            driver=f"{info.driver}, orthorectified",
            nodata=None if np.isnan(self.fill) else self.fill,
            identity=(*info.identity, ("orthorectified", list(grid.shape), list(grid.transform), str(grid.crs), told)),
            notices=(*info.notices, "it is put on a map, where measurements are repeated and dropped: statistics belong on the sensor's grid"),
            swath=None,
            quality=None if info.quality is None else _MappedQuality(info.quality, table).quality(),
        )
        self.block = (min(BLOCK, grid.shape[0]), min(BLOCK, grid.shape[1]))

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window of the map; see `Source`."""
        lookup, decoding = self.table.read(window), None
        values: NDArray[Any] = np.empty((len(bands), *window.shape), self.dtype)
        for part, pointed, needed in pieces(lookup, PIECE):
            raw = self.swath.read(needed, bands)
            decoding = raw.decoding
            gather(raw.values, pointed, (needed.row, needed.col), values[(slice(None), *part)])
        np.copyto(values, np.asarray(self.fill, self.dtype), where=~lookup.filled)
        return Raw(values, window, self.decoding(bands) if decoding is None else replace(decoding, nodata=self.info.nodata))

    def decoding(self, bands: Indices) -> Decoding:
        """How the stored numbers of these bands are read."""
        return replace(decoding_of(self.swath, bands), nodata=self.info.nodata)

    def close(self) -> None:
        """Does nothing."""


def stored_type(info: SceneInfo) -> tuple[np.dtype[Any], float]:
    """The type of a scene's stored numbers that can also say "missing", and the value that says so: 0 for codes without one."""
    dtype, fill = np.dtype(info.dtype), float("nan") if info.nodata is None else info.nodata
    if dtype.kind == "f":
        return dtype, fill
    if info.codes is not None and info.nodata is None:
        return dtype, float(NODATA)
    limits = np.iinfo(dtype)
    if float(fill).is_integer() and limits.min <= fill <= limits.max:
        return dtype, fill
    return np.dtype("float32" if dtype.itemsize <= 2 else "float64"), fill


class _MappedQuality:
    """A product's quality flags, put through the table; where there is no measurement they say so."""

    def __init__(self, base: Quality, table: LookupTable) -> None:
        self._base, self._table = base, table

    def quality(self) -> Quality:
        """As `SceneInfo` has it."""
        return Quality(tuple(dict.fromkeys((*self._base.flags, NO_DATA))), self._read)

    def _read(self, window: Window) -> NDArray[np.uint8]:
        out, lookup = np.empty(window.shape, np.uint8), self._table.read(window)
        for part, pointed, needed in pieces(lookup, PIECE):
            gather(self._base.read(needed), pointed, (needed.row, needed.col), out[part])
        out[~lookup.filled] = QUALITY_FLAGS[NO_DATA]
        return out
