"""A scene into a file: GeoTIFF, Zarr, ENVI or CF NetCDF, whole, in bounded memory, appearing by one rename.

Values are physical (the quantity's unit), float32, NaN where missing; codes of a map stay what they are. Wavelengths, widths, good
bands, names, sensor, quantity, time, place and what the product says of its making go with them, so that reading the file again gives
the same scene.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.staged import write_staged
from hsikit.errors import OutputError
from hsikit.geo.grid import Window
from hsikit.layers import Layer, legend_in
from hsikit.scene import Raw, SceneInfo, Source, read_window
from hsikit.sensors.facts import LONGEST_TEXT
from hsikit.version import __version__
from hsikit.writers import SWATH_FORMATS, format_of, raster_paths, write_raster

_NONE: Mapping[str, str] = MappingProxyType({})
KEPT_BYTES = 96 << 20
"""Stored numbers of a row of the scene's blocks that are kept while strips are cut from it."""
_OF_THE_FILE = frozenset({
    "layer", "description", "units", "data units", "sensor", "sensor type", "quantity", "acquired", "acquisition time", "classes", "area_or_point",
    "wavelength", "wavelength_units", "fwhm", "bbl", "band_names", "grid_mapping", "coordinates", "long_name", "conventions", "scale_factor", "add_offset",
    "missing_share",
})  # fmt: skip
"""Attributes that tell of one file's form, not of the scene: the new file has its own, and some would change how it is read."""


class Progress(Protocol):
    """Told of progress; see `hsikit.engine.options.Progress`."""

    def begin(self, plan: str, total: int, done: int) -> None:
        """The writing starts: `total` rows."""
        ...

    def advance(self, stage: str, steps: int = 1) -> None:
        """Rows are done."""
        ...

    def note(self, message: str) -> None:
        """Something worth a line."""
        ...


class ScenePixels:
    """A scene as writers take it (`hsikit.layers.Pixels`): physical values, float32.

    Writers ask for flat strips. Where the scene is stored in taller blocks, a row of blocks is kept as stored, if it is small enough,
    and the strips are cut from it, so that nothing is decoded twice. For one thread.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        info = source.info
        self._bands = np.arange(len(info.bands))
        self._height = min(source.block[0], info.grid.shape[0])
        strip = self._height * info.grid.shape[1] * len(info.bands) * np.dtype(info.dtype).itemsize
        self._keeps = strip <= KEPT_BYTES
        self._kept: Raw | None = None

    def read(self, window: Window) -> NDArray[np.float32]:
        """Shape (bands, rows, cols); NaN where missing."""
        top = window.row // self._height * self._height
        if not self._keeps or window.rows >= self._height or window.row_end > top + self._height:
            return read_window(self._source, window)
        rows, cols = self._source.info.grid.shape
        if self._kept is None or self._kept.window.row != top:
            self._kept = None  # let go of it before the next one is read
            self._kept = self._source.read(Window(top, 0, min(self._height, rows - top), cols), self._bands)
        out = np.empty((len(self._bands), *window.shape), np.float32)
        self._kept.decode(window, out)
        return out


class StoredPixels:
    """Codes of a map as writers take them: the stored numbers."""

    def __init__(self, source: Source) -> None:
        self._source, self._dtype = source, np.dtype(source.info.dtype)

    def read(self, window: Window) -> NDArray[Any]:
        """Shape (1, rows, cols), of the scene's type."""
        return np.asarray(self._source.read(window, np.zeros(1, np.intp)).values, self._dtype)


