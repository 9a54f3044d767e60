"""Pretraining of an encoder of any sensor on windows without labels: hide bands and pixels, and rebuild what was hidden.

Masked autoencoding (He et al., 2022, doi:10.1109/CVPR52688.2022.01553) over space and bands. Where a window is also seen through a second
instrument (`Example.other`), its features must rebuild the first one's bands, and the features of both must agree (random-sensor
augmentation: STARS, 2024, arXiv:2411.05714). Six objectives, of one shape, each after a paper; what differs is said in each class.

Hidden bands are left out of what the adapter sees; at hidden pixels a learned vector takes the place of what the adapter made. All that is
random comes from the generator, on the CPU, so that a run repeats to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hsikit.errors import OptionError
from hsikit.nn.body import BandFacts
from hsikit.nn.encoder import Encoder
from hsikit.nn.encoder_blocks import token_validity

HIDDEN_BANDS, HIDDEN_PIXELS = 0.5, 0.25
"""Shares that are hidden."""
BLOCK = 4
"""Side of the squares of pixels that are hidden together: of a single one the neighbours tell."""
AGREEMENT = 0.2
"""Weight of the agreement of two views."""


@dataclass(frozen=True, eq=False)
class View:
    """Windows as an instrument sees them.

    Attributes:
        values: standardised, float32, shape (B, C, H, W); anything where not usable.
        bands: of the values.
    """

    values: Tensor
    bands: BandFacts


@dataclass(frozen=True, eq=False)
class Example:
    """Windows of one scene.

    Attributes:
        own: through the scene's own instrument.
        other: through another one; None without.
        target: what is to be rebuilt, in the bands of `own`: the same values without noise where they are known, float32, shape (B, C, H, W).
        usable: the pixels that count, bool, shape (B, H, W).
        detail: matrix (C, K) from the bands to components in which small features of spectra count as much as large ones.
    """

    own: View
    other: View | None
    target: Tensor
    usable: Tensor
    detail: Tensor

    def on(self, device: torch.device) -> Example:
        """The same on a device."""
        views = [None if view is None else View(view.values.to(device), view.bands.on(device)) for view in (self.own, self.other)]
        assert views[0] is not None
        return Example(views[0], views[1], self.target.to(device), self.usable.to(device), self.detail.to(device))


class MaskedWindows(nn.Module):
    """Masked autoencoding over space and bands: mean squared error of what was hidden, at the resolution of the scene's own bands.

    Args:
        encoder: learns.
        bands: share of the bands that are hidden, in runs of neighbours: the mean of many draws up to one half, less above, see `shown_bands`.
        pixels: share of the pixels that are hidden, in squares.
        agreement: weight of the agreement of two views; see `disagreement`.

    Raises:
        ValueError: a share outside [0, 1), or a negative weight.
    """

    needs_other = False

    def __init__(self, encoder: Encoder, bands: float = HIDDEN_BANDS, pixels: float = HIDDEN_PIXELS, agreement: float = AGREEMENT) -> None:
        super().__init__()
        if not (0 <= bands < 1 and 0 <= pixels < 1 and agreement >= 0):
            raise ValueError(f"shares {bands} and {pixels} must be 0 to below 1, the weight {agreement} 0 or more")
        self.encoder, self.bands, self.pixels, self.agreement = encoder, bands, pixels, agreement
        self.hidden_pixel = nn.Parameter(torch.zeros(encoder.adapter.width))
        self.value = nn.Linear(encoder.band_width, 1)

    def loss(self, example: Example, generator: Generator, done: float = 0.0) -> Tensor:
        """The loss of one example.

        Args:
            example: on the module's device.
            generator: draws what is hidden, on the CPU.
            done: share of the training that lies behind.
        """
        hidden = self.hidden(example.usable, generator)
        shown = self.shown(example.own.bands.valid, done, generator)
        features = self.features(example.own, shown, hidden, example.usable)
        total = self.own_loss(example, features, hidden, shown)
        if example.other is None:
            return total
        second = self.hidden(example.usable, generator)
        kept = self.shown(example.other.bands.valid, done, generator)
        beside = self.features(example.other, kept, second, example.usable)
        total = total + self.other_loss(example, beside)
        return total + self.agreement * self.apart(features, beside, example.usable & ~hidden & ~second)

    def apart(self, own: Tensor, other: Tensor, where: Tensor) -> Tensor:
        """How far two views (B, width, H, W) disagree at some pixels, in the part of the features that bands are rebuilt from.

        All features together would agree cheapest by telling little: those that another instrument cannot see are left free.
        """
        first, second = (self.encoder.band_features(each.permute(0, 2, 3, 1)) for each in (own, other))
        return disagreement(first, second, where)

    def shown(self, valid: Tensor, done: float, generator: Generator) -> Tensor:
        """The bands (C,) of a view that are shown at a point of the training; those that count are `valid`."""
        return shown_bands(valid, self.bands, generator)

    def hidden(self, usable: Tensor, generator: Generator) -> Tensor:
        """The pixels of a view that are hidden, bool of the shape (B, H, W) of `usable`."""
        return hidden_squares(usable, self.pixels, generator)

    def own_loss(self, example: Example, features: Tensor, hidden: Tensor, shown: Tensor) -> Tensor:
        """What the features of the scene's own view are worth; `hidden` pixels (B, H, W) and `shown` bands (C,)."""
        wrong = (self.decode(features, example.own.bands) - example.target).square()
        return mean_where(wrong, self.unseen(example, hidden, shown))

    def other_loss(self, example: Example, features: Tensor) -> Tensor:
        """What the features of the other view are worth: that instrument measured none of the bands."""
        wrong = (self.decode(features, example.own.bands) - example.target).square()
        return mean_where(wrong, example.usable[:, None] & example.own.bands.valid[:, None, None])

    def unseen(self, example: Example, hidden: Tensor, shown: Tensor) -> Tensor:
        """What is to be rebuilt, bool (B, C, H, W): bands that were hidden, and all bands of hidden pixels."""
        counts = example.usable[:, None] & example.own.bands.valid[:, None, None]
        return counts & (hidden[:, None] | ~shown[:, None, None])

    def features(self, view: View, shown: Tensor, hidden: Tensor, usable: Tensor) -> Tensor:
        """Features (B, width, H, W) of a view with some `shown` bands (C,) and `hidden` pixels (B, H, W)."""
        x, tokens = self.adapted(view, shown, usable)
        return self.encoder.dense_of(self.without(x, hidden & usable, tokens), _unless_all(usable), tokens)

    def adapted(self, view: View, shown: Tensor, usable: Tensor) -> tuple[Tensor, int]:
        """What the adapter makes of a view, see `Encoder.adapted`."""
        return self.encoder.adapted(view.values, view.bands.wavelength, view.bands.fwhm, view.bands.valid & shown, _unless_all(usable))

    def without(self, x: Tensor, hidden: Tensor, tokens: int) -> Tensor:
        """Pixels replaced by the learned vector."""
        covered = token_validity(hidden, tokens)
        assert covered is not None
        return torch.where(covered[..., None], self.hidden_pixel.to(x.dtype), x)

    def decode(self, features: Tensor, bands: BandFacts) -> Tensor:
        """Values of bands from features (B, width, H, W): shape (B, C, H, W).

        A band that does not count need not have a centre, and has values that mean nothing.
        """
        centres = torch.where(bands.valid, bands.wavelength, bands.wavelength[bands.valid][0]).double()
        return self.encoder.read_bands(features, centres, bands.fwhm, self.value)


