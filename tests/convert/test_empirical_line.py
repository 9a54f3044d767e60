"""A scene of known reflectance, seen through a known line in each band, comes back."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import box

from hsikit.convert.empirical_line import fit
from hsikit.convert.matching import match
from hsikit.convert.sampling import polygon_means
from hsikit.errors import GridError, ModelError, OptionError, WavelengthError
from hsikit.geo.grid import Grid, Window
from hsikit.library import Library
from hsikit.scene import Bands, Decoding, SceneInfo, read_window
from hsikit.sensors.array import ArraySource
from tests.laws.scenes import CRS, TRANSFORM

NM = np.arange(450.0, 2400.0, 50.0)
FINE = np.arange(400.0, 2500.0, 5.0)
ROWS, COLS = np.array([2, 5, 8, 10, 12]), np.array([3, 3, 9, 1, 7])
LEVELS = np.array([0.05, 0.2, 0.35, 0.5, 0.6])
GAIN, OFFSET = np.linspace(40, 160, len(NM)), np.linspace(900, 100, len(NM))
NODATA = 0


def true_reflectance() -> np.ndarray:
    """Straight spectra, so that resampling changes nothing; shape (bands, rows, cols)."""
    rng = np.random.default_rng(0)
    level, slope = rng.uniform(0.15, 0.6, (15, 12)), rng.uniform(-5e-5, 5e-5, (15, 12))
    level[ROWS, COLS], slope[ROWS, COLS] = LEVELS, 1e-5
    return level + slope * (NM[:, None, None] - 400)


def scene(quantity: str = "dn") -> ArraySource:
    stored = np.round(true_reflectance() * GAIN[:, None, None] * 100 + OFFSET[:, None, None]).astype(np.uint16)
    stored[:, 0, 0] = NODATA
    bands = Bands(NM, np.full(len(NM), 50.0), np.ones(len(NM), bool), tuple(f"{w:g}" for w in NM))
    info = SceneInfo("scene.tif", Grid((15, 12), TRANSFORM, CRS), bands, "uint16", "array", quantity=quantity, nodata=NODATA)
    return ArraySource(stored, info, Decoding(0.5, 3.0, NODATA))


def field(levels: np.ndarray = LEVELS, rows: np.ndarray = ROWS, cols: np.ndarray = COLS, quantity: str = "surface_reflectance") -> Library:
    x, y = scene().info.grid.centres(rows + 0.2, cols - 0.3)
    places = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)
    metadata = {key: tuple(repr(float(v)) for v in values) for key, values in zip(("longitude", "latitude"), places, strict=True)}
    spectra = (levels[:, None] + 1e-5 * (FINE - 400)).astype(np.float32)
    return Library(spectra, FINE, np.full(len(FINE), 5.0), tuple(f"tarp {i}" for i in range(len(levels))), metadata, "field", quantity)


def test_reflectance_comes_back() -> None:
    source, library = scene(), field()
    line = fit(source, library)
    made = line.apply(source)
    want = true_reflectance()
    want[:, 0, 0] = np.nan
    np.testing.assert_allclose(read_window(made, made.info.grid.whole), want, atol=2e-4)
    assert made.info.quantity == "surface_reflectance" and made.info.attrs["corrected_from"] == "dn" and made.info.dtype == "uint16"
    assert line.names == tuple(f"tarp {i}" for i in range(5)) and line.suspects == () and (line.errors < 2e-4).all()
    assert "5 targets, 39 of 39 bands have a line" in line.report()


@given(row=st.integers(0, 14), col=st.integers(0, 11), rows=st.integers(1, 15), cols=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_any_window_is_the_slice_of_the_whole(row: int, col: int, rows: int, cols: int, seed: int) -> None:
    source, library = scene(), field()
    library = Library(library.spectra[:, FINE < 2000], FINE[FINE < 2000], library.fwhm[FINE < 2000], library.names, library.metadata)
    made = fit(source, library).apply(source)
    assert 0 < made.info.bands.good.sum() < len(NM)
    window = Window(row, col, rows, cols).intersect(made.info.grid.whole)
    bands = np.flatnonzero(np.random.default_rng(seed).random(len(NM)) < 0.5)
    whole = read_window(made, made.info.grid.whole)
    assert np.isnan(whole[~made.info.bands.good]).all()
    np.testing.assert_allclose(read_window(made, window, bands), whole[(bands, *window.slices())], rtol=1e-5, atol=1e-6)


def test_pixels_may_be_named_in_every_way(tmp_path: Path) -> None:
    source, library = scene(), field()
    want = fit(source, library)
    for pixels in (match(library, source), np.column_stack([ROWS, COLS]), list(zip(ROWS.tolist(), COLS.tolist(), strict=True))):
        np.testing.assert_array_equal(fit(source, library, pixels).gain, want.gain)
    x, y = source.info.grid.centres(ROWS, COLS)
    squares = [box(px - 10, py - 10, px + 10, py + 10) for px, py in zip(x, y, strict=True)]
    geopandas.GeoDataFrame({"tarp": library.names}, geometry=squares, crs=CRS).to_file(tmp_path / "tarps.gpkg")
    means = polygon_means(source, tmp_path / "tarps.gpkg", "tarp")
    np.testing.assert_allclose(fit(source, library, means).gain, want.gain, rtol=1e-6)
    with pytest.raises(OptionError, match="no spectrum is named 'tarp 0'"):
        fit(source, library.select([1, 2]), means)


def test_spectra_in_one_pixel_are_one_target() -> None:
    twice = field(np.array([0.04, 0.06, 0.5]), np.array([2, 2, 10]), np.array([3, 3, 1]))
    line = fit(scene(), twice)
    assert line.names == ("tarp 0 and 1 more", "tarp 2")
    np.testing.assert_allclose(line.gain, fit(scene(), field(LEVELS[[0, 3]], ROWS[[0, 3]], COLS[[0, 3]])).gain, rtol=1e-5)
    assert "a third would tell" in line.report()


def test_a_target_in_the_wrong_pixel_is_named() -> None:
    pixels = np.column_stack([ROWS, COLS])
    pixels[3] = 1, 1
    line = fit(scene(), field(), pixels)
    assert line.suspects == ("tarp 3",) and "tarp 3  residual" in line.report() and "far from the line" in line.report()
    assert any("tarp 3 lies far" in notice for notice in line.apply(scene()).info.notices)


def test_what_cannot_be_fitted() -> None:
    source = scene()
    with pytest.raises(OptionError, match="1 target; a line needs two"):
        fit(source, field().select([0]))
    with pytest.raises(OptionError, match="are radiance, not reflectance"):
        fit(source, field(quantity="radiance"))
    with pytest.raises(OptionError, match=r"shape \(2, 2\) for 5 spectra"):
        fit(source, field(), [[1, 2], [3, 4]])
    with pytest.raises(GridError, match="outside the scene"):
        fit(source, field(), np.full((5, 2), 99))
    with pytest.raises(WavelengthError, match="no band has a line"):
        fit(source, field(), np.array([[0, 0]] * 4 + [[1, 1]]))
    line, other = fit(source, field()), scene()
    other.info = other.info.with_(bands=other.info.bands.take(np.arange(3)))
    with pytest.raises(ModelError, match="not those that the empirical line"):
        line.apply(other)
