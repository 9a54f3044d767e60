"""Cubes on the sensor's own grid: dims, positions and quality read when asked for, and the way back to a source."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hsikit.cube import from_cube, to_cube
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import Swath
from hsikit.scene import QUALITY_FLAGS, Bands, Quality, SceneInfo
from hsikit.sensors import ArraySource

ROWS, COLS = 6, 5


def longitude(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    return 10 + 0.01 * cols[None] + 0.002 * rows[:, None]


def swath_source(reads: list[Window] | None = None) -> ArraySource:
    def locate(window: Window):
        if reads is not None:
            reads.append(window)
        rows, cols = np.arange(window.row, window.row_end), np.arange(window.col, window.col_end)
        return longitude(rows, cols), 50 - 0.01 * rows[:, None] + 0.0 * cols[None]

    def flags(window: Window) -> np.ndarray:
        whole = np.zeros((ROWS, COLS), np.uint8)
        whole[2, 3] = QUALITY_FLAGS["cloud"] | QUALITY_FLAGS["water"]
        return whole[window.slices()]

    values = np.arange(3 * ROWS * COLS, dtype=np.float32).reshape(3, ROWS, COLS)
    bands = Bands(np.array([500.0, 600, 700]), np.full(3, 10.0), np.ones(3, bool), ("a", "b", "c"))
    info = SceneInfo("swath", Grid((ROWS, COLS)), bands, "float32", "array", quantity="radiance", swath=Swath((ROWS, COLS), locate),
                     quality=Quality(("cloud", "water"), flags))  # fmt: skip
    return ArraySource(values, info)


def test_a_swath_has_the_sensors_dims_and_reads_positions_when_asked() -> None:
    reads: list[Window] = []
    cube = to_cube(swath_source(reads))
    assert cube.dims == ("wavelength", "downtrack", "crosstrack")
    assert not reads
    part = cube.isel(downtrack=slice(1, 4), crosstrack=slice(2, 5))
    np.testing.assert_allclose(part.longitude.values, longitude(np.arange(1, 4), np.arange(2, 5)))
    assert all(window == Window(1, 2, 3, 3) for window in reads)
    assert cube.longitude.attrs["standard_name"] == "longitude"
    assert float(cube.isel(wavelength=0, downtrack=2, crosstrack=1)) == 11.0


def test_quality_is_a_cf_coordinate() -> None:
    cube = to_cube(swath_source())
    assert cube.quality.attrs["flag_meanings"] == "cloud water"
    np.testing.assert_array_equal(cube.quality.attrs["flag_masks"], [1, 32])
    assert int(cube.quality[2, 3]) == 33
    assert int(cube.quality.sum()) == 33


def test_the_way_back_keeps_position_and_quality_of_a_selection() -> None:
    part = to_cube(swath_source()).isel(downtrack=slice(2, 5), crosstrack=slice(1, 4))
    info = from_cube(part).info
    assert info.grid == Grid((3, 3))
    assert info.swath is not None
    assert info.quality is not None
    east, north = info.swath.locate(Window(0, 0, 3, 3))
    np.testing.assert_allclose(east, longitude(np.arange(2, 5), np.arange(1, 4)))
    np.testing.assert_allclose(north[:, 0], [49.98, 49.97, 49.96])
    np.testing.assert_array_equal(info.quality.read(Window(0, 2, 1, 1)), [[33]])


def test_a_computed_cube_gives_what_its_coordinates_say() -> None:
    cube = to_cube(swath_source())
    info = from_cube((cube * 2).assign_attrs(cube.attrs)).info
    assert info.swath is not None
    assert info.swath.table is None
    np.testing.assert_allclose(info.swath.locate(Window(1, 1, 2, 2))[0], longitude(np.arange(1, 3), np.arange(1, 3)))
    assert info.quality is not None
    assert info.quality.flags == ("cloud", "water")


def test_every_second_pixel_still_knows_its_place() -> None:
    info = from_cube(to_cube(swath_source()).isel(crosstrack=slice(0, 5, 2))).info
    assert info.swath is not None
    np.testing.assert_allclose(info.swath.locate(Window(0, 0, 1, 3))[0][0], [10.0, 10.02, 10.04])


def test_a_picture_of_a_swath() -> None:
    picture = to_cube(swath_source()).hsi.rgb()
    assert picture.dims == ("downtrack", "crosstrack", "colour")
    assert isinstance(picture, xr.DataArray)


def test_layers_without_wavelengths_are_a_cube() -> None:
    source = swath_source()
    unknown = np.full(3, np.nan)
    source.info = source.info.with_(bands=Bands(unknown, unknown, np.ones(3, bool), ("sun zenith", "view zenith", "slope")))
    cube = to_cube(source)
    assert not source.info.bands.spectral
    assert float(cube[cube.band == "slope"][0, 0, 0]) == pytest.approx(60.0)
