"""A convolutional network as a Method: what the engine's benchmark maps a scene with.

It is as large as networks for per-pixel classification are (0.4 million parameters, receptive field 15) and its weights are random
from a seed: what it costs is measured, not what it knows. Written as a Method for this engine should be:

* convolutions are valid ones inside the halo, so that tiles give what the whole scene gives;
* standardisation is folded into the first 1 x 1 layer, which is one matrix product whose output already lies channels-last;
* pixels that are not valid enter as the mean spectrum, whatever stands in the tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.layers import Legend, class_layer
from hsikit.method import Cost, Input, Job, Map, Store, Tile
from hsikit.scene import SceneInfo

CLASSES, WIDTH, DEPTH = 12, 80, 7
HALO = DEPTH
"""Pixels that each answer sees on every side: one for each 3 x 3 layer."""


class PatchNetwork(nn.Module):
    """A 1 x 1 layer, `DEPTH` valid 3 x 3 layers, and a 1 x 1 layer to the classes.

    Args:
        mean: of the standardisation, shape (bands,).
        deviation: of the standardisation, shape (bands,).
        seed: of the weights.
    """

    weight: Tensor
    fill: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first = nn.Linear(len(mean), WIDTH)
            self.middle = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3) for _ in range(DEPTH))
            self.last = nn.Conv2d(WIDTH, CLASSES, 1)
            for layer in (first, *self.middle, self.last):
                _start(layer)
        self.weight = nn.Parameter((first.weight / deviation).T.contiguous())
        self.bias = nn.Parameter(first.bias - first.weight @ (mean / deviation))
        self.register_buffer("fill", first.bias.detach().clone())
        self.to(memory_format=torch.channels_last)
        self.requires_grad_(False)

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        """Scores of the classes.

        Args:
            values: shape (bands, rows, cols); anything where not valid.
            valid: bool, shape (rows, cols).

        Returns:
            Shape (classes, rows - 2 HALO, cols - 2 HALO).
        """
        rows, cols = valid.shape
        hidden = torch.addmm(self.bias, values.reshape(len(values), -1).T, self.weight)
        if not valid.all():
            hidden[~valid.reshape(-1)] = self.fill.to(hidden.dtype)
        image = hidden.view(1, rows, cols, WIDTH).permute(0, 3, 1, 2)
        image = functional.relu_(image)
        for layer in self.middle:
            image = functional.relu_(layer(image))
        return self.last(image)[0]  # type: ignore[no-any-return]


def _start(layer: nn.Linear | nn.Conv2d) -> None:
    """Random weights that keep signals apart over many layers: without a common part, which would give all pixels one class."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight -= layer.weight.flatten(1).mean(1).view(-1, *[1] * (layer.weight.dim() - 1))


def parameters(bands: int) -> int:
    """Number of weights for that many bands."""
    return (bands + 1) * WIDTH + DEPTH * (9 * WIDTH + 1) * WIDTH + (WIDTH + 1) * CLASSES


@dataclass(frozen=True)
class Network:
    """The network with random weights.

    Attributes:
        mean: mean value of all bands, which the standardisation takes off.
        deviation: their standard deviation, by which it divides.
        seed: of the weights.
    """

    name: ClassVar[str] = "benchmark-network"
    task: ClassVar[str] = "classification"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    mean: float = 0.3
    deviation: float = 0.1
    seed: int = 0
    _made: dict[int, PatchNetwork] = field(default_factory=dict, repr=False, compare=False)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "map"."""
        bands = len(inputs["cube"].bands)
        network = self.module(bands)
        legend = Legend.of({code: f"class {code}" for code in range(1, CLASSES + 1)})

        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            return {"map": classify(network, tile)}

        def cost(shape: tuple[int, int]) -> Cost:
            # Images of WIDTH channels at the peak (measured): input and output, and what oneDNN reorders for itself.
            pixels = shape[0] * shape[1]
            return Cost(pixels * (7 * 2 * WIDTH + 16) + 4 * parameters(bands), 2.0 * pixels * parameters(bands))

        return Job(
            method=self.name,
            identity={"seed": self.seed, "mean": self.mean, "deviation": self.deviation},
            reference="cube",
            inputs={"cube": Input(tuple(range(bands)))},
            layers=(class_layer(legend),),
            stages=(Map("classify", ("cube",), ("map",), apply, halo=(HALO, HALO)),),
            cost=cost,
        )

    def module(self, bands: int) -> PatchNetwork:
        """The module for that many bands, made once."""
        if bands not in self._made:
            self._made[bands] = PatchNetwork(torch.full((bands,), self.mean), torch.full((bands,), self.deviation), self.seed)
        return self._made[bands]


def classify(network: PatchNetwork, tile: Tile) -> Tensor:
    """Class codes (1, rows, cols) of a tile's core."""
    return (network(tile.arrays["cube"], tile.valid["cube"]).argmax(0, keepdim=True) + 1).to(torch.uint8)
