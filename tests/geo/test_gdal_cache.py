"""GDAL's block cache is bounded while a run lasts, whoever calls it, and what a user set stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio._env import get_gdal_config

import hsikit
from hsikit.engine.resources import gdal_cache, resident_bytes
from hsikit.geo.gdal_cache import bounded_gdal_cache
from tests.engine.toys import Memory, odd_scene

MIB = 1 << 20


def cache() -> int:
    return int(get_gdal_config("GDAL_CACHEMAX"))


@pytest.fixture(autouse=True)
def nobody_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)


def test_the_cache_is_bounded_and_set_back() -> None:
    before = cache()
    with bounded_gdal_cache(40 * MIB):
        assert cache() == 40 * MIB
        with bounded_gdal_cache():
            assert cache() == 40 * MIB
    assert cache() == before


def test_what_a_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with rasterio.Env(GDAL_CACHEMAX=30 * MIB), bounded_gdal_cache(50 * MIB):
        assert cache() == 30 * MIB
    monkeypatch.setenv("GDAL_CACHEMAX", "20")
    before = cache()
    with bounded_gdal_cache(50 * MIB):
        assert cache() == before


def test_a_run_from_python_keeps_it_small(tmp_path: Path) -> None:
    """`hsikit.run(memory=...)` promised memory that the cache, a twentieth of the machine's, then took beside it."""
    seen, before = [], cache()

    class Watched(Memory):
        def read(self, window, bands):
            seen.append(cache())
            return super().read(window, bands)

    source = Watched(odd_scene().astype(np.float32))
    # What this process already holds counts as part of the promise: after many other tests that may be gigabytes.
    promise = (resident_bytes() // MIB + 1024) * MIB
    hsikit.run(hsikit.make_method("subspace-rx", components=2), source, tmp_path / "map.tif", memory=promise)
    assert seen and set(seen) == {gdal_cache(promise)} and gdal_cache(promise) < before
