"""Local RX: how far each pixel lies from its own surroundings, a square ring around it, whatever the rest of the scene holds.

For analysts who look for small objects in scenes of several covers, where one covariance fits nothing. The dual window of Reed and
Yu, 1990 (doi:10.1109/29.60107), in the leading principal components at unit variance. Sums of products run along with the window, one row in
and one row out, so that the cost of a pixel does not depend on the window's size. What differs: the ring's covariance gives way
to its mean eigenvalue by a declared share; a pixel with no more valid pixels in its ring than there are components is measured by
the scene's own mean and covariance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.leading_components import leading_components, whitened
from hsikit.tasks.detection.scene_detection import SceneDetection, good_bands_for, measure

LARGEST_WINDOW = 501
LEAST_PER_COMPONENT = 2
"""Pixels of a full ring for each component, at least."""
FLOOR = 1e-6
"""Added to all eigenvalues, as a share of the scene's variance: a ring of equal pixels makes no score infinite."""


@dataclass(frozen=True)
class LocalRX:
    """RX against the ring between two square windows.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        components: leading principal components that are looked at.
        inner: side of the window that is left out (pixels, odd): larger than the objects looked for.
        outer: side of the window around it (pixels, odd).
        shrinkage: share of the ring's covariance that gives way to its mean eigenvalue, above 0, up to 1.

    Raises:
        OptionError: an option out of its range, or a ring of too few pixels for the components.
    """

    name: ClassVar[str] = "local-rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    components: int = 20
    inner: int = 11
    outer: int = 25
    shrinkage: float = 0.1

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        if self.components < 1:
            raise OptionError("-p components", f"{self.components} is no number of components", "Give 1 or more; the default is 20")
        for option, side in (("inner", self.inner), ("outer", self.outer)):
            if side < 1 or side % 2 == 0 or side > LARGEST_WINDOW:
                raise OptionError(f"-p {option}", f"{side} is no side of a window", f"Give an odd number of pixels, up to {LARGEST_WINDOW}")
        if not 0 < self.shrinkage <= 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share above 0", "Give up to 1; the default is 0.1")
        ring = self.outer**2 - self.inner**2
        if ring < LEAST_PER_COMPONENT * self.components:
            told = f"a ring of {max(ring, 0)} pixels between windows of {self.inner} and {self.outer} is too small for {self.components} components"
            raise OptionError("-p outer", told, "Widen the outer window, or ask for fewer components")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32), and "hits" with `pfa`.

        Raises:
            SceneError: fewer good bands than components.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, good_bands_for(scene, self.components)).job()


@dataclass(frozen=True, eq=False)
class _Detection:
    """The stages for one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of its good bands.
    """

    options: LocalRX
    scene: SceneInfo
    used: tuple[int, ...]

    def job(self) -> Job:
        told = self.options
        reach = told.outer // 2
        layers = [Layer("scores", description="squared Mahalanobis distance from the ring around each pixel (local RX)")]
        stages: list[Stage] = [
            Reduce("components", ("cube",), measure, merge_moments, self._components),
            Map("score", ("cube",), ("scores",), self._score, halo=(reach, reach)),
        ]
        options = {name: getattr(told, name) for name in ("components", "inner", "outer", "shrinkage")}
        says = {name: f"{value:g}" for name, value in options.items()}
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        return local_cost(tile, len(self.used), self.options.components)

    def _components(self, found: Partial, store: Store) -> Partial:
        return leading_components(found, self.options.components, self.scene.name)

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        told, valid = self.options, tile.valid["cube"]
        white = whitened(tile.arrays["cube"], valid, store["components"])
        return {"scores": ring_distances(white, valid, told.inner, told.outer, told.shrinkage)[None].float()}


def local_cost(tile: tuple[int, int], bands: int, components: int) -> Cost:
    """What moments, components and ring distances of a tile need."""
    k, pixels, sums = components, tile[0] * tile[1], _entries(components).shape[1]
    # Sums of both windows, a row's products, their running totals along the row; matrices, their factors, and copies of both.
    running = 8 * tile[1] * (6 * sums + 5 * k * k)
    return Cost(max(temporary_bytes(bands, tile[1]), 8 * (2 * k + 3) * pixels + running), pixels * (2.0 * bands * k + 4.0 * sums + k**3 / 3))


