"""Mean and covariance of the ring around each pixel, between two square windows: what local detectors measure pixels by.

Sums of products run along with the windows, one row in and one row out, so that the cost of a pixel does not depend on their size.
The ring's covariance gives way to its mean eigenvalue by a declared share. A pixel with no more counted pixels in its ring than there are components
is measured by the scene's own mean and covariance, which in components at unit variance are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hsikit.errors import OptionError
from hsikit.method import Cost
from hsikit.tasks.detection.background import temporary_bytes
from hsikit.tasks.detection.scene_detection import checked_components

LARGEST_WINDOW = 501
LEAST_PER_COMPONENT = 2
"""Pixels of a full ring for each component, at least."""
FLOOR = 1e-6
"""Added to all eigenvalues, as a share of the scene's variance: a ring of equal pixels makes no score infinite."""


def check_ring(inner: int, outer: int, components: int, largest: int = LARGEST_WINDOW) -> None:
    """Refuses windows that are none, or between which too few pixels lie.

    Args:
        inner: side of the window that is left out (pixels).
        outer: side of the window around it (pixels).
        components: that are looked at.
        largest: side of a window, at most.

    Raises:
        OptionError: an even side, one out of range, or a ring of too few pixels for the components.
    """
    for option, side in (("inner", inner), ("outer", outer)):
        if side < 1 or side % 2 == 0 or side > largest:
            raise OptionError(f"-p {option}", f"{side} is no side of a window", f"Give an odd number of pixels, up to {largest}")
    ring = outer**2 - inner**2
    if ring < LEAST_PER_COMPONENT * components:
        told = f"a ring of {max(ring, 0)} pixels between windows of {inner} and {outer} is too small for {components} components"
        raise OptionError("-p outer", told, "Widen the outer window, or ask for fewer components")


@dataclass(frozen=True)
class Ring:
    """Where surroundings lie, and in how many leading components they are measured.

    Attributes:
        components: how many.
        inner: side of the window that is left out (pixels, odd): larger than the objects looked for.
        outer: side of the window around it (pixels, odd).

    Raises:
        OptionError: out of range, or a ring of too few pixels for the components.
    """

    components: int = 20
    inner: int = 11
    outer: int = 25

    def __post_init__(self) -> None:
        checked_components(self.components)
        check_ring(self.inner, self.outer, self.components)

    @property
    def reach(self) -> int:
        """Pixels around a tile that its rings see."""
        return self.outer // 2


@dataclass(frozen=True, eq=False)
class RingMoments:
    """The rings around the pixels of one row.

    Attributes:
        count: counted pixels of each, shape (cols,).
        enough: whether these are more than the components, bool (cols,); else mean and factor are the scene's.
        mean: shape (cols, k).
        factor: lower triangular, of the covariance after shrinkage, shape (cols, k, k).
    """

    count: Tensor
    enough: Tensor
    mean: Tensor
    factor: Tensor


def ring_moments(white: Tensor, counted: Tensor, inner: int, outer: int, shrinkage: float) -> Iterator[RingMoments]:
    """The rings of a tile, row by row.

    Args:
        white: components at unit variance, float64 of shape (k, rows, cols), with a halo of outer // 2; no NaN.
        counted: bool, shape (rows, cols): the pixels that count in rings.
        inner: side of the window that is left out (odd).
        outer: side of the window around it (odd).
        shrinkage: share of a ring's covariance that gives way to its mean eigenvalue.

    Yields:
        For each row without the halo.
    """
    reach, k = outer // 2, len(white)
    entries = _entries(k, white.device)
    # With a component that is 1 at counted pixels the products hold the count and the sums too.
    spectra = white.new_empty(white.shape[1], k + 1, white.shape[2])
    spectra[:, 0], spectra[:, 1:] = counted, white.transpose(0, 1)
    spectra[:, 1:] *= counted[:, None]
    whole, hole = _RowSums(spectra, entries, reach, outer), _RowSums(spectra, entries, reach, inner)
    for row in range(white.shape[1] - 2 * reach):
        yield _moments(whole.next(row) - hole.next(row), k, shrinkage)


def ring_cost(tile: tuple[int, int], bands: int, components: int) -> Cost:
    """What moments, components and rings of a tile need."""
    k, pixels, sums = components, tile[0] * tile[1], _entries(components).shape[1]
    # Sums of both windows, a row's products, their running totals along the row; matrices, their factors, and copies of both.
    running = 8 * tile[1] * (6 * sums + 5 * k * k)
    return Cost(max(temporary_bytes(bands, tile[1]), 8 * (2 * k + 3) * pixels + running), pixels * (2.0 * bands * k + 4.0 * sums + k**3 / 3))


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


def _moments(sums: Tensor, k: int, shrinkage: float) -> RingMoments:
    """Rings of which the sums are known.

    Args:
        sums: counts, sums and products in the order of `_entries`, shape (n, cols).
        k: components.
        shrinkage: as for `ring_moments`.
    """
    count = sums[0].round()
    enough = count > k
    held = count.clamp(min=1)
    row, col = _entries(k - 1, sums.device)
    mean = (sums[1 : k + 1] / held).T
    covariance = (sums[k + 1 :] / held).T - mean[:, row] * mean[:, col]
    level = covariance[:, row == col].sum(1, keepdim=True).clamp(min=0) / k
    covariance *= 1 - shrinkage
    covariance[:, row == col] += shrinkage * level + FLOOR
    covariance = torch.where(enough[:, None], covariance, (row == col).to(sums))
    matrices = sums.new_empty(len(held), k, k)
    matrices[:, row, col] = matrices[:, col, row] = covariance
    return RingMoments(count, enough, torch.where(enough[:, None], mean, 0.0), torch.linalg.cholesky(matrices))
