"""A landscape to simulate: which class and which object lies where, relief, and what each object is made of.

Farmland of blocks between roads, each block cut into parallel fields; woods on the hills; a river, a lake, villages, sand
pits. Everything is drawn from one seed. The plan is on a grid three times finer than the scene's pixels, so that pixels at
borders are mixed. It is whole in memory (at most 1 kB per scene pixel while it is drawn); spectra are made from it window by window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE = 3
"""Plan cells along one side of a scene pixel."""

CLASSES: dict[int, str] = dict(
    enumerate(("bare soil", "broadleaf forest", "conifer forest", "fallow", "meadow", "ripe cereal", "row crop", "sand", "sealed", "water"), start=1)
)
"""Codes and names, in alphabetical order, as labels are numbered."""
COLOURS: dict[int, tuple[int, int, int]] = {
    1: (150, 100, 60), 2: (60, 150, 50), 3: (20, 85, 55), 4: (200, 195, 130), 5: (165, 220, 110),
    6: (245, 215, 80), 7: (225, 130, 45), 8: (250, 238, 200), 9: (95, 95, 105), 10: (45, 110, 205),
}  # fmt: skip
"""Colours that a map of them has: water blue, woods and meadows green, sealed ground grey."""
SOIL, BROADLEAF, CONIFER, FALLOW, MEADOW, CEREAL, ROWCROP, SAND, SEALED, WATER = CLASSES
FIELD_CLASSES = (SOIL, FALLOW, MEADOW, CEREAL, ROWCROP)
FIELD_SHARES = (0.17, 0.13, 0.22, 0.22, 0.26)

BLOCK = 44.0
"""Mean distance of block centres, in scene pixels."""
STRIP = 96
"""Plan rows whose nearest block centres are sought at once."""
ROAD = 0.33
"""Half the width of a road, in scene pixels."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """The plan of a scene of (rows, cols) pixels.

    Attributes:
        classes: uint8 codes of `CLASSES`, shape (rows * FINE, cols * FINE).
        objects: int32 numbers of fields, stands, houses, ..., the same shape.
        object_class: the class of each object, shape (objects,).
        paved: which objects are roads or houses, whose materials vary most, shape (objects,).
        elevation: metres, float32, shape (rows, cols).
        vigour: 0 (poor) to 1 (lush), float32, shape (rows, cols).
        texture: brightness of each pixel around 1, float32, shape (rows, cols).
        hole: pixels without data, shape (rows, cols).
    """

    classes: NDArray[np.uint8]
    objects: NDArray[np.int32]
    object_class: NDArray[np.uint8]
    paved: NDArray[np.bool_]
    elevation: NDArray[np.float32]
    vigour: NDArray[np.float32]
    texture: NDArray[np.float32]
    hole: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the scene."""
        return self.hole.shape[0], self.hole.shape[1]

    def truth(self) -> NDArray[np.uint8]:
        """The class that covers most of each pixel, 0 in the hole; shape (rows, cols)."""
        rows, cols = self.shape
        cells = self.classes.reshape(rows, FINE, cols, FINE)
        best, share = np.zeros((rows, cols), np.uint8), np.zeros((rows, cols), np.int64)
        for code in CLASSES:
            covered = (cells == code).sum(axis=(1, 3))
            best[covered > share] = code
            share = np.maximum(share, covered)
        best[self.hole] = 0
        return best


