"""TIFF directories that contradict themselves are refused, those of every common writer are not."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

from hsikit.errors import SceneError
from hsikit.sensors.tiff_directory import refuse_short_directory

FORMS: list[dict[str, Any]] = [
    {},
    {"compress": "deflate"},
    {"tiled": True, "blockxsize": 16, "blockysize": 32},
    {"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": "pixel"},
    {"blockysize": 7},
    {"blockysize": 1, "interleave": "pixel"},
    {"interleave": "band", "blockysize": 5},
    {"BIGTIFF": "YES", "blockysize": 3},
    {"ENDIANNESS": "BIG", "blockysize": 4},
    {"SPARSE_OK": True, "tiled": True, "blockxsize": 16, "blockysize": 16},
    {"dtype": "uint8", "nbits": 1},
]


def write(path: Path, rows: int = 40, cols: int = 33, count: int = 3, **more: Any) -> Path:
    told = {"driver": "GTiff", "height": rows, "width": cols, "count": count, "dtype": "int16", **more}
    with rasterio.open(path, "w", **told) as file:
        if not more.get("SPARSE_OK"):
            file.write(np.arange(count * rows * cols).reshape(count, rows, cols).astype(told["dtype"]) % (2 if more.get("nbits") else 1000))
    return path


def entry(data: bytes, tag: int) -> int:
    """Where the value of a small entry of a little-endian classic TIFF lies, by an independent walk."""
    start = int.from_bytes(data[4:8], "little")
    for number in range(int.from_bytes(data[start : start + 2], "little")):
        place = start + 2 + 12 * number
        if int.from_bytes(data[place : place + 2], "little") == tag:
            return place + 8
    raise AssertionError(tag)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_gdal_writes_passes(tmp_path: Path, form: dict[str, Any]) -> None:
    refuse_short_directory(write(tmp_path / "scene.tif", **form))


def test_a_cloud_optimised_file_passes(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", 600, 700, 1, tiled=True, compress="deflate")
    copy(path, tmp_path / "cog.tif", driver="COG")
    refuse_short_directory(tmp_path / "cog.tif")


@pytest.mark.parametrize(("tag", "value"), [(257, 41), (257, 104), (257, 39), (256, 32), (256, 97), (277, 2), (278, 6), (258, 8)])
def test_a_damaged_size_is_refused(tmp_path: Path, tag: int, value: int) -> None:
    path = write(tmp_path / "scene.tif", count=1, blockysize=40)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, entry(data, tag), value)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=r"scene\.tif"):
        refuse_short_directory(path)


@pytest.mark.parametrize("value", [9, 73, 200])
def test_compressed_strips_must_be_as_many_as_the_rows_need(tmp_path: Path, value: int) -> None:
    path = write(tmp_path / "scene.tif", count=1, blockysize=8, compress="deflate")
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, entry(data, 257), value)
    path.write_bytes(data)
    with pytest.raises(SceneError, match="5 blocks"):
        refuse_short_directory(path)


@pytest.mark.parametrize("data", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*" + bytes(12), b"XX*\0" + bytes(40)])
def test_what_is_no_directory_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scene.tif").write_bytes(data)
    with pytest.raises(SceneError, match=r"scene\.tif"):
        refuse_short_directory(tmp_path / "scene.tif")


@pytest.mark.parametrize("length", range(0, 130, 13))
def test_a_cut_directory_is_refused(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "scene.tif", count=1)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SceneError, match=r"scene\.tif"):
        refuse_short_directory(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot be read"):
        refuse_short_directory(tmp_path / "none.tif")
