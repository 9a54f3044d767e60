"""Filling by a pretrained encoder of any sensor: its features of each pixel and its surroundings correct the interpolation.

The base, hsikit's own or one out of a folder that `hsikit pretrain` wrote, stays frozen; a LoRA (arXiv:2106.09685), the norms and a head of one number for
each band are tuned on the scene's own pixels, without labels, by hiding known bands (`encoder_training`). The head knows bands by
their wavelengths, so that it answers for those that no pixel has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from hsikit.errors import OptionError, WavelengthError
from hsikit.method import Cost, Fit, Partial, Reader, Stage, Store
from hsikit.nn.base_files import SHIPPED, load_body
from hsikit.nn.body import RANK, TaskNetwork, block_bytes, by_blocks, prepare
from hsikit.nn.heads import BandHead
from hsikit.nn.lora import merge_adapters
from hsikit.nn.snapshots import digest
from hsikit.nn.tuning import parameter_counts
from hsikit.tasks.filling.base import BandFilling, Estimate, Filling, View
from hsikit.tasks.filling.encoder_training import RESERVED, Standard, Tuning, load_learned
from hsikit.tasks.filling.linear import linear_bytes, linear_fill

if TYPE_CHECKING:
    from hsikit.nn.encoder import Encoder

TUNED = "tuning"


@dataclass(frozen=True)
class EncoderFilling(BandFilling):
    """A frozen encoder with a part of its own for the scene.

    Attributes:
        base: a folder that `hsikit pretrain` wrote; hsikit's own where empty.
        steps: of the tuning.
        rank: of the LoRA.
        lr: highest learning rate.
        seed: of everything random.

    Raises:
        OptionError: a number out of range.
        ModelError: the base is missing or damaged, has learned nothing, or is not exact over tiles.
    """

    name: ClassVar[str] = "encoder-filling"
    most_drills: ClassVar[int] = 12
    most_everywhere: ClassVar[int | None] = RESERVED

    base: str = ""
    steps: int = 300
    rank: int = RANK
    lr: float = 4e-3
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("steps", 1), ("rank", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise OptionError(name, f"{getattr(self, name)} is below {least}", f"Give a whole number from {least}")
        if not 0 < self.lr < 1:
            raise OptionError("lr", f"{self.lr} is no learning rate", "Give a number above 0 and below 1, such as 2e-3")
        _ = self._body

    @cached_property
    def _body(self) -> Encoder:
        return load_body(self.base or SHIPPED)

    @property
    def halo(self) -> int:
        """See `BandFilling`: the encoder's."""
        return int(self._body.halo or 0)

    def options(self) -> dict[str, Any]:
        """See `BandFilling`."""
        return {"base": digest(self._body.state_dict()), **{name: getattr(self, name) for name in ("steps", "rank", "lr", "seed")}}

    def learn(self, filling: Filling) -> tuple[Stage, ...]:
        """The tuning.

        Raises:
            WavelengthError: the encoder sees none of the known bands.
        """
        self._require_seen(filling)

        def start(store: Store) -> Partial:
            return self._tuning(filling).state()

        def step(state: Partial, reader: Reader, number: int, store: Store) -> Partial:
            held: tuple[int, Tuning] | None = filling.memo.pop(TUNED, None)
            tuning = held[1] if held is not None and held[0] == number else self._tuning(filling)
            if held is None or held[0] != number:
                tuning.network.to(next(iter(state.values())).device)
                tuning.restore(state)
            tuning.step(number, reader, store)
            filling.memo[TUNED] = number + 1, tuning
            return tuning.state()

        return (Fit(TUNED, ("cube",), start, step, self.steps),)

    def _require_seen(self, filling: Filling) -> None:
        bands = filling.bands.take(filling.known_index)
        probe = torch.zeros(1, len(bands), 1, 1)
        facts = torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy()), torch.ones(len(bands), dtype=torch.bool)
        try:
            with torch.inference_mode():
                self._body.dense(probe, *facts)
        except WavelengthError as error:
            raise WavelengthError(filling.scene.name, f"the encoder cannot read its bands: {error.wrong}", "Take --method interpolate") from error

    def _tuning(self, filling: Filling) -> Tuning:
        return Tuning(self._network(), filling, self.steps, self.lr, self.seed)

    def _network(self) -> TaskNetwork:
        """The base with its LoRA, and a head whose numbers are 0: neither changes anything yet."""
        body = load_body(self.base or SHIPPED)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            network = TaskNetwork(body, BandHead(body.width))
            prepare(network, "lora", self.rank, 2.0 * self.rank)
        return network

    def _tuned(self, filling: Filling, store: Store, device: torch.device) -> TaskNetwork:
        """The network as it fills, on a device, its LoRA merged."""
        key = ("network", device)
        if key not in filling.memo:
            network = self._network().to(device)
            load_learned(network, store[TUNED])
            merge_adapters(network)
            filling.memo[key] = network.eval()
        found: TaskNetwork = filling.memo[key]
        return found

    def estimate(self, view: View, filling: Filling, store: Store) -> Estimate:
        """See `BandFilling`."""
        bands, (values, _) = filling.bands, view.inner(self.halo)
        network = self._tuned(filling, store, values.device)
        standard = Standard.of(store, bands, view.whole)
        surroundings = linear_fill(view.values, bands.wavelength)
        out = View(surroundings, view.valid, ()).inner(self.halo)[0].clone()
        facts = torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy())
        for (rows, cols), features in by_blocks(network, surroundings, view.valid, standard.facts, standard.scale.standardised):
            with torch.inference_mode():
                out[:, rows, cols] += standard.restored(network.at_bands(features[None], *facts)[0])
        return Estimate(out)

    def estimate_cost(self, filling: Filling, tile: tuple[int, int]) -> Cost:
        """See `BandFilling`."""
        bands, pixels = len(filling.bands), tile[0] * tile[1]
        network = TaskNetwork(self._body, nn.Identity())
        flops = 2.0 * (parameter_counts(network).total + bands * self._body.width)
        return Cost(4 * bands * 2 * pixels + linear_bytes(bands) + 2 * block_bytes(network, bands), pixels * flops)
