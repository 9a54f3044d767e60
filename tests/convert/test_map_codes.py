"""Whole numbers of a single band: codes or measurements, by a look at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hsikit.convert.map_codes import MOST_CODES, as_meant, look_at
from hsikit.convert.warp import grid_for, warped
from hsikit.errors import OptionError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Codes, SceneInfo, read_window
from hsikit.sensors.array import ArraySource

from .scenes import UTM, scene

ROWS, COLS = 40, 30


def layer(values: Any, dtype: str = "int16", nodata: float | None = None, codes: Codes | None = None, **facts: Any) -> ArraySource:
    """A single band as a reader gives it: whole numbers are codes by their type."""
    stored = np.broadcast_to(np.asarray(values), (ROWS, COLS)).astype(dtype)[np.newaxis]
    bands = Bands(np.array([np.nan]), np.array([np.nan]), np.ones(1, bool), ("height",))
    told = {"nodata": nodata, "codes": (codes or Codes()) if np.dtype(dtype).kind in "iu" else None, **facts}
    return ArraySource(stored, SceneInfo("layer.tif", Grid((ROWS, COLS), UTM, "EPSG:32633"), bands, dtype, "array", **told))


RAMP = np.arange(ROWS * COLS).reshape(ROWS, COLS)
FEW = RAMP % 5


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        (layer(FEW), True),
        (layer(FEW, "uint8"), True),
        (layer(FEW - 1, nodata=-1), True),
        (layer(RAMP % MOST_CODES), True),
        (layer(np.zeros((ROWS, COLS)), nodata=0), True),
        (layer(FEW.astype(float), "float32"), True),
        (layer(np.where(FEW == 0, np.nan, FEW), "float32"), True),
        (layer(FEW - 1), False),
        (layer(RAMP % (MOST_CODES + 1)), False),
        (layer(np.where(FEW == 0, -9999, RAMP), nodata=-9999), False),
        (layer(RAMP.astype(float), "float64"), False),
    ],
)
def test_few_numbers_none_negative_look_like_codes(source: ArraySource, codes: bool) -> None:
    look = look_at(source)
    assert look is not None and look.codes is codes


@pytest.mark.parametrize(
    "source",
    [
        layer(FEW, codes=Codes('[{"code": 1, "name": "barley", "colour": [1, 2, 3]}]')),
        layer(FEW, codes=Codes("", {1: (1, 2, 3, 255)})),
        layer(FEW + 0.5, "float32"),
        layer(FEW, quantity="brightness_temperature"),
        scene(),
    ],
    ids=["legend", "colours", "fractions", "unit", "spectrum"],
)
def test_where_there_is_no_question_none_is_asked(source: ArraySource) -> None:
    assert look_at(source) is None
    assert as_meant(source, "bilinear") is source


def test_numbers_beyond_the_first_part_of_a_scene_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsikit.sensors.inspection.SAMPLE_BYTES", 4 * COLS)
    low = np.where(np.arange(ROWS)[:, None] == ROWS - 1, -5, 3)
    look = look_at(layer(np.broadcast_to(low, (ROWS, COLS))))
    assert look is not None and not look.codes and look.why == "some are negative"


def test_codes_keep_their_numbers_and_measurements_have_nothing_outside() -> None:
    wide = Grid((ROWS + 2, COLS + 2), (30.0, 0.0, UTM[2] - 30, 0.0, -30.0, UTM[5] + 30), "EPSG:32633")
    codes, heights = layer(FEW + 1), layer(RAMP + 1)
    found = warped(codes, wide)
    assert found.info.dtype == "int16" and found.info.nodata == 0 and "taken for codes (5 different ones" in found.info.notices[-2]
    np.testing.assert_array_equal(read_window(found, wide.whole)[0], np.pad(np.asarray(FEW + 1, float), 1, constant_values=np.nan))
    found = warped(heights, wide)
    assert found.info.codes is None and "taken for measurements: they are more than 256" in found.info.notices[-2]
    np.testing.assert_array_equal(read_window(found, wide.whole)[0], np.pad(np.asarray(RAMP + 1, float), 1, constant_values=np.nan))
    assert heights.info.codes is not None and not heights.info.notices  # of whoever opened it


def test_a_resampling_by_name_wins_but_for_a_legend() -> None:
    heights, labels, real = layer(RAMP - 100), layer(FEW), layer(FEW.astype(float), "float32")
    for source, word in ((heights, "taken for measurements: some are negative"), (labels, "look like codes"), (real, "look like codes")):
        grid = grid_for(source, resolution=60.0)
        found = warped(source, grid, "average")
        stored = np.asarray(source.read(source.info.grid.whole, np.zeros(1, np.intp)).values[0], float)
        np.testing.assert_allclose(read_window(found, grid.whole)[0], stored.reshape(ROWS // 2, 2, COLS // 2, 2).mean(axis=(1, 3)), rtol=1e-6)
        assert sum(word in notice for notice in found.info.notices) == 1
    legend = layer(FEW, codes=Codes("", {1: (1, 2, 3, 255)}))
    with pytest.raises(OptionError, match="not mixed"):
        warped(legend, grid_for(legend, resolution=60.0), "average")
    with pytest.raises(OptionError, match="not mixed"):
        warped(heights, grid_for(heights, resolution=60.0), "average", look=False)
    assert not any("codes" in notice for notice in warped(real, grid_for(real, resolution=60.0)).info.notices)
