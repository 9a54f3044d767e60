"""A scene in memory, with the same face as one on disk: for MATLAB files, notebooks and tests."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window
from hsikit.scene import Decoding, Floats, Indices, SceneInfo
from hsikit.sensors.facts import Layout, OrderedSource


class ArraySource(OrderedSource):
    """A `Source` over an array.

    Args:
        values: stored numbers, shape (bands, rows, cols), in any memory order; a memory map stays one.
        info: its facts; where `identity` is empty it becomes a checksum of the values.
        decoding: how to read them; its `nodata` gives way to that of `info`.
        order: position in `values` of each of `info.bands`; as they come unless told.
    """

    def __init__(self, values: NDArray[Any], info: SceneInfo, decoding: Decoding | None = None, order: Indices | None = None) -> None:
        told, count = decoding or Decoding(), len(info.bands)
        if info.nodata is None and told.nodata is not None:
            info = info.with_(nodata=told.nodata)
        identity = info.identity or (array_checksum(values),)
        positions = np.arange(count, dtype=np.intp) if order is None else order
        super().__init__(Layout(info.with_(identity=identity), positions, _each(told.scale, count), _each(told.offset, count)))
        self._values = values
        self.block = (1, info.grid.shape[1])

    @classmethod
    def of(cls, values: NDArray[Any], layout: Layout) -> ArraySource:
        """A source over file-ordered bands that a reader has described."""
        return cls(values, layout.info, Decoding(layout.scale, layout.offset, layout.info.nodata), layout.order)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        part = self._values[(slice(None), *window.slices())]
        consecutive = len(bands) > 0 and bool((np.diff(bands) == 1).all())
        return np.asarray(part[int(bands[0]) : int(bands[0]) + len(bands)] if consecutive else part[bands])


def array_checksum(values: NDArray[Any]) -> str:
    """SHA-256 of shape, type and bytes, row by row, so that no copy of the whole is made."""
    digest = hashlib.sha256(f"{values.shape}{values.dtype.str}".encode())
    for part in values:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _each(factor: float | Floats, count: int) -> Floats:
    return np.broadcast_to(np.asarray(factor, float), (count,))
