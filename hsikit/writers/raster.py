"""The one door for raster layers: which format a path asks for, and the writer of that format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer, Pixels
from hsikit.writers.blocks import RowsDone

COG_BANDS = 8
"""A layer of more bands becomes a plain tiled GeoTIFF."""
FORMATS = ("cog", "gtiff", "zarr", "envi")
_SUFFIXES = {".tif": "tiff", ".tiff": "tiff", ".zarr": "zarr", ".hdr": "envi", ".img": "envi", ".dat": "envi"}
_NONE: Mapping[str, str] = MappingProxyType({})


def format_of(path: Path, layer: Layer) -> str:
    """The format that a file's name asks for: "cog", "gtiff", "zarr" or "envi".

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
    return "Known are .tif (GeoTIFF), .zarr (Zarr), and .hdr, .img or .dat (ENVI)"


def write_raster(
    layer: Layer, grid: Grid, pixels: Pixels, path: Path, *, format: str | None = None, tags: Mapping[str, str] = _NONE, rows_done: RowsDone | None = None
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

    Returns:
        Everything that was made, `path` first (ENVI: header and image).

    Raises:
        OutputError: the format is unknown or cannot hold the layer, the disk is full, or permission is denied.
        OptionError: no such `format`.
    """
    kind = format or format_of(path, layer)
    if kind == "cog":
        from hsikit.writers.geotiff import write_cog as write
    elif kind == "gtiff":
        from hsikit.writers.geotiff import write_gtiff as write
    elif kind == "zarr":
        from hsikit.writers.zarr_store import write_zarr as write
    elif kind == "envi":
        from hsikit.writers.envi import write_envi as write
    else:
        raise OptionError(f"format {kind!r}", "no such raster format", f"Known are {', '.join(FORMATS)}")
    if min(grid.shape) < 1 or layer.bands < 1:
        raise OutputError(path, f"layer {layer.name} has no pixels ({layer.bands} bands of {grid.shape[0]} x {grid.shape[1]})", "Choose a larger area")
    return write(layer, grid, pixels, path, tags=tags, rows_done=rows_done)
