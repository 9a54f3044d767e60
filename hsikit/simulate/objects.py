"""Small objects of known place, class and abundance: what SPOD's recipe plants into a picture (Li et al., 2025, SpecDETR, arXiv:2405.10148).

An object is a random blob of 1 to 16 pixels that touch by their sides. Pixels inside are all target, those at its edge hold less, the
nearer the middle the more; the smallest objects hold 5 to 20 % of one pixel. Each object has a brightness of its own, and each of its
pixels varies a little, in common and by band. What differs from the published recipe: in an object without an inner pixel the best
pixel is drawn first, so that no other holds more than it; and the variation of pixels is declared, unless `lake_variation` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Floats = NDArray[np.float64]
SIZES = ((1, 1), (1, 2), (3, 5), (6, 10), (11, 16))
"""Fewest and most pixels of each size code; the first are objects smaller than a pixel."""
FAINT = (0.05, 0.2)
"""Abundance of objects of size code 0."""
LEAST, LEAST_BEST = 0.01, 0.2
"""Abundance of an edge pixel, at least; of the best pixel of an object without an inner one."""
BLOCK = 128
"""Side of the square that the number of objects is drawn for, in pixels."""
TRIES = 30
"""Places that are tried for an object before it is given up."""
_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, eq=False)
class ObjectClass:
    """What objects of one class are made of.

    Attributes:
        name: of the class.
        spectra: its constituents at the picture's bands, in the picture's unit, shape (K, C).
        sizes: codes of the sizes that its objects have, positions in `SIZES`.
        joined: how several constituents share an object: "random" shares in each pixel, or "parts" that lie side by side.

    Raises:
        OptionError: no spectrum, one that is not finite, a size that there is not, or another way to join.
    """

    name: str
    spectra: Floats
    sizes: tuple[int, ...] = (0, 1, 2, 3, 4)
    joined: str = "random"

    def __post_init__(self) -> None:
        if self.spectra.ndim != 2 or not self.spectra.size or not np.isfinite(self.spectra).all():
            raise OptionError(self.name, f"spectra of shape {self.spectra.shape}, or not finite", "Give one finite spectrum or more at the picture's bands")
        if not self.sizes or not set(self.sizes) <= set(range(len(SIZES))):
            raise OptionError("--size", f"{', '.join(map(str, self.sizes)) or 'nothing'} are no codes of sizes", f"Codes are 0 to {len(SIZES) - 1}")
        if self.joined not in ("random", "parts"):
            raise OptionError("joined", f"'{self.joined}' is no way to join spectra", "Give random or parts")


@dataclass(frozen=True)
class Planting:
    """How many objects there are, how far apart, and how they vary.

    Attributes:
        most: objects in 128 x 128 pixels, drawn from 1 to so many.
        apart: distance of two centres in pixels, at least.
        border: pixels that are kept free along the picture's border.
        brightness: each object is so much brighter or darker, at most, as a share.
        common: deviation that all bands of a pixel share, relative; a number for each band where there are several.
        banded: deviation of a single band of a pixel, relative; likewise.

    Raises:
        OptionError: a number out of its range.
    """

    most: int = 20
    apart: float = 8.0
    border: int = 3
    brightness: float = 0.3
    common: float | tuple[float, ...] = 0.02
    banded: float | tuple[float, ...] = 0.01

    def __post_init__(self) -> None:
        for option, value, least in (("--objects", self.most, 1), ("--apart", self.apart, 1), ("--border", self.border, 0)):
            if not value >= least:
                raise OptionError(option, f"{value} is too small", f"Give {least} or more")
        for option, shares in (("--brightness", self.brightness), ("common", self.common), ("banded", self.banded)):
            if not all(0 <= share < 1 for share in np.atleast_1d(shares)):
                raise OptionError(option, f"{shares} is no share", "Give 0 or more, below 1")


@dataclass(frozen=True, eq=False)
class PlantedObject:
    """One object.

    Attributes:
        label: position of its class.
        pixels: (row, column) of each of its pixels, shape (n, 2).
        abundance: share of each pixel that it covers, shape (n,).
        spectra: what it looks like in each pixel, shape (n, C).
        size: its size code.
    """

    label: int
    pixels: NDArray[np.int64]
    abundance: Floats
    spectra: Floats
    size: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of its pixels, at their outer corners."""
        (top, left), (bottom, right) = self.pixels.min(0), self.pixels.max(0) + 1
        return int(left), int(top), int(right), int(bottom)


