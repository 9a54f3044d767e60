"""A granule of EMIT's size put on its map on disk: time and memory beside plain reading and writing of the same bytes.

    python -m benchmarks.orthorectify
    python -m benchmarks.orthorectify --large --formats contiguous

The granule is simulated: 1280 x 1242 pixels of 285 bands, float32, with a table of 1700 x 1900 in which a third of the filled map pixels
repeat a measurement (`--large`: 2176 x 1242 and 2547 x 3325, at 51 degrees to the map). "contiguous" and "chunked" are HDF5 of
(downtrack, crosstrack, band), the latter deflated in the chunks that netCDF 4.9 chooses; "bil" and "bip" are ENVI.

"plain" reads all values in the order of the file and writes as many bytes as the map has, with fsync, in one thread; "ours" writes a
band-interleaved, tiled, uncompressed GeoTIFF, fsync and rename included. Each runs in a process of its own, with the input in the page
cache, in turns. Memory is what comes on top of the process as it is after its imports. "exact" compares every value of the map with NumPy's
gather through the table. "class map" is a finished map of classes put through the table and written as COG with its areas; it reads no cube.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import MIB, peak_bytes, run_fresh, tell, warm_cache

FORMATS = ("contiguous", "chunked", "bil", "bip")
BANDS = 285
SMALL, LARGE = ((1280, 1242), (1700, 1900), 12.0), ((2176, 1242), (2547, 3325), 50.7)
"""Shape of the sensor's grid and of the map, and the angle between them (degrees)."""
PIECE = 16
"""Rows that plain reading takes at once."""
TIME, MEMORY, PLACE = 1.3, 150, 2.0


def table(case: tuple[tuple[int, int], tuple[int, int], float]) -> tuple[Any, Any]:
    """Rows and columns of the sensor's pixels on the map, -1 for nothing: turned, stretched, and uneven by a third of a pixel."""
    import numpy as np

    (rows, cols), (down, across), angle = case
    turn = np.radians(angle)
    height, width = rows * np.cos(turn) + cols * np.sin(turn), rows * np.sin(turn) + cols * np.cos(turn)
    y, x = (np.arange(down)[:, None] + 0.5 - down / 2) / down * height, (np.arange(across) + 0.5 - across / 2) / across * width
    row = np.floor(y * np.cos(turn) + x * np.sin(turn) + rows / 2 + 0.35 * np.sin(x / 7.3))
    col = np.floor(-y * np.sin(turn) + x * np.cos(turn) + cols / 2 + 0.35 * np.sin(y / 5.7))
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    return np.where(inside, row, -1).astype(np.int32), np.where(inside, col, -1).astype(np.int32)


def spectra(row: int, rows: int, cols: int) -> Any:
    """Reflectances of some rows, shape (rows, cols, bands): smooth in space and wavelength, with noise."""
    import numpy as np

    rng = np.random.default_rng(row)
    place = np.sin((row + np.arange(rows))[:, None] / 37) + np.cos(np.arange(cols) / 53)
    shape = 0.3 + 0.1 * np.sin(np.arange(BANDS) / 40)
    values = (1 + 0.2 * place[..., None]) * shape
    return np.asarray(values + 0.002 * rng.standard_normal(values.shape, np.float32), np.float32)


