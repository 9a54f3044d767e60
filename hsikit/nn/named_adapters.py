"""Several adapters of one base, by name, one of them in use: one base in memory serves every task and every customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hsikit.nn.adapted_layer import adapted_layers, remove_adapters
from hsikit.nn.adapter_files import attach_adapter, beside_of
from hsikit.nn.lora import trained_parts


class NamedAdapters:
    """A base and its adapters; `use(name)` switches, in the time that copying the small tensors takes.

    The module is the base's own again with `use(None)`, to the bit.

    Args:
        module: the base, without adapters; it is changed in place by `use`.

    Attributes:
        module: as given.
        active: name of the adapter in use; None for the plain base.

    Raises:
        ValueError: the module has adapters.
    """

    def __init__(self, module: nn.Module) -> None:
        if adapted_layers(module):
            raise ValueError("the module has adapters already; remove_adapters takes them away")
        self.module = module
        self.active: str | None = None
        self._known: dict[str, tuple[dict[str, Any], dict[str, Tensor]]] = {}
        self._own: dict[str, Tensor] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters, in the order in which they came."""
        return tuple(self._known)

    def add(self, name: str, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        """Takes an adapter in; which one is in use does not change.

        Args:
            name: new.
            config: see `hsikit.nn.adapter_files.adapter_config`.
            state: see `adapter_state`.

        Raises:
            ModelError: it does not fit the base.
            ValueError: the name is taken.
        """
        if name in self._known:
            raise ValueError(f"there is an adapter {name!r} already")
        before = self.active
        self._back_to_base()
        try:
            self._attach(config, state)
            self._known[name] = (dict(config), {key: tensor.detach().clone() for key, tensor in state.items()})
        finally:
            self.use(before)

    def use(self, name: str | None) -> None:
        """Switches to an adapter; None is the plain base.

        Raises:
            KeyError: no such adapter.
        """
        if name is not None and name not in self._known:
            raise KeyError(f"there is no adapter {name!r}; there are {', '.join(self._known) or 'none'}")
        self._back_to_base()
        if name is not None:
            self._attach(*self._known[name])
            self.active = name

    def _attach(self, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        """Keeps what an adapter brings its own version of, then puts the adapter on."""
        parts = trained_parts(self.module, beside_of(config))
        self._own = {f"{path}.{name}": tensor.clone() for path, part in parts for name, tensor in part.state_dict().items()}
        attach_adapter(self.module, config, state)

    @torch.no_grad()
    def _back_to_base(self) -> None:
        remove_adapters(self.module)
        there = self.module.state_dict(keep_vars=True)
        for name, tensor in self._own.items():
            there[name].copy_(tensor)
        self._own, self.active = {}, None
