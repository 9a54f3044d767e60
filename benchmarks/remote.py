"""What a window of a scene on S3 or an HTTP server costs, beside the bytes of the tiles that it needs; and whether its pixels are those of the disk.

    python -m benchmarks.remote --size 512 --bands 40

The scene is generated and put on a server on loopback, which counts what it sends. "needs" are the stored bytes of the tiles, chunks or lines
that hold the window, all bands; "sent" are the bodies of all answers while it is read, with what opening a file again costs; "asked" counts requests.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.remote_servers import BUCKET, ENVIRONMENT, FOREIGN, Traffic, http_server, put, s3_server

FILES = {"tiled.tif": "gtiff", "map.tif": "cog", "cube.nc": "netcdf", "cube.zarr": "zarr", "cube.hdr": "envi"}
COG_BANDS = 8
PROMISED = 1.3


def write_scenes(folder: Path, bands: int, size: int) -> None:
    """One cube in every format; as a COG its first bands."""
    from hsikit.geo.grid import Grid
    from hsikit.layers import Layer
    from hsikit.writers import write_raster
    from tests.writers.arrays import ArrayPixels

    cube = np.random.default_rng(5).integers(1, 9000, (bands, size, size)).astype(np.int16)
    grid = Grid((size, size), (30.0, 0.0, 400000.0, 0.0, -30.0, 5800000.0), "EPSG:32633")
    for name, kind in FILES.items():
        values = cube[:COG_BANDS] if kind == "cog" else cube
        layer = Layer("cube", dtype="int16", bands=len(values), nodata=-9999, wavelength=np.linspace(450, 2400, len(values)))
        write_raster(layer, grid, ArrayPixels(values), folder / name, format=kind)


def needed(file: Path, window: Any) -> int:
    """Stored bytes of the tiles, chunks or lines that hold a window, all bands."""
    if file.suffix == ".tif":
        return _of_tiff(file, window)
    if file.suffix == ".nc":
        return _of_netcdf(file, window)
    if file.suffix == ".zarr":
        import zarr

        chunks = zarr.open(file, mode="r")["cube"].chunks
        near = [f"{y}/{x}" for y, x in _blocks(window, chunks[1], chunks[2])]
        return sum(path.stat().st_size for plane in (file / "cube" / "c").iterdir() for name in near if (path := plane / name).is_file())
    image = file.with_suffix(".img")
    return image.stat().st_size * window.rows // int(np.sqrt(image.stat().st_size / 2 / _bands_of(file)))


def _blocks(window: Any, rows: int, cols: int) -> list[tuple[int, int]]:
    return [(y, x) for y in range(window.row // rows, -(-window.row_end // rows)) for x in range(window.col // cols, -(-window.col_end // cols))]


def _of_tiff(file: Path, window: Any) -> int:
    import rasterio

    with rasterio.open(file) as data:
        bands = range(1, data.count + 1) if data.profile["interleave"] == "band" else [1]
        blocks = _blocks(window, *data.block_shapes[0])
        return sum(int(data.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band)) for band in bands for y, x in blocks)


def _of_netcdf(file: Path, window: Any) -> int:
    import h5py

    with h5py.File(file, "r") as data:
        cube = max((item for item in data.values() if isinstance(item, h5py.Dataset)), key=lambda item: item.size)
        infos = [cube.id.get_chunk_info(number) for number in range(cube.id.get_num_chunks())]
        near = set(_blocks(window, *cube.chunks[1:]))
        return sum(info.size for info in infos if (info.chunk_offset[1] // cube.chunks[1], info.chunk_offset[2] // cube.chunks[2]) in near)


def _bands_of(header: Path) -> int:
    return int(next(line.partition("=")[2] for line in header.read_text().splitlines() if line.startswith("bands")))


@contextmanager
def served(folder: Path) -> Iterator[dict[str, tuple[str, Traffic]]]:
    """The folder on both servers: by their names, its address and its traffic."""
    with s3_server() as (endpoint, s3), http_server(folder) as (address, http):
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=endpoint)
        from hsikit.geo.remote_files import s3_filesystem

        s3_filesystem().call_s3("create_bucket", Bucket=BUCKET)
        yield {"S3": (put(folder, "in"), s3), "HTTP": (address, http)}


def main() -> None:
    """Prints the table; ends with 1 where a pixel differs or a window costs more than promised."""
    from hsikit.geo.grid import Window
    from hsikit.sensors import open_source

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--bands", type=int, default=40)
    given = parser.parse_args()
    size = given.size
    windows = {
        "corner": Window(0, 0, size // 8, size // 8),
        "middle": Window(size // 3, size // 3, size // 4, size // 4),
        "strip": Window(size // 2, 0, 64, size),
    }
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder, given.bands, size)
        print(f"{'server':<7}{'file':<11}{'window':<8}{'needs':>12}{'sent':>12}{'ratio':>8}{'asked':>7}  pixels")
        with served(folder) as servers:
            for (server, (address, traffic)), file in ((pair, file) for pair in servers.items() for file in FILES):
                for kind, window in windows.items():
                    local, remote = open_source(folder / file, inspect=False), open_source(f"{address}/{file}", inspect=False)
                    traffic.clear()
                    bands = np.arange(len(remote.info.bands))
                    same = np.array_equal(remote.read(window, bands).values, local.read(window, bands).values)
                    needs, sent, asked = needed(folder / file, window), traffic.bytes_read, len(traffic.sent)
                    print(f"{server:<7}{file:<11}{kind:<8}{needs:>12}{sent:>12}{sent / needs:>8.3f}{asked:>7}  {'the same' if same else 'DIFFER'}")
                    failed |= not same or sent > PROMISED * needs
                    remote.close()
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
