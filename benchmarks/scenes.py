"""Generated scenes of any size, written strip by strip, so that making one takes no more memory than mapping it should.

Twelve kinds of surface in soft-edged fields, with noise, as int16 reflectance (scale 1e-4). The scene is a rectangle turned by 8.7
degrees inside its grid, as a map-projected flight line is, which leaves 23 % of nodata in the corners.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import tell

NODATA, SCALE, SURFACES, STRIP = -9999, 1e-4, 12, 256
TURN = 0.5 * math.asin(1 / 0.77 - 1)
"""Radians by which a square that touches its frame on all sides is turned so that it fills 77 % of it."""
Shape = tuple[int, int, int]
"""(bands, rows, cols)."""
Strips = Iterator[tuple[int, NDArray[np.int16]]]
_TRANSFORM = (30.0, 0.0, 400_000.0, 0.0, -30.0, 5_800_000.0)


def covered(rows: NDArray[Any], cols: NDArray[Any], shape: Shape) -> NDArray[np.bool_]:
    """Which of these pixels lie inside the turned rectangle."""
    v, u = (rows + 0.5) / shape[1] - 0.5, (cols + 0.5) / shape[2] - 0.5
    half = 0.5 / (math.cos(TURN) + math.sin(TURN))
    along, across = u * math.cos(TURN) + v * math.sin(TURN), v * math.cos(TURN) - u * math.sin(TURN)
    return np.asarray((abs(along) <= half) & (abs(across) <= half))


def surfaces(rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.intp]:
    """Which of the `SURFACES` lies at these pixels: fields of some fifty pixels."""
    waves = np.sin(rows / 31.0 + 1.7 * np.sin(cols / 47.0)) + np.cos(cols / 23.0 + 1.3 * np.sin(rows / 61.0))
    return np.asarray(np.clip((waves + 2) / 4 * SURFACES, 0, SURFACES - 1), np.intp)


def strips(shape: Shape, seed: int = 0) -> Strips:
    """(first row, stored numbers (bands, rows, cols)) from top to bottom; the same for the same seed."""
    bands, rows, cols = shape
    rng = np.random.default_rng(seed)
    spectra = (3000 + rng.normal(0, 60, (SURFACES, bands)).cumsum(1)).astype(np.int16)
    noise = rng.normal(0, 60, (1 << 20) + cols).astype(np.int16)
    for first in range(0, rows, STRIP):
        row, col = np.ogrid[first : min(first + STRIP, rows), 0:cols]
        kind, inside = surfaces(row, col), covered(row, col, shape)
        values = np.empty((bands, *kind.shape), np.int16)
        for band in range(bands):
            starts = rng.integers(0, 1 << 20, len(kind))
            np.take(spectra[:, band], kind, out=values[band])
            for line, start in zip(values[band], starts, strict=True):
                line += noise[start : start + cols]
            values[band][~inside] = NODATA
        yield first, values


def wavelengths(bands: int) -> NDArray[np.float64]:
    """Band centres (nm)."""
    return np.linspace(420.0, 2450.0, bands)


def write_envi(path: Path, interleave: str, shape: Shape, source: Strips) -> Path:
    """An ENVI file and its header; returns the header."""
    bands, rows, cols = shape
    with path.with_suffix(".img").open("wb") as file:
        for first, values in source:
            if interleave == "bil":
                values.transpose(1, 0, 2).tofile(file)
                continue
            for band, part in enumerate(values):
                file.seek(2 * cols * (band * rows + first))
                part.tofile(file)
    header = path.with_suffix(".hdr")
    a, _, left, _, e, top = _TRANSFORM
    header.write_text(
        f"ENVI\nsamples = {cols}\nlines = {rows}\nbands = {bands}\nheader offset = 0\ndata type = 2\ninterleave = {interleave}\nbyte order = 0\n"
        f"map info = {{UTM, 1, 1, {left}, {top}, {a}, {-e}, 33, North, WGS-84, units=Meters}}\n"
        f"reflectance scale factor = {1 / SCALE:.0f}\ndata ignore value = {NODATA}\nwavelength units = Nanometers\n"
        f"wavelength = {{{', '.join(f'{nm:.3f}' for nm in wavelengths(bands))}}}\n"
    )
    return header


def write_geotiff(path: Path, shape: Shape, source: Strips, **layout: Any) -> Path:
    """A band-interleaved GeoTIFF."""
    import rasterio
    from affine import Affine

    bands, rows, cols = shape
    where = {"crs": "EPSG:32633", "transform": Affine(*_TRANSFORM)}
    with (
        rasterio.Env(GDAL_CACHEMAX=16 << 20),
        rasterio.open(
            path, "w", driver="GTiff", width=cols, height=rows, count=bands, dtype="int16", nodata=NODATA, interleave="band", BIGTIFF="IF_SAFER",
            **where, **layout,
        ) as file,
    ):  # fmt: skip
        file.scales = [SCALE] * bands
        for band, nm in enumerate(wavelengths(bands)):
            file.update_tags(band + 1, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{nm / 1000:.6f}")
        for first, values in source:
            for band, part in enumerate(values):
                file.write(part, band + 1, window=((first, first + len(part)), (0, cols)))
    return path


FORMATS: dict[str, Callable[[Path, Shape, Strips], Path]] = {
    "envi-bsq": lambda path, shape, source: write_envi(path, "bsq", shape, source),
    "envi-bil": lambda path, shape, source: write_envi(path, "bil", shape, source),
    "geotiff-tiled": lambda path, shape, source: write_geotiff(path.with_suffix(".tif"), shape, source, tiled=True, blockxsize=256, blockysize=256),
    "geotiff-striped": lambda path, shape, source: write_geotiff(path.with_suffix(".tif"), shape, source),
}


def make_scene(folder: Path, kind: str, shape: Shape) -> Path:
    """A scene in one of the `FORMATS`; one that already lies there is used again."""
    stem = folder / f"{kind}-{shape[1]}x{shape[2]}x{shape[0]}"
    done = stem.with_suffix(".done")
    path = stem.with_suffix(".hdr" if kind.startswith("envi") else ".tif")
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = FORMATS[kind](stem, shape, strips(shape))
        done.touch()
    return path


def drop_scene(path: Path) -> None:
    """Removes a scene and what lies beside it."""
    for suffix in (".img", ".hdr", ".tif", ".done"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def main() -> None:
    """Makes one scene: `python -m benchmarks.scenes FOLDER FORMAT BANDS ROWS COLS`."""
    folder, kind, *sizes = sys.argv[1:]
    bands, rows, cols = map(int, sizes)
    tell(path=str(make_scene(Path(folder), kind, (bands, rows, cols))))


if __name__ == "__main__":
    main()
