"""Tuning an encoder on a scene's own pixels: known bands are hidden, and what interpolation got wrong of them is learned.

What is learned is the value of a band less that between its neighbours, in deviations of the band: a head of zeros is the interpolation.
Bands are hidden in the two ways in which they are missing: everywhere, and then the encoder does not see them; or in squares of pixels, and
then it sees a straight line there. What a step sees follows from its number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Window
from hsikit.method import Reader, Store
from hsikit.nn.body import BandFacts, TaskNetwork
from hsikit.nn.optimizer_state import load_optimizer, optimizer_tensors
from hsikit.tasks.band_scale import BandScale, band_facts
from hsikit.tasks.filling.base import Filling, whole_hidden
from hsikit.tasks.filling.drills import drills, families, runs_of
from hsikit.tasks.filling.known import KNOWN, gap_length
from hsikit.tasks.filling.linear import linear_fill

if TYPE_CHECKING:
    from hsikit.scene import Bands

WINDOWS, SIDE, SQUARE = 4, 16, 4
"""Windows of a step, their side in pixels, and that of the squares in which single pixels lack bands."""
TRIES = 30
HIDDEN = 0.15
"""Share of the known bands that a step hides."""
CLIP = 1.0
RESERVED = 3
"""Runs of known bands, of each length, that are never learned: on them the check asks what a band is worth that no pixel has."""
LEARNED, OPTIMIZER = "learned.", "optimizer."


@dataclass(frozen=True, eq=False)
class Standard:
    """How values are standardised where some bands are not known.

    Attributes:
        scale: of all bands; those not known have the mean and deviation between their neighbours'.
        facts: the bands; those not known do not count.
    """

    scale: BandScale
    facts: BandFacts

    @classmethod
    def of(cls, store: Store, bands: Bands, whole: tuple[int, ...]) -> Standard:
        """From what `known_stage` found, for bands that no pixel has."""
        scale = BandScale.of(store[KNOWN])
        seen = store[KNOWN]["count"] > 0
        seen[list(whole)] = False
        facts = band_facts(bands, scale).only(seen)
        there = seen.cpu().numpy()
        numbers = [np.interp(bands.wavelength, bands.wavelength[there], each.cpu().numpy()[there]) for each in (scale.mean, scale.deviation)]
        mean, deviation = (torch.from_numpy(each).to(scale.mean) for each in numbers)
        return cls(BandScale(mean, deviation), facts)

    def residual(self, values: Tensor) -> Tensor:
        """Differences (..., C, rows, cols) in deviations of each band; 0 where a band is constant."""
        share = torch.where(self.scale.deviation > 0, self.scale.deviation, torch.inf).reciprocal()
        return values * share.to(values)[:, None, None]

    def restored(self, residual: Tensor) -> Tensor:
        """The inverse of `residual`."""
        return residual * self.scale.deviation.to(residual)[:, None, None]


@dataclass(frozen=True, eq=False)
class Example:
    """Windows in which bands are hidden.

    Attributes:
        values: shape (B, C, rows, cols): measured, and interpolated where hidden or missing.
        usable: bool, shape (B, rows, cols).
        wanted: what was interpolated wrongly, in deviations, the same shape as the values; looked at only where `counted`.
        counted: what the loss counts, bool, the same shape.
        standard: of the bands that are left.
    """

    values: Tensor
    usable: Tensor
    wanted: Tensor
    counted: Tensor
    standard: Standard


class Tuning:
    """The steps of one scene's tuning.

    Args:
        network: a body and a head for bands; what learns is decided.
        filling: the scene.
        steps: in all.
        lr: highest learning rate, after a twentieth of the steps; it falls to zero along a cosine.
        seed: of everything random.
    """

    def __init__(self, network: TaskNetwork, filling: Filling, steps: int, lr: float, seed: int) -> None:
        self.network, self.filling, self.steps, self.lr, self.seed = network, filling, steps, lr, seed
        self.learning = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        self.optimizer = torch.optim.AdamW(self.learning.values(), lr, weight_decay=0.01)

    def state(self) -> dict[str, Tensor]:
        """All that a step changes."""
        learned = {f"{LEARNED}{name}": parameter.detach() for name, parameter in self.learning.items()}
        return {**learned, **{f"{OPTIMIZER}{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        load_learned(self.network, state)
        kept = {name.removeprefix(OPTIMIZER): tensor.clone() for name, tensor in state.items() if name.startswith(OPTIMIZER)}
        if kept:
            load_optimizer(self.optimizer, kept)

    def step(self, number: int, reader: Reader, store: Store) -> None:
        """One step of the optimiser.

        Raises:
            SceneError: no window with data was found.
            OptionError: the loss is no number any more.
        """
        example = draw_example(self.filling, reader, store, number, self.seed, int(self.network.body.halo or 0))
        self.network.to(example.values.device).train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(number)
        self.optimizer.zero_grad(set_to_none=True)
        loss = _loss(self.network, example, self.filling.bands)
        if not math.isfinite(float(loss.detach())):
            raise OptionError("lr", f"the training went astray in step {number + 1}: its loss is no number any more", "Give a smaller learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.learning.values(), CLIP)
        self.optimizer.step()

    def _rate(self, number: int) -> float:
        warm = max(1, self.steps // 20)
        if number < warm:
            return self.lr * (number + 1) / warm
        return self.lr * (1 + math.cos(math.pi * (number - warm) / max(1, self.steps - warm))) / 2


@torch.no_grad()
def load_learned(network: TaskNetwork, state: Mapping[str, Tensor]) -> None:
    """Gives a network what `Tuning` learned."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parameter.copy_(state[f"{LEARNED}{name}"])


