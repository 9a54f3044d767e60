"""Weight-decomposed adapters of linear layers (DoRA): the low-rank update turns each row of a weight, one number says how long it is.

Liu et al., 2024 (arXiv:2402.09353). With v_i row i of W + (alpha / rank) B A, a layer's row becomes m_i v_i / |v_i|; m starts as the
rows' own lengths, so that a new adapter changes nothing. The length |v_i| passes no gradient (section 4.3 of the paper).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapted_layer import adapt_layers
from hsikit.nn.lora import LoRALinear

SHORTEST = 1e-12
"""A row of weights is taken to be no shorter: a row of zeros has no direction."""


class DoRALinear(LoRALinear):
    """A frozen linear layer with a low-rank update and a learned length of each row; arguments and errors of `LoRALinear`.

    Attributes:
        magnitude: lengths of the rows, shape (out,).
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__(base, rank, alpha, dropout)
        self.magnitude = nn.Parameter(torch.linalg.vector_norm(base.weight.detach(), dim=1))

    @property
    def learned(self) -> dict[str, Tensor]:
        """See `AdaptedLayer`; by PEFT's names."""
        return {**super().learned, "lora_magnitude_vector": self.magnitude}

    def stretch(self) -> Tensor:
        """What each row of the turned weight is multiplied by, shape (out,)."""
        turned = (self.base.weight + self.low_rank()).detach()
        length: Tensor = torch.linalg.vector_norm(turned, dim=1).clamp(min=SHORTEST)
        return self.magnitude / length

    def update(self) -> Tensor:
        """What the adapter adds to the base weight now, shape (out, in)."""
        return self.stretch()[:, None] * (self.base.weight + self.low_rank()) - self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., in) to (..., out)."""
        out: Tensor = self.base(x)
        if self.merged:
            return out
        stretch = self.stretch()
        low: Tensor = self.lora_B(self.lora_A(self.dropout(x)))
        return out + (stretch - 1) * functional.linear(x, self.base.weight) + stretch * self.scale * self.strength * low


def add_dora(module: nn.Module, targets: Sequence[str], rank: int, alpha: float, dropout: float = 0.0) -> list[str]:
    """Puts a weight-decomposed adapter on every linear layer that is named; arguments, result and errors of `add_lora`."""
    return adapt_layers(module, nn.Linear, targets, lambda layer: DoRALinear(layer, rank, alpha, dropout))  # type: ignore[arg-type]
