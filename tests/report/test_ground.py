"""The scene behind a map: parts of it, places on other grids, spectra of classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import GridError
from hsikit.geo.grid import IDENTITY, Grid, Window
from hsikit.report.ground import MOST_SPECTRA, CutSource, class_spectra, moved, on_map, picture
from hsikit.scene import read_window
from tests.laws.scenes import CRS, TRANSFORM, as_source, make_scene

SCENE = make_scene(30, 25, 12, seed=3, classes=3)
ROTATED = (20.0, 5.0, 400_000.0, 4.0, -25.0, 5_700_000.0)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    row, col = draw(st.integers(0, 29)), draw(st.integers(0, 24))
    return Window(row, col, draw(st.integers(1, 30 - row)), draw(st.integers(1, 25 - col)))


@given(windows(), st.data())
def test_a_part_reads_what_the_whole_reads(window: Window, data: st.DataObject) -> None:
    source = SCENE.source()
    part = on_map(source, source.info.grid.crop(window), "map.tif")
    assert part.info.grid.shape == window.shape
    row, col = data.draw(st.integers(0, window.rows - 1)), data.draw(st.integers(0, window.cols - 1))
    inner = Window(row, col, window.rows - row, window.cols - col)
    whole = read_window(source, Window(window.row + row, window.col + col, *inner.shape))
    np.testing.assert_array_equal(read_window(part, inner), whole)


def test_the_whole_scene_stays_itself() -> None:
    source = SCENE.source()
    assert on_map(source, source.info.grid, "map.tif") is source
    assert isinstance(on_map(source, source.info.grid.crop(Window(1, 2, 3, 4)), "map.tif"), CutSource)


@pytest.mark.parametrize(
    "grid",
    [
        Grid((30, 25), TRANSFORM, "EPSG:32632"),
        Grid((30, 25), IDENTITY, None),
        Grid((30, 26), TRANSFORM, CRS),
        Grid((15, 12), (60.0, *TRANSFORM[1:4], -60.0, TRANSFORM[5]), CRS),
        Grid((5, 5), (30.0, 0.0, TRANSFORM[2] + 10, 0.0, -30.0, TRANSFORM[5]), CRS),
        Grid((5, 5), ROTATED, CRS),
    ],
)
def test_other_grids_are_refused(grid: Grid) -> None:
    with pytest.raises(GridError, match=r"scene\.tif"):
        on_map(SCENE.source(), grid, "map.tif")


def test_without_georeference_the_size_decides() -> None:
    source = as_source(SCENE.values, SCENE.nm, IDENTITY, "scene.npy")
    plain = source.info.with_(grid=Grid((30, 25)))
    source.info = plain
    assert on_map(source, Grid((30, 25)), "map.tif") is source
    with pytest.raises(GridError, match="30 x 25 pixels"):
        on_map(source, Grid((30, 24)), "map.tif")


@pytest.mark.parametrize("transform", [TRANSFORM, ROTATED])
@given(window=windows())
def test_pixels_keep_their_place_on_a_part(transform: tuple[float, ...], window: Window) -> None:
    grid = Grid((30, 25), transform, CRS)  # type: ignore[arg-type]
    rows, cols = (places.ravel() for places in np.mgrid[0:30, 0:25])
    (row, col), inside = moved(grid, rows, cols, grid.crop(window))
    expected = (rows >= window.row) & (rows < window.row_end) & (cols >= window.col) & (cols < window.col_end)
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_array_equal(row, rows[expected] - window.row)
    np.testing.assert_array_equal(col, cols[expected] - window.col)


def test_pixels_of_another_system_have_no_place() -> None:
    (row, _), inside = moved(Grid((3, 3), TRANSFORM, CRS), np.arange(3), np.arange(3), Grid((3, 3), TRANSFORM, "EPSG:32632"))
    assert not len(row) and not inside.any()
    assert moved(Grid((3, 3)), np.arange(3), np.arange(3), Grid((3, 3)))[1].all()
    assert not moved(Grid((3, 3)), np.arange(3), np.arange(3), Grid((3, 4)))[1].any()


def test_spectra_are_means_and_percentiles() -> None:
    source = SCENE.source()
    source.info.bands.good[4] = False
    cube = read_window(source, source.info.grid.whole)
    whole = np.isfinite(cube).all(0)
    places = {code: np.nonzero((SCENE.truth == code) & whole) for code in (1, 2)}
    found = class_spectra(source, places)
    assert [spectra.code for spectra in found] == [1, 2] and found[0].pixels == found[0].of <= MOST_SPECTRA
    values = cube[:, places[1][0], places[1][1]].astype(float)
    assert found[0].mean[4] is None and found[0].low[4] is None
    keep = [k for k in range(12) if k != 4]
    np.testing.assert_allclose([found[0].mean[k] for k in keep], values.mean(1)[keep], rtol=1e-5)
    np.testing.assert_allclose([found[0].high[k] for k in keep], np.quantile(values, 0.9, axis=1)[keep], rtol=1e-5)


def test_pixels_without_data_have_no_spectrum() -> None:
    source = SCENE.source()
    assert not class_spectra(source, {1: np.nonzero(np.isnan(read_window(source, source.info.grid.whole)).all(0))})


def test_the_quicklook_is_a_picture() -> None:
    shown, composite = picture(SCENE.source())
    assert shown.shape == (30, 25, 3) and "nm" in composite
    seen = np.isfinite(shown)
    assert seen.any() and not seen.all() and shown[seen].min() == 0 and shown[seen].max() == 1
