"""A scene in memory, for tests of what reads labels and spectra."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hsikit.geo.grid import IDENTITY, Grid, Window
from hsikit.layers import Legend
from hsikit.scene import Bands, Decoding, Raw, SceneInfo
from hsikit.train.labelled import LabelledScene, connected_groups

UTM = "EPSG:32633"
TRANSFORM = (30.0, 0.0, 500000.0, 0.0, -30.0, 5600000.0)


class MemorySource:
    """A `Source` over an array of shape (bands, rows, cols); counts what is read."""

    def __init__(self, cube: np.ndarray, grid: Grid, block: tuple[int, int], name: str) -> None:
        count = len(cube)
        bands = Bands(np.linspace(400, 2400, count), np.full(count, 10.0), np.ones(count, bool), tuple(f"b{i}" for i in range(count)))
        self.cube, self.block = cube, block
        self.info = SceneInfo(name, grid, bands, str(cube.dtype), "memory")
        self.windows: list[Window] = []

    def read(self, window: Window, bands: np.ndarray) -> Raw:
        assert window.intersect(self.info.grid.whole) == window
        self.windows.append(window)
        return Raw(self.cube[bands][(slice(None), *window.slices())], window, Decoding())

    def close(self) -> None:
        pass


@pytest.fixture
def memory_source() -> Callable[..., MemorySource]:
    def make(shape=(20, 30), bands=4, *, cube=None, georeferenced=True, transform=TRANSFORM, crs=UTM, block=None, name="scene.tif") -> MemorySource:
        values = np.arange(bands * shape[0] * shape[1], dtype=np.float32).reshape(bands, *shape) if cube is None else cube
        grid = Grid(values.shape[1:], transform if georeferenced else IDENTITY, crs if georeferenced else None)
        return MemorySource(values, grid, block or (1, values.shape[2]), name)

    return make


@pytest.fixture
def labelled(memory_source) -> Callable[..., LabelledScene]:
    """A labelled scene from a map of codes (0 unlabelled)."""

    def make(codes: np.ndarray, *, groups=None, group_field="", group_names=(), source=None, name="labels.tif") -> LabelledScene:
        codes = np.asarray(codes)
        rows, cols = np.nonzero(codes)
        chosen = codes[rows, cols].astype(np.uint8)
        own = connected_groups(rows, cols, chosen, codes.shape[1]) if groups is None else np.asarray(groups)[rows, cols].astype(np.int64)
        legend = Legend.of({int(c): f"class {c}" for c in np.unique(chosen)})
        place = source or memory_source(codes.shape, 2)
        return LabelledScene(place, rows, cols, chosen, own, legend, name, group_field, tuple(group_names))

    return make