def _loss(network: TaskNetwork, example: Example, bands: Bands) -> Tensor:
    standard = example.standard
    features = network.dense(standard.scale.standardised(example.values), standard.facts, example.usable)
    found = network.at_bands(features, torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy()))
    wrong = torch.where(example.counted, found - example.wanted, 0.0)
    return wrong.square().sum() / example.counted.sum().clamp(min=1)


def draw_example(filling: Filling, reader: Reader, store: Store, number: int, seed: int, halo: int) -> Example:
    """The windows of a step.

    Raises:
        SceneError: see `Tuning.step`.
    """
    rng = np.random.default_rng([seed, number])
    parts = [_window(filling, reader, rng, halo) for _ in range(WINDOWS)]
    values, usable, learned = (torch.stack([part[k] for part in parts]) for k in range(3))
    gap = gap_length(store[KNOWN])
    everywhere = bool(filling.filled) and (gap == 0 or number % 2 == 0)
    lengths = [len(run) for run in runs_of(filling.filled)] if everywhere else [max(1, round(gap))]
    bands = hidden_bands(filling.known, lengths, rng, reserved_bands(filling))
    hidden = torch.zeros(usable.shape, dtype=torch.bool, device=values.device)
    if everywhere:
        hidden[:] = True
    else:
        hidden |= torch.from_numpy(_squares(usable.shape, rng)).to(values.device)
    shown = values.clone()
    shown[:, bands] = torch.where(hidden[:, None], torch.nan, shown[:, bands])
    filled = torch.stack([linear_fill(window, filling.bands.wavelength) for window in shown])
    standard = Standard.of(store, filling.bands, tuple(sorted({*filling.whole, *bands})) if everywhere else filling.whole)
    counted = torch.zeros_like(values, dtype=torch.bool)
    core = slice(halo, values.shape[2] - halo), slice(halo, values.shape[3] - halo)
    counted[:, bands, core[0], core[1]] = (~values[:, bands].isnan() & (hidden & learned)[:, None])[(..., *core)]
    return Example(filled.nan_to_num(), usable, standard.residual(values - filled), counted, standard)


def _window(filling: Filling, reader: Reader, rng: np.random.Generator, halo: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values with all that the encoder's halo asks for, which pixels count, and which may be learned from."""
    area = reader.area
    rows, cols = min(SIDE, area.rows), min(SIDE, area.cols)
    for _ in range(TRIES):
        core = Window(area.row + int(rng.integers(area.rows - rows + 1)), area.col + int(rng.integers(area.cols - cols + 1)), rows, cols)
        around = core.expand((halo, halo))
        values, usable = reader.window("cube", around)
        inside = Window(*area).intersect(around).slices((around.row, around.col))
        limit = torch.zeros_like(usable)
        limit[inside] = True
        usable = usable & limit
        learned = usable & ~torch.from_numpy(filling.aside.within(around)).to(usable.device)
        if learned[halo : halo + rows, halo : halo + cols].any():
            return whole_hidden(values, usable, filling.whole).values, usable, learned
    raise SceneError(filling.scene.name, f"{TRIES} windows were drawn, and none has data to learn from", "Clip the scene to where it has data")


def reserved_bands(filling: Filling) -> frozenset[int]:
    """Known bands that are never learned, as bad bands are not; none where no band is filled whole."""
    count = len(filling.bands)
    return frozenset(band for drill in drills(families(filling.filled, count, 0.0), filling.whole, count, RESERVED) for band in drill.bands)


def hidden_bands(known: tuple[int, ...], lengths: list[int], rng: np.random.Generator, reserved: frozenset[int] = frozenset()) -> list[int]:
    """Bands that are hidden: runs of some lengths without a reserved band, about a `HIDDEN` share of the known ones; at least two stay."""
    most = max(1, min(round(HIDDEN * len(known)), len(known) - 2))
    found: set[int] = set()
    for _ in range(10 * TRIES):
        length = min(int(rng.choice(lengths)), len(known) - 2)
        start = int(rng.integers(len(known) - length + 1))
        run = set(known[start : start + length])
        if run & reserved:
            continue
        if len(found | run) > max(most, length):
            break
        found |= run
        if len(found) >= most:
            break
    # Where reserved bands leave room for no run, one band alone.
    return sorted(found) or [int(rng.choice([band for band in known if band not in reserved] or list(known)))]


def _squares(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Half of the pixels (B, rows, cols), in squares."""
    cells = rng.random((shape[0], -(-shape[1] // SQUARE), -(-shape[2] // SQUARE))) < 0.5
    return np.asarray(cells.repeat(SQUARE, 1).repeat(SQUARE, 2)[:, : shape[1], : shape[2]])
