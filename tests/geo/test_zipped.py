"""Files inside zips: read at any place, kept as long as something is open, and refused where the archive is not what it says."""

from __future__ import annotations

import gc
import io
import os
import shutil
import tempfile
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.geo.remote_files import openable
from hsikit.geo.zipped import ZippedPath, zipped_path
from tests.products.zipped import DEFLATED, STORED, pack

DATA = np.random.default_rng(5).integers(0, 9, 300_000).astype(np.uint8).tobytes()
METHODS = pytest.mark.parametrize("method", [STORED, DEFLATED], ids=["stored", "deflated"])


def inside(archive: Path, name: str = "in/data.bin") -> ZippedPath:
    with zipfile.ZipFile(archive) as file:
        return zipped_path(archive, file.getinfo(name))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def opened() -> list[str]:
    """What this process holds open."""
    return [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]


def open_files(folder: Path) -> int:
    """Files in a folder, named or not, that this process holds open."""
    gc.collect()
    return sum(text.startswith(f"{folder}/") for text in opened())


@METHODS
def test_reads_like_the_file_itself(tmp_path: Path, method: int) -> None:
    path = inside(pack(tmp_path / "a.zip", {"before": b"x" * 999, "in/data.bin": DATA, "after": b"y"}, method))
    assert (path.name, path.suffix, str(path)) == ("data.bin", ".bin", f"{tmp_path}/a.zip/in/data.bin")
    assert path.is_file() and path.exists() and not path.is_dir() and path.archive == tmp_path / "a.zip"
    rng = np.random.default_rng(1)
    with path.open("rb") as file, path.open("rb") as other, io.BytesIO(DATA) as truth:
        assert file.seek(0, os.SEEK_END) == truth.seek(0, os.SEEK_END) == len(DATA)
        for start, count in zip(rng.integers(0, len(DATA) + 50, 60).tolist(), rng.integers(0, 5000, 60).tolist(), strict=True):
            assert file.seek(start) == truth.seek(start)
            other.seek(0)
            assert (file.read(count), file.tell()) == (truth.read(count), truth.tell())
        assert file.seek(-7, os.SEEK_END) == truth.seek(-7, os.SEEK_END) and file.read() == truth.read()
    raw = openable(path)
    raw.close()
    with pytest.raises(ValueError, match="closed"):
        raw.read(1)
    with pytest.raises(ValueError, match="only be read"):
        path.open("w")


@METHODS
def test_an_empty_file_is_one(tmp_path: Path, method: int) -> None:
    with inside(pack(tmp_path / "a.zip", {"in/data.bin": b""}, method)).open("rb") as file:
        assert file.read() == b""


def test_neighbours_are_names_of_nothing(tmp_path: Path) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA, "in/other.bin": b"x"}))
    other = path.with_name("other.bin")
    assert not other.is_file() and not other.exists() and list(path.parent.glob("*.bin")) == []
    with pytest.raises(FileNotFoundError):
        other.open("rb")


def test_the_copy_lasts_while_something_is_open(tmp_path: Path, temporary: Path) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, DEFLATED))
    assert open_files(temporary) == 0
    one, two = path.open("rb"), path.open("rb")
    assert open_files(temporary) == 1
    assert list(temporary.iterdir()) == []
    one.close()
    assert open_files(temporary) == 1
    two.close()
    assert open_files(temporary) == 0
    with path.open("rb") as again:
        assert again.read() == DATA


def test_a_stored_file_is_not_copied(tmp_path: Path, temporary: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"in/data.bin": DATA})
    with inside(archive).open("rb") as file:
        assert file.read(5) == DATA[:5]
        assert open_files(temporary) == 0
    assert str(archive) not in opened()


def test_no_room_is_said_before_anything_is_unpacked(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, DEFLATED))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6, 1000))
    with pytest.raises(SceneError, match=r"a\.zip: in/data\.bin in it unpacks to 0 MB, and .* has room for 0 MB.*TMPDIR"):
        path.open("rb")
    assert open_files(temporary) == 0


def test_a_disk_that_fills_up_is_named(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, DEFLATED))

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(SceneError, match=r"cannot be unpacked into .* \(No space left on device\).*TMPDIR"):
        path.open("rb")


@METHODS
def test_a_changed_archive_is_refused(tmp_path: Path, method: int) -> None:
    archive = pack(tmp_path / "a.zip", {"in/data.bin": DATA}, method)
    path = inside(archive)
    with path.open("rb") as file:
        assert file.read(3) == DATA[:3]
    os.utime(archive, ns=(1, 1))
    with pytest.raises(SceneError, match="changed while it was read"):
        path.open("rb")
    archive.unlink()
    with pytest.raises(SceneError, match="cannot be read"):
        path.open("rb")


def test_an_archive_cut_off_while_it_is_read_is_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"in/data.bin": DATA})
    with inside(archive).open("rb") as file:
        os.truncate(archive, 1000)
        file.seek(200_000)
        with pytest.raises(SceneError, match="shorter"):
            file.read(10)


@METHODS
@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, len(DATA) // 2])
def test_a_size_that_is_wrong_is_refused(tmp_path: Path, method: int, size: int) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, method))
    path._entry.info.file_size = size
    with pytest.raises(SceneError, match=r"damaged|bytes that it is said to have"):
        path.open("rb")


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, DEFLATED))
    path._entry.info.CRC ^= 1
    with pytest.raises(SceneError, match="damaged"):
        path.open("rb")


@pytest.mark.parametrize("place", [0, 6, 8], ids=["mark", "encrypted", "method"])
def test_a_header_at_odds_with_the_directory_is_refused(tmp_path: Path, place: int) -> None:
    archive = pack(tmp_path / "a.zip", {"in/data.bin": DATA})
    data = bytearray(archive.read_bytes())
    data[place] ^= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(SceneError, match="incomplete or damaged"):
        inside(archive).open("rb")


def test_bytes_beyond_the_end_are_refused(tmp_path: Path) -> None:
    path = inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}))
    path._entry.info.file_size = path._entry.info.compress_size = len(DATA) + 4000
    with pytest.raises(SceneError, match="incomplete or damaged"):
        path.open("rb")


def test_other_methods_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"packed by bzip2, which is not read\. Unpack it"):
        inside(pack(tmp_path / "a.zip", {"in/data.bin": DATA}, zipfile.ZIP_BZIP2)).open("rb")