def write_scene(
    source: Source, path: Path, *, format: str | None = None, overwrite: bool = False, progress: Progress | None = None, tags: Mapping[str, str] = _NONE
) -> list[Path]:
    """Writes a whole scene as a cube.

    Args:
        source: an open scene; it is read once, from top to bottom, in strips.
        path: the file (or Zarr folder) to make.
        format: one of `hsikit.writers.FORMATS`; by default what the name's ending says.
        overwrite: whether an existing output is replaced.
        progress: told of rows, and of what the format cannot hold.
        tags: facts to keep in the file, beside those of the scene.

    Returns:
        The files, `path` first.

    Raises:
        OutputError: the output exists without `overwrite`, is the scene itself, or cannot be written; the format cannot hold the scene.
        OptionError: no such format.
        SceneError: the scene is truncated or damaged.
    """
    info = source.info
    codes = code_layer(info)
    layer = cube_layer(info) if codes is None else codes
    pixels = ScenePixels(source) if codes is None else StoredPixels(source)
    kind = format or format_of(path, layer)
    refuse_input(info, path)
    if progress is not None:
        progress.begin("", info.grid.shape[0], 0)
        for loss in losses(info, kind):
            progress.note(f"note: {loss}")

    def write(staged: Path) -> list[Path]:
        done = None if progress is None else lambda rows: progress.advance("writing", rows)
        swath, quality = (info.swath, info.quality) if kind in SWATH_FORMATS else (None, None)
        told = {**scene_tags(info, kind), **tags}
        return write_raster(layer, info.grid, pixels, staged, format=kind, tags=told, rows_done=done, swath=swath, quality=quality)

    return write_staged(path, write, overwrite=overwrite)


def cube_layer(info: SceneInfo) -> Layer:
    """The layer that a scene's physical values make; what has no wavelengths keeps its own name and unit."""
    bands, own = info.bands, {} if info.bands.spectral else info.attrs
    return Layer(
        name=own.get("layer", info.quantity),
        bands=len(bands),
        unit=own.get("units", info.units),
        description=own.get("description", info.quantity.replace("_", " ")),
        band_names=bands.names,
        wavelength=bands.wavelength,
        fwhm=bands.fwhm if np.isfinite(bands.fwhm).any() else None,
        good=bands.good,
        sensor=info.sensor,
        quantity=info.quantity,
    )


def code_layer(info: SceneInfo) -> Layer | None:
    """The layer of a map of codes, which stay what they are; None for measurements, and for codes that have no fill value."""
    dtype, codes = np.dtype(info.dtype), info.codes
    if codes is None or dtype.kind not in "iu" or info.nodata is None:
        return None
    return Layer(
        name=info.attrs.get("layer", "map"),
        dtype=dtype.name,
        nodata=info.nodata,
        description=info.attrs.get("description", "codes"),
        legend=legend_in(codes.classes),
        colours=codes.colours,
        band_names=info.bands.names,
        sensor=info.sensor,
    )


def scene_tags(info: SceneInfo, format: str) -> dict[str, str]:
    """What a file says of a scene beside its layer: time, product, and who wrote it. Where the uncertainty is, is said so that it stays true."""
    kept = {key: text for key, text in info.attrs.items() if key.lower() not in _OF_THE_FILE and 0 < len(text) < LONGEST_TEXT}
    if "uncertainty" in kept:
        kept["uncertainty"] = re.sub(r"(--variable \S+)$", lambda found: f"{found[1]} of {Path(info.name).name}", kept["uncertainty"])
    time = {"acquisition time" if format == "envi" else "acquired": info.acquired} if info.acquired else {}
    return {**kept, **time, "hsikit_version": __version__}


def losses(info: SceneInfo, format: str) -> list[str]:
    """What a format cannot hold of a scene, one sentence of it all."""
    if format in SWATH_FORMATS or (info.swath is None and info.quality is None):
        return []
    place = ["positions of a swath"] if info.swath is not None else []
    flags = [] if info.quality is None else [f"quality flags ({', '.join(info.quality.flags)})"]
    means = [*(["the file has no georeference"] if place else []), *(["--mask cannot name them"] if flags else [])]
    instead = ", or orthorectify the scene" if place else ""
    return [f"this format holds no {' and no '.join(place + flags)}: {', and '.join(means)}; write .nc or .zarr{instead}"]


def refuse_input(info: SceneInfo, path: Path) -> None:
    """Refuses to write over what is being read.

    Raises:
        OutputError: the output is a file of the scene.
    """
    inputs = {str(Path(name).resolve()) for name in _files(info.identity)}
    clash = next((target for target in raster_paths(path) if str(target.resolve()) in inputs), None)
    if clash is not None:
        raise OutputError(path, f"{clash.name} is the scene itself", "Choose another name")


def _files(identity: tuple[Any, ...]) -> list[str]:
    """Paths in a scene's identity, whose files are (path, size, time)."""
    return [fact[0] for fact in identity if isinstance(fact, (tuple, list)) and len(fact) >= 3 and isinstance(fact[0], str)]
