"""GeoTIFF: cloud-optimised for maps and a few layers, tiled and band-interleaved for cubes.

A COG is copied by GDAL from a tiled GeoTIFF beside it, which is removed: GDAL builds overviews and orders the file only when
every pixel is there. Below GDAL 3.11 a COG is pixel-interleaved, which is slow and large for many bands, so cubes are not COGs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import OutputError
from hsikit.geo.gdal_cache import bounded_gdal_cache
from hsikit.geo.grid import Grid
from hsikit.layers import NODATA, Layer, Pixels
from hsikit.writers.blocks import RowsDone, block_rows, pieces, read_pieces
from hsikit.writers.failures import INCOMPLETE, writing
from hsikit.writers.tags import band_names, band_tags, colours_by_code, dataset_tags

BLOCK = 256


def write_gtiff(layer: Layer, grid: Grid, pixels: Pixels, path: Path, *, tags: Mapping[str, str], rows_done: RowsDone | None = None) -> list[Path]:
    """Writes a tiled, deflated GeoTIFF, band-interleaved, in bounded memory.

    Args:
        layer: what is written.
        grid: its grid.
        pixels: its values.
        path: the file to make.
        tags: further tags of the file.
        rows_done: called with the number of rows that were finished.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(path), quiet_and_bounded():
        _copy(layer, grid, pixels, path, tags, rows_done, _packing(layer))
        _require_whole(path)
    return [path]


def write_cog(layer: Layer, grid: Grid, pixels: Pixels, path: Path, *, tags: Mapping[str, str], rows_done: RowsDone | None = None) -> list[Path]:
    """Writes a cloud-optimised GeoTIFF with overviews: the mode of class maps, the mean of floats, else the nearest pixel.

    Arguments and errors are those of `write_gtiff`.
    """
    import rasterio.shutil

    plain = path.with_name(f"{path.name}.plain.tif")
    packing = _packing(layer)
    with writing(path), quiet_and_bounded():
        try:
            _copy(layer, grid, pixels, plain, tags, rows_done, {**packing, "zlevel": 1})
            _require_whole(plain)
            path.unlink(missing_ok=True)
            rasterio.shutil.copy(
                plain, path, driver="COG", compress="deflate", predictor={1: "NO", 2: "STANDARD", 3: "FLOATING_POINT"}[packing["predictor"]],
                blocksize=BLOCK, bigtiff="IF_SAFER", overviews="IGNORE_EXISTING", overview_resampling=_resampling(layer),
            )  # fmt: skip
            _require_whole(path)
        finally:
            plain.unlink(missing_ok=True)
    return [path]


def _packing(layer: Layer) -> dict[str, Any]:
    """Deflate, with the predictor that suits the numbers: neighbouring class codes are equal or unrelated, so none for those."""
    dtype = np.dtype(layer.dtype)
    predictor = 3 if dtype.kind == "f" else 1 if layer.legend is not None else 2
    return {"compress": "deflate", "predictor": predictor}


def _resampling(layer: Layer) -> str:
    if layer.legend is not None:
        return "MODE"
    return "AVERAGE" if np.dtype(layer.dtype).kind == "f" else "NEAREST"


def _profile(layer: Layer, grid: Grid, rows: int) -> dict[str, Any]:
    """How the file is made, as rasterio's keyword arguments."""
    return {
        "driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": layer.bands, "dtype": layer.dtype,
        "crs": grid.crs, "transform": grid.affine, "nodata": layer.nodata, "tiled": True, "blockxsize": BLOCK, "blockysize": rows,
        "interleave": "band", "bigtiff": "IF_SAFER",
    }  # fmt: skip


def _copy(layer: Layer, grid: Grid, pixels: Pixels, path: Path, tags: Mapping[str, str], rows_done: RowsDone | None, packing: Mapping[str, Any]) -> None:
    """Copies all pixels into a new tiled GeoTIFF and describes them."""
    import rasterio
    from rasterio.windows import Window as RasterWindow

    cols = grid.shape[1]
    rows = block_rows(layer, cols, BLOCK)
    path.unlink(missing_ok=True)  # GDAL would first read what a killed run has left
    with rasterio.open(path, "w", **_profile(layer, grid, rows), **packing) as dataset:
        describe_dataset(dataset, layer, tags)
        for window, values in read_pieces(pixels, layer, pieces(grid, layer, rows, BLOCK), cols, rows_done):
            dataset.write(values, window=RasterWindow(window.col, window.row, window.cols, window.rows))


def describe_dataset(dataset: Any, layer: Layer, tags: Mapping[str, str]) -> None:
    """Tags, names, units, wavelengths and colours."""
    dataset.update_tags(**dataset_tags(layer, tags))
    for number, name in enumerate(band_names(layer), start=1):
        dataset.set_band_description(number, name)
        plain, imagery = band_tags(layer, number - 1)
        if plain:
            dataset.update_tags(number, **plain)
            dataset.update_tags(number, ns="IMAGERY", **imagery)
    if layer.unit:
        dataset.units = (layer.unit,) * layer.bands
    if layer.colours and layer.dtype in ("uint8", "uint16"):
        dataset.write_colormap(1, layer.colours)
    elif layer.legend is not None and layer.dtype == "uint8":
        dataset.write_colormap(1, {code: (*colour, 0 if code == NODATA else 255) for code, colour in colours_by_code(layer.legend).items()})


@contextmanager
def quiet_and_bounded() -> Iterator[None]:
    """Sets GDAL's block cache unless it is set, and silences the warning about scenes without georeference, which are meant."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings(), bounded_gdal_cache():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _require_whole(path: Path) -> None:
    """Refuses a file that lacks a block: GDAL writes its last blocks as it closes a file, and rasterio then reports no error."""
    import rasterio

    size = path.stat().st_size
    with rasterio.open(path) as dataset:
        rows, cols = dataset.block_shapes[0]
        planes = 1 if dataset.profile.get("interleave") == "pixel" else dataset.count
        down, across = -(-dataset.height // rows), -(-dataset.width // cols)
        blocks = ((band, x, y) for band in range(1, planes + 1) for y in range(down) for x in range(across))
        if not all(_stored(dataset, band, x, y, size) for band, x, y in blocks):
            raise OutputError(path, INCOMPLETE, "Make room; the same command then resumes")


def _stored(dataset: Any, band: int, x: int, y: int, size: int) -> bool:
    """Whether a block lies inside the file."""
    start, length = (dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE"))
    return start is not None and length is not None and int(start) > 0 and int(start) + int(length) <= size
