"""Small class maps, and interpreters who know the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from affine import Affine

from hsikit.geo.grid import Grid, Window
from hsikit.layers import Legend, class_layer
from hsikit.writers.raster import write_raster
from tests.laws.scenes import CRS, TRANSFORM, write_codes

NAMES = {1: "water", 2: "forest", 3: "field"}

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = (2_000, 1_500, 32_000, 64_500)
"""The worked example of Olofsson et al. (2014), at a hundredth of its pixels, each of a hundred times the area."""


class Array:
    """Codes as the writers take them."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes

    def read(self, window: Window) -> np.ndarray:
        return self.codes[window.slices()][None]


def write_map(path: Path, codes: np.ndarray, names: dict[int, str] = NAMES, grid: Grid | None = None) -> Path:
    """A class map as `hsikit classify` writes it: the ending tells the format."""
    place = grid or Grid(codes.shape, TRANSFORM, CRS)
    write_raster(class_layer(Legend.of(names)), place, Array(codes.astype(np.uint8)), path)
    return path


def write_example(path: Path) -> Path:
    """The map of the worked example, in an equal-area projection, so that each pixel is of 9 ha."""
    codes = np.repeat(np.arange(1, 5), PIXELS).reshape(250, 400)
    return write_codes(path, codes, crs="EPSG:3035", transform=Affine(300, 0, 4_300_000, 0, -300, 3_000_000))


def quarters(rows: int = 40, cols: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A map of three classes with a hole (0) and masked pixels (255), and a truth that differs in a fifth of the pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([1, 2, 3], (rows, cols), p=[0.2, 0.3, 0.5]).astype(np.uint8)
    found = np.where(rng.random(truth.shape) < 0.2, truth % 3 + 1, truth).astype(np.uint8)
    found[:4, :6], found[-2:] = 0, 255
    return found, truth


def answer(path: Path, answers: Sequence[Any] | np.ndarray, layer: str = "sample") -> Path:
    """Fills the field `reference`, as an interpreter does in a GIS."""
    frame = geopandas.read_file(path, layer=layer)
    frame["reference"] = np.asarray(answers, object)
    frame.to_file(path, layer=layer, driver="GPKG")
    return path


def answer_from(path: Path, truth: np.ndarray, names: dict[int, str] = NAMES) -> Path:
    """Answers from the truth at each point's row and column."""
    frame = geopandas.read_file(path, layer="sample")
    return answer(path, [names[int(code)] for code in truth[frame["row"], frame["col"]]])