def draw_objects(shape: tuple[int, int], classes: Sequence[ObjectClass], planting: Planting, rng: np.random.Generator) -> list[PlantedObject]:
    """Draws the objects of a picture.

    Args:
        shape: (rows, cols) of the picture.
        classes: what they are, each as likely.
        planting: how many and how varied.
        rng: where all chance comes from.

    Returns:
        Objects that touch neither one another nor the border, from the top block of 128 x 128 pixels to the last.

    Raises:
        OptionError: no class, classes of several numbers of bands or another one than the planting, or a picture with no room inside its border.
    """
    bands = {spectra.spectra.shape[1] for spectra in classes}
    if len(bands) != 1:
        raise OptionError("classes", "none, or of several numbers of bands", "Give one or more at the same bands")
    for option, shares in (("common", planting.common), ("banded", planting.banded)):
        if np.ndim(shares) and {np.size(shares)} != bands:
            raise OptionError(option, f"{np.size(shares)} deviations for {bands.pop()} bands", "Give one number, or one for each band")
    if min(shape) <= 2 * planting.border:
        raise OptionError("--border", f"a picture of {shape[0]} x {shape[1]} pixels has no room inside a border of {planting.border}", "Give a smaller border")
    found: list[PlantedObject] = []
    places = _Places(planting.apart)
    for top in range(0, shape[0], BLOCK):
        for left in range(0, shape[1], BLOCK):
            rows, cols = _inside(top, shape[0], planting.border), _inside(left, shape[1], planting.border)
            if rows[0] >= rows[1] or cols[0] >= cols[1]:
                continue
            # A block that the picture's edge cuts has fewer, on average in proportion.
            share = min(BLOCK, shape[0] - top) * min(BLOCK, shape[1] - left) / BLOCK**2
            wanted = int(np.floor(rng.integers(1, planting.most + 1) * share + rng.uniform()))
            # One after the other: places and objects are drawn from one stream.
            found.extend(_drawn(place, shape, classes, planting, rng) for place in places.draw(wanted, rows, cols, rng))
    return found


def plant(image: NDArray[np.float32], objects: Sequence[PlantedObject], bands: NDArray[np.intp] | None = None, corner: tuple[int, int] = (0, 0)) -> None:
    """Puts objects into an image: y = a t + (1 - a) x in each of their pixels. Missing values stay missing.

    Args:
        image: changed in place, shape (C, rows, cols).
        objects: in the picture's rows and columns; pixels outside of the image are passed over.
        bands: positions in the objects' spectra of the image's bands; all of them unless told.
        corner: row and column of the image's first pixel in the picture.
    """
    for planted in objects:
        row, col = (planted.pixels - corner).T
        there = (row >= 0) & (col >= 0) & (row < image.shape[1]) & (col < image.shape[2])
        if there.any():
            spectra = planted.spectra[there] if bands is None else planted.spectra[there][:, bands]
            share = planted.abundance[there]
            image[:, row[there], col[there]] = (share[:, None] * spectra).T + (1 - share) * image[:, row[there], col[there]]


