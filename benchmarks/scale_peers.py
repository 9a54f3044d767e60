"""One process of `benchmarks.scale`: makes a scene in a layout, or maps it in one of several ways.

    python -m benchmarks.scale_peers make FOLDER LAYOUT BANDS ROWS COLS
    python -m benchmarks.scale_peers WAY SCENE OUTPUT MEMORY

All ways share the network of `benchmarks.network`, one compute thread, and a GeoTIFF at the end; the clock starts after imports and
after a small piece of the same scene. They differ in how they cut, read and decode the scene.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine import _dask_block, _histogram
from benchmarks.measure import MIB, Inside, Spent, peak_bytes, tell
from benchmarks.network import CLASSES, HALO, Network
from benchmarks.scenes import _TRANSFORM, NODATA, SCALE, make_scene, strips, wavelengths, write_geotiff

BLOCK = 256
"""Rows and columns of a block of the peers, of a deflated tile and of a Zarr chunk."""
CHUNK_BANDS = 64
PIECE = 64
"""Rows and columns that are mapped before the clock."""


def make(folder: Path, layout: str, shape: tuple[int, int, int]) -> Path:
    """A scene as plain rows of bands, as a GeoTIFF of deflated tiles, or as a Zarr store; one that is there is used again."""
    if layout == "plain":
        return make_scene(folder, "envi-bsq", shape)
    path = folder / f"{layout}-{shape[1]}x{shape[2]}x{shape[0]}{'.tif' if layout == 'deflate' else '.zarr'}"
    if path.exists():
        return path
    if layout == "deflate":
        return write_geotiff(path, shape, strips(shape), tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="deflate", zlevel=1)
    return write_zarr(path, shape)


def write_zarr(path: Path, shape: tuple[int, int, int]) -> Path:
    """A Zarr store of stored integers with its scale, in chunks of `CHUNK_BANDS` bands."""
    import zarr

    bands, rows, cols = shape
    step, _, left, _, _, top = _TRANSFORM
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs["Conventions"] = "CF-1.10"
    for name, values, unit in (
        ("wavelength", wavelengths(bands), "nm"), ("y", top - step * (np.arange(rows) + 0.5), "m"), ("x", left + step * (np.arange(cols) + 0.5), "m"),
    ):  # fmt: skip
        group.create_array(name, shape=values.shape, dtype="float64", chunks=values.shape, dimension_names=(name,), attributes={"units": unit})[...] = values
    cube = group.create_array(
        "reflectance", shape=shape, chunks=(min(bands, CHUNK_BANDS), min(rows, BLOCK), min(cols, BLOCK)), dtype="int16", fill_value=NODATA,
        dimension_names=("wavelength", "y", "x"), attributes={"scale_factor": SCALE, "_FillValue": NODATA},
    )  # fmt: skip
    for first, values in strips(shape):
        cube[:, first : first + values.shape[1]] = values
    return path


def opened(scene: Path) -> Any:
    """A scene as a lazy `xarray.DataArray` of stored integers, dims (band, y, x), in chunks of all bands."""
    import dask.array
    import xarray

    if scene.suffix == ".tif":
        import rioxarray

        return rioxarray.open_rasterio(scene, chunks={"band": -1, "y": BLOCK, "x": BLOCK}, lock=False)
    if scene.suffix == ".zarr":
        found = xarray.open_zarr(scene, mask_and_scale=False, consolidated=False)["reflectance"]
        return found.rename(wavelength="band").chunk({"band": -1, "y": BLOCK, "x": BLOCK})
    bands, rows, cols = _shape(scene)
    stored = np.memmap(scene.with_suffix(".img"), np.int16, "r", shape=(bands, rows, cols))
    return xarray.DataArray(dask.array.from_array(stored, chunks=(bands, BLOCK, BLOCK), asarray=False, name=False), dims=("band", "y", "x"))


def _shape(scene: Path) -> tuple[int, int, int]:
    from hsikit.sensors import open_source

    source = open_source(scene)
    try:
        return len(source.info.bands), *source.info.grid.shape
    finally:
        source.close()


def map_overlap(cube: Any) -> NDArray[np.uint8]:
    """Dask: blocks with the halo of their neighbours."""
    import dask
    import dask.array as da

    overlapped = da.overlap.overlap(cube.data, depth={0: 0, 1: HALO, 2: HALO}, boundary={0: "none", 1: NODATA, 2: NODATA})
    chunks = tuple(tuple(size - 2 * HALO for size in sizes) for sizes in overlapped.chunks[1:])
    network = Network().module(len(cube))
    classes = overlapped.map_blocks(_dask_block, network, drop_axis=0, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    with dask.config.set(scheduler="synchronous"):
        return np.asarray(classes.compute())


def xbatcher(cube: Any) -> NDArray[np.uint8]:
    """Batches of one block with its halo, as xbatcher generates them from a padded cube."""
    import dask
    from xbatcher import BatchGenerator

    rows, cols = cube.shape[1:]
    more = {name: (HALO, HALO + -size % BLOCK) for name, size in (("y", rows), ("x", cols))}
    padded = cube.pad(more, constant_values=NODATA)
    side, network = BLOCK + 2 * HALO, Network().module(len(cube))
    generator = BatchGenerator(padded, {"y": side, "x": side}, input_overlap={"y": 2 * HALO, "x": 2 * HALO}, preload_batch=False)
    out = np.zeros((rows + -rows % BLOCK, cols + -cols % BLOCK), np.uint8)
    across = out.shape[1] // BLOCK
    with dask.config.set(scheduler="synchronous"):
        for number, batch in enumerate(generator):
            row, col = BLOCK * (number // across), BLOCK * (number % across)
            out[row : row + BLOCK, col : col + BLOCK] = _dask_block(batch.transpose("band", "y", "x").values, network)
    return out[:rows, :cols]


def naive(cube: Any) -> NDArray[np.uint8]:
    """The whole scene in memory, through the network at once."""
    values = np.pad(cube.values, ((0, 0), (HALO, HALO), (HALO, HALO)), constant_values=NODATA)
    return np.asarray(_dask_block(values, Network().module(len(cube))))


PEERS: dict[str, Callable[[Any], NDArray[np.uint8]]] = {"map_overlap": map_overlap, "xbatcher": xbatcher, "naive": naive}
WAYS = ("engine", *PEERS)


def naive_bytes(shape: tuple[int, int, int]) -> int:
    """What the whole scene takes at once: stored and decoded numbers, and the network's images."""
    from benchmarks.network import WIDTH

    return shape[1] * shape[2] * (2 * 2 * shape[0] + 4 * shape[0] + 4 * 3 * WIDTH + 4 * CLASSES)


