"""Spectral adapters: what turns the bands of any sensor into features of one meaning, so that one encoder can read them all.

`build_adapter(name)` gives a module; `ADAPTERS` says which there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsikit.errors import OptionError
from hsikit.nn.adapters.base import Adapter, TokenAdapter
from hsikit.nn.adapters.channel import ChannelAdapter
from hsikit.nn.adapters.conv import ConvAdapter
from hsikit.nn.adapters.grid import GridAdapter
from hsikit.nn.adapters.hyper import HyperAdapter
from hsikit.nn.adapters.pixel import PixelAdapter
from hsikit.nn.adapters.ranges import RangesAdapter

ADAPTERS: Mapping[str, type[Adapter]] = {
    "channel": ChannelAdapter,
    "conv": ConvAdapter,
    "grid": GridAdapter,
    "hyper": HyperAdapter,
    "pixel": PixelAdapter,
    "ranges": RangesAdapter,
}
"""Adapters by name."""


def build_adapter(name: str, **options: Any) -> Adapter:
    """An adapter with fresh weights.

    Args:
        name: a key of `ADAPTERS`.
        **options: of that class.

    Raises:
        OptionError: no such adapter or option, or a value that makes no sense.
    """
    if name not in ADAPTERS:
        raise OptionError("adapter", f"there is no '{name}'", f"There are {', '.join(ADAPTERS)}")
    try:
        return ADAPTERS[name](**options)
    except (TypeError, ValueError) as error:
        raise OptionError("adapter", f"'{name}' cannot be built ({error})", "See docs/adapters.md") from error


__all__ = ["ADAPTERS", "Adapter", "TokenAdapter", "build_adapter"]
