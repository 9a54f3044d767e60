"""A clipped scene is the slice of the whole one, whatever window of it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.convert.clip import band_ranges, clipped
from hsikit.errors import GridError, OptionError
from hsikit.geo.grid import Window
from hsikit.scene import read_window
from tests.convert.scenes import UTM, positions, quality, scene

ROWS, COLS = 20, 15


def box_of(row: int, col: int, rows: int, cols: int) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a rectangle of pixels."""
    return UTM[2] + 30 * col, UTM[5] - 30 * (row + rows), UTM[2] + 30 * (col + cols), UTM[5] - 30 * row


def write_polygon(path: Path, shape: Any, crs: str = "EPSG:32633", to: str | None = None) -> Path:
    frame = geopandas.GeoDataFrame(geometry=[shape], crs=crs)
    (frame.to_crs(to) if to else frame).to_file(path)
    return path


def circle() -> tuple[Any, np.ndarray]:
    """A circle over the scene, and which pixels' centres lie in it."""
    x, y, radius = UTM[2] + 7.3 * 30, UTM[5] - 9.1 * 30, 130.0
    row, col = np.mgrid[:ROWS, :COLS]
    inside = (UTM[2] + 30 * (col + 0.5) - x) ** 2 + (UTM[5] - 30 * (row + 0.5) - y) ** 2 < radius**2
    return shapely.Point(x, y).buffer(radius, quad_segs=90), inside


@given(row=st.integers(0, 19), col=st.integers(0, 14), rows=st.integers(1, 20), cols=st.integers(1, 15), data=st.data())
def test_any_window_of_a_box_is_the_slice_of_the_whole(row: int, col: int, rows: int, cols: int, data: st.DataObject) -> None:
    source = scene(ROWS, COLS)
    cut = Window(row, col, rows, cols).intersect(source.info.grid.whole)
    part = clipped(source, bbox=box_of(*cut), bands=[(700, 1800), (2300, 2500)])
    kept = np.flatnonzero(((source.info.bands.wavelength >= 700) & (source.info.bands.wavelength <= 1800)) | (source.info.bands.wavelength >= 2300))
    assert part.info.grid == source.info.grid.crop(cut)
    np.testing.assert_array_equal(part.info.bands.wavelength, source.info.bands.wavelength[kept])
    whole = read_window(source, source.info.grid.whole)[(kept, *cut.slices())]
    window = Window(data.draw(st.integers(0, cut.rows - 1)), data.draw(st.integers(0, cut.cols - 1)), cut.rows, cut.cols).intersect(part.info.grid.whole)
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, len(kept) - 1), min_size=1))))
    np.testing.assert_array_equal(read_window(part, window, bands), whole[(bands, *window.slices())])


def test_a_box_in_another_crs_and_one_that_only_touches(tmp_path: Path) -> None:
    source = scene(ROWS, COLS)
    left, bottom, right, top = box_of(3, 4, 5, 6)
    assert clipped(source, bbox=(left - 1, bottom - 1, right + 1, top + 1)).info.grid.shape == (7, 8)
    frame = geopandas.GeoSeries([shapely.box(left + 5, bottom + 5, right - 5, top - 5)], crs="EPSG:32633").to_crs(4326)
    assert clipped(source, bbox=tuple(frame.total_bounds), bbox_crs="EPSG:4326").info.grid == source.info.grid.crop(Window(3, 4, 5, 6))


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_outside_of_polygons_is_missing(tmp_path: Path, crs: str | None) -> None:
    source, (shape, inside) = scene(ROWS, COLS), circle()
    part = clipped(source, polygon=write_polygon(tmp_path / "p.gpkg", shape, to=crs))
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    cut = Window(int(rows[0]), int(cols[0]), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1)
    assert part.info.grid == source.info.grid.crop(cut) and part.info.dtype == "int16" and part.info.nodata == -9999
    expected = np.where(inside, read_window(source, source.info.grid.whole), np.nan)[(slice(None), *cut.slices())]
    np.testing.assert_array_equal(read_window(part, part.info.grid.whole), expected)
    np.testing.assert_array_equal(read_window(part, Window(1, 2, 4, 3)), expected[:, 1:5, 2:5])


@pytest.mark.parametrize(("dtype", "becomes"), [("uint8", "float32"), ("int32", "float64"), ("float32", "float32")])
def test_integers_without_a_fill_value_become_floats(tmp_path: Path, dtype: str, becomes: str) -> None:
    source = scene(ROWS, COLS)
    source._values = (source._values % 200).astype(dtype)
    source.info = source.info.with_(dtype=dtype, nodata=None)
    source._layout = type(source._layout)(source.info, source._layout.order, source._layout.scale, source._layout.offset)
    whole = read_window(source, source.info.grid.whole)
    shape, inside = circle()
    part = clipped(source, polygon=write_polygon(tmp_path / "p.gpkg", shape))
    assert part.info.dtype == becomes and part.info.nodata is None
    found = read_window(part, part.info.grid.whole)
    assert np.isfinite(found).any(axis=0).sum() == inside.sum()
    np.testing.assert_allclose(found[np.isfinite(found)], whole[:, inside].reshape(-1), rtol=1e-6)


