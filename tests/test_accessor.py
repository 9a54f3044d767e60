"""`cube.hsi`: laziness, values against plain NumPy, clear errors, and what is drawn."""

import numpy as np
import pytest
from pyproj import Transformer

from hsikit.cube import from_cube, to_cube
from hsikit.errors import GridError, OptionError, SceneError, WavelengthError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, Decoding, Raw, SceneInfo, read_window
from hsikit.spectral.resample import response_matrix

UTM = Grid((20, 30), (30.0, 0.0, 300_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
ROTATED = Grid((20, 30), (25.0, 8.0, 300_000.0, 8.0, -25.0, 5_800_000.0), "EPSG:32633")
CENTRES = np.arange(420.0, 1000.0, 10.0)


class Memory:
    """A scene in memory that counts its reads."""

    block = (1, 30)

    def __init__(self, grid=UTM):
        good = np.ones(len(CENTRES), bool)
        good[30:34] = False
        bands = Bands(CENTRES, np.full(len(CENTRES), 10.0), good, tuple(f"b{i}" for i in range(len(CENTRES))))
        self.info = SceneInfo("x.tif", grid, bands, "float32", "geotiff", quantity="surface_reflectance", identity=("x.tif", 1, 2))
        self.values = np.random.default_rng(0).random((len(bands), *grid.shape), np.float32)
        self.values[:, 4, 5] = np.nan
        self.values[8, 6, 7] = np.nan
        self.reads = []

    def read(self, window, bands):
        self.reads.append((window, bands.tolist()))
        return Raw(self.values[bands][(slice(None), *window.slices())], window, Decoding())

    def close(self):
        pass


@pytest.fixture
def source():
    return Memory()


@pytest.fixture
def figure():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_select_and_drop_bad_bands_stay_lazy(source):
    part = to_cube(source).hsi.select(450, 900).hsi.drop_bad_bands()
    assert source.reads == []
    expected = (CENTRES >= 450) & (CENTRES <= 900) & source.info.bands.good
    np.testing.assert_array_equal(part.wavelength, CENTRES[expected])
    with pytest.raises(WavelengthError, match=r"x\.tif.*no band from 2000 to 2100 nm.*420 to 990"):
        to_cube(source).hsi.select(2000, 2100)
    with pytest.raises(WavelengthError, match="all its bands are marked bad"):
        to_cube(source).isel(wavelength=[30, 31]).hsi.drop_bad_bands()


def test_spectrum_by_pixel_by_place_and_by_another_crs(source):
    cube = to_cube(source)
    expected = source.values[:, 3, 11]
    np.testing.assert_array_equal(cube.hsi.spectrum(pixel=(3, 11)), expected)
    assert source.reads == [(Window(3, 11, 1, 1), list(range(len(CENTRES))))]
    x, y = 300_000 + 11 * 30 + 1, 5_800_000 - 3 * 30 - 29
    got = cube.hsi.spectrum(x, y)
    np.testing.assert_array_equal(got, expected)
    assert got.x.item() == 300_345.0 and got.dims == ("wavelength",)
    lon, lat = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
    np.testing.assert_array_equal(cube.hsi.spectrum(lon, lat, crs="EPSG:4326"), expected)


def test_spectrum_on_a_rotated_grid_after_a_selection():
    source = Memory(ROTATED)
    a, b, c, d, e, f = ROTATED.transform
    got = to_cube(source).isel(y=slice(2, None), x=slice(4, None)).hsi.spectrum(a * 11.5 + b * 3.5 + c, d * 11.5 + e * 3.5 + f)
    np.testing.assert_array_equal(got, source.values[:, 3, 11])


def test_places_outside_are_named(source):
    hsi = to_cube(source).hsi
    with pytest.raises(GridError, match=r"x\.tif: point \(0, 0\) lies outside the scene.*20 rows and 30 columns.*EPSG:32633"):
        hsi.spectrum(0, 0)
    for pixel in ((20, 0), (0, 30), (-1, 0)):
        with pytest.raises(GridError, match="outside"):
            hsi.spectrum(pixel=pixel)
    with pytest.raises(GridError, match="outside"):
        hsi.spectrum(300_000 - 0.5, 5_799_990)
    with pytest.raises(GridError, match="EPSG:999999"):
        hsi.spectrum(1, 2, crs="EPSG:999999")
    with pytest.raises(OptionError, match="pixel"):
        hsi.spectrum()
    with pytest.raises(OptionError, match="pixel"):
        hsi.spectrum(1, 2, pixel=(0, 0))
    with pytest.raises(GridError, match="no georeference"):
        to_cube(Memory(Grid((20, 30)))).hsi.spectrum(1, 2)


def test_rgb_reads_three_bands_and_stretches(source):
    picture = to_cube(source).hsi.rgb(stretch=(0, 100))
    assert [bands for _, bands in source.reads] == [[5, 13, 22]]
    assert picture.dims == ("y", "x", "colour") and picture.shape == (20, 30, 3)
    assert picture.attrs["wavelengths"] == [640.0, 550.0, 470.0] and picture.attrs["composite"].startswith("true colour")
    assert np.isnan(picture.values[4, 5]).all() and np.isnan(picture.values).sum() == 3
    red = source.values[22]
    low, high = np.nanmin(red), np.nanmax(red)
    np.testing.assert_allclose(picture.values[..., 0], (red - low) / (high - low), atol=1e-6)
    assert to_cube(source).hsi.rgb(bands=(860, 860, 550)).attrs["wavelengths"] == [860.0, 860.0, 550.0]


def test_resampling_is_lazy_and_equals_the_weights(source):
    cube = to_cube(source)
    targets, widths = np.array([500.0, 650.0, 740.0, 1400.0]), np.array([40.0, 30.0, 10.0, 20.0])
    out = cube.hsi.resample_to(targets, widths)
    assert source.reads == []
    assert out.good_band.values.tolist() == [True, True, False, False] and out.fwhm.values.tolist() == widths.tolist()
    assert out.attrs["quantity"] == "surface_reflectance" and out.rio.crs.to_epsg() == 32633
    used = source.info.bands.used
    weights = response_matrix(CENTRES[used], 10.0, targets[:2], widths[:2])
    expected = np.einsum("tb,byx->tyx", weights, source.values[used])
    got = out.values
    clean = np.isfinite(expected[0])
    np.testing.assert_allclose(got[:2][:, clean], expected[:, clean], atol=1e-6)
    assert np.isnan(got[2:]).all() and np.isnan(got[:, 4, 5]).all()
    assert np.isfinite(got[0, 6, 7])  # one missing band of many
    lone = out.isel(y=slice(2, 4), x=slice(1, 6), wavelength=[0])
    source.reads.clear()
    np.testing.assert_allclose(lone.values, got[:1, 2:4, 1:6], atol=1e-6)
    ((window, bands),) = source.reads
    assert window == Window(2, 1, 2, 5) and 2 < len(bands) < 25


def test_resampled_cube_goes_back_to_a_source_with_an_identity(source):
    cube = to_cube(source)
    one, other = (from_cube(cube.hsi.resample_to([500.0, 600.0], width)) for width in (20.0, 50.0))
    assert source.reads == []
    assert one.info.identity != other.info.identity and one.info.identity[:3] == ("x.tif", 1, 2)
    assert read_window(one, Window(0, 0, 2, 2)).shape == (2, 2, 2)


def test_resampling_to_bands_by_object_and_refusals(source):
    cube = to_cube(source)
    bands = Bands(np.array([500.0, 600.0]), np.array([20.0, 20.0]), np.ones(2, bool), ("blue", "orange"))
    assert cube.hsi.resample_to(bands).band.values.tolist() == ["blue", "orange"]
    with pytest.raises(WavelengthError, match=r"x\.tif.*cannot answer"):
        cube.hsi.resample_to([1500.0, 1600.0], 20.0)
    with pytest.raises(WavelengthError, match="same"):
        cube.hsi.resample_to([500.0, 500.0], 20.0)


def test_resampling_to_a_sensor_by_name(source):
    out = to_cube(source).hsi.resample_to("EnMAP")
    assert out.attrs["sensor"] == "enmap" and len(out.wavelength) == 224
    inside = (out.wavelength.values > 430) & (out.wavelength.values < 700)
    assert out.good_band.values[inside].all() and not out.good_band.values[out.wavelength.values > 1010].any()
    with pytest.raises(OptionError, match="known"):
        to_cube(source).hsi.resample_to("no such sensor")


def test_an_array_that_is_no_cube_is_refused(source):
    with pytest.raises(SceneError, match="dims"):
        _ = to_cube(source).isel(x=0).hsi


def test_plots_return_axes_with_what_was_asked(source, figure):
    hsi = to_cube(source).hsi
    ax = hsi.plot_spectrum(pixel=(3, 11))
    (line,) = ax.lines
    drawn = line.get_ydata()
    np.testing.assert_array_equal(np.isnan(drawn), ~source.info.bands.good)
    np.testing.assert_allclose(drawn[~np.isnan(drawn)], source.values[source.info.bands.good, 3, 11])
    assert hsi.plot_spectrum(300_100, 5_799_900, ax=ax) is ax and len(ax.lines) == 2
    many = hsi.plot_spectra([(300_100, 5_799_900)], pixels=[(0, 0), (1, 1)])
    assert [t.get_text() for t in many.get_legend().get_texts()] == ["300100, 5799900", "row 0, column 0", "row 1, column 1"]
    with pytest.raises(OptionError, match="no places"):
        hsi.plot_spectra()
    picture = hsi.plot_rgb()
    assert picture.get_xlim() == (300_000.0, 300_900.0) and picture.images[0].get_array().shape == (20, 30, 4)
