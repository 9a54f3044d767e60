"""The one door for raster layers: which format a path asks for, and the writer of that format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import Swath
from hsikit.layers import Layer, Pixels
from hsikit.scene import Quality
from hsikit.writers.blocks import RowsDone

COG_BANDS = 8
"""A layer of more bands becomes a plain tiled GeoTIFF."""
FORMATS = ("cog", "gtiff", "zarr", "envi", "netcdf")
SWATH_FORMATS = ("zarr", "netcdf")
"""Formats that hold longitude and latitude of every pixel, and flags of quality."""
_SUFFIXES = {
    ".tif": "tiff", ".tiff": "tiff", ".zarr": "zarr", ".hdr": "envi", ".img": "envi", ".dat": "envi", ".nc": "netcdf", ".nc4": "netcdf",
}  # fmt: skip
_NONE: Mapping[str, str] = MappingProxyType({})


def format_of(path: Path, layer: Layer) -> str:
    """The format that a file's name asks for: one of `FORMATS`.

    A `.tif` becomes a COG where the layer has up to 8 bands and is no cube, else a tiled GeoTIFF.

    Raises:
        OutputError: the name ends in nothing that is known.
    """
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise OutputError(path, f"no raster format ends in {path.suffix!r}" if path.suffix else "the name has no ending", _advice())
    if kind == "tiff":
        return "cog" if layer.bands <= COG_BANDS and layer.wavelength is None else "gtiff"
    return kind


def raster_paths(path: Path) -> list[Path]:
    """All paths that a raster named `path` takes, `path` first: an ENVI image comes with its header."""
    if _SUFFIXES.get(path.suffix.lower()) != "envi":
        return [path]
    return [path, path.with_suffix(".img" if path.suffix.lower() == ".hdr" else ".hdr")]


def _advice() -> str:
    return "Known are .tif (GeoTIFF), .zarr (Zarr), .nc (NetCDF), and .hdr, .img or .dat (ENVI)"


def write_raster(
    layer: Layer,
    grid: Grid,
    pixels: Pixels,
    path: Path,
    *,
    format: str | None = None,
    tags: Mapping[str, str] = _NONE,
    rows_done: RowsDone | None = None,
    swath: Swath | None = None,
    quality: Quality | None = None,
) -> list[Path]:
    """Writes a finished raster layer to exactly `path`, in bounded memory.

    Args:
        layer: what is written: type, bands, nodata, legend, wavelengths.
        grid: its own grid (shape of the layer, transform, CRS).
        pixels: its values; read in full-width strips that are aligned to the blocks of the file.
        path: the file (or Zarr folder) to make; usually in a staging folder, renamed afterwards.
        format: one of `FORMATS`; by default what `format_of` says.
        tags: facts to keep in the file, beside those of the layer. Give none that depends on the time: equal input makes
            equal bytes.
        rows_done: called with a number of rows whenever so many more are written.
        swath: where the pixels of a layer on the sensor's own grid lie, for one of `SWATH_FORMATS`.
        quality: flags of the pixels of a scene, for one of `SWATH_FORMATS`.

    Returns:
        Everything that was made, `path` first (ENVI: header and image).

    Raises:
        OutputError: the format is unknown or cannot hold the layer, the disk is full, or permission is denied.
        OptionError: no such `format`.
    """
    kind = format or format_of(path, layer)
    if kind not in FORMATS:
        raise OptionError(f"format {kind!r}", "no such raster format", f"Known are {', '.join(FORMATS)}")
    if min(grid.shape) < 1 or layer.bands < 1:
        raise OutputError(path, f"layer {layer.name} has no pixels ({layer.bands} bands of {grid.shape[0]} x {grid.shape[1]})", "Choose a larger area")
    if kind in SWATH_FORMATS:
        return _cf_writer(kind)(layer, grid, pixels, path, tags=tags, rows_done=rows_done, swath=swath, quality=quality)
    if swath is not None or quality is not None:
        raise OutputError(path, f"{kind} holds no positions of a swath and no flags", f"Write one of {', '.join(SWATH_FORMATS)}")
    return _grid_writer(kind)(layer, grid, pixels, path, tags=tags, rows_done=rows_done)


def _cf_writer(kind: str) -> Callable[..., list[Path]]:
    """The writer of one of `SWATH_FORMATS`."""
    if kind == "zarr":
        from hsikit.writers.zarr_store import write_zarr as write
    else:
        from hsikit.writers.netcdf import write_netcdf as write
    return write


def _grid_writer(kind: str) -> Callable[..., list[Path]]:
    """The writer of a format whose pixels lie on a grid."""
    if kind == "cog":
        from hsikit.writers.geotiff import write_cog as write
    elif kind == "gtiff":
        from hsikit.writers.geotiff import write_gtiff as write
    else:
        from hsikit.writers.envi import write_envi as write
    return write