def test_box_and_polygons_together(tmp_path: Path) -> None:
    source, (shape, inside) = scene(ROWS, COLS), circle()
    part = clipped(source, bbox=box_of(9, 0, 11, 15), polygon=write_polygon(tmp_path / "p.gpkg", shape))
    assert part.info.grid.shape[0] == np.flatnonzero(inside.any(axis=1))[-1] - 9 + 1


def test_a_swath_keeps_its_positions_and_flags() -> None:
    flags = np.random.default_rng(0).integers(0, 4, (ROWS, COLS)).astype(np.uint8)
    source = scene(ROWS, COLS, place="swath", quality=quality(flags))
    lon, lat = positions(ROWS, COLS)
    inside = (lon >= 13.004) & (lon <= 13.009) & (lat >= 51.99) & (lat <= 51.997)
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    cut = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    part = clipped(source, bbox=(13.004, 51.99, 13.009, 51.997))
    assert part.info.swath is not None and part.info.quality is not None and not part.info.grid.georeferenced
    np.testing.assert_array_equal(part.info.swath.locate(part.info.grid.whole)[0], lon[cut])
    np.testing.assert_array_equal(part.info.quality.read(part.info.grid.whole), flags[cut])
    np.testing.assert_array_equal(read_window(part, part.info.grid.whole), read_window(source, source.info.grid.whole)[(slice(None), *cut)])


def test_bad_bands_are_dropped() -> None:
    source = scene()
    part = clipped(source, drop_bad=True)
    assert part.info.bands.names == tuple(np.array(source.info.bands.names)[source.info.bands.good]) and part.info.bands.good.all()


def test_parts_have_identities_of_their_own(tmp_path: Path) -> None:
    source = scene()
    parts = [clipped(source, bands=[(400, 900)]), clipped(source, bands=[(400, 2500)]), clipped(source, bbox=box_of(1, 1, 3, 3))]
    assert len({str(part.info.identity) for part in (source, *parts)}) == 4


@pytest.mark.parametrize(("text", "ranges"), [("450-900", [(450, 900)]), (" 450-900 , 1000.5-1300", [(450, 900), (1000.5, 1300)])])
def test_ranges_of_bands(text: str, ranges: list[tuple[float, float]]) -> None:
    assert band_ranges(text) == ranges


@pytest.mark.parametrize("text", ["", "450", "900-450", "450-", "red", "450-900,", "-450-900", "450-900-1000"])
def test_what_is_no_range_of_bands(text: str) -> None:
    with pytest.raises(OptionError, match="no range of wavelengths"):
        band_ranges(text)


def test_what_cannot_be_cut_says_why(tmp_path: Path) -> None:
    source, far = scene(), shapely.Point(UTM[2], UTM[5] + 1e5).buffer(100)
    with pytest.raises(OptionError, match=r"no band .* lies within 3000 to 3100 nm; its bands lie from 450"):
        clipped(source, bands=[(3000, 3100)])
    with pytest.raises(OptionError, match="is left"):
        clipped(source, bands=[(760, 790)], drop_bad=True)
    with pytest.raises(GridError, match="outside"):
        clipped(source, bbox=(0, 0, 1, 1))
    with pytest.raises(GridError):
        clipped(source, polygon=write_polygon(tmp_path / "far.gpkg", far))
    with pytest.raises(GridError, match="no pixel's centre"):
        clipped(source, polygon=write_polygon(tmp_path / "tiny.gpkg", shapely.Point(UTM[2] + 30, UTM[5] - 30).buffer(2)))
    with pytest.raises(GridError, match=r"no georeference.*in Python, open_scene\(FILE\)\[:, :100, :200\]"):
        clipped(scene(place="nowhere"), bbox=(0, 0, 1, 1))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 15), col=st.integers(0, 12))
def test_clipping_twice_is_clipping_once(row: int, col: int) -> None:
    source = scene(ROWS, COLS)
    twice = clipped(clipped(source, bbox=box_of(0, 0, 18, 14)), bbox=box_of(row, col, 3, 2))
    once = clipped(source, bbox=box_of(row, col, 3, 2))
    assert twice.info.grid == once.info.grid
    np.testing.assert_array_equal(read_window(twice, twice.info.grid.whole), read_window(once, once.info.grid.whole))