def run_peer(way: str, scene: Path, output: Path) -> dict[str, Any]:
    """Maps a scene in a peer's way."""
    import rasterio
    import torch

    torch.set_num_threads(1)
    with rasterio.Env(GDAL_CACHEMAX=64 * MIB):
        PEERS[way](opened(scene)[:, :PIECE, :PIECE])
        spent = Spent()
        with spent.clock():
            classes = PEERS[way](opened(scene))
            rows, cols = classes.shape
            with rasterio.open(output, "w", driver="COG", width=cols, height=rows, count=1, dtype="uint8", nodata=0) as file:
                file.write(classes, 1)
    return {**vars(spent), "classes": _histogram(output)}


def run_engine(scene: Path, output: Path, memory: str) -> dict[str, Any]:
    """Maps a scene with the engine; "inside" is the time of the network alone."""
    from hsikit.engine import RunOptions, run_job
    from hsikit.engine.resources import limit_gdal_cache, parse_memory
    from hsikit.geo.grid import Window
    from hsikit.sensors import open_source

    limit_gdal_cache(memory)
    options = RunOptions(memory=parse_memory(memory), threads=1)
    source = open_source(scene)
    middle = Window(source.info.grid.shape[0] // 2, source.info.grid.shape[1] // 2, 16, 16)
    run_job(Network().bind({"cube": source.info}), {"cube": source}, output.with_name(f"warm-{output.name}"), options=replace(options, area=middle))
    spent, inside = Spent(), Inside()
    with spent.clock():
        source = open_source(scene)
        job = Network().bind({"cube": source.info})
        stages: Iterator[Any] = (replace(stage, apply=inside.timed(stage.apply)) for stage in job.stages)  # type: ignore[union-attr]
        run_job(replace(job, stages=tuple(stages)), {"cube": source}, output, options=options)
    return {**vars(spent), "inside": inside.seconds, "classes": _histogram(output)}


def main(arguments: list[str]) -> None:
    """See the module."""
    way, *words = arguments
    if way == "make":
        bands, rows, cols = map(int, words[2:])
        tell(path=str(make(Path(words[0]), words[1], (bands, rows, cols))))
        return
    scene, output, memory = Path(words[0]), Path(words[1]), words[2]
    found = run_engine(scene, output, memory) if way == "engine" else run_peer(way, scene, output)
    tell(**found, peak=peak_bytes())


if __name__ == "__main__":
    main(sys.argv[1:])
