"""One encoder as the body of every task: what a task is given of it, and the small part that is the task's own.

| a task whose answer is | takes | brings a head that maps |
|---|---|---|
| numbers of each pixel | `TaskNetwork.dense`: features at full resolution | (..., width) to (..., K) |
| objects, or a pyramid | `TaskNetwork.scales`: the maps of all stages | these maps, by itself |
| a spectrum | `TaskNetwork.dense`, then `TaskNetwork.at_bands`; or tokens (`Body.query`) | features and bands to numbers of bands (`BandHead`) |

Beside the head something learns next to the frozen encoder, such as a LoRA (`prepare`): kilobytes in a file, so that one base file
serves every task and every customer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from hsikit.nn.adapter_files import adapter_config, adapter_state
from hsikit.nn.feed_forward import FeedForward
from hsikit.nn.lora import is_pretrained
from hsikit.nn.tuning import adapt, adapt_beside, probe

ADAPTATIONS = ("linear", "lora", "dora", "adaptformer", "full")
"""Ways to tune a body for a task, from the fewest parameters to all."""
BLOCK = 64
"""Rows and columns of a tile that go through a body at once: bounds its arrays whatever the tile."""
STAGES = "encoder.stages."
"""Where a task network has the stages of its body."""
RANK, ALPHA, HIDDEN = 4, 8.0, 8
"""Of low-rank adapters, and channels of AdaptFormer's perceptrons: at most a twentieth of the parameters of a body of usual width."""


