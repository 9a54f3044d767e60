"""The traps of AHSI's products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.sensors import open_source
from tests.products import ahsi


def test_times_of_beijing_become_utc(tmp_path: Path) -> None:
    assert open_source(ahsi.product(tmp_path).path, inspect=False).info.acquired == "2022-12-08T05:41:21.500000Z"


def test_one_detector_can_be_chosen(tmp_path: Path) -> None:
    path = ahsi.product(tmp_path).path
    info = open_source(path, variable="swir", inspect=False).info
    np.testing.assert_allclose(info.bands.wavelength, [centre for centre, _ in ahsi.SWIR])
    with pytest.raises(OptionError, match="no detector"):
        open_source(path, variable="pan")


def test_detectors_of_different_sizes_are_not_joined(tmp_path: Path) -> None:
    path = ahsi.product(tmp_path).path
    with rasterio.open(path / f"{ahsi.SCENES['GF5B']}_SW.tif", "w", driver="GTiff", height=3, width=4, count=len(ahsi.SWIR), dtype="uint16") as file:
        file.write(np.ones((len(ahsi.SWIR), 3, 4), np.uint16))
    with pytest.raises(SceneError, match="different sizes"):
        open_source(path)
    assert open_source(path, variable="vnir", inspect=False).info.grid.shape == (ahsi.ROWS, ahsi.COLS)


def test_without_a_table_of_centres_they_must_be_named(tmp_path: Path) -> None:
    path = ahsi.product(tmp_path).path
    for file in path.glob("*Spectralresponse*"):
        file.unlink()
    with pytest.raises(WavelengthError):
        open_source(path)
    centres = np.array([centre for centre, _ in (*ahsi.VNIR, *ahsi.SWIR)])
    assert len(open_source(path, wavelengths=centres, detector_overlap="keep", inspect=False).info.bands) == len(centres)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("*RadCal_VNIR.raw", "1,2\n3,4\n"), ("*RadCal_SWIR.raw", "gain,offset\n"), ("*response_SWIR.raw", "1 2\n1\n"), ("*response_VNIR.raw", "8 4\n" * 8)],
)
def test_calibration_that_does_not_fit_is_refused(tmp_path: Path, pattern: str, text: str) -> None:
    path = ahsi.product(tmp_path).path
    next(path.glob(pattern)).write_text(text)
    with pytest.raises(SceneError):
        open_source(path)


def test_missing_detector_or_calibration(tmp_path: Path) -> None:
    path = ahsi.product(tmp_path).path
    next(path.glob("*RadCal_SWIR.raw")).unlink()
    with pytest.raises(SceneError, match="calibration of the SWIR"):
        open_source(path)
    next(path.glob("*_SW.tif")).unlink()
    with pytest.raises(SceneError, match="image of the SWIR"):
        open_source(path)
    assert len(open_source(path, variable="vnir", inspect=False).info.bands) == len(ahsi.VNIR)
    with pytest.raises(SceneError, match="image of the SWIR"):
        open_source(path, variable="swir")
