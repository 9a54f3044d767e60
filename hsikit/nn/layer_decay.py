"""Learning rates that fall from the last layer to the first, so that tuning changes most what is nearest to the task.

Layer-wise decay of Howard and Ruder, 2018 (arXiv:1801.06146), as vision transformers are tuned (Bao et al., 2022, arXiv:2106.08254).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def layers_in_order(module: nn.Module) -> list[str]:
    """Paths of a module's layers from the input to the output: the entries of its lists, and what stands before, between and after them."""
    return list(_layers(module, ""))


def _layers(module: nn.Module, path: str) -> Iterator[str]:
    for name, child in module.named_children():
        here = f"{path}.{name}" if path else name
        if any(isinstance(part, nn.ModuleList) for part in child.modules()):
            yield from _layers(child, here)
        elif any(True for _ in child.parameters()):
            yield here


def rate_shares(module: nn.Module, decay: float) -> dict[str, float]:
    """Each learning parameter's share of the learning rate, by name: 1 in the last layer, and `decay` times less in each before it.

    Parameters that belong to no layer (a free vector of a block) have the share of the layer before.

    Args:
        module: layers are its children in the order of their registration, lists taken apart.
        decay: above 0, at most 1.

    Raises:
        ValueError: a decay out of range.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"a decay of {decay} is not above 0 and at most 1")
    order = layers_in_order(module)
    last, place, shares = len(order) - 1, 0, {}
    for name, parameter in module.named_parameters():
        place = next((number for number, path in enumerate(order) if name.startswith(f"{path}.")), place)
        if parameter.requires_grad:
            shares[name] = decay ** (last - place)
    return shares
