"""Angles as products give them, pixel by pixel or once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.products.angles import angle_texts, angles_in_the_middle, observed
from tests.products.netcdf import add_array


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("sun_zenith", 41.25, "41.2500"), ("sun_zenith", 100.0, "100.0000"), ("sun_azimuth", -120.75, "239.2500"), ("view_azimuth", 360.0, "360.0000"),
     ("view_zenith", -9999.0, None), ("view_zenith", -1.0, None), ("view_azimuth", 400.0, None), ("sun_zenith", np.nan, None),
     ("sun_azimuth", np.inf, None)],
)  # fmt: skip
def test_what_is_an_angle(name: str, value: float, text: str | None) -> None:
    assert angle_texts({name: value}) == ({} if text is None else {name: text})


def test_layers_are_known_by_how_their_names_begin() -> None:
    names = ["Path length (m)", "To-sensor azimuth (0 to 360 degrees cw from N)", "To-Sun Zenith", "Slope"]
    assert observed(names, [4000.0, 12.0, 30.5, 99.0]) == {"view_azimuth": "12.0000", "sun_zenith": "30.5000"}


@pytest.mark.parametrize(
    ("stored", "told", "text"),
    [(3050, {"scale_factor": 0.01}, "30.5000"), (-32767, {"_FillValue": -32767, "scale_factor": 0.01}, None), (30, {"Data_Ignore_Value": 30}, None)],
)
def test_the_middle_pixel_stands_for_the_scene(tmp_path: Path, stored: int, told: dict[str, Any], text: str | None) -> None:
    values = np.zeros((5, 4), np.int16)
    values[2, 2] = stored
    with h5py.File(tmp_path / "a.h5", "w") as file:
        add_array(file, "geo/zenith", values, **told)
        file["geo/lines"] = np.zeros(5)
    file = Hdf5File(tmp_path / "a.h5")
    arrays = {"sun_zenith": "geo/zenith", "view_zenith": "geo/lines", "view_azimuth": "geo/nothing", "sun_azimuth": ""}
    assert angles_in_the_middle(file, arrays) == ({} if text is None else {"sun_zenith": text})
    file.close()
