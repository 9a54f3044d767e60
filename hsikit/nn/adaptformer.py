"""A small perceptron parallel to each perceptron of a frozen base (AdaptFormer).

Chen et al., 2022 (arXiv:2205.13535): y = F(x) becomes y = F(x) + strength up(relu(down(x))), with `up` zero at first, so that a new
adapter changes nothing. Here it is given what F is given, which the block has normalised already (the paper leaves that open).
It bends its input, so it cannot be merged into a weight: the tuned model stays a little slower than its base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapted_layer import AdaptedLayer, adapt_layers


class ParallelBottleneck(AdaptedLayer):
    """A frozen perceptron and a narrow one beside it.

    Args:
        base: maps (..., channels) to the same shape; its first and last linear layers say how many channels.
        hidden: channels of the narrow one, 1 or more.
        strength: factor of what the narrow one adds, above 0.
        dropout: share of its hidden numbers that are dropped in training.

    Attributes:
        down, up: the two layers of the narrow one.

    Raises:
        ValueError: a number out of range, or a base that does not give back the channels that it takes.
    """

    mergeable: ClassVar[bool] = False

    def __init__(self, base: nn.Module, hidden: int, strength: float, dropout: float = 0.0) -> None:
        if hidden < 1 or not strength > 0 or not 0 <= dropout < 1:
            raise ValueError(f"hidden {hidden} must be 1 or more, strength {strength} above 0, dropout {dropout} from 0 to below 1")
        inner = [layer for layer in base.modules() if isinstance(layer, nn.Linear)]
        if not inner or inner[0].in_features != inner[-1].out_features:
            raise ValueError(f"{type(base).__name__} is no perceptron that gives back the channels that it takes")
        super().__init__(base, strength)
        like: dict[str, Any] = {"device": inner[0].weight.device, "dtype": inner[0].weight.dtype}
        self.down = nn.Linear(inner[0].in_features, hidden, **like)
        self.up = nn.Linear(hidden, inner[0].in_features, **like)
        self.dropout = nn.Dropout(dropout)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    @property
    def hidden(self) -> int:
        """Channels of the narrow perceptron."""
        return self.up.in_features

    def __getattr__(self, name: str) -> Any:
        """What the base says of itself (how far it reaches, say) holds here, too."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base":  # not there yet
                raise
            return getattr(self.base, name)

    @property
    def learned(self) -> dict[str, Tensor]:
        """See `AdaptedLayer`."""
        return {f"{part}.{name}": tensor for part in ("down", "up") for name, tensor in getattr(self, part).named_parameters()}

    def forward(self, x: Tensor, *more: Any) -> Tensor:
        """Maps (..., channels) to the same shape; further arguments are for the base."""
        out: Tensor = self.base(x, *more)
        narrow: Tensor = self.up(self.dropout(functional.relu(self.down(x))))
        return out + self.scale * self.strength * narrow


def add_adaptformer(module: nn.Module, targets: Sequence[str], hidden: int, strength: float = 0.1, dropout: float = 0.0) -> list[str]:
    """Puts a narrow perceptron beside every perceptron that is named.

    Args:
        module: changed in place.
        targets: names of perceptrons, as in `add_lora`: "mlp" is every module of that name.
        hidden: see `ParallelBottleneck`.
        strength: see `ParallelBottleneck`; 0.1 is the paper's.
        dropout: see `ParallelBottleneck`.

    Returns:
        The paths of the perceptrons, in the module's order.

    Raises:
        ValueError: see `add_lora` and `ParallelBottleneck`.
    """
    return adapt_layers(module, nn.Module, targets, lambda layer: ParallelBottleneck(layer, hidden, strength, dropout))
