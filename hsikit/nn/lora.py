"""Low-rank adapters of linear layers (LoRA), with a strength that may really vary during training.

Hu et al., 2022 (arXiv:2106.09685). A layer y = W x + c becomes y = W x + c + scale (alpha / rank) B A x; W and c stay frozen, A and B
learn. Nothing else is added: no gate and no full-rank residual, which would undo the saving. `scale` is 1 unless set; LoLA-SpecViT
(arXiv:2506.17759) lets it move in cycles. How adapters are kept in files stands in `adapter_files.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hsikit.nn.adapted_layer import AdaptedLayer, adapt_layers, adapted_layers

PRETRAINED = "pretrained"
"""Name of the buffer by which an encoder says whether its weights have learned something."""

TRAINED_BESIDE = ("norm", "stem", "head")
"""Parts that learn in full beside the adapters."""


class LoRALinear(AdaptedLayer):
    """A frozen linear layer with a low-rank update.

    Args:
        base: the layer to adapt; its parameters are frozen.
        rank: of the update, 1 or more.
        alpha: strength of the update, divided by the rank.
        dropout: share of the update's inputs that are dropped in training.

    Attributes:
        base: the frozen layer.
        lora_A: shape (rank, in), Kaiming-uniform at first.
        lora_B: shape (out, rank), zero at first, so that a new adapter changes nothing.
        scale: factor of the update, 1 at first.
        alpha: as given.

    Raises:
        ValueError: a rank below 1, an alpha that is not above 0, or a dropout outside [0, 1).
    """

    mergeable: ClassVar[bool] = True
    base: nn.Linear

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        if rank < 1 or not alpha > 0 or not 0 <= dropout < 1:
            raise ValueError(f"rank {rank} must be 1 or more, alpha {alpha} above 0, dropout {dropout} from 0 to below 1")
        super().__init__(base, alpha / rank)
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.lora_A = nn.Linear(base.in_features, rank, bias=False, **like)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False, **like)
        self.dropout = nn.Dropout(dropout)
        self.alpha = float(alpha)
        self._unmerged: Tensor | None = None
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    @property
    def rank(self) -> int:
        """Rank of the update."""
        return self.lora_A.out_features

    @property
    def merged(self) -> bool:
        """Whether the update is part of the base weight now."""
        return self._unmerged is not None

    @property
    def learned(self) -> dict[str, Tensor]:
        """See `AdaptedLayer`; by PEFT's names."""
        return {"lora_A.weight": self.lora_A.weight, "lora_B.weight": self.lora_B.weight}

    def low_rank(self) -> Tensor:
        """The product of the two small matrices as strong as it is now, shape (out, in)."""
        return self.scale * self.strength * (self.lora_B.weight @ self.lora_A.weight)

    def update(self) -> Tensor:
        """What the adapter adds to the base weight now, shape (out, in)."""
        return self.low_rank()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., in) to (..., out)."""
        out: Tensor = self.base(x)
        if self.merged:
            return out
        low: Tensor = self.lora_B(self.lora_A(self.dropout(x)))
        return out + self.scale * self.strength * low

    @torch.no_grad()
    def merge(self) -> None:
        """Adds the update to the base weight, for inference at no extra cost; a second call does nothing.

        State dicts of a merged layer hold the merged weight: unmerge before saving what is to be tuned further.
        """
        if not self.merged:
            self._unmerged = self.base.weight.detach().clone()
            self.base.weight += self.update()

    @torch.no_grad()
    def unmerge(self) -> None:
        """Gives the base its own weight back, to the bit; does nothing where it is not merged."""
        if self._unmerged is not None:
            self.base.weight.copy_(self._unmerged)
            self._unmerged = None


def lora_layers(module: nn.Module) -> dict[str, LoRALinear]:
    """All adapted layers within a module, by path."""
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, LoRALinear)}


def add_lora(module: nn.Module, targets: Sequence[str], rank: int, alpha: float, dropout: float = 0.0) -> list[str]:
    """Puts an adapter on every linear layer that is named.

    Args:
        module: changed in place.
        targets: last parts of paths, as PEFT's `target_modules`: "qkv" is every layer of that name, "mlp.0" the first of every "mlp".
        rank: see `LoRALinear`.
        alpha: see `LoRALinear`.
        dropout: see `LoRALinear`.

    Returns:
        The paths of the layers, in the module's order.

    Raises:
        ValueError: a target names no linear layer, or a layer that is adapted already.
    """
    return adapt_layers(module, nn.Linear, targets, lambda layer: LoRALinear(layer, rank, alpha, dropout))  # type: ignore[arg-type]


@torch.no_grad()
def merged_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict that the module would have without adapters, their updates added to the weights: copies on the CPU.

    Raises:
        ValueError: an adapter that cannot become part of the weights.
    """
    refuse_unmergeable(module)
    layers = lora_layers(module)
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        path = next((path for path in layers if name.startswith(f"{path}.")), None)
        rest = name if path is None else name[len(path) + 1 :]
        if path is not None and not rest.startswith("base."):
            continue
        value = tensor.detach().to("cpu", copy=True)
        if path is not None and rest == "base.weight" and not layers[path].merged:
            value += layers[path].update().detach().cpu()
        state[name if path is None else f"{path}.{rest.removeprefix('base.')}"] = value
    return state


