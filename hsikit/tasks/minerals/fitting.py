"""Features of many library spectra fitted to many pixels: what is over the continuum is compared by two sums and a product of matrices.

For a feature with the library's profile L and the pixel's R, both over their continuum, least squares give R = a + b L. With L less its
mean, b = L'R / L'L; the fit is the squared correlation, and the depth b (1 - min L). After Clark et al., 2003 (doi:10.1029/2002JE001847).
Features of one window share the pixel's continuum, so that they cost one product of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsikit.tasks.minerals.features import GROUPS, Floats, Profile, across

CHUNK_PIXELS = 4096
"""Pixels that are fitted at once. The last ones are filled up to as many, so that a pixel's result does not depend on its place."""
REJECTED = -100.0
"""Added to the fit of an entry that a pixel cannot be."""
AFTER = 2.0
"""Taken from the fit of an entry without a diagnostic feature, so that it comes after all that have one."""
TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Member:
    """A profile of one entry.

    Attributes:
        entry: position in the library.
        weight: share of its area among the entry's of the same group.
        profile: the feature.
    """

    entry: int
    weight: float
    profile: Profile


@dataclass(frozen=True, eq=False)
class Gates:
    """What is too little, or too much, to be told.

    Attributes:
        fit: least fit of an entry.
        depth: least depth of an entry, and of a diagnostic feature.
        dark: least reflectance of a shoulder.
        ratio: most depth of a diagnostic feature over that in the library.
    """

    fit: float
    depth: float
    dark: float
    ratio: float


@dataclass(frozen=True, eq=False)
class _Window:
    """All features of one group that share their continuum.

    Attributes:
        bands: first band and the band after the last.
        shoulders: bands of the left and the right one.
        share: weights of both shoulders at each band (n, 2).
        profiles: a row of ones, then profiles less their mean, of length 1: (1 + K, n).
        rows: positions among the group's entries (K,).
        weights: (K, 1).
        depths: depth of a profile over its length (K, 1).
        diagnostic: (K, 1), bool.
        slope: least and most ratio of the shoulders, (K, 1) each.
        most: the greatest depth, (K, 1).
    """

    bands: tuple[int, int]
    shoulders: tuple[int, int]
    share: Tensor
    profiles: Tensor
    rows: Tensor
    weights: Tensor
    depths: Tensor
    diagnostic: Tensor
    slope: tuple[Tensor, Tensor]
    most: Tensor