class DetailedWindows(MaskedWindows):
    """The same, and the error of all bands in components that are nearly of one size, so that narrow absorption features count.

    Rebuilt bands of unit variance are right to a few percent with brightness alone. After the finding that a target in denoised, damped
    components makes features that tell classes apart (`ObjectObjective`).
    """

    WEIGHT = 1.0

    def own_loss(self, example: Example, features: Tensor, hidden: Tensor, shown: Tensor) -> Tensor:
        """See `MaskedWindows.own_loss`."""
        return super().own_loss(example, features, hidden, shown) + self.WEIGHT * self._detail(example, features)

    def other_loss(self, example: Example, features: Tensor) -> Tensor:
        """See `MaskedWindows.other_loss`."""
        return super().other_loss(example, features) + self.WEIGHT * self._detail(example, features)

    def _detail(self, example: Example, features: Tensor) -> Tensor:
        wrong = (self.decode(features, example.own.bands) - example.target).permute(0, 2, 3, 1)[example.usable]
        wanted = example.target.permute(0, 2, 3, 1)[example.usable]
        size = (wanted @ example.detail).square().mean().clamp(min=1e-6)
        return (wrong @ example.detail).square().mean() / size


class MultiscaleWindows(MaskedWindows):
    """SatMAE++ (Noman et al., 2024, arXiv:2403.05419): from a window at a quarter of the resolution, rebuild it there, at half, and at full resolution.

    A mean squared error of what was hidden, 0.6, and absolute errors of larger images, 0.4 together. Pixels are hidden in squares that are as
    large on the ground as those of the other objectives. Bands are compared in their own
    order: the release puts groups of bands one after the other, and compares them with other bands.

    Args:
        encoder: see `MaskedWindows`.
        scales: how many times larger than what is seen each image that is rebuilt is; powers of 2, ascending. The last is the full
            resolution, and divides the side of a window.
        options: see `MaskedWindows`.
    """

    def __init__(self, encoder: Encoder, scales: Sequence[int] = (2, 4), **options: float) -> None:
        super().__init__(encoder, **options)
        if not scales or any(scale != 2 ** (k + 1) for k, scale in enumerate(scales)):
            raise ValueError(f"scales {scales} must be 2, 4, 8 ... as far as wanted")
        self.scales = tuple(scales)
        self.larger = nn.ModuleList(_Doubling(encoder.width) for _ in scales)

    def loss(self, example: Example, generator: Generator, done: float = 0.0) -> Tensor:
        """See `MaskedWindows.loss`; the second view is at the reduced resolution too."""
        return super().loss(reduced_example(example, self.scales[-1]), generator, done)

    def hidden(self, usable: Tensor, generator: Generator) -> Tensor:
        """See `MaskedWindows.hidden`."""
        return hidden_squares(usable, self.pixels, generator, max(1, BLOCK // self.scales[-1]))

    def own_loss(self, example: Example, features: Tensor, hidden: Tensor, shown: Tensor) -> Tensor:
        """See `MaskedWindows.own_loss`."""
        assert isinstance(example, ReducedExample)
        total = 0.6 * super().own_loss(example, features, hidden, shown)
        for larger, step in zip(self.larger, self.scales, strict=True):
            features = larger(features)
            target, usable = pooled(example.full, example.full_usable, self.scales[-1] // step)
            wrong = (self.decode(features, example.own.bands) - target).abs()
            total = total + 0.4 / len(self.scales) * mean_where(wrong, usable[:, None] & example.own.bands.valid[:, None, None])
        return total


class _Doubling(nn.Module):
    """Features (B, C, H, W) at twice the resolution: a transposed convolution, LayerNorm, then a convolution beside it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(1, width)
        self.more = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.norm(self.up(x)))
        out: Tensor = x + self.more(x)
        return out


@dataclass(frozen=True, eq=False)
class ReducedExample(Example):
    """An example at a lower resolution, and what it was made of: `full` (B, C, H, W) and `full_usable` (B, H, W)."""

    full: Tensor
    full_usable: Tensor


def reduced_example(example: Example, factor: int) -> ReducedExample:
    """An example whose pixels are means of factor x factor.

    Raises:
        ValueError: windows that the factor does not divide.
    """
    _, rows, cols = example.usable.shape
    if rows % factor or cols % factor:
        raise ValueError(f"windows of {rows} x {cols} pixels cannot be reduced {factor} times")
    usable = example.usable
    views = [None if view is None else View(pooled(view.values, usable, factor)[0], view.bands) for view in (example.own, example.other)]
    assert views[0] is not None
    target, counted = pooled(example.target, usable, factor)
    return ReducedExample(views[0], views[1], target, counted, example.detail, example.target, usable)


def pooled(values: Tensor, usable: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Means (B, C, H / factor, W / factor) of usable pixels, and where all pixels of a mean were usable."""
    share = functional.avg_pool2d(usable[:, None].float(), factor)
    known = torch.where(usable[:, None], values, values.new_zeros(()))
    return functional.avg_pool2d(known, factor) / share.clamp(min=1e-6), share[:, 0] > 1 - 1e-6


class SummedWindows(MaskedWindows):
    """SpectralGPT (Hong et al., 2024, doi:10.1109/TPAMI.2024.3362475): error of hidden tokens, and of their sum over the groups of bands.

    The bands, in ascending order, are cut into groups of `GROUP`; at every place the groups are summed, element by element, and the sums
    compared, divided by the number of groups: with many bands the sum would count for more than all tokens. The last group is filled up
    with nothing, and any number of bands works; the release has twelve.
    """

    GROUP = 3

    def own_loss(self, example: Example, features: Tensor, hidden: Tensor, shown: Tensor) -> Tensor:
        """See `MaskedWindows.own_loss`."""
        wrong = self.decode(features, example.own.bands) - example.target
        summed = group_sums(wrong * example.own.bands.valid[:, None, None], self.GROUP)
        tokens = mean_where(wrong.square(), self.unseen(example, hidden, shown))
        return tokens + mean_where(summed.square(), example.usable[:, None].expand_as(summed))


def group_sums(values: Tensor, group: int) -> Tensor:
    """Means over groups of neighbouring bands of (B, C, H, W), element by element: shape (B, group, H, W)."""
    batch, bands, rows, cols = values.shape
    groups = -(-bands // group)
    filled = functional.pad(values, (0, 0, 0, 0, 0, groups * group - bands))
    return filled.view(batch, groups, group, rows, cols).mean(1)


class MixedWindows(MaskedWindows):
    """SMARTIES (Sumbul et al., 2025, arXiv:2506.19585): half of the pixels of one instrument's map come from the other's, and the other way.

    Exchanged is what the adapters made, before pixels see one another; both mixtures are made from the maps as they were (the release
    overwrites the first before it makes the second, so that one is mixed and the other is not).
    """

    needs_other = True
    SHARE = 0.5

    def loss(self, example: Example, generator: Generator, done: float = 0.0) -> Tensor:
        """See `MaskedWindows.loss`."""
        if example.other is None:
            raise OptionError("objective", "mixup mixes two instruments, and there is one", "Leave --sensors at random, or choose another objective")
        shown = self.shown(example.own.bands.valid, done, generator)
        kept = self.shown(example.other.bands.valid, done, generator)
        own, tokens = self.adapted(example.own, shown, example.usable)
        other, others = self.adapted(example.other, kept, example.usable)
        if tokens != 1 or others != 1:
            raise OptionError("objective", "mixup exchanges pixels, and this encoder keeps the tokens of each apart", "Choose a preset without by_token")
        swapped = hidden_squares(example.usable, self.SHARE, generator)
        total, found = own.new_zeros(()), []
        for mixed in exchanged(own, other, swapped):
            hidden = self.hidden(example.usable, generator)
            features = self.encoder.dense_of(self.without(mixed, hidden & example.usable, 1), _unless_all(example.usable))
            total = total + self.other_loss(example, features)
            found.append((features, hidden))
        (first, hidden), (second, also) = found
        return total + self.agreement * self.apart(first, second, example.usable & ~hidden & ~also)


def exchanged(first: Tensor, second: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (B, H, W, C) with the pixels `where`, bool (B, H, W), exchanged."""
    taken = where[..., None]
    return torch.where(taken, second, first), torch.where(taken, first, second)


class PlacesAndBands(MaskedWindows):
    """LESS ViT (arXiv:2605.18541): three quarters of the places are hidden, and half to three quarters of the bands.

    The share of the bands grows with the training, and is what is hidden each time, to a whole band: the other objectives draw how many.
    """

    PLACES, FEW, MANY = 0.75, 0.5, 0.75

    def shown(self, valid: Tensor, done: float, generator: Generator) -> Tensor:
        """See `MaskedWindows.shown`."""
        share = self.FEW + (self.MANY - self.FEW) * min(max(done, 0.0), 1.0)
        return all_but_runs(valid, round(share * int(valid.sum())), generator)

    def hidden(self, usable: Tensor, generator: Generator) -> Tensor:
        """See `MaskedWindows.hidden`."""
        return hidden_squares(usable, self.PLACES, generator)


OBJECTIVES: Mapping[str, type[MaskedWindows]] = {
    "mae": MaskedWindows,
    "detail": DetailedWindows,
    "multiscale": MultiscaleWindows,
    "spectral-sum": SummedWindows,
    "mixup": MixedWindows,
    "less": PlacesAndBands,
}


def build_objective(name: str, encoder: Encoder) -> MaskedWindows:
    """An objective of `OBJECTIVES` with its usual options.

    Raises:
        OptionError: there is none of that name.
    """
    if name not in OBJECTIVES:
        raise OptionError("objective", f"there is none named '{name}'", f"There are {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](encoder)


def shown_bands(valid: Tensor, share: float, generator: Generator) -> Tensor:
    """Bands that are left when about a `share` of the valid ones is hidden, in runs; bool (C,). One is shown at least, and one hidden if it can be.

    How many is drawn anew each time, from one to twice the share and at most 95 %, so that an encoder meets whole spectra as well as fragments.
    """
    if share == 0:
        return valid.clone()
    count = int(valid.sum())
    return all_but_runs(valid, max(1, round(count * min(2 * share * float(torch.rand((), generator=generator)), 0.95))), generator)


def all_but_runs(valid: Tensor, number: int, generator: Generator) -> Tensor:
    """Bands that are left when a number of the valid ones is hidden, in runs of up to an eighth of all; bool (C,). One is shown at least."""
    places = valid.cpu().nonzero().flatten()
    count = len(places)
    wanted = min(count - 1, number)
    longest = max(1, count // 8)
    hidden = torch.zeros(count, dtype=torch.bool)
    while int(hidden.sum()) < wanted:
        start = int(torch.randint(count, (), generator=generator))
        length = min(int(torch.randint(1, longest + 1, (), generator=generator)), wanted - int(hidden.sum()))
        hidden[start : start + length] = True
    shown = torch.zeros(len(valid), dtype=torch.bool)
    shown[places[~hidden]] = True
    return shown.to(valid.device)


def hidden_squares(like: Tensor, share: float, generator: Generator, block: int = BLOCK) -> Tensor:
    """Squares of pixels, a share of all, bool of the shape (B, H, W) of `like`."""
    batch, rows, cols = like.shape
    cells = (batch, -(-rows // block), -(-cols // block))
    number = cells[1] * cells[2]
    rank = torch.rand(batch, number, generator=generator).argsort(1).argsort(1)
    chosen = (rank < round(share * number)).view(cells)
    return chosen.repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :rows, :cols].to(like.device)


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """The mean of some values; 0 where there are none."""
    counted = where.expand_as(values)
    return torch.where(counted, values, values.new_zeros(())).sum() / counted.sum().clamp(min=1)


def disagreement(own: Tensor, other: Tensor, where: Tensor) -> Tensor:
    """1 minus the mean correlation of each feature between two views (B, H, W, C), over some pixels: 0 where they agree.

    The other view follows the scene's own, which does not give way: an instrument of four bands would otherwise teach the encoder to tell
    no more than four bands show.

    Args:
        own: features of the scene's own view.
        other: of the other.
        where: the pixels, bool (B, H, W).
    """
    if int(where.sum()) < 2:
        return own.new_zeros(())
    return 1 - (unit_features(own.detach()[where]) * unit_features(other[where])).mean()


def unit_features(features: Tensor) -> Tensor:
    """Features (n, C), each of mean 0 and deviation 1."""
    found = features.float()
    found = found - found.mean(0)
    return found * (found.square().mean(0) + 1e-6).rsqrt()


def _unless_all(usable: Tensor) -> Tensor | None:
    return None if bool(usable.all()) else usable
