"""Reading speed of ENVI and GeoTIFF scenes against the plainest code that gives the same float32 array with NaN.

    python benchmarks/reading.py --rows 1000 --cols 1000 --bands 200

Every figure is the best of several runs over the whole scene, with the file in the page cache and a GDAL cache of 64 MiB. Targets: ENVI full-width strips at
most 1.2 times a raw read with the same conversion, GeoTIFF windows at most 1.1 times rasterio's own with the same conversion,
square ENVI windows at most 1.0 times GDAL's ENVI driver.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterWindow

from hsikit.geo.grid import Window, tile_windows
from hsikit.scene import Source
from hsikit.sensors import open_source

NODATA, SCALE = -9999, np.float32(1e-4)
AXES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
Read = Callable[[Window, np.ndarray], None]


def make_envi(folder: Path, interleave: str, cube: np.ndarray) -> Path:
    bands, rows, cols = cube.shape
    header = folder / f"{interleave}.hdr"
    cube.transpose(AXES[interleave]).tofile(folder / f"{interleave}.img")
    wavelengths = ", ".join(f"{nm:.3f}" for nm in np.linspace(420, 2450, bands))
    header.write_text(
        f"ENVI\nsamples = {cols}\nlines = {rows}\nbands = {bands}\nheader offset = 0\ndata type = 2\ninterleave = {interleave}\nbyte order = 0\n"
        f"reflectance scale factor = 10000\ndata ignore value = {NODATA}\nwavelength units = Nanometers\nwavelength = {{{wavelengths}}}\n"
    )
    return header


def make_geotiff(folder: Path, name: str, cube: np.ndarray, **layout: object) -> Path:
    bands, rows, cols = cube.shape
    path = folder / f"{name}.tif"
    with rasterio.open(path, "w", driver="GTiff", width=cols, height=rows, count=bands, dtype="int16", nodata=NODATA, **layout) as target:
        target.scales = [1e-4] * bands
        for band, nm in enumerate(np.linspace(420, 2450, bands)):
            target.update_tags(band + 1, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{nm / 1000:.6f}")
        target.write(cube)
    return path


def convert(values: np.ndarray, out: np.ndarray) -> None:
    np.multiply(values, SCALE, out=out, casting="unsafe")
    fill = values == NODATA
    if fill.any():
        out[fill] = np.nan


def ours(source: Source) -> Read:
    bands = np.arange(len(source.info.bands))
    return lambda window, out: source.read(window, bands).decode(window, out)


def raw_strips(path: Path, interleave: str, shape: tuple[int, int, int]) -> Read:
    """Unbuffered reads of whole strips, then the conversion."""
    bands, rows, cols = shape
    file = path.with_suffix(".img").open("rb", buffering=0)

    def read(window: Window, out: np.ndarray) -> None:
        sizes = {"bsq": (bands, window.rows, cols), "bil": (window.rows, bands, cols), "bip": (window.rows, cols, bands)}
        values = np.empty(sizes[interleave], np.int16)
        parts = values if interleave == "bsq" else values[np.newaxis]
        for band, part in enumerate(parts):
            file.seek(2 * cols * ((band * rows + window.row) if interleave == "bsq" else window.row * bands))
            file.readinto(part.data)
        convert({"bsq": values, "bil": values.transpose(1, 0, 2), "bip": values.transpose(2, 0, 1)}[interleave], out)

    return read


def through_gdal(path: Path) -> Read:
    dataset = rasterio.open(path)
    return lambda window, out: convert(dataset.read(window=RasterWindow(window.col, window.row, window.cols, window.rows)), out)


def passes(readers: dict[str, Read], windows: Iterable[Window], bands: int, repeats: int) -> dict[str, float]:
    """Best seconds of each reader over all windows; readers take turns, so that a busy moment hits all."""
    todo, best = list(windows), dict.fromkeys(readers, np.inf)
    out = np.empty((bands, max(w.rows for w in todo), max(w.cols for w in todo)), np.float32)
    for _ in range(repeats):
        for name, read in readers.items():
            start = time.perf_counter()
            for window in todo:
                read(window, out[:, : window.rows, : window.cols])
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def report(what: str, peer: str, target: float, best: dict[str, float]) -> None:
    ratio = best["ours"] / best["peer"]
    verdict = "ok" if ratio <= target else "MISSED"
    figures = f"{best['ours']:8.3f} s   {peer:<10} {best['peer']:8.3f} s   ratio {ratio:5.2f}   target {target:.1f}"
    print(f"{what:<44} {figures}   {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rows", 1000), ("cols", 1000), ("bands", 200), ("repeats", 5), ("strip", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    shape = (args.bands, args.rows, args.cols)
    cube = np.random.default_rng(0).integers(0, 10000, shape, dtype=np.int16)
    cube[:, : args.rows // 2, : args.cols // 2] = NODATA
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    area = Window(0, 0, args.rows, args.cols)
    with tempfile.TemporaryDirectory() as name, rasterio.Env(GDAL_CACHEMAX=64 << 20):
        folder = Path(name)
        for interleave in AXES:
            path = make_envi(folder, interleave, cube)
            source, label = open_source(path), interleave.upper()
            strips = list(tile_windows(area, (args.strip, args.cols)))
            best = passes({"ours": ours(source), "peer": raw_strips(path, interleave, shape)}, strips, args.bands, args.repeats)
            report(f"ENVI {label}, strips of {args.strip} rows", "raw read", 1.2, best)
            for side in (128, 256):
                best = passes(
                    {"ours": ours(source), "peer": through_gdal(path.with_suffix(".img"))}, tile_windows(area, (side, side)), args.bands, args.repeats
                )
                report(f"ENVI {label}, windows of {side} x {side}", "GDAL", 1.0, best)
            path.with_suffix(".img").unlink()
        layouts = {
            "tiled, band-interleaved": {"tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band"},
            "strips, band-interleaved": {"interleave": "band"},
            "tiled, pixel-interleaved": {"tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "pixel"},
        }
        for label, layout in layouts.items():
            path = make_geotiff(folder, label.replace(", ", "-"), cube, **layout)
            readers = {"ours": ours(open_source(path)), "peer": through_gdal(path)}
            report(f"GeoTIFF {label}, 256 x 256", "rasterio", 1.1, passes(readers, tile_windows(area, (256, 256)), args.bands, max(2, args.repeats - 2)))
            path.unlink()


if __name__ == "__main__":
    main()
