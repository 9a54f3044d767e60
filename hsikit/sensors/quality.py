"""What products say of their pixels' quality, as masks: cloud, shadow, snow and the other flags of one vocabulary.

A reader fills `SceneInfo.quality`; here the user's choice of flags becomes what is hidden. A flag that the product cannot tell
is refused, since a mask that hides nothing looks like a scene without clouds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Window
from hsikit.geo.mask_rasters import Sampled
from hsikit.geo.places import places_of
from hsikit.scene import QUALITY_FLAGS, Quality, SceneInfo

OPTION = "--mask"


def named_flags(text: str) -> tuple[str, ...] | None:
    """The flags that a text lists, such as "cloud,shadow"; None where it lists none, and so must name a file.

    Raises:
        OptionError: some of the words are flags, and others are not.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    strange = [word for word in words if word not in QUALITY_FLAGS]
    if not words or len(strange) == len(words):
        return None
    if strange:
        raise OptionError(OPTION, f"'{strange[0]}' is no quality flag", f"The flags are {', '.join(QUALITY_FLAGS)}; give a file by an option of its own")
    return tuple(dict.fromkeys(words))


class FlagMask:
    """Hides the pixels of which a product says one of some flags.

    Args:
        quality: the product's word.
        flags: which of its flags hide a pixel.
        identity: what tells whether the product is still the same.
    """

    def __init__(self, quality: Quality, flags: Sequence[str], identity: object) -> None:
        self._quality, self.flags = quality, tuple(flags)
        self._bits = sum(QUALITY_FLAGS[flag] for flag in flags)
        self.identity = ("flags", self._bits, identity)

    def read(self, window: Window) -> NDArray[np.bool_]:
        """See `hsikit.geo.mask.Mask`."""
        return np.asarray(self._quality.read(window) & self._bits, bool)

    def counts(self, window: Window) -> dict[str, int]:
        """How many pixels of a window bear each of the flags."""
        return {flag: count for flag, count in flag_counts(self._quality, window).items() if flag in self.flags}

    def close(self) -> None:
        """The scene closes its files itself."""


def flag_mask(info: SceneInfo, flags: Sequence[str], others: Sequence[SceneInfo] = ()) -> FlagMask:
    """The mask of some flags, on a scene's grid.

    Args:
        info: the scene.
        flags: keys of `QUALITY_FLAGS`.
        others: the further inputs of a run. Where the scene itself (a panchromatic image) has no flags, those of the first one
            that has are put on its grid, by the nearest pixel.

    Raises:
        OptionError: a flag that no product here can tell.
        GridError: the two inputs cannot be related.
    """
    if info.quality is not None:
        return FlagMask(info.quality, _told(info.name, info.quality, flags), info.identity)
    for other in others:
        if other.quality is not None:
            chosen = _told(other.name, other.quality, flags)
            return FlagMask(_on_grid_of(info, other, other.quality), chosen, other.identity)
    raise OptionError(OPTION, f"'{flags[0]}' cannot be told: {info.name} holds no quality flags", "Give a raster or polygons of what is to be hidden")


def _told(name: str, quality: Quality, flags: Sequence[str]) -> Sequence[str]:
    unknown = [flag for flag in flags if flag not in quality.flags]
    if unknown:
        raise OptionError(OPTION, f"{name} does not tell '{unknown[0]}'", f"Its flags are {', '.join(quality.flags) or 'none'}")
    return flags


def _on_grid_of(info: SceneInfo, other: SceneInfo, quality: Quality) -> Quality:
    """Another scene's flags at this one's pixel centres."""
    places = places_of(info.grid, info.swath)
    if places is None or not other.grid.georeferenced:
        raise OptionError(OPTION, f"the flags of {other.name} cannot be put on {info.name}: one of them has no map grid", "Give a raster or polygons")
    return Quality(quality.flags, Sampled(places, other.grid, quality.read, np.uint8).read)


def flag_counts(quality: Quality, window: Window) -> dict[str, int]:
    """How many pixels of a window bear each flag that the product tells."""
    values = np.bincount(quality.read(window).ravel(), minlength=256)
    numbers = np.arange(256)
    return {flag: int(values[(numbers & QUALITY_FLAGS[flag]) > 0].sum()) for flag in quality.flags}
