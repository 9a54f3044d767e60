"""A file that notes what failed, and says so at the end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.writers.steady_file import SteadyFile


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=50)), max_size=20), st.integers(0, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_holds_what_any_file_would(tmp_path: Path, writes: list[tuple[int, bytes]], size: int) -> None:
    file = SteadyFile(tmp_path / "a")
    with (tmp_path / "b").open("w+b") as other:
        for place, data in writes:
            for one in (file, other):
                one.seek(place)
                assert one.write(data) == len(data) and one.tell() == place + len(data)
        for one in (file, other):
            one.truncate(size)
            assert one.seek(0, os.SEEK_END) == size
            one.seek(size // 2)
        mine, theirs = bytearray(40), bytearray(40)
        assert file.readinto(mine) == other.readinto(theirs) and mine == theirs
        for one in (file, other):
            one.seek(-size // 2, os.SEEK_END)
        assert file.read(30) == other.read(30)
    file.check()
    file.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_first_failure_is_told_once_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SteadyFile(tmp_path / "a")
    file.write(b"abc")
    whole = os.pwrite

    def full(descriptor: int, data: memoryview, place: int) -> int:
        if place >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(descriptor, data[:2], place)

    monkeypatch.setattr(os, "pwrite", full)
    assert file.write(np.arange(10, dtype=np.int16)) == 20 and file.tell() == 23
    assert file.write(b"more") == 4
    with pytest.raises(OSError, match="No space left"):
        file.check()
    file.close()
    assert (tmp_path / "a").stat().st_size == 5
