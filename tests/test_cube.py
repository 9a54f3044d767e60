"""The cube: what it reads and when, its coordinates, the way back, and what it refuses."""

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.cube import from_cube, grid_of, lazy_source, to_cube, validate
from hsikit.errors import GridError, SceneError, WavelengthError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, Decoding, Raw, SceneInfo, read_window

UTM = Grid((7, 9), (30.0, 0.0, 300_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
ROTATED = Grid((7, 9), (25.0, 8.0, 300_000.0, 8.0, -25.0, 5_800_000.0), "EPSG:32633")


@dataclass
class Recorded:
    """A scene in memory that writes down every read."""

    info: SceneInfo
    values: np.ndarray
    block: tuple[int, int] = (1, 9)
    reads: list[tuple[Window, list[int]]] = field(default_factory=list)

    def read(self, window, bands):
        assert (np.diff(bands) > 0).all()
        assert window == window.intersect(self.info.grid.whole)
        self.reads.append((window, bands.tolist()))
        return Raw(self.values[bands][(slice(None), *window.slices())], window, Decoding(scale=0.5, nodata=-9999.0))

    def close(self):
        pass


def scene(grid: Grid = UTM, block=(1, 9), identity=("a file", 1, 2)) -> Recorded:
    centres = np.array([440.0, 550.0, 640.0, 860.0, 1650.0])
    bands = Bands(centres, np.array([10.0, 10.0, np.nan, 12.0, 14.0]), np.array([True, True, True, False, True]), tuple("abcde"))
    values = np.arange(5 * grid.shape[0] * grid.shape[1], dtype=np.int16).reshape(5, *grid.shape)
    values[:, 2, 3] = -9999
    info = SceneInfo("x.hdr", grid, bands, "int16", "envi", "enmap", "surface_reflectance", "2022-07-24T10:00:00Z", identity, -9999.0, attrs={"level": "L2A"})
    return Recorded(info, values, block)


def physical(source: Recorded) -> np.ndarray:
    return np.where(source.values == -9999, np.nan, source.values * 0.5).astype(np.float32)


def test_opening_and_selecting_reads_nothing():
    source = scene()
    cube = to_cube(source)
    part = cube.sel(wavelength=slice(450, 900)).isel(y=slice(1, 4)).copy()
    assert part.shape == (3, 3, 9)
    assert cube.sel(wavelength=650, method="nearest").band.item() == "c"
    repr(cube)
    copy.deepcopy(cube)
    assert source.reads == []


def test_a_window_reads_just_that_window_and_those_bands():
    source = scene()
    values = to_cube(source).sel(wavelength=slice(500, 700)).isel(y=slice(1, 4), x=slice(2, 5)).values
    assert source.reads == [(Window(1, 2, 3, 3), [1, 2])]
    np.testing.assert_array_equal(values, physical(source)[1:3, 1:4, 2:5])
    assert np.isnan(values[:, 1, 1]).all()


def test_coordinates_and_attributes():
    cube = to_cube(scene())
    assert cube.dims == ("wavelength", "y", "x") and cube.dtype == np.float32
    assert cube.wavelength.attrs["standard_name"] == "radiation_wavelength" and cube.wavelength.attrs["units"] == "nm"
    assert cube.fwhm.dims == cube.good_band.dims == cube.band.dims == ("wavelength",)
    assert cube.good_band.values.tolist() == [True, True, True, False, True]
    assert cube.attrs["sensor"] == "enmap" and cube.attrs["quantity"] == "surface_reflectance" and cube.attrs["units"] == "1"
    assert cube.attrs["acquired"] == "2022-07-24T10:00:00Z"
    np.testing.assert_array_equal(cube.x.values[:2], [300_015.0, 300_045.0])
    np.testing.assert_array_equal(cube.y.values[:2], [5_799_985.0, 5_799_955.0])
    assert cube.rio.crs.to_epsg() == 32633
    assert tuple(cube.rio.transform())[:6] == UTM.transform


def test_rotated_grid_keeps_its_transform():
    cube = to_cube(scene(ROTATED))
    assert tuple(cube.rio.transform())[:6] == ROTATED.transform
    assert cube.x.attrs["units"] == "pixel"
    assert grid_of(cube.isel(y=slice(2, 6), x=slice(3, 5))) == ROTATED.crop(Window(2, 3, 4, 2))


def test_scene_without_georeference_has_pixel_numbers_and_no_crs():
    cube = to_cube(scene(Grid((7, 9))))
    assert cube.x.values.tolist() == list(range(9)) and cube.y.values.tolist() == list(range(7))
    assert cube.rio.crs is None and "spatial_ref" not in cube.coords
    assert grid_of(cube.isel(y=slice(2, 6))) == Grid((4, 9))


def test_crs_that_proj_does_not_know_is_named():
    with pytest.raises(GridError, match=r"x\.hdr.*LOCAL"):
        to_cube(scene(Grid((7, 9), UTM.transform, "LOCAL nonsense")))


index = st.one_of(
    st.builds(slice, st.integers(0, 6), st.integers(0, 7), st.sampled_from([None, 1, 2, 3])),
    st.builds(slice, st.integers(0, 6), st.none(), st.sampled_from([-1, -2])),
    st.lists(st.integers(-5, 4), min_size=1, max_size=5).map(np.array),
    st.integers(-5, 4),
)


@settings(max_examples=120, deadline=None)
@given(key=st.tuples(index, index, index), block=st.tuples(st.integers(1, 7), st.integers(1, 9)), strip=st.integers(1, 1300))
def test_any_outer_indexing_equals_numpy(key, block, strip):
    import hsikit.cube

    source = scene(block=block)
    before, hsikit.cube.STRIP_BYTES = hsikit.cube.STRIP_BYTES, strip
    try:
        got = to_cube(source).isel(wavelength=key[0], y=key[1], x=key[2]).values
    finally:
        hsikit.cube.STRIP_BYTES = before
    expected = physical(source)
    for axis, k in zip((0, 1, 2), key, strict=True):
        expected = expected[(slice(None),) * axis + (np.atleast_1d(k) if not isinstance(k, slice) else k,)]
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


def test_no_block_is_read_twice(monkeypatch):
    monkeypatch.setattr("hsikit.cube.STRIP_BYTES", 4 * 5 * 6)  # less than one block of 3 x 4 pixels
    source = scene(block=(3, 4))
    _ = to_cube(source).values
    blocks = [(w.row, w.col) for w, _ in source.reads]
    assert sorted(blocks) == [(r, c) for r in (0, 3, 6) for c in (0, 4, 8)]


def test_large_reads_are_cut_into_strips(monkeypatch):
    monkeypatch.setattr("hsikit.cube.STRIP_BYTES", 4 * 5 * 9 * 2)
    source = scene()
    np.testing.assert_array_equal(to_cube(source).values, physical(source))
    assert [w.rows for w, _ in source.reads] == [2, 2, 2, 1]


def test_vectorised_points_equal_numpy():
    source = scene()
    rows, cols = xr.DataArray([0, 2, 6], dims="point"), xr.DataArray([8, 3, 1], dims="point")
    np.testing.assert_array_equal(to_cube(source).isel(y=rows, x=cols).values, physical(source)[:, [0, 2, 6], [8, 3, 1]])


def test_dask_chunks_and_several_threads_give_the_same_values():
    pytest.importorskip("dask.array")
    source = scene()
    cube = to_cube(source).chunk({"y": 2, "x": 4})
    assert source.reads == []
    np.testing.assert_array_equal(cube.compute(scheduler="threads").values, physical(source))
    back = from_cube(cube)
    assert back.block == (2, 4)
    np.testing.assert_array_equal(read_window(back, UTM.whole), physical(source))


@settings(max_examples=60, deadline=None)
@given(
    grid=st.sampled_from([UTM, ROTATED, Grid((7, 9)), Grid((7, 9), (0.1, 0.0, 13.3, 0.0, -0.1, 52.7), "EPSG:4326")]),
    row=st.integers(0, 5), col=st.integers(0, 7), rows=st.integers(1, 7), cols=st.integers(1, 9), low=st.sampled_from([400, 600, 800]),
)  # fmt: skip
def test_there_and_back_after_a_selection(grid, row, col, rows, cols, low):
    source = scene(grid)
    cube = to_cube(source).sel(wavelength=slice(low, None)).isel(y=slice(row, row + rows), x=slice(col, col + cols))
    back = from_cube(cube)
    assert source.reads == []
    window = Window(row, col, rows, cols).intersect(grid.whole)
    used = np.flatnonzero(source.info.bands.wavelength >= low)
    assert back.info.grid == grid.crop(window)
    assert back.info.bands.names == source.info.bands.take(used).names
    assert (back.info.quantity, back.info.sensor, back.info.acquired, back.info.name) == ("surface_reflectance", "enmap", "2022-07-24T10:00:00Z", "x.hdr")
    assert back.info.attrs == {"level": "L2A"} and back.info.nodata == -9999.0
    raw = back.read(Window(0, 0, 1, 1), np.arange(len(used)))
    assert raw.values.dtype == np.int16  # stored numbers, not decoded ones
    np.testing.assert_array_equal(read_window(back, Window.whole(window.shape)), physical(source)[used][(slice(None), *window.slices())])


def test_steps_and_flips_keep_their_place():
    cube = to_cube(scene()).isel(y=slice(None, None, -1), x=slice(1, None, 3))
    back = from_cube(cube)
    assert back.info.grid.transform == (90.0, 0.0, 300_000.0, 0.0, 30.0, 5_800_000.0 - 7 * 30)
    np.testing.assert_array_equal(read_window(back, Window(0, 0, 7, 3)), physical(scene())[:, ::-1, 1::3])


def test_identity_is_the_files_and_the_selection_or_a_checksum_of_values():
    cube = to_cube(scene())
    whole, again = from_cube(cube).info.identity, from_cube(to_cube(scene())).info.identity
    assert whole[:3] == ("a file", 1, 2) and whole == again
    assert from_cube(cube.isel(x=slice(1, None))).info.identity != whole
    assert from_cube(cube.assign_coords(good_band=("wavelength", [True] * 5))).info.identity != whole
    computed = (cube * 2).fillna(0)
    assert from_cube(computed).info.identity == from_cube(computed.copy()).info.identity
    assert from_cube(computed).info.identity != from_cube(computed + 1).info.identity
    unknown = scene(identity=())
    assert from_cube(to_cube(unknown)).info.identity[0] == "values" and unknown.reads


def test_lazy_source_of_an_unidentified_scene_reads_nothing():
    source = scene(identity=())
    lazy_source(to_cube(source))
    assert source.reads == []


def test_arithmetic_keeps_place_and_bands():
    source = scene()
    back = from_cube(to_cube(source) * 2)
    assert back.info.grid == UTM
    np.testing.assert_array_equal(read_window(back, Window(1, 2, 3, 4), np.array([0, 4])), 2 * physical(source)[[0, 4], 1:4, 2:6])


def plain(**coords) -> xr.DataArray:
    given = {"wavelength": ("wavelength", [450.0, 550.0, 650.0], {"units": "nm"}), **coords}
    return xr.DataArray(np.zeros((3, 2, 2), np.float32), dims=("wavelength", "y", "x"), coords=given, name="mine")


def test_a_cube_made_by_hand_is_enough():
    back = from_cube(plain())
    assert back.info.grid == Grid((2, 2)) and back.info.quantity == "dn" and back.info.bands.good.all()
    assert any("no quantity" in notice for notice in back.info.notices)


def test_fill_value_of_another_library_becomes_nan():
    cube = plain()
    cube.values[:, 0, 0] = -1
    assert np.isnan(read_window(from_cube(cube.assign_attrs(_FillValue=-1.0)), Window(0, 0, 1, 1))).all()


@pytest.mark.parametrize(
    ("cube", "error", "says"),
    [
        (plain().to_dataset(), SceneError, "Dataset"),
        (plain().transpose("y", "x", "wavelength"), SceneError, "order"),
        (plain().rename(y="line"), SceneError, "dims"),
        (plain().isel(x=0), SceneError, "dims"),
        (plain().astype(bool), SceneError, "bool"),
        (plain().astype(complex), SceneError, "complex"),
        (plain().isel(x=slice(0, 0)), SceneError, "empty"),
        (plain().drop_vars("wavelength"), WavelengthError, "no wavelength"),
        (plain(wavelength=("wavelength", [0.45, 0.55, 0.65], {"units": "um"})), WavelengthError, "'um'"),
        (plain(wavelength=[450.0, 550.0, 650.0]), WavelengthError, "without a unit"),
        (plain(wavelength=("wavelength", [450.0, 650.0, 550.0], {"units": "nm"})), WavelengthError, "650 nm is followed by 550 nm"),
        (plain(wavelength=("wavelength", [450.0, 450.0, 550.0], {"units": "nm"})), WavelengthError, "ascend"),
        (plain(wavelength=("wavelength", [450.0, np.nan, 550.0], {"units": "nm"})), WavelengthError, "missing"),
        (plain(wavelength=("wavelength", ["blue", "green", "red"], {"units": "nm"})), WavelengthError, "not numbers"),
        (plain(x=[0.0, 1.0], y=[0.0, np.nan]), GridError, "'y' is not evenly"),
        (plain().assign_attrs(quantity="brightness"), SceneError, "brightness"),
        (plain().assign_attrs(quantity="radiance", units="uW cm-2 sr-1 nm-1"), SceneError, "uW"),
        (to_cube(scene()).drop_vars("x"), GridError, "'x' is missing"),
        (to_cube(scene()).isel(x=[0, 1, 3]), GridError, "'x' is not evenly"),
    ],
)
def test_what_is_wrong_is_named(cube, error, says):
    with pytest.raises(error, match=says):
        validate(cube)


def test_real_enmap_tiles_as_one_cube(shared_data):
    import rasterio

    from hsikit.sensors import open_source

    folder = shared_data / "classification" / "enmap_potsdam"
    cube = to_cube(open_source(folder / "images", wavelengths=folder / "enmap_potsdam_srf.csv"))
    assert cube.sizes["wavelength"] == 224 and cube.rio.crs.to_epsg() == 32633
    tile = sorted((folder / "images").glob("*.tif"))[4]
    with rasterio.open(tile) as data:
        stored, (left, bottom, right, top) = data.read().astype(np.float32), data.bounds
    part = cube.sel(x=slice(left, right), y=slice(top, bottom), wavelength=slice(450, 900))
    assert part.shape[1:] == stored.shape[1:]
    index = np.flatnonzero((cube.wavelength.values >= 450) & (cube.wavelength.values <= 900))
    expected = np.where(stored[index] == -32768, np.nan, stored[index]) / 10_000
    assert np.isfinite(expected).mean() > 0.9
    np.testing.assert_allclose(part.values, expected, rtol=1e-5)
