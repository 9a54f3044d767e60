"""Mixers: how the places of a map see one another. `build_mixer(name, width)` gives a module; `MIXERS` says which there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsikit.errors import OptionError
from hsikit.nn.mixers.base import Context, Mixer
from hsikit.nn.mixers.channel import ChannelMixer
from hsikit.nn.mixers.dwconv import DepthwiseMixer
from hsikit.nn.mixers.full import FullMixer, JointMixer
from hsikit.nn.mixers.less import LessMixer
from hsikit.nn.mixers.morphology import MorphologyMixer
from hsikit.nn.mixers.pool import PoolMixer
from hsikit.nn.mixers.reduced import ReducedMixer
from hsikit.nn.mixers.scan import ScanMixer
from hsikit.nn.mixers.window import WindowMixer

MIXERS: Mapping[str, type[Mixer]] = {
    "channel": ChannelMixer,
    "dwconv": DepthwiseMixer,
    "full": FullMixer,
    "joint": JointMixer,
    "less": LessMixer,
    "morphology": MorphologyMixer,
    "pool": PoolMixer,
    "reduced": ReducedMixer,
    "scan": ScanMixer,
    "window": WindowMixer,
}
"""Mixers by name."""


def build_mixer(name: str, width: int, **options: Any) -> Mixer:
    """A mixer with fresh weights.

    Args:
        name: a key of `MIXERS`.
        width: channels of the map.
        **options: of that class.

    Raises:
        OptionError: no such mixer or option, or a value that makes no sense.
    """
    if name not in MIXERS:
        raise OptionError("mixer", f"there is no '{name}'", f"There are {', '.join(MIXERS)}")
    try:
        return MIXERS[name](width, **options)
    except (TypeError, ValueError) as error:
        raise OptionError("mixer", f"'{name}' cannot be built ({error})", "See docs/encoder.md") from error


__all__ = ["MIXERS", "Context", "Mixer", "build_mixer"]
