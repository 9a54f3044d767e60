"""What the whole numbers of a single band are: codes of a map (classes, labels, a mask), which must not be mixed, or measurements (heights, counts).

A legend or a colour table settles it. Without one the numbers are looked at: codes are not negative, have no fractions, and are few.
Flat land in whole metres looks the same, so this is a guess that the user is told, and that a resampling by name overrules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsikit.geo.grid import Window
from hsikit.scene import Indices, Raw, SceneInfo, Source
from hsikit.sensors.inspection import sample_windows

MOST_CODES = 256
"""Different numbers of a class map in bytes; more of them are measurements."""


@dataclass(frozen=True)
class Look:
    """What a look at whole numbers gave.

    Attributes:
        codes: whether they look like codes.
        why: in words.
    """

    codes: bool
    why: str


def look_at(source: Source) -> Look | None:
    """What the numbers of a single band look like, by a sample of the scene.

    Returns:
        None where there is no question: a spectrum, several bands, a quantity with a unit, a legend or colour table, fractions.
    """
    info = source.info
    told = info.codes is not None and (info.codes.classes or info.codes.colours)
    if told or info.bands.spectral or len(info.bands) > 1 or info.quantity != "dn":
        return None
    real, seen = np.dtype(info.dtype).kind == "f", np.zeros(0)
    for window in sample_windows(source):
        values = source.read(window, np.zeros(1, np.intp)).values
        values = values[np.isfinite(values) & (True if info.nodata is None else values != info.nodata)]
        if real and (values != np.floor(values)).any():
            return None
        if (values < 0).any():
            return Look(False, "some are negative")
        seen = np.union1d(seen, values)
        if len(seen) > MOST_CODES:
            return Look(False, f"they are more than {MOST_CODES} different ones")
    return Look(True, f"{len(seen)} different ones, none negative")


def as_meant(source: Source, resampling: str) -> Source:
    """A source as its numbers are taken, with a notice where that could be wrong.

    Args:
        source: an open scene or layer.
        resampling: how its values shall be found between pixels; one that mixes them is what the user says of them.

    Returns:
        The source, or one whose `info.codes` are None where its whole numbers are measurements, or are to be mixed.
    """
    look, mixed = look_at(source), resampling != "nearest"
    if look is None or (source.info.codes is None and not (look.codes and mixed)):
        return source
    if not look.codes:
        return _Meant(source, source.info.with_(codes=None), f"its whole numbers are taken for measurements: {look.why}")
    if mixed:
        told = f"its whole numbers look like codes ({look.why}), and are mixed as --resampling {resampling} says; nearest keeps them"
        return _Meant(source, source.info.with_(codes=None), told)
    told = f"its whole numbers are taken for codes ({look.why}): pixels keep theirs; were they measurements, --resampling bilinear would mix them"
    return _Meant(source, source.info, told)


class _Meant:
    """A source with other facts. Closing is left to whoever opened it."""

    def __init__(self, base: Source, info: SceneInfo, notice: str) -> None:
        self._base, self.block = base, base.block
        self.info = info.with_(notices=(*info.notices, notice))

    def read(self, window: Window, bands: Indices) -> Raw:
        """See `Source`."""
        return self._base.read(window, bands)

    def close(self) -> None:
        """Does nothing."""
