"""What the C library keeps of freed memory: set by the engine, or by the variables of a worker."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from hsikit.batch.crew import environment_of
from hsikit.engine.resources import gdal_cache, malloc_variables

WHERE = """
import ctypes, re
from hsikit.engine.resources import keep_freed_memory_small
keep_freed_memory_small()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
for size in (4, 16, 64):
    place = libc.malloc(size << 20)
    heap = re.search(r"^(\\w+)-(\\w+) .*\\[heap\\]$", open("/proc/self/maps").read(), re.MULTILINE)
    print("heap" if int(heap[1], 16) <= place < int(heap[2], 16) else "own")
"""


def where(**more: str) -> list[str]:
    """Where blocks of 4, 16 and 64 MiB lie in a process with these variables."""
    found = subprocess.run([sys.executable, "-c", WHERE], env={**os.environ, **more}, capture_output=True, text=True, check=True)
    return found.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_that_have_pages_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert where() == ["heap", "heap", "own"]
    assert where(**environment_of(1, 2**31)) == ["heap", "own", "own"]
    assert where(GLIBC_TUNABLES="glibc.malloc.mmap_threshold=1048576") == ["own", "own", "own"]


def test_what_the_environment_says_of_memory_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.x86_ibt=off")
    assert malloc_variables()["GLIBC_TUNABLES"].startswith("glibc.cpu.x86_ibt=off:glibc.malloc.arena_max=1:")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576")
    monkeypatch.setenv("GDAL_CACHEMAX", "77")
    assert not {"GLIBC_TUNABLES", "GDAL_CACHEMAX"} & set(environment_of(1, 2**31))


def test_a_worker_has_half_of_the_block_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    assert environment_of(1, 8 << 30)["GDAL_CACHEMAX"] == str((gdal_cache(8 << 30) >> 20) // 2)
    assert environment_of(1, 1 << 30)["GDAL_CACHEMAX"] == "16"
