"""Uncompressed GeoTIFFs whose blocks are written in any order: read again by GDAL."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import rasterio

from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers.plain_tiff import PlainTiff

SIDE = 16


def write(path, values, grid=None, order=None, **tags):
    """Writes (bands, rows, cols), padded to whole tiles, with the tiles in some order."""
    bands, rows, cols = values.shape
    down, across = -(-rows // SIDE), -(-cols // SIDE)
    padded = np.zeros((bands, down * SIDE, across * SIDE), values.dtype)
    padded[:, :rows, :cols] = values
    tiles = padded.reshape(bands, down, SIDE, across, SIDE).transpose(1, 3, 0, 2, 4).reshape(down * across, bands, SIDE, SIDE)
    order = np.arange(len(tiles)) if order is None else order
    layer = Layer("cube", dtype=str(values.dtype), bands=bands, nodata=0)
    block = SIDE * SIDE * values.itemsize
    with PlainTiff(path, layer, grid or Grid((rows, cols)), SIDE, tags, [1.0] * bands, [0.0] * bands) as tiff:
        for place, tile in enumerate(order):
            tiff.write(np.ascontiguousarray(tiles[tile]), tiff.start + place * bands * block)
        rank = np.argsort(order)
        tiff.finish(tiff.start + block * (rank * bands + np.arange(bands)[:, None]).astype(np.uint64), block)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 16, 16), (3, 40, 33), (7, 16, 50)])
def test_gdal_reads_what_was_written(dtype, shape, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 200, shape).astype(dtype)
    tiles = -(-shape[1] // SIDE) * -(-shape[2] // SIDE)
    grid = Grid(shape[1:], (30.0, 0.0, 4e5, 0.0, -30.0, 5e6), "EPSG:32633")
    write(tmp_path / "a.tif", values, grid, rng.permutation(tiles), maker="hsikit")
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
        assert file.block_shapes[0] == (SIDE, SIDE) and file.compression is None and file.tags()["maker"] == "hsikit"
        assert tuple(file.transform)[:6] == grid.transform and file.crs.to_epsg() == 32633


def test_a_disk_that_is_full_is_said_so(tmp_path, monkeypatch):
    real, calls = os.pwrite, []

    def full(file, data, position):
        calls.append(position)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, position)

    monkeypatch.setattr("hsikit.writers.plain_tiff.os.pwrite", full)
    with pytest.raises(OutputError, match=r"a\.tif.*full"):
        write(tmp_path / "a.tif", np.ones((2, 64, 64), np.uint8))


def test_a_write_that_takes_less_goes_on(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr("hsikit.writers.plain_tiff.os.pwrite", lambda file, data, position: real(file, data[:1000], position))
    values = np.random.default_rng(0).integers(0, 200, (3, 40, 33)).astype("int16")
    write(tmp_path / "a.tif", values)
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(), values)
