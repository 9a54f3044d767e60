"""The traps of HISUI's products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products import hisui


def test_coordinates_of_points_are_centres_of_pixels(tmp_path: Path) -> None:
    built = hisui.product(tmp_path, point=True)
    assert open_source(built.path, inspect=False).info.grid.transform == tuple(hisui.TRANSFORM)[:6]


@pytest.mark.parametrize("suffix", [".tif", ".txt", "_B.csv"])
def test_any_of_its_files_opens_it(tmp_path: Path, suffix: str) -> None:
    hisui.product(tmp_path)
    assert open_source(tmp_path / f"{hisui.PRODUCT}{suffix}", inspect=False).info.driver == "hisui"


def test_bad_pixels_are_missing_unless_fill_is_named(tmp_path: Path) -> None:
    built = hisui.product(tmp_path, "keep")
    source = open_source(built.path, **built.options, inspect=False)
    values = read_window(source, source.info.grid.whole)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(built.truth))
    plain = open_source(built.path, **built.options, nodata=0, inspect=False)
    named = np.isnan(read_window(plain, plain.info.grid.whole))
    assert named.sum() < np.isnan(values).sum()


@pytest.mark.parametrize(
    ("suffix", "old", "new"),
    [
        (".txt", "1.000000e-02", "a lot"),
        (".txt", "RadianceAddSWIR", "RadianceAddTIR"),
        (".txt", "W/m2/micron/sr", "furlongs"),
        ("_B.csv", "555.0", "green"),
        ("_B.csv", "3,655.0", "3,455.0"),
        ("_B.csv", "CenterWavelengthNanometer", "Centre"),
        ("_B.csv", "14,2200.0,12.3,1800.5,1.0e-4,0.0\n", ""),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path: Path, suffix: str, old: str, new: str) -> None:
    hisui.product(tmp_path)
    path = tmp_path / f"{hisui.PRODUCT}{suffix}"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SceneError):
        open_source(tmp_path)
