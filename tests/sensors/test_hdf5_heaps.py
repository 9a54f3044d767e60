"""Files whose texts lie in a damaged heap are refused before the HDF5 library looks at it."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.sensors import hdf5_heaps
from hsikit.sensors.hdf5_heaps import refuse_endless_heaps
from tests.products import emit


def texts(path: Path, number: int = 5) -> bytes:
    with h5py.File(path, "w") as file:
        file["names"] = np.array([f"a band with a name of its own, {i}" for i in range(number)], object)
        file["names"].attrs["long_name"] = "names " * number
    return path.read_bytes()


def free_object(data: bytes) -> int:
    """Where the free space of the first heap begins, by an independent walk: the object with number 0."""
    place = data.index(b"GCOL") + 16
    while (number := int.from_bytes(data[place : place + 2], "little")) != 0:
        length = int.from_bytes(data[place + 8 : place + 16], "little")
        place += 16 + length + (-length) % 8
        assert number < 1000
    return place


@pytest.mark.parametrize("number", [1, 5, 400])
def test_whole_files_pass(tmp_path: Path, number: int) -> None:
    texts(tmp_path / "texts.h5", number)
    refuse_endless_heaps(tmp_path / "texts.h5")


def test_a_free_object_of_no_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    data = bytearray(texts(path))
    place = free_object(data)
    data[place + 8 : place + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=r"texts\.h5.*has no end"):
        refuse_endless_heaps(path)


@pytest.mark.parametrize("size", [2**64 - 16, 2**64 - 8, 2**63, 5000])
def test_an_object_that_leads_out_of_the_heap_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "texts.h5"
    data = bytearray(texts(path))
    place = data.index(b"GCOL") + 16
    data[place + 8 : place + 16] = struct.pack("<Q", size)
    path.write_bytes(data)
    with pytest.raises(SceneError, match="has no end"):
        refuse_endless_heaps(path)


def endless(path: Path) -> bytes:
    """A file whose first heap has a free object of no size."""
    data = bytearray(texts(path))
    place = free_object(data)
    data[place + 8 : place + 16] = bytes(8)
    return bytes(data)


@pytest.mark.parametrize("before", [0, 1, (1 << 13) - 3, 1 << 13, 5 << 12, 1 << 16])
def test_a_heap_anywhere_in_a_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    monkeypatch.setattr(hdf5_heaps, "SEARCHED", 1 << 13)
    data = endless(tmp_path / "texts.h5")
    for shift in (0, data.index(b"GCOL") % (1 << 13)):  # the mark across the border of two parts, too
        path = tmp_path / "shifted.h5"
        path.write_bytes(b"x" * (before + (1 << 13) - shift) + data + b"x" * (1 << 16))
        with pytest.raises(SceneError, match="has no end"):
            refuse_endless_heaps(path)


def test_heaps_at_both_ends_of_a_long_file_are_seen_and_its_middle_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_heaps, "SEARCHED", 1 << 13)
    monkeypatch.setattr(hdf5_heaps, "WHOLE", 1 << 15)
    path, long = tmp_path / "texts.h5", b"x" * (1 << 16)
    data = endless(path)
    for content in (data + long, long + data):
        path.write_bytes(content)
        with pytest.raises(SceneError, match="has no end"):
            refuse_endless_heaps(path)
    path.write_bytes(long + data + long)
    refuse_endless_heaps(path)


def test_the_reserved_bytes_of_a_heap_do_not_matter_as_they_do_not_to_the_library(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    data = bytearray(endless(path))
    data[data.index(b"GCOL") + 5] = 9
    path.write_bytes(data)
    with pytest.raises(SceneError, match="has no end"):
        refuse_endless_heaps(path)


def test_a_collection_longer_than_any_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_heaps, "MOST_BYTES", 4095)
    texts(tmp_path / "texts.h5")
    with pytest.raises(SceneError, match="has no end"):
        refuse_endless_heaps(tmp_path / "texts.h5")


def test_collections_that_overlap_are_refused(tmp_path: Path) -> None:
    walkable = b"GCOL\x01\0\0\0" + struct.pack("<Q", 1 << 12)
    path = tmp_path / "marks.h5"
    one = walkable + struct.pack("<HHIQ", 1, 1, 0, (1 << 12) - 32)  # one object up to the end, whatever lies in it
    path.write_bytes(one * 2000)
    with pytest.raises(SceneError, match="has no end"):
        refuse_endless_heaps(path)
    path.write_bytes(one.ljust(1 << 12, b"x") * 20)
    refuse_endless_heaps(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot be read"):
        refuse_endless_heaps(tmp_path / "none.h5")


def test_an_emit_product_with_a_stretch_of_zeros_is_refused(tmp_path: Path) -> None:
    from hsikit.sensors import open_source

    path = emit.observation(tmp_path).path
    data = bytearray(path.read_bytes())
    place = free_object(data)
    data[place : place + 64] = bytes(64)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=path.name):
        open_source(path)
