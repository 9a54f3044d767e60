"""Flags by the three ways in which CF tells them."""

import numpy as np
import pytest

from hsikit.scene import QUALITY_FLAGS
from hsikit.sensors.cf_flags import cf_flags, in_order

CLOUD, SHADOW, WATER = (QUALITY_FLAGS[name] for name in ("cloud", "shadow", "water"))


def test_masks_are_bits_that_hold_together() -> None:
    flags = cf_flags({"flag_masks": np.uint8([1, 2, 4]), "flag_meanings": "cloud glint cloud_shadow"}, np.dtype("uint8"))
    assert flags is not None and in_order([flags]) == ("cloud", "shadow")
    np.testing.assert_array_equal(flags.bits(np.arange(8, dtype=np.uint8)), [0, CLOUD, 0, CLOUD, SHADOW, CLOUD | SHADOW, SHADOW, CLOUD | SHADOW])


def test_values_exclude_each_other() -> None:
    flags = cf_flags({"flag_values": np.int16([0, 1, 2, -1]), "flag_meanings": "clear Cloud water no-data"}, np.dtype("int16"))
    assert flags is not None and in_order([flags]) == ("cloud", "water", "no-data")
    np.testing.assert_array_equal(flags.bits(np.array([0, 1, 2, 3, -1], np.int16)), [0, CLOUD, WATER, 0, QUALITY_FLAGS["no-data"]])


def test_masks_and_values_are_fields_of_bits() -> None:
    told = {"flag_masks": np.uint16([0x0300, 0x0300, 0x0001]), "flag_values": np.uint16([0x0100, 0x0300, 0x0001]), "flag_meanings": "thin_cirrus cloud water"}
    flags = cf_flags(told, np.dtype("uint16"))
    assert flags is not None
    found = flags.bits(np.array([0x0000, 0x0100, 0x0200, 0x0300, 0x0301], np.uint16))
    np.testing.assert_array_equal(found, [0, QUALITY_FLAGS["cirrus"], 0, CLOUD, CLOUD | WATER])


@pytest.mark.parametrize(
    ("attrs", "dtype"),
    [
        ({}, "uint8"),
        ({"flag_meanings": "cloud"}, "uint8"),
        ({"flag_meanings": "glint", "flag_masks": [1]}, "uint8"),
        ({"flag_meanings": "cloud water", "flag_masks": [1]}, "uint8"),
        ({"flag_meanings": "cloud", "flag_masks": [256]}, "uint8"),
        ({"flag_meanings": "cloud", "flag_masks": "1"}, "uint8"),
        ({"flag_meanings": "cloud", "flag_values": [0.5]}, "uint8"),
        ({"flag_meanings": "cloud", "flag_masks": [1]}, "float32"),
        ({"flag_meanings": 3, "flag_masks": [1]}, "uint8"),
        ({"flag_meanings": "", "flag_masks": []}, "uint8"),
    ],
)
def test_what_tells_nothing(attrs: dict[str, object], dtype: str) -> None:
    assert cf_flags(attrs, np.dtype(dtype)) is None