class Body(Protocol):
    """What tasks know of an encoder; `hsikit.nn.encoder.Encoder` is one, and says more of each function.

    Attributes:
        width: channels of `dense`.
        band_width: channels of a token of `query`.
        channels, strides: of each map of `scales`.
    """

    width: int
    band_width: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def halo(self) -> int | None:
        """Pixels around a tile with which `dense` is exact; None where there is no such number."""
        ...

    @property
    def unbounded(self) -> str:
        """What makes that there is no such number, in words."""
        ...

    def dense(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> Tensor:
        """Features (B, width, H, W) of standardised values (B, C, H, W)."""
        ...

    def scales(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> list[Tensor]:
        """Maps (B, channels, H / stride, W / stride) of all stages."""
        ...

    def query(self, features: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Tokens (B, H, W, Q, band_width) of bands, measured or not, out of features of `dense`."""
        ...

    def config(self) -> dict[str, Any]:
        """What builds it again."""
        ...


@dataclass(frozen=True, eq=False)
class BandFacts:
    """What a body is told of a window's bands.

    Attributes:
        wavelength: centres (nm), shape (C,).
        fwhm: widths (nm), NaN where unknown, shape (C,).
        valid: the bands that count, bool, shape (C,).
    """

    wavelength: Tensor
    fwhm: Tensor
    valid: Tensor

    def on(self, device: torch.device) -> BandFacts:
        """The same on a device."""
        return BandFacts(self.wavelength.to(device), self.fwhm.to(device), self.valid.to(device))

    def only(self, keep: Tensor) -> BandFacts:
        """With fewer valid bands: those where `keep`, bool (C,), is true."""
        return BandFacts(self.wavelength, self.fwhm, self.valid & keep.to(self.valid.device))


class TaskNetwork(nn.Module):
    """A body and a task's head on what it gives.

    Args:
        encoder: the body.
        head: maps features (..., width) to the task's numbers of a pixel (..., K), for `forward`; or features and
            bands to numbers of bands, for `at_bands`, as `hsikit.nn.heads.BandHead` does.

    Attributes:
        encoder, head: as given.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    @property
    def body(self) -> Body:
        """The encoder by its interface."""
        return cast(Body, self.encoder)

    def dense(self, window: Tensor, bands: BandFacts, usable: Tensor | None = None) -> Tensor:
        """Features (B, width, H, W) of standardised values (B, C, H, W); what is not usable, bool (B, H, W), counts nowhere."""
        return self.body.dense(window, bands.wavelength, bands.fwhm, bands.valid, usable)

    def scales(self, window: Tensor, bands: BandFacts, usable: Tensor | None = None) -> list[Tensor]:
        """The maps of all stages; arguments of `dense`."""
        return self.body.scales(window, bands.wavelength, bands.fwhm, bands.valid, usable)

    def at_bands(self, features: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """The head's number of any bands (Q,), measured or not, out of features of `dense`: shape (B, Q, H, W)."""
        out: Tensor = self.head(features, wavelength, fwhm)
        return out

    def forward(self, window: Tensor, bands: BandFacts, usable: Tensor | None = None) -> Tensor:
        """The task's numbers (B, K, H, W); arguments of `dense`."""
        out: Tensor = self.head(self.dense(window, bands, usable).movedim(1, -1))
        return out.movedim(-1, 1)

    def own_part(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What the task adds to the base, as an adapter's file holds it: configuration and tensors.

        Raises:
            ValueError: nothing stands beside the body but the head; keep that by itself.
        """
        return adapter_config(self), adapter_state(self)


def prepare(network: TaskNetwork, how: str, rank: int = RANK, alpha: float = ALPHA, hidden: int = HIDDEN, targets: Sequence[str] = ()) -> list[str]:
    """Decides what of a network learns, and puts adapters where they belong.

    Args:
        network: on a pretrained body.
        how: one of `ADAPTATIONS`.
        rank: of LoRA and DoRA.
        alpha: their strength, divided by the rank.
        hidden: channels of AdaptFormer's perceptrons.
        targets: names of the layers that LoRA and DoRA go on, see `linear_layers`.

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: the body is not pretrained; an unknown way; or a target that is none.
    """
    if how == "linear":
        return probe(network)
    if how in ("lora", "dora"):
        return adapt(network, rank, alpha, targets=linear_layers(network, targets), kind=how)
    if how == "adaptformer":
        return adapt_beside(network, perceptrons(network), hidden)
    if how != "full":
        raise ValueError(f"{how!r} is no way to tune a network; there are {', '.join(ADAPTATIONS)}")
    if not is_pretrained(network):
        raise ValueError("the body is not pretrained: all of it would learn from the labels alone")
    network.requires_grad_(True)
    return [name for name, _ in network.named_parameters()]


def linear_layers(network: TaskNetwork, names: Sequence[str] = ()) -> list[str]:
    """Paths of the linear layers that low-rank adapters belong on: those of the encoder's stages.

    Not those of the spectral adapter: what it makes of an instrument is learned from many instruments, not from one scene.

    Args:
        network: without adapters.
        names: last parts of paths, as in `hsikit.nn.lora.add_lora`: of these layers alone; all where there are none.

    Raises:
        ValueError: a name that no layer of the stages has.
    """
    paths = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear) and path.startswith(STAGES)]
    meant = {name: {path for path in paths if path.endswith(f".{name}")} for name in names}
    if lost := [name for name, found in meant.items() if not found]:
        there = sorted({path.rpartition(".")[2] for path in paths})
        raise ValueError(f"no linear layer of the encoder's stages is named {', '.join(lost)}; there are {', '.join(there)}")
    return [path for path in paths if not names or any(path in found for found in meant.values())]


def perceptrons(network: TaskNetwork) -> list[str]:
    """Paths of the encoder's perceptrons, which AdaptFormer stands beside."""
    return [path for path, part in network.named_modules() if isinstance(part, FeedForward) and path.startswith(STAGES)]


def require_halo(body: Body) -> int:
    """Pixels around a tile with which the features of its core are exact.

    Raises:
        ValueError: there is no such number: a mixer sees the whole map, or what it sees depends on where the map begins.
    """
    if body.halo is None:
        raise ValueError(f"a map in tiles would not be that of one pass: this encoder has {body.unbounded}")
    return body.halo


Place = tuple[slice, slice]


def by_blocks(
    network: TaskNetwork, values: Tensor, usable: Tensor, bands: BandFacts, standardised: Callable[[Tensor], Tensor], block: int = BLOCK
) -> Iterator[tuple[Place, Tensor]]:
    """Dense features of a tile, a block after the other, each exact by its surroundings.

    Args:
        network: in evaluation mode.
        values: shape (C, rows + 2 halo, cols + 2 halo); anything where not usable.
        usable: the pixels that count, bool, shape (rows + 2 halo, cols + 2 halo).
        bands: of the values.
        standardised: standardises the values of a block.
        block: rows and columns of a block.

    Yields:
        Rows and columns within (rows, cols), and their features, shape (width, block rows, block cols). Blocks without a usable pixel
        do not come.
    """
    halo = require_halo(network.body)
    rows, cols = (size - 2 * halo for size in usable.shape)
    for row in range(0, rows, block):
        for col in range(0, cols, block):
            high, wide = min(block, rows - row), min(block, cols - col)
            around = (slice(row, row + high + 2 * halo), slice(col, col + wide + 2 * halo))
            inner = (slice(halo, halo + high), slice(halo, halo + wide))
            if not usable[around][inner].any():
                continue
            with torch.inference_mode():
                window = standardised(values[(slice(None), *around)])
                features = network.dense(window[None], bands, usable[around][None])[0]
            yield (slice(row, row + high), slice(col, col + wide)), features[(slice(None), *inner)]


def block_bytes(network: TaskNetwork, bands: int, block: int = BLOCK) -> int:
    """Temporary memory of `by_blocks`, the block's own values included."""
    pixels = (block + 2 * require_halo(network.body)) ** 2
    widest = max((layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)), default=0)
    # Values masked, and put in order for the adapter; then the map, its widest hidden layer before and after the nonlinearity.
    return 4 * pixels * (3 * bands + 4 * max(widest, network.body.width) + 4 * network.body.width)
