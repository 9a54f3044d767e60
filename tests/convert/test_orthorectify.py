"""Swaths on a map, lazily and on disk, beside plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.convert.orthorectify import orthorectified, orthorectify, stored_type
from hsikit.errors import GridError, OptionError, OutputError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import NOTHING, ArrayTable, Swath
from hsikit.scene import QUALITY_FLAGS, Decoding, Quality, read_window
from hsikit.sensors import open_source

from .scenes import scene
from .swaths import MAP, ORDERS, gathered, stored, swath_scene, turned_table


class Watched:
    """A source that notes which windows are read."""

    def __init__(self, base):
        self.base, self.info, self.block, self.windows = base, base.info, base.block, []

    def read(self, window, bands):
        self.windows.append(window)
        return self.base.read(window, bands)

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize("order", ORDERS)
def test_a_swath_on_its_map_equals_a_gather_of_numpy(order):
    source = swath_scene(order=order)
    mapped = orthorectified(source)
    assert mapped.info.grid == MAP and mapped.info.swath is None and mapped.info.bands is source.info.bands
    np.testing.assert_array_equal(read_window(mapped, MAP.whole), gathered(source, np.nan, "float32"))


@settings(max_examples=25)
@given(st.integers(0, 100), st.integers(0, 89), st.integers(1, 50), st.integers(1, 50), st.sampled_from([(0, 1, 2, 3, 4), (1, 3), (4,)]))
def test_a_window_equals_the_same_part_of_the_whole(row, col, rows, cols, bands):
    source = swath_scene()
    window = Window(row, col, rows, cols).intersect(MAP.whole)
    found = read_window(orthorectified(source), window, np.array(bands))
    np.testing.assert_array_equal(found, gathered(source, np.nan, "float32")[list(bands)][(slice(None), *window.slices())])


def test_a_window_of_the_map_reads_only_the_part_of_the_swath_that_it_needs(monkeypatch):
    watched = Watched(swath_scene())
    mapped = orthorectified(watched)
    read_window(mapped, Window(0, 0, 4, 4))
    assert not any(window.size > 1 for window in watched.windows)
    watched.windows.clear()
    read_window(mapped, Window(48, 44, 6, 6))
    assert sum(window.size for window in watched.windows) <= 8 * 8
    watched.windows.clear()
    monkeypatch.setattr("hsikit.convert.orthorectify.PIECE", 200)
    read_window(mapped, Window(40, 0, 20, 90))
    assert max(window.size for window in watched.windows) <= 200


@pytest.mark.parametrize(
    ("dtype", "nodata", "kind", "fill"),
    [
        ("float32", None, "float32", np.nan), ("float32", -9999.0, "float32", -9999.0), ("int16", -9999.0, "int16", -9999.0), ("uint16", 0.0, "uint16", 0.0),
        ("int16", None, "float32", np.nan), ("uint8", -1.0, "float32", -1.0), ("int32", None, "float64", np.nan), ("uint8", 0.5, "float32", 0.5),
    ],
)  # fmt: skip
def test_where_nothing_was_measured_stands_a_value_that_the_type_can_hold(dtype, nodata, kind, fill, tmp_path):
    source = swath_scene(dtype=dtype, nodata=nodata)
    mapped = orthorectified(source)
    assert mapped.info.dtype == kind and stored_type(source.info) == (np.dtype(kind), pytest.approx(fill, nan_ok=True))
    np.testing.assert_array_equal(stored(mapped), gathered(source, fill, kind))
    assert np.isnan(read_window(mapped, Window(0, 0, 2, 2))).all()
    path = tmp_path / "map.tif"
    orthorectify(source, path)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), gathered(source, fill, kind))


def test_quality_goes_through_the_table_and_says_where_nothing_is():
    flags = np.random.default_rng(0).choice([0, 1, 2, 64], (75, 48)).astype(np.uint8)
    source = swath_scene(quality=Quality(("cloud", "shadow", "saturated"), lambda window: flags[window.slices()]))
    quality = orthorectified(source).info.quality
    rows, cols = turned_table()
    assert set(quality.flags) == {"cloud", "shadow", "saturated", "no-data"}
    wanted = np.where(rows >= 0, flags[rows, cols], QUALITY_FLAGS["no-data"])
    assert (quality.read(MAP.whole) == wanted).all()
    assert (quality.read(Window(40, 30, 20, 25)) == wanted[40:60, 30:55]).all()


def test_a_table_is_made_from_positions_where_the_product_has_none_or_another_map_is_wanted():
    lone, own = swath_scene(table=None), swath_scene()
    for source, options in ((lone, {}), (own, {"crs": "EPSG:4326"}), (own, {"resolution": 150.0}), (own, {"radius": 80.0})):
        mapped = orthorectified(source, **options)
        assert mapped.info.grid != MAP and mapped.info.grid.crs == options.get("crs", "EPSG:32633")
        found = read_window(mapped, mapped.info.grid.whole)
        known = np.isfinite(found).all(axis=0)
        assert known.any() and set(map(tuple, found[:, known].T)) <= set(map(tuple, stored(source).reshape(5, -1).T))
    assert orthorectified(own, resolution=150.0).info.grid.pixel_size == (150.0, 150.0)


def test_a_part_of_a_swath_gets_the_map_of_that_part(tmp_path):
    from hsikit.cube import from_cube, to_cube

    source = swath_scene()
    part = from_cube(to_cube(source).isel(downtrack=slice(20, 50), crosstrack=slice(10, 40)))
    mapped = orthorectified(part)
    found, grid = read_window(mapped, mapped.info.grid.whole), mapped.info.grid
    whole, rows, cols = gathered(source, np.nan, "float32"), *turned_table()
    inside = (rows >= 20) & (rows < 50) & (cols >= 10) & (cols < 40)
    row, col = (int(np.flatnonzero(inside.any(axis=axis))[0]) for axis in (1, 0))
    window = Window(row, col, *grid.shape)
    assert grid == MAP.crop(window) and inside.sum() == np.isfinite(found[0]).sum()
    np.testing.assert_array_equal(found, np.where(inside, whole, np.nan)[(slice(None), *window.slices())])


def test_two_maps_of_one_scene_are_two_inputs():
    source = swath_scene()
    options = ({}, {"crs": "EPSG:4326"}, {"resolution": 100.0}, {"radius": 50.0}, {"radius": 500.0})
    found = [orthorectified(source, **option).info.identity for option in options]
    assert len(set(map(str, found))) == 5


def test_scenes_that_are_no_swath_are_refused():
    with pytest.raises(GridError, match=r"map grid already.*warp"):
        orthorectified(scene())
    with pytest.raises(GridError, match="no georeference"):
        orthorectified(scene(place="nowhere"))


# ---- on disk


@pytest.mark.parametrize("order", ORDERS)
def test_a_geotiff_holds_the_stored_numbers_band_after_band(order, tmp_path):
    source = swath_scene(order=order, dtype="int16", nodata=-9999.0, decoding=Decoding(1e-4, 0.5, -9999.0))
    path = tmp_path / "map.tif"
    assert orthorectify(source, path, tags={"order": "7"}) == [path]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), gathered(source, -9999, "int16"))
        assert file.interleaving.name == "band" and file.profile["tiled"] and file.compression is None and file.nodata == -9999
        assert file.crs.to_string() == "EPSG:32633" and tuple(file.transform)[:6] == MAP.transform
        assert file.tags()["order"] == "7"
    again, mapped = open_source(path), orthorectified(source)
    np.testing.assert_array_equal(read_window(again, MAP.whole), read_window(mapped, MAP.whole))
    for name in ("wavelength", "fwhm", "good"):
        np.testing.assert_array_equal(getattr(again.info.bands, name), getattr(source.info.bands, name))
    assert (again.info.quantity, again.info.sensor, again.info.acquired) == ("surface_reflectance", "emit", "2023-05-06T07:08:09Z")


@pytest.mark.parametrize("ending", ["zarr", "hdr", "nc"])
def test_other_formats_hold_the_same_map(ending, tmp_path):
    source = swath_scene()
    orthorectify(source, tmp_path / f"map.{ending}")
    again = open_source(tmp_path / f"map.{ending}")
    np.testing.assert_array_equal(read_window(again, MAP.whole), gathered(source, np.nan, "float32"))
    assert again.info.grid.transform == pytest.approx(MAP.transform)


def test_a_swath_of_one_row_and_a_map_of_one_pixel(tmp_path):
    table = ArrayTable(Grid((1, 1), MAP.transform, MAP.crs), np.array([[0]], np.int32), np.array([[2]], np.int32))
    source = swath_scene((1, 4), bands=1, table=table)
    orthorectify(source, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.read().tolist() == stored(source)[:, :1, 2:3].tolist()


def test_a_table_without_a_measurement_gives_a_map_of_fill(tmp_path):
    nothing = np.full(MAP.shape, NOTHING, np.int32)
    orthorectify(swath_scene(table=ArrayTable(MAP, nothing, nothing)), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        assert np.isnan(file.read()).all() and file.shape == MAP.shape


def test_a_table_that_points_outside_the_scene_is_refused_and_an_older_map_stays(tmp_path):
    rows, cols = turned_table()
    path = tmp_path / "map.tif"
    path.write_bytes(b"older")
    with pytest.raises(SceneError, match=r"granule.*outside"):
        orthorectify(swath_scene(table=ArrayTable(MAP, rows + np.int32(40), cols)), path, overwrite=True)
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_an_output_that_exists_or_a_resolution_that_is_none_is_refused(tmp_path):
    (tmp_path / "map.tif").write_bytes(b"older")
    with pytest.raises(OutputError, match="--overwrite"):
        orthorectify(swath_scene(), tmp_path / "map.tif")
    with pytest.raises(OptionError, match="res"):
        orthorectify(swath_scene(), tmp_path / "other.tif", resolution=-1.0)
    with pytest.raises(GridError, match="position"):
        lost = Swath((75, 48), lambda window: (np.full(window.shape, np.nan), np.full(window.shape, np.nan)))
        orthorectify(swath_scene(swath=lost), tmp_path / "other.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


def test_a_real_granule_is_put_where_its_own_table_says(shared_data, tmp_path):
    import h5py

    path = shared_data / "sensors" / "emit" / "EMIT_L1B_OBS_001_20220827T060753_9999999_999.nc"
    with h5py.File(path) as file:
        values, x, y = file["obs"][:], file["location/glt_x"][:], file["location/glt_y"][:]
    source = open_source(path)
    orthorectify(source, tmp_path / "map.tif")
    wanted = np.where(x == 0, np.float32(-9999), values[np.abs(y) - 1, np.abs(x) - 1].transpose(2, 0, 1))
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(), wanted)