def ring_distances(white: Tensor, valid: Tensor, inner: int, outer: int, shrinkage: float) -> Tensor:
    """Squared distances of pixels from the rings around them.

    Args:
        white: components at unit variance, 0 where not valid, float64 of shape (k, rows, cols), with a halo of outer // 2.
        valid: bool, shape (rows, cols).
        inner: side of the window that is left out (odd).
        outer: side of the window around it (odd).
        shrinkage: share of a ring's covariance that gives way to its mean eigenvalue.

    Returns:
        float64, shape (rows, cols) without the halo.
    """
    reach, k = outer // 2, len(white)
    rows, cols = white.shape[1] - 2 * reach, white.shape[2] - 2 * reach
    entries = _entries(k, white.device)
    # With a component that is 1 at valid pixels the products hold the count and the sums too.
    spectra = white.new_empty(white.shape[1], k + 1, white.shape[2])
    spectra[:, 0], spectra[:, 1:] = valid, white.transpose(0, 1)
    whole, hole = _RowSums(spectra, entries, reach, outer), _RowSums(spectra, entries, reach, inner)
    out = white.new_empty(rows, cols)
    for row in range(rows):
        sums = whole.next(row) - hole.next(row)
        out[row] = _distances(sums, white[:, row + reach, reach : reach + cols].T, shrinkage)
    return out


def _entries(components: int, device: torch.device | None = None) -> Tensor:
    """Row and column of each product of (1, z) that is kept, shape (2, n)."""
    return torch.triu_indices(components + 1, components + 1, device=device)


class _RowSums:
    """Sums of products over square windows around the pixels of one row after the other.

    Args:
        spectra: shape (rows, k + 1, cols), with a halo.
        entries: which products, shape (2, n).
        reach: width of the halo.
        side: of the window (odd).
    """

    def __init__(self, spectra: Tensor, entries: Tensor, reach: int, side: int) -> None:
        self._spectra, self._entries, self._side = spectra, entries, side
        self._first = reach - side // 2
        self._cols = spectra.shape[2] - 2 * reach
        self._down = spectra.new_zeros(entries.shape[1], spectra.shape[2])
        for row in range(self._first, self._first + side - 1):
            self._down += self._products(row)

    def _products(self, row: int) -> Tensor:
        return self._spectra[row][self._entries[0]] * self._spectra[row][self._entries[1]]

    def next(self, row: int) -> Tensor:
        """Sums around the pixels of a row without its halo, shape (n, cols); called for row 0, 1, 2, ... in turn."""
        self._down += self._products(row + self._first + self._side - 1)
        along = torch.nn.functional.pad(self._down.cumsum(1), (1, 0))
        found = along[:, self._first + self._side :][:, : self._cols] - along[:, self._first :][:, : self._cols]
        self._down -= self._products(row + self._first)
        return found


def _distances(sums: Tensor, centre: Tensor, shrinkage: float) -> Tensor:
    """Distances from rings of which the sums are known.

    Args:
        sums: counts, sums and products in the order of `_entries`, shape (n, cols).
        centre: components of the pixels, shape (cols, k).
        shrinkage: as for `ring_distances`.
    """
    k = centre.shape[1]
    count = sums[0].round()
    enough = (count > k)[:, None]
    held = count.clamp(min=1)
    row, col = _entries(k - 1, sums.device)
    mean = (sums[1 : k + 1] / held).T
    covariance = (sums[k + 1 :] / held).T - mean[:, row] * mean[:, col]
    level = covariance[:, row == col].sum(1, keepdim=True).clamp(min=0) / k
    covariance *= 1 - shrinkage
    covariance[:, row == col] += shrinkage * level + FLOOR
    # In the components the scene's own covariance is 1, and its mean 0.
    covariance = torch.where(enough, covariance, (row == col).to(sums))
    apart = centre - torch.where(enough, mean, 0.0)
    matrices = sums.new_empty(len(held), k, k)
    matrices[:, row, col] = matrices[:, col, row] = covariance
    factor: Tensor = torch.linalg.cholesky(matrices)
    away: Tensor = torch.linalg.solve_triangular(factor, apart[:, :, None], upper=False)
    return away.square().sum((1, 2))