class GroupFit:
    """The entries of one group, ready to be fitted.

    Args:
        members: their features.
        wavelength: of the bands that are used (nm).
        gates: what is too little.
    """

    def __init__(self, members: Sequence[Member], wavelength: Floats, gates: Gates) -> None:
        self.gates = gates
        self.entries = sorted({member.entry for member in members})
        self.members = {entry: [member for member in members if member.entry == entry] for entry in self.entries}
        told = torch.tensor([any(member.profile.diagnostic for member in self.members[entry]) for entry in self.entries])
        self._last = torch.where(told, 0.0, AFTER)[:, None]
        self._wavelength = wavelength
        place = {entry: row for row, entry in enumerate(self.entries)}
        shared: dict[tuple[int, int, int, int], list[Member]] = {}
        for member in members:
            shared.setdefault(member.profile.window, []).append(member)
        self._windows = [self._window(window, own, place) for window, own in sorted(shared.items())]

    def _window(self, window: tuple[int, int, int, int], own: Sequence[Member], place: Mapping[int, int]) -> _Window:
        share = across(self._wavelength, window)
        lengths = np.array([float(np.linalg.norm(member.profile.centred)) for member in own])
        rows = np.stack([np.ones(len(share)), *(member.profile.centred / length for member, length in zip(own, lengths, strict=True))])
        slopes = torch.tensor([member.profile.slope for member in own])
        return _Window(
            window[:2], window[2:], torch.from_numpy(np.stack([1 - share, share], 1)).float(), torch.from_numpy(rows).float(),
            torch.tensor([place[member.entry] for member in own]), torch.tensor([[member.weight] for member in own]),
            torch.tensor([[member.profile.depth / length] for member, length in zip(own, lengths, strict=True)]).float(),
            torch.tensor([[member.profile.diagnostic] for member in own]), (slopes[:, :1], slopes[:, 1:]),
            torch.tensor([[self.gates.ratio * member.profile.depth] for member in own]),
        )  # fmt: skip

    def fit(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Fits and depths of all entries.

        Args:
            values: reflectance, float32 (bands, n).

        Returns:
            Both float32 (entries, n). A fit below 0 is that of an entry that the pixel cannot be.
        """
        fits, depths = values.new_zeros(2, len(self.entries), values.shape[1])
        buffer = torch.empty_like(values)  # written again and again, so that it stays in the cache
        for window in self._windows:
            part = values[slice(*window.bands)]
            left, right = part[: window.shoulders[0]].mean(0), part[-window.shoulders[1] :].mean(0)
            dark = torch.minimum(left, right) < self.gates.dark
            ends = torch.stack([left, right]).clamp_(min=max(self.gates.dark, 1e-6))
            over = torch.mm(window.share.to(values), ends, out=buffer[: len(part)])
            torch.div(part, over, out=over).sub_(1)
            found = window.profiles.to(values) @ over
            spread = over.square_().sum(0) - found[0].square() / len(over)
            along = found[1:].clamp_(min=0)
            depth = along * window.depths.to(values)
            fit = along.square_().div_(spread.clamp_(min=TINY)).clamp_(max=1.0)
            ratio = ends[1] / ends[0]
            least, most = (bound.to(values) for bound in window.slope)
            missing = (depth < self.gates.depth) | (depth > window.most.to(values)) | (ratio < least) | (ratio > most)
            fit *= window.weights.to(values)
            fit.masked_fill_(dark, 0.0).masked_fill_(window.diagnostic.to(values.device) & (missing | dark), REJECTED)
            rows, weights = window.rows.to(values.device), window.weights.to(values)
            fits.index_add_(0, rows, fit)
            depths.index_add_(0, rows, (depth * weights).masked_fill_(dark, 0.0))
        return fits, depths

    def best(self, values: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """The entries that fit best, those with a diagnostic feature before those without.

        Args:
            values: reflectance, float32 (bands, n).
            most: how many.

        Returns:
            Positions in the library from 1, 0 where none is left (int16); depths and fits (float32), 0 there; each (most, n).
        """
        fits, depths = self.fit(values)
        fits.masked_fill_((fits < self.gates.fit) | (fits <= 0) | (depths < self.gates.depth), REJECTED)
        last = self._last.to(values)
        fit, place = fits.sub_(last).topk(min(most, len(fits)), dim=0)
        numbers = torch.tensor(self.entries, dtype=torch.int16, device=values.device) + 1
        none = fit < -AFTER
        fit = fit.add_(last[:, 0][place]).masked_fill_(none, 0.0)
        index = numbers[place].masked_fill_(none, 0)
        depth = depths.gather(0, place).masked_fill_(none, 0.0)
        if len(fit) == most:
            return index, depth, fit
        short = (0, 0, 0, most - len(fit))
        return torch.nn.functional.pad(index, short), torch.nn.functional.pad(depth, short), torch.nn.functional.pad(fit, short)

    def uncertainty(self, values: Tensor, index: Tensor, noise: float | None) -> Tensor:
        """Standard deviation of the depth of one entry for each pixel.

        Args:
            values: reflectance, float32 (bands, n).
            index: positions in the library from 1, or 0 (n,).
            noise: standard deviation of the reflectance; None: that of what the fit leaves over.

        Returns:
            Float32 (n,); 0 where the index is 0.
        """
        out = values.new_zeros(values.shape[1])
        for number in torch.unique(index).tolist():
            if number:
                pixels = (index == number).nonzero()[:, 0]
                out[pixels] = self._deviation(values, pixels, self.members[number - 1], noise)
        return out

    def _deviation(self, values: Tensor, pixels: Tensor, members: Sequence[Member], noise: float | None) -> Tensor:
        """The depth is linear in the reflectance over its continuum: its gradient is summed over features, which may overlap."""
        low, high = min(member.profile.window[0] for member in members), max(member.profile.window[1] for member in members)
        gradient = values.new_zeros(high - low, len(pixels))
        left_over, free = values.new_zeros(len(pixels)), 0
        for member in members:
            first, stop, left, right = member.profile.window
            part = values[first:stop, pixels]
            share = torch.from_numpy(across(self._wavelength, member.profile.window)).to(values)[:, None]
            line = part[:left].mean(0) * (1 - share) + part[-right:].mean(0) * share
            profile = torch.from_numpy(member.profile.centred).to(values)[:, None]
            length = float((member.profile.centred**2).sum())
            gradient[first - low : stop - low] += member.weight * member.profile.depth / length * profile / line
            if noise is None:
                over = part / line - 1
                rest = over - over.mean(0) - (profile * over).sum(0) / length * profile
                left_over += (rest * line).square().sum(0)
                free += stop - first - 2
        deviation = left_over.div(max(free, 1)).sqrt() if noise is None else noise
        return gradient.square().sum(0).sqrt() * deviation


def members_of(profiles: Sequence[Sequence[Profile]]) -> dict[int, list[Member]]:
    """The features of all entries by group, weighed by their areas within an entry.

    Args:
        profiles: those of each entry of the library.
    """
    found: dict[int, list[Member]] = {group: [] for group in GROUPS}
    for entry, own in enumerate(profiles):
        for group in GROUPS:
            part = [profile for profile in own if profile.group == group]
            total = sum(profile.area for profile in part)
            found[group] += [Member(entry, profile.area / total, profile) for profile in part]
    return found
