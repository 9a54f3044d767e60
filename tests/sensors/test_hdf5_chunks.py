"""Deflated arrays of HDF5, inflated by ourselves: the values that the library gives, and its refusals."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import SceneError
from hsikit.sensors import hdf5_chunks
from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.hdf5_chunks import inflates, read_inflated

SHAPE, CHUNKS = (7, 10, 5), (3, 4, 2)
TYPES = ("<f4", ">f4", "<f8", "<i2", ">u2", "u1", "<f2")
DATA = np.random.default_rng(0).integers(0, 200, SHAPE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chunks") / "a.h5"
    with h5py.File(path, "w") as file:
        for kind in TYPES:
            for shuffle in (False, True):
                file.create_dataset(f"{kind}{shuffle}", data=DATA.astype(kind), chunks=CHUNKS, compression="gzip", shuffle=shuffle)
        file.create_dataset("checked", data=DATA, chunks=CHUNKS, compression="gzip", fletcher32=True)
        file.create_dataset("lzf", data=DATA, chunks=CHUNKS, compression="lzf")
        file.create_dataset("plain", data=DATA)
        holes = file.create_dataset("holes", SHAPE, "f4", chunks=CHUNKS, compression="gzip", fillvalue=-1)
        holes[:2] = DATA[:2]
        left_out = file.create_dataset("left out", SHAPE, "<i8", chunks=CHUNKS, compression="gzip")
        left_out[:] = DATA
        left_out.id.write_direct_chunk((0, 0, 0), np.ones(CHUNKS, "<i8").tobytes(), filter_mask=1)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of any size are inflated, a few bytes at a time."""
    monkeypatch.setattr(hdf5_chunks, "_cache", lambda dataset: 0)
    monkeypatch.setattr(hdf5_chunks, "PIECE", 7)


@given(data=st.data(), kind=st.sampled_from(TYPES), shuffle=st.booleans())
def test_any_part_as_the_library_reads_it(path: Path, data: st.DataObject, kind: str, shuffle: bool) -> None:
    starts = [data.draw(st.integers(0, size)) for size in SHAPE]
    selection = tuple(slice(start, data.draw(st.integers(start, size))) for start, size in zip(starts, SHAPE, strict=True))
    with pytest.MonkeyPatch.context() as patch, h5py.File(path) as file:
        patch.setattr(hdf5_chunks, "_cache", lambda dataset: 0)
        dataset = file[f"{kind}{shuffle}"]
        assert inflates(dataset)
        found = read_inflated(dataset, selection)
        assert found is not None
        assert found.dtype == dataset.dtype
        np.testing.assert_array_equal(found, dataset[selection])


@pytest.mark.parametrize("name", ["checked", "lzf", "plain"])
def test_other_filters_are_the_librarys(path: Path, name: str) -> None:
    with h5py.File(path) as file:
        assert not inflates(file[name])
    np.testing.assert_array_equal(Hdf5File(path).read(name, (slice(0, 7), slice(0, 10), slice(0, 5))), DATA)


@pytest.mark.parametrize("name", ["holes", "left out"])
def test_chunks_that_are_stored_otherwise_are_the_librarys(path: Path, name: str) -> None:
    selection = (slice(0, 7), slice(0, 10), slice(0, 5))
    with h5py.File(path) as file:
        assert inflates(file[name])
        assert read_inflated(file[name], selection) is None
        wanted = file[name][selection]
    np.testing.assert_array_equal(Hdf5File(path).read(name, selection), wanted)
    assert -1 in wanted or (wanted[:3, :4, :2] == 1).all()


@pytest.mark.parametrize("change", ["longer", "shorter", "cut", "nonsense"])
def test_damage_is_named_in_bounded_memory(tmp_path: Path, change: str) -> None:
    path, size = tmp_path / "a.h5", 3 * 4 * 2 * 8
    whole = zlib.compress(DATA.tobytes()[:size])
    stored = {"longer": zlib.compress(bytes(1 << 24)), "shorter": zlib.compress(bytes(8)), "cut": whole[:-9], "nonsense": b"0" * 40}
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", SHAPE, "<i8", chunks=CHUNKS, compression="gzip")
        dataset[:] = DATA
        dataset.id.write_direct_chunk((0, 0, 0), stored[change])
    assert hdf5_chunks._inflate(stored[change], size) is None
    if change in ("cut", "nonsense"):
        with pytest.raises(SceneError, match="a\\.h5"):
            Hdf5File(path).read("a", (slice(0, 1), slice(0, 1), slice(0, 1)))


@given(data=st.data(), shuffle=st.booleans())
def test_flipped_bytes_give_what_the_library_gives(path: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, shuffle: bool) -> None:
    damaged = tmp_path_factory.mktemp("damaged") / "a.h5"
    with h5py.File(path) as file:
        info = file[f"<f4{shuffle}"].id.get_chunk_info(data.draw(st.integers(0, 26)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[info.byte_offset + data.draw(st.integers(0, info.size - 1))] ^= data.draw(st.integers(1, 255))
    damaged.write_bytes(content)
    selection = tuple(slice(0, size) for size in SHAPE)
    with pytest.MonkeyPatch.context() as patch, h5py.File(damaged) as file:
        patch.setattr(hdf5_chunks, "_cache", lambda dataset: 0)
        try:
            wanted = file[f"<f4{shuffle}"][selection]
        except OSError:
            with pytest.raises(SceneError):
                Hdf5File(damaged).read(f"<f4{shuffle}", selection)
        else:
            np.testing.assert_array_equal(Hdf5File(damaged).read(f"<f4{shuffle}", selection), wanted)


def test_chunks_of_the_cache_are_the_librarys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with h5py.File(path) as file:
        assert not inflates(file["<f4True"])
    with h5py.File(path, rdcc_nbytes=3 * 4 * 2 * 4 - 1) as file:
        assert inflates(file["<f4True"])
    with h5py.File(path, rdcc_nbytes=3 * 4 * 2 * 4) as file:
        assert not inflates(file["<f4True"])
