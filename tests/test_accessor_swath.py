"""`cube.hsi.spectrum` by longitude and latitude of a swath."""

from __future__ import annotations

import pytest

from hsikit.cube import to_cube
from hsikit.errors import GridError
from tests.test_cube_coords import swath_source


def test_a_spectrum_is_found_by_longitude_and_latitude() -> None:
    cube = to_cube(swath_source())
    found = cube.hsi.spectrum(float(cube.longitude[3, 2]), float(cube.latitude[3, 2]))
    assert (int(found.downtrack), int(found.crosstrack)) == (3, 2)
    assert found.values.tolist() == cube[:, 3, 2].values.tolist()
    with pytest.raises(GridError, match="outside the scene"):
        cube.hsi.spectrum(0.0, 0.0)