def chunks_of(shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Chunks that netCDF 4.9 chooses for a fixed float32 array: 16 MiB, in the array's proportions, without a small rest."""
    scale = ((16 << 20) / (4 * shape[0] * shape[1] * shape[2])) ** (1 / 3)
    counts = [-(-size // max(1, int(size * scale - 0.5))) for size in shape]
    return tuple(-(-size // count) for size, count in zip(shape, counts, strict=True))


def child_make(args: argparse.Namespace) -> None:
    """Writes the granule."""
    case = LARGE if args.large else SMALL
    (rows, cols), _, _ = case
    if args.path.suffix == ".nc":
        make_hdf5(args.path, case, args.format == "chunked")
    else:
        order = {"bip": (0, 1, 2), "bil": (0, 2, 1)}[args.format]
        with args.path.with_suffix(".img").open("wb") as file:
            for row in range(0, rows, PIECE):
                spectra(row, min(PIECE, rows - row), cols).transpose(order).tofile(file)
        centres = ", ".join(f"{381 + 7.4 * band:.2f}" for band in range(BANDS))
        head = f"ENVI\nsamples = {cols}\nlines = {rows}\nbands = {BANDS}\nheader offset = 0\ndata type = 4\ninterleave = {args.format}\nbyte order = 0\n"
        args.path.write_text(f"{head}wavelength units = Nanometers\nwavelength = {{{centres}}}\n")
    tell(made=True)


def make_hdf5(path: Path, case: tuple[tuple[int, int], tuple[int, int], float], chunked: bool) -> None:
    import h5py

    (rows, cols), _, _ = case
    how = {"chunks": chunks_of((rows, cols, BANDS)), "compression": "gzip", "shuffle": True} if chunked else {}
    with h5py.File(path, "w") as file:
        cube = file.create_dataset("reflectance", (rows, cols, BANDS), "f4", **how)
        step = how["chunks"][0] if chunked else PIECE
        for row in range(0, rows, step):
            cube[row : row + step] = spectra(row, min(step, rows - row), cols)


def open_granule(args: argparse.Namespace) -> Any:
    """The granule as a source, with its table."""
    import numpy as np

    from hsikit.geo.grid import Grid
    from hsikit.geo.swath import ArrayTable, Swath
    from hsikit.sensors import open_source
    from hsikit.sensors.bands import BandClaims
    from hsikit.sensors.facts import FileFacts, Options, layout
    from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Part

    case = LARGE if args.large else SMALL
    shape, mapped, _ = case
    swath = Swath(
        shape, lambda window: (np.full(window.shape, np.nan),) * 2, ArrayTable(Grid(mapped, (60.0, 0, 3e5, 0, -60.0, 4e6), "EPSG:32641"), *table(case))
    )
    if args.path.suffix != ".nc":
        source = open_source(args.path)
        source.info = source.info.with_(swath=swath)
        return source
    claims = BandClaims(count=BANDS, wavelength=[f"{381 + 7.4 * band:.2f}" for band in range(BANDS)], unit="nm")
    facts = FileFacts(str(args.path), "granule", Grid(shape), np.dtype("f4"), claims, files=(args.path,), nodata=-9999.0, swath=swath)
    return Hdf5Source(layout(facts, Options()), Hdf5File(args.path), [Part("reflectance")])


def child_ours(args: argparse.Namespace) -> None:
    """Puts the granule on its map."""
    import rasterio

    from hsikit.convert.orthorectify import orthorectify

    source = open_granule(args)
    with rasterio.Env():
        reset_peak()
        held = resident()
    start, before = time.perf_counter(), os.times()
    orthorectify(source, args.output, overwrite=True)
    seconds, after = time.perf_counter() - start, os.times()
    tell(seconds=seconds, cpu=after.user + after.system - before.user - before.system, above=peak_bytes() - held, held=held, peak=peak_bytes())


def reset_peak() -> None:
    """Lets the kernel count the peak from here on: making the simulated table takes memory that is not the sweep's."""
    Path("/proc/self/clear_refs").write_text("5")


def resident() -> int:
    """Bytes that this process occupies now."""
    from hsikit.engine.resources import resident_bytes

    return resident_bytes()


def child_plain(args: argparse.Namespace) -> None:
    """Reads the granule and writes as many bytes as its map has."""
    import numpy as np

    case = LARGE if args.large else SMALL
    rows, cols = case[0]
    start, before = time.perf_counter(), os.times()
    if args.path.suffix == ".nc":
        import h5py

        with h5py.File(args.path) as file:
            cube = file["reflectance"]
            down, across = (cube.chunks or (PIECE, cols))[:2]
            for row in range(0, rows, down):
                for col in range(0, cols, across):
                    cube[row : row + down, col : col + across]
    else:
        with args.path.with_suffix(".img").open("rb", buffering=0) as file:
            buffer = bytearray(PIECE * cols * BANDS * 4)
            while file.readinto(buffer):
                pass
    middle = time.perf_counter()
    left = case[1][0] * case[1][1] * BANDS * 4
    piece = np.random.default_rng(0).bytes(8 << 20)
    with args.output.open("wb", buffering=0) as file:
        while left > 0:
            left -= file.write(piece[:left] if left < len(piece) else piece)
        os.fsync(file.fileno())
    end, after = time.perf_counter(), os.times()
    tell(seconds=end - start, reading=middle - start, cpu=after.user + after.system - before.user - before.system, peak=peak_bytes())


def child_check(args: argparse.Namespace) -> None:
    """Compares the map with a gather of NumPy, rows of the map at a time."""
    import numpy as np
    import rasterio

    case = LARGE if args.large else SMALL
    row, col = table(case)
    whole = np.concatenate([spectra(first, min(step_of(args), case[0][0] - first), case[0][1]) for first in range(0, case[0][0], step_of(args))])
    wrong = 0
    with rasterio.open(args.output) as file:
        for first in range(0, len(row), 64):
            r, c = row[first : first + 64], col[first : first + 64]
            found = file.read(window=((first, first + len(r)), (0, row.shape[1])))
            wanted = np.where(r < 0, np.float32(np.nan if file.nodata is None else file.nodata), whole[r, c].transpose(2, 0, 1))
            wrong += int((~((found == wanted) | (np.isnan(found) & np.isnan(wanted)))).sum())
        kind = f"{file.block_shapes[0][0]} {file.interleaving.name} {'plain' if file.compression is None else file.compression.name}"
    filled = row >= 0
    unique = len(np.unique((row * case[0][1] + col)[filled]))
    tell(wrong=wrong, kind=kind, filled=float(filled.mean()), repeats=1 - unique / int(filled.sum()), kept=unique / (case[0][0] * case[0][1]))


def step_of(args: argparse.Namespace) -> int:
    """Rows that were made at once: the noise depends on them."""
    shape = (*(LARGE if args.large else SMALL)[0], BANDS)
    return chunks_of(shape)[0] if args.format == "chunked" else PIECE


def child_place(args: argparse.Namespace) -> None:
    """Puts a finished class map through the table: COG, overviews and areas."""
    import numpy as np

    from hsikit.engine.placing import MappedLayer, mapped_areas
    from hsikit.geo.grid import Grid
    from hsikit.geo.swath import ArrayTable
    from hsikit.layers import Legend, class_layer
    from hsikit.writers import write_raster

    case = LARGE if args.large else SMALL
    layer = class_layer(Legend.of({code: f"class {code}" for code in range(1, 13)}))
    codes = (
        np.random.default_rng(0)
        .integers(1, 13, (case[0][0] // 8 + 1, case[0][1] // 8 + 1), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)[None, : case[0][0], : case[0][1]]
    )

    class Finished:
        def read(self, window: Any) -> Any:
            return codes[(slice(None), *window.slices())]

    lookup = ArrayTable(Grid(case[1], (60.0, 0, 3e5, 0, -60.0, 4e6), "EPSG:32641"), *table(case))
    write_raster(layer, Grid((64, 64), (60.0, 0, 3e5, 0, -60.0, 4e6), "EPSG:32641"), Finished(), args.output)
    start = time.perf_counter()
    mapped = MappedLayer(Finished(), layer, lookup)
    write_raster(layer, lookup.grid, mapped, args.output)
    mapped_areas(mapped)
    tell(seconds=time.perf_counter() - start)


CHILDREN = {"make": child_make, "ours": child_ours, "plain": child_plain, "check": child_check, "place": child_place}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="2176 x 1242 pixels, a map of 2547 x 3325")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, in turns")
    parser.add_argument("--formats", nargs="*", default=["contiguous", "chunked", "bil"], choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--folder", type=Path, help="where granules are kept; default: a temporary one, emptied at the end")
    parser.add_argument("--no-check", action="store_true", help="leave out the comparison with NumPy")
    for name, kind in (("--child", str), ("--format", str), ("--path", Path), ("--output", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


def report(form: str, args: argparse.Namespace) -> None:
    """Measures one format and prints its line."""
    size = "large" if args.large else "small"
    path = args.folder / f"{size}-{form}{'.nc' if form in FORMATS[:2] else '.hdr'}"
    output = args.folder / "map.tif"
    common = ["--format", form, "--path", path, "--output", output, *(["--large"] if args.large else [])]

    def run(child: str) -> dict[str, Any]:
        return run_fresh("benchmarks.orthorectify", "--child", child, *common, threads=1)

    if not path.exists():
        run("make")
    ours, plain = [], []
    for _ in range(args.pairs):
        warm_cache(path if path.suffix == ".nc" else path.with_suffix(".img"))
        plain.append(run("plain"))
        output.unlink()
        ours.append(run("ours"))
    found = run("check") if not args.no_check else {"wrong": "not compared", "kind": "", "repeats": float("nan")}
    output.unlink()
    ratios = sorted(a["seconds"] / b["seconds"] for a, b in zip(ours, plain, strict=True))
    seconds = [median(run["seconds"] for run in runs) for runs in (plain, ours)]
    cpu = [median(run["cpu"] for run in runs) for runs in (plain, ours)]
    above = max(run["above"] for run in ours) / MIB
    line = f"{form:12}{seconds[0]:8.1f}{seconds[1]:8.1f}{median(ratios):8.2f}{f'{ratios[0]:.2f}-{ratios[-1]:.2f}':>12}{cpu[0]:8.1f}{cpu[1]:8.1f}"
    verdict = "ok" if median(ratios) <= TIME and above <= MEMORY and found["wrong"] in (0, "not compared") else "MISSED"
    print(f"{line}{above:8.0f}{ours[0]['held'] / MIB:8.0f}   wrong: {found['wrong']}  {found['kind']}, repeats {found['repeats']:.0%}   {verdict}", flush=True)


def gdal_beside() -> str:
    """Whether GDAL's own way can be timed here."""
    try:
        from osgeo import gdal
    except ImportError:
        return "GDAL's GetResampled: not timed, osgeo is not installed (its wheel is built from source against an installed GDAL)"
    return f"GDAL {gdal.__version__} is installed: time its GetResampled"


def main() -> None:
    args = arguments()
    if args.child:
        CHILDREN[args.child](args)
        return
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary)
        args.folder.mkdir(parents=True, exist_ok=True)
        (rows, cols), mapped, angle = LARGE if args.large else SMALL
        print(f"{rows} x {cols} x {BANDS} float32 onto {mapped[0]} x {mapped[1]}, {angle:g} degrees; load {os.getloadavg()[0]:.1f}")
        names = ("plain s", "ours s", "ratio", "from-to", "CPU s", "CPU s", "MiB", "imports")
        print(f"{'':12}" + "".join(f"{name:>{width}}" for name, width in zip(names, (8, 8, 8, 12, 8, 8, 8, 8), strict=True)))
        for form in args.formats:
            report(form, args)
        run = run_fresh("benchmarks.orthorectify", "--child", "place", "--output", args.folder / "classes.tif", *(["--large"] if args.large else []), threads=1)
        print(f"class map: {run['seconds']:.2f} s   {'ok' if run['seconds'] <= PLACE else 'MISSED'}")
        print(gdal_beside())


if __name__ == "__main__":
    main()