def refuse_unmergeable(module: nn.Module) -> None:
    """Raises ValueError where a module holds adapters that no weight of the base can stand for."""
    if kept := [path for path, layer in adapted_layers(module).items() if not layer.mergeable]:
        raise ValueError(f"{', '.join(kept)}: bends what it is given (AdaptFormer), which no weight of the base can; such an adapter stays beside it")


def merge_adapters(module: nn.Module) -> None:
    """Makes all adapters within a module part of their bases' weights: the same outputs at the plain model's cost.

    Raises:
        ValueError: an adapter that cannot be merged; then none is.
    """
    refuse_unmergeable(module)
    for layer in lora_layers(module).values():
        layer.merge()


def unmerge_adapters(module: nn.Module) -> None:
    """Gives all bases within a module their own weights back, to the bit."""
    for layer in lora_layers(module).values():
        layer.unmerge()


def set_scale(module: nn.Module, value: float) -> None:
    """Sets the strength of all adapters within a module.

    Raises:
        ValueError: there is none, or one is merged: its strength is part of the base weight.
    """
    layers = adapted_layers(module)
    if not layers:
        raise ValueError("no layer here has an adapter; call add_lora first")
    if merged := [path for path, layer in layers.items() if layer.merged]:
        raise ValueError(f"{', '.join(merged)}: merged; unmerge before the scale is changed")
    for layer in layers.values():
        layer.scale = float(value)


def cyclic_scale(step: int, period: int, least: float = 0.5, most: float = 1.0) -> float:
    """A cosine wave: `least` at step 0, `most` half a period later, `least` again after a period.

    Args:
        step: 0 or more.
        period: steps of one cycle, 1 or more.
        least: lowest strength.
        most: highest strength.

    Raises:
        ValueError: a period below 1.
    """
    if period < 1:
        raise ValueError(f"a cycle of {period} steps is none; give 1 or more")
    return least + (most - least) * (1 - math.cos(2 * math.pi * (step % period) / period)) / 2


@dataclass(frozen=True)
class CyclicScale:
    """How the strength of adapters moves in training: `cyclic_scale` at each step, and `most` whenever the model is used.

    Attributes:
        period: steps of one cycle.
        least: lowest strength.
        most: highest strength.
    """

    period: int
    least: float = 0.5
    most: float = 1.0

    def __post_init__(self) -> None:
        if self.period < 1 or not 0 <= self.least <= self.most or not self.most > 0:
            raise ValueError(f"{self}: the period must be 1 or more, and 0 <= least <= most with most above 0")

    def at(self, step: int) -> float:
        """Strength at a step."""
        return cyclic_scale(step, self.period, self.least, self.most)


def mark_pretrained(module: nn.Module) -> None:
    """Says that the weights of the encoders within a module have learned something; the mark is kept with the weights.

    Raises:
        ValueError: there is no encoder: nothing here has a buffer `pretrained`.
    """
    marks = _marks(module)
    if not marks:
        raise ValueError(f"{type(module).__name__} has no encoder that could be marked as pretrained")
    for mark in marks.values():
        mark.fill_(True)


def is_pretrained(module: nn.Module) -> bool:
    """Whether all encoders within a module, and at least one, are marked as pretrained."""
    marks = _marks(module)
    return bool(marks) and all(bool(mark) for mark in marks.values())


def _marks(module: nn.Module) -> dict[str, Tensor]:
    return {path: mark for path, mark in module.named_buffers() if path.rpartition(".")[2] == PRETRAINED}


def freeze_base(module: nn.Module, trainable: Sequence[str] = TRAINED_BESIDE) -> list[str]:
    """Freezes all weights but the adapters and the parts named; those learn.

    Args:
        module: changed in place.
        trainable: names of parts that learn in full: a part is meant by its name ("head") or by its beginning ("norm" is "norm_mlp").

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: an encoder is not marked as pretrained: frozen, its random weights would never learn anything.
    """
    if not is_pretrained(module):
        raise ValueError(
            f"the base of {type(module).__name__} is not pretrained: frozen, its random weights would never learn. "
            "Pretrain it and call mark_pretrained, or train all of it"
        )
    module.requires_grad_(False)
    for _, part in trained_parts(module, trainable):
        part.requires_grad_(True)
    for layer in adapted_layers(module).values():
        for tensor in layer.learned.values():
            tensor.requires_grad_(True)
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def trained_parts(module: nn.Module, names: Sequence[str] = TRAINED_BESIDE) -> Iterator[tuple[str, nn.Module]]:
    """The outermost parts of a module that `names` mean and that hold parameters, with their paths; no adapted layer is one."""
    outer: list[str] = []
    for path, part in module.named_modules():
        name = path.rpartition(".")[2]
        meant = any(name == wanted or name.startswith(f"{wanted}_") for wanted in names)
        if not meant or isinstance(part, AdaptedLayer) or any(path.startswith(f"{other}.") for other in outer):
            continue
        if any(True for _ in part.parameters()):
            outer.append(path)
            yield path, part