def draw_landscape(rows: int, cols: int, rng: np.random.Generator) -> Landscape:
    """Draws the plan of a scene.

    Args:
        rows: height of the scene, in pixels.
        cols: its width.
        rng: where all chance comes from.
    """
    hills, stand_kind = smooth_noise((rows * FINE, cols * FINE), 26.0 * FINE, rng), smooth_noise((rows * FINE, cols * FINE), 14.0 * FINE, rng)
    edge = smooth_noise((rows * FINE, cols * FINE), 2.5 * FINE, rng)
    y, x = _positions(rows, cols)
    block, to_road = _blocks(y, x, rng)
    objects, classes = _fields(y, x, block, rng)
    _put_woods(classes, objects, block, hills + 0.09 * edge, stand_kind)
    _put_discs(classes, objects, y, x, edge, SAND, 5, (4.5, 7.5), rng)
    road = to_road < ROAD
    classes[road & (classes != SAND)], objects[road & (classes != SAND)] = SEALED, -1
    _put_villages(classes, objects, y, x, edge, rng)
    _put_water(classes, objects, y, x, edge, rng)
    return _finish(classes, objects, hills, edge, rng)


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise of zero mean and unit variance, smooth over `scale` cells."""
    from scipy import fft

    white = rng.standard_normal(shape, dtype=np.float32)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    transfer = np.exp(-2.0 * (np.pi * scale) ** 2 * (fy**2 + fx**2)).astype(np.float32)
    out = fft.irfft2(fft.rfft2(white) * transfer, s=shape)
    return np.asarray((out - out.mean()) / (out.std() + 1e-12), np.float32)


def _positions(rows: int, cols: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Row and column of each plan cell's centre, in scene pixels."""
    y = (np.arange(rows * FINE, dtype=np.float32) + 0.5) / FINE
    x = (np.arange(cols * FINE, dtype=np.float32) + 0.5) / FINE
    return np.broadcast_to(y[:, None], (y.size, x.size)), np.broadcast_to(x[None], (y.size, x.size))


