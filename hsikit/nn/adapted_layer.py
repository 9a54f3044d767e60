"""A layer of a frozen base with something small beside it that learns: what LoRA, DoRA and AdaptFormer share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn


class AdaptedLayer(nn.Module, ABC):
    """A frozen layer and what learns beside it.

    Args:
        base: the layer; its parameters are frozen.
        strength: factor of what is learned, before `scale`.

    Attributes:
        base: the layer.
        strength: as given.
        scale: a further factor, 1 at first, that may vary in training.
    """

    mergeable: ClassVar[bool]
    """Whether what is learned can become part of the base's weights."""

    base: nn.Module

    def __init__(self, base: nn.Module, strength: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.strength, self.scale = strength, 1.0

    @property
    def merged(self) -> bool:
        """Whether what was learned is part of the base's weights now."""
        return False

    @property
    @abstractmethod
    def learned(self) -> dict[str, Tensor]:
        """What learns, by its name in an adapter file."""


def adapted_layers(module: nn.Module) -> dict[str, AdaptedLayer]:
    """All adapted layers within a module, by path."""
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, AdaptedLayer)}


def adapt_layers(module: nn.Module, kind: type[nn.Module], targets: Sequence[str], make: Callable[[nn.Module], AdaptedLayer]) -> list[str]:
    """Puts an adapted layer in the place of every layer that is named.

    Args:
        module: changed in place.
        kind: what layers must be; `nn.Linear`, or `nn.Module` for any.
        targets: last parts of paths, as PEFT's `target_modules`: "qkv" is every layer of that name, "mlp.0" the first of every "mlp".
        make: gives the adapted layer of a layer.

    Returns:
        The paths of the layers, in the module's order.

    Raises:
        ValueError: a target names no such layer, or a layer that is adapted already; or from `make`. Then no layer is replaced.
    """
    if isinstance(targets, str):
        raise ValueError(f"targets are a sequence of names, not the string {targets!r}")
    there = [path for path, layer in module.named_modules() if path and isinstance(layer, kind)]
    found = {target: [path for path in there if path == target or path.endswith(f".{target}")] for target in targets}
    if lost := [target for target, paths in found.items() if not paths]:
        what = "linear layer" if kind is nn.Linear else "layer"
        raise ValueError(f"no {what} is named {', '.join(lost)}; there are {', '.join(there)}")
    chosen = [path for path in there if any(path in paths for paths in found.values())]
    adapted = adapted_layers(module)
    if twice := [path for path in chosen if path in adapted or any(path.startswith(f"{other}.") for other in adapted)]:
        raise ValueError(f"{', '.join(twice)}: belongs to an adapter already")
    made = {path: make(module.get_submodule(path)) for path in chosen}
    for path, layer in made.items():
        _put(module, path, layer)
    return chosen


def remove_adapters(module: nn.Module) -> None:
    """Takes all adapters away: each base stands in its own place again, with its own weights."""
    for path, layer in adapted_layers(module).items():
        if layer.merged:
            layer.unmerge()  # type: ignore[operator]
        _put(module, path, layer.base)


def _put(module: nn.Module, path: str, layer: nn.Module) -> None:
    above, _, name = path.rpartition(".")
    setattr(module.get_submodule(above), name, layer)
