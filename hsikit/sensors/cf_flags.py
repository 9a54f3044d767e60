"""Flags of quality by the CF attributes `flag_meanings`, `flag_masks` and `flag_values`, in our vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import QUALITY_FLAGS

_MEANINGS: dict[str, str] = {
    **{flag.replace("-", "_"): flag for flag in QUALITY_FLAGS},
    "clouds": "cloud", "cloudy": "cloud", "cloud_flag": "cloud", "opaque_cloud": "cloud", "clouds_opaque": "cloud",
    "cloud_shadow": "shadow", "cloud_shadows": "shadow", "shadows": "shadow", "thin_cirrus": "cirrus", "cirrus_cloud": "cirrus",
    "snow_ice": "snow", "snow_or_ice": "snow", "saturation": "saturated", "nodata": "no-data", "fill": "no-data", "missing": "no-data",
}  # fmt: skip
"""What `flag_meanings` call the flags of our vocabulary."""


@dataclass(frozen=True)
class CfFlags:
    """Which stored bits and values of one variable mean which of our flags.

    Attributes:
        told: (flag, mask or None, value or None) of each meaning that is one of ours.
    """

    told: tuple[tuple[str, int | None, int | None], ...]

    def bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """The sum of our bits for each stored number."""
        out = np.zeros(values.shape, np.uint8)
        for flag, mask, value in self.told:
            part = values if mask is None else values & values.dtype.type(mask)
            out[part != 0 if value is None else part == value] |= np.uint8(QUALITY_FLAGS[flag])
        return out


def cf_flags(attrs: Mapping[str, Any], dtype: np.dtype[Any]) -> CfFlags | None:
    """What a variable's attributes say; None where it tells none of our flags."""
    meanings = attrs.get("flag_meanings")
    if not isinstance(meanings, str) or dtype.kind not in "iu":
        return None
    names = meanings.split()
    masks, values = (_whole(attrs.get(key), len(names), dtype) for key in ("flag_masks", "flag_values"))
    if masks is None and values is None:
        return None
    told = []
    for number, name in enumerate(names):
        flag = _MEANINGS.get(name.lower().replace("-", "_"))
        if flag is not None:
            told.append((flag, None if masks is None else masks[number], None if values is None else values[number]))
    return CfFlags(tuple(told)) if told else None


def in_order(flags: Iterable[CfFlags]) -> tuple[str, ...]:
    """All flags that several variables tell, in the order of the vocabulary."""
    told = {flag for one in flags for flag, _, _ in one.told}
    return tuple(flag for flag in QUALITY_FLAGS if flag in told)


def _whole(told: Any, count: int, dtype: np.dtype[Any]) -> list[int] | None:
    """As many whole numbers of a type as there are meanings; None for anything else."""
    if told is None or isinstance(told, str):
        return None
    numbers, limits = np.ravel(np.asarray(told)), np.iinfo(dtype)
    if numbers.dtype.kind not in "iu" or len(numbers) != count or numbers.min() < limits.min or numbers.max() > limits.max:
        return None
    return [int(number) for number in numbers]