class _Places:
    """Centres that keep their distance, by cells as wide as it."""

    def __init__(self, apart: float) -> None:
        self._apart = apart
        self._cells: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def draw(self, count: int, rows: tuple[int, int], cols: tuple[int, int], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        for _ in range(count):
            for _ in range(TRIES):
                place = int(rng.integers(*rows)), int(rng.integers(*cols))
                if self._free(place):
                    self._cells.setdefault(self._cell(place), []).append(place)
                    yield place
                    break

    def _cell(self, place: tuple[int, int]) -> tuple[int, int]:
        return int(place[0] // self._apart), int(place[1] // self._apart)

    def _free(self, place: tuple[int, int]) -> bool:
        row, col = self._cell(place)
        near = (other for i in (-1, 0, 1) for j in (-1, 0, 1) for other in self._cells.get((row + i, col + j), ()))
        return all(np.hypot(place[0] - other[0], place[1] - other[1]) >= self._apart for other in near)


def _inside(start: int, size: int, border: int) -> tuple[int, int]:
    return max(start, border), min(start + BLOCK, size - border)


def _drawn(place: tuple[int, int], shape: tuple[int, int], classes: Sequence[ObjectClass], planting: Planting, rng: np.random.Generator) -> PlantedObject:
    label = int(rng.integers(len(classes)))
    kind = classes[label]
    size = int(rng.choice(np.array(kind.sizes)))
    pixels = grow_blob(place, int(rng.integers(SIZES[size][0], SIZES[size][1] + 1)), shape, rng)
    abundance = rng.uniform(*FAINT, 1) if size == 0 else edge_abundances(pixels, rng)
    pure = _shares(pixels, kind, rng) @ kind.spectra
    # One draw for the pixel and one for each band, about the object's own brightness.
    common, banded = np.asarray(planting.common), np.asarray(planting.banded)
    varied = 1 + common * rng.standard_normal((len(pixels), 1)) + banded * rng.standard_normal(pure.shape)
    return PlantedObject(label, pixels, abundance, (1 + rng.uniform(-planting.brightness, planting.brightness)) * pure * varied, size)


def grow_blob(place: tuple[int, int], count: int, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random blob of pixels that touch by their sides, from a place on.

    Returns:
        (row, column) of `count` pixels (fewer where the picture ends), shape (n, 2).
    """
    taken = [place]
    while len(taken) < count:
        rim = sorted({(r + i, c + j) for r, c in taken for i, j in _SIDES} - set(taken))
        rim = [(r, c) for r, c in rim if 0 <= r < shape[0] and 0 <= c < shape[1]]
        if not rim:
            break
        taken.append(rim[int(rng.integers(len(rim)))])
    return np.array(taken, np.int64)


def edge_abundances(pixels: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Abundances of a blob: 1 where all four neighbours belong to it, else less, the nearer its middle the more.

    Args:
        pixels: (row, column), shape (n, 2).
        rng: where the rest comes from.
    """
    own = {(int(r), int(c)) for r, c in pixels}
    inner = np.array([all((r + i, c + j) in own for i, j in _SIDES) for r, c in pixels.tolist()])
    abundance = np.ones(len(pixels))
    edge = np.flatnonzero(~inner)
    best = 1.0 if inner.any() else rng.uniform(LEAST_BEST, 1.0)
    values = np.sort(rng.uniform(LEAST, best, len(edge)))[::-1]
    if not inner.any():
        values[0] = best
    distance = np.hypot(*(pixels[edge] - pixels.mean(0)).T)
    abundance[edge[np.argsort(distance, kind="stable")]] = values
    return abundance


def lake_variation(spectra: Floats, most: float = 0.3) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How much pixels of one thing differ in a picture, as SPOD has it measured: on a patch of water, relative to its mean, by band.

    Args:
        spectra: pixels of the patch, shape (n, C).
        most: largest deviation of a band, which those hold that water vapour blinds.

    Returns:
        The deviation that all bands share, and each band's own; for `Planting.common` and `Planting.banded`.
    """
    mean, spread = spectra.mean(0), spectra.std(0)
    relative = np.minimum(spread / np.maximum(np.abs(mean), 1e-12), most)
    shared = float(np.clip(((spectra - mean) / np.maximum(spread, 1e-12)).mean(1).std(), 0, 1))
    return tuple((shared * relative).tolist()), tuple((np.sqrt(1 - shared**2) * relative).tolist())


def _shares(pixels: NDArray[np.int64], kind: ObjectClass, rng: np.random.Generator) -> Floats:
    """Shares of the constituents in each pixel, shape (n, K)."""
    count, parts = len(pixels), len(kind.spectra)
    if kind.joined == "random":
        return np.asarray(rng.dirichlet(np.ones(parts), count))
    angle = rng.uniform(0, 2 * np.pi)
    along = np.argsort(pixels @ np.array([np.sin(angle), np.cos(angle)]), kind="stable")
    part = np.empty(count, np.int64)
    part[along] = np.arange(count) * parts // count
    return np.asarray(np.eye(parts)[part])