def _blocks(y: NDArray[np.float32], x: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The nearest block centre of each cell, and the distance to the border of the block: Voronoi cells of a jittered lattice."""
    from scipy.spatial import cKDTree

    lattice = np.stack(np.meshgrid(np.arange(-BLOCK, y[-1, 0] + 2 * BLOCK, BLOCK), np.arange(-BLOCK, x[0, -1] + 2 * BLOCK, BLOCK), indexing="ij"), -1)
    centres = lattice.reshape(-1, 2) + rng.uniform(-0.38, 0.38, (lattice.size // 2, 2)) * BLOCK
    tree = cKDTree(centres)
    block, border = np.empty(y.shape, np.int32), np.empty(y.shape, np.float32)
    for start in range(0, len(y), STRIP):
        strip = slice(start, start + STRIP)
        found: tuple[Any, Any] = tree.query(np.stack([y[strip], x[strip]], -1), k=2)
        distance, nearest = found
        apart = np.linalg.norm(centres[nearest[..., 0]] - centres[nearest[..., 1]], axis=-1)
        border[strip] = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2.0 * apart)
        block[strip] = nearest[..., 0]
    return block, border


def _fields(y: NDArray[np.float32], x: NDArray[np.float32], block: NDArray[np.int32], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Cuts each block into parallel fields and sows one class on each."""
    blocks = int(block.max()) + 1
    angle, width, length = rng.uniform(0.0, np.pi, blocks), rng.uniform(6.0, 12.0, blocks), rng.uniform(16.0, 30.0, blocks)
    c, s = np.cos(angle).astype(np.float32)[block], np.sin(angle).astype(np.float32)[block]
    strip = np.floor((y * c + x * s) / width.astype(np.float32)[block]).astype(np.int64)
    cut = np.floor((x * c - y * s) / length.astype(np.float32)[block] + 0.37 * strip).astype(np.int64)
    key = (block.astype(np.int64) * 4096 + strip + 2048) * 4096 + cut + 2048
    _, objects = np.unique(key.ravel(), return_inverse=True)
    sown = rng.choice(np.array(FIELD_CLASSES, np.uint8), int(objects.max()) + 1, p=FIELD_SHARES)
    return objects.reshape(y.shape).astype(np.int64), sown[objects].reshape(y.shape)


def _put_woods(classes: Any, objects: Any, block: Any, hills: Any, kind: Any) -> None:
    """Woods on the hills, broadleaf or conifer; one stand per block and kind."""
    wood = hills > 0.8
    classes[wood] = np.where(kind[wood] > 0.0, BROADLEAF, CONIFER)
    objects[wood] = (1 << 40) + block[wood].astype(np.int64) * 4 + (kind[wood] > 0.0)


def _put_discs(classes: Any, objects: Any, y: Any, x: Any, edge: Any, code: int, count: int, radius: tuple[float, float], rng: np.random.Generator) -> None:
    """Round patches of one class with uneven rims, away from the edges of the scene."""
    for number in range(count):
        row, col = rng.uniform(0.12, 0.88) * y[-1, 0], rng.uniform(0.12, 0.88) * x[0, -1]
        inside = np.hypot(y - row, x - col) < rng.uniform(*radius) * (1.0 + 0.12 * edge)
        classes[inside], objects[inside] = code, (2 << 40) + code * 1000 + number


def _put_villages(classes: Any, objects: Any, y: Any, x: Any, edge: Any, rng: np.random.Generator) -> None:
    """Villages of houses and yards, each cell of about one pixel an object of its own."""
    for _ in range(6):
        row, col = rng.uniform(0.1, 0.9) * y[-1, 0], rng.uniform(0.1, 0.9) * x[0, -1]
        inside = np.hypot(y - row, x - col) < rng.uniform(5.0, 11.0) * (1.0 + 0.25 * edge)
        house = np.floor(y[inside] / 1.3).astype(np.int64) * 100_000 + np.floor(x[inside] / 1.3).astype(np.int64)
        classes[inside], objects[inside] = SEALED, -2 - house


def _put_water(classes: Any, objects: Any, y: Any, x: Any, edge: Any, rng: np.random.Generator) -> None:
    """A river that winds from the top to the bottom, and a lake."""
    height, width = float(y[-1, 0]), float(x[0, -1])
    phase, lobes = rng.uniform(0.0, 2 * np.pi, 2), y[:, :1] / height * 2 * np.pi
    centre = width * (0.6 + 0.11 * np.sin(1.1 * lobes + phase[0]) + 0.035 * np.sin(3.3 * lobes + phase[1]))
    slope = np.gradient(centre[:, 0], y[:, 0])[:, None]
    river = np.abs(x - centre) / np.hypot(1.0, slope) < 2.3 + 0.5 * edge
    radius = 0.07 * min(height, width) * (1.0 + 0.08 * edge)
    lake = np.hypot((y - rng.uniform(0.25, 0.75) * height) * 1.4, x - 0.27 * width) < radius
    for number, wet in enumerate((river, lake)):
        classes[wet], objects[wet] = WATER, (3 << 40) + number


def _finish(classes: Any, objects: Any, hills: Any, edge: Any, rng: np.random.Generator) -> Landscape:
    """Numbers the objects from 0 and draws what varies from pixel to pixel."""
    keys, first, numbers = np.unique(objects.ravel(), return_index=True, return_inverse=True)
    rows, cols = classes.shape[0] // FINE, classes.shape[1] // FINE
    ground = hills[FINE // 2 :: FINE, FINE // 2 :: FINE]
    bumps = smooth_noise((rows, cols), 5.0, rng)
    elevation = 80.0 * ground + 110.0 * np.maximum(ground - 0.3, 0.0) + 16.0 * bumps * np.clip(0.5 + 0.7 * ground, 0.1, 2.5)
    vigour = np.clip(0.55 + 0.22 * smooth_noise((rows, cols), 3.0, rng) + 0.1 * smooth_noise((rows, cols), 0.7, rng), 0.0, 1.0)
    texture = np.exp(0.035 * smooth_noise((rows, cols), 0.6, rng))
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float32)
    rim = 1.0 + 0.1 * edge[FINE // 2 :: FINE, FINE // 2 :: FINE]
    hole = np.hypot((y - 0.22 * rows) * 1.3, x - 0.3 * cols) < 0.06 * min(rows, cols) * rim
    return Landscape(
        classes, numbers.reshape(classes.shape).astype(np.int32), classes.ravel()[first].copy(), keys < 0,
        elevation.astype(np.float32), vigour.astype(np.float32), texture.astype(np.float32), hole,
    )  # fmt: skip
