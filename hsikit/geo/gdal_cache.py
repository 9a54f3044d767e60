"""GDAL's block cache, which by default takes a twentieth of the machine's memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

FOR_ONE_FILE = 64 << 20
"""Bytes that do for one file that is read or written once."""


@contextmanager
def bounded_gdal_cache(size: int = FOR_ONE_FILE) -> Iterator[None]:
    """Bounds the cache of this process for a while, unless the environment or somebody outside has done so.

    Args:
        size: bytes.
    """
    import rasterio

    known = "GDAL_CACHEMAX" in os.environ or (rasterio.env.hasenv() and "GDAL_CACHEMAX" in rasterio.env.getenv())
    # As a number it is bytes: rasterio hands it to GDAL's own setting, which holds at once and for all threads.
    with rasterio.Env(**({} if known else {"GDAL_CACHEMAX": size})):
        yield
