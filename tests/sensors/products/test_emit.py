"""What is peculiar to EMIT: masks by name, values that stand for nothing, bits of band_mask, the files of one granule together."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, Source, read_window
from hsikit.sensors import open_source
from tests.products import emit
from tests.products.geotiff import write_geotiff


def opened(path: Path, **options: object) -> Source:
    return open_source(path, inspect=False, **options)  # type: ignore[arg-type]


def whole(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def flagged(source: Source, flag: str) -> np.ndarray:
    assert source.info.quality is not None
    return source.info.quality.read(source.info.grid.whole) & QUALITY_FLAGS[flag] != 0


def test_a_hundredth_below_zero_is_nothing_in_bands_of_water_vapour_and_a_value_elsewhere(tmp_path: Path) -> None:
    built = emit.reflectance(tmp_path)
    source = opened(built.path)
    found = whole(source)
    assert np.isnan(found[~emit.GOOD]).all()
    assert found[1, 0, 0] == np.float32(-0.01)
    assert sum("water vapour" in notice for notice in source.info.notices) == 1


def test_products_of_2022_do_not_list_their_good_bands(tmp_path: Path) -> None:
    np.testing.assert_array_equal(opened(emit.reflectance_of_2022(tmp_path).path).info.bands.good, emit.GOOD)


def test_a_renamed_product_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "granule").mkdir()
    built = emit.reflectance(tmp_path / "granule")
    renamed = shutil.copy(built.path, tmp_path / "monday.h5")
    source = opened(Path(renamed))
    assert source.info.driver == "emit"
    assert source.info.quality is None
    np.testing.assert_array_equal(whole(source), built.truth)


def test_masks_are_known_by_name_and_not_by_place(tmp_path: Path) -> None:
    built = emit.masks_1(tmp_path)
    order = [5, 4, 7, 2, 0, 6, 1, 3]
    with h5py.File(built.path, "r+") as file:
        file["mask"][...] = file["mask"][...][..., order]
        file["sensor_band_parameters/mask_bands"][...] = np.array(emit.MASKS["001"], object)[order]
    source = opened(built.path)
    for flag, truth in built.quality.items():
        np.testing.assert_array_equal(flagged(source, flag), truth, err_msg=flag)


def test_later_masks_with_fewer_bands_tell_fewer_flags(tmp_path: Path) -> None:
    path = emit.masks_1(tmp_path).path
    names = ["Cloud Flag", "Cirrus Flag", "Dilated Cloud Flag", "SpecTf-Cloud Probability", "SpecTf-Cloud Flag"]
    values = np.zeros((emit.ROWS, emit.COLS, 5), np.float32)
    values[2, 3, 3], values[4, 5, 4] = 0.9, 1
    with h5py.File(path, "r+") as file:
        del file["mask"], file["sensor_band_parameters/mask_bands"]
        file["mask"] = values
        file["sensor_band_parameters/mask_bands"] = np.array(names, object)
    source = opened(path)
    assert source.info.quality is not None
    assert set(source.info.quality.flags) == {"cloud", "cirrus", "no-data"}
    assert np.argwhere(flagged(source, "cloud")).tolist() == [[4, 5]]


def test_masks_without_their_names_are_refused(tmp_path: Path) -> None:
    path = emit.masks_1(tmp_path).path
    with h5py.File(path, "r+") as file:
        names = file["sensor_band_parameters/mask_bands"][:-1]
        del file["sensor_band_parameters/mask_bands"]
        file["sensor_band_parameters/mask_bands"] = names
    with pytest.raises(SceneError, match="7 are named"):
        opened(path)


def test_band_mask_is_one_bit_for_each_band(tmp_path: Path) -> None:
    path = emit.masks_2(tmp_path).path
    with h5py.File(path) as file:
        truth = np.unpackbits(file["band_mask"][...], axis=-1)[..., :285].transpose(2, 0, 1)
    source = opened(path, variable="band_mask")
    assert len(source.info.bands) == 285
    np.testing.assert_array_equal(whole(source), truth)
    np.testing.assert_array_equal(read_window(source, Window(2, 1, 3, 4), np.array([0, 7, 8, 200, 284])), truth[[0, 7, 8, 200, 284], 2:5, 1:5])


def test_the_masks_of_the_same_version_come_first_then_the_newest(tmp_path: Path) -> None:
    built = emit.radiance(tmp_path)
    emit.masks_2(tmp_path)
    np.testing.assert_array_equal(flagged(opened(built.path), "cloud"), built.quality["cloud"])
    (tmp_path / f"EMIT_L2A_MASK_001_{emit.SCENE}.nc").unlink()
    assert (tmp_path / f"EMIT_L2A_MASK_002_{emit.SCENE}.nc").samefile(tmp_path / Path(opened(built.path).info.identity[1][0]).name)
    (tmp_path / f"EMIT_L2A_MASK_002_{emit.SCENE}.nc").rename(tmp_path / "EMIT_L2A_MASK_002_20220827T060805_2223904_014.nc")
    assert opened(built.path).info.quality is None


def test_damaged_masks_beside_a_scene_do_not_hide_it(tmp_path: Path) -> None:
    built = emit.radiance(tmp_path)
    masks = tmp_path / f"EMIT_L2A_MASK_001_{emit.SCENE}.nc"
    masks.write_bytes(masks.read_bytes()[:2000])
    source = opened(built.path)
    assert source.info.quality is None
    assert any("masks beside it are not used" in notice and masks.name in notice for notice in source.info.notices)
    np.testing.assert_allclose(whole(source), built.truth, rtol=1e-6)


def test_masks_of_another_shape_are_not_used(tmp_path: Path) -> None:
    built = emit.radiance(tmp_path)
    with h5py.File(tmp_path / f"EMIT_L2A_MASK_001_{emit.SCENE}.nc", "r+") as file:
        smaller = file["mask"][:-1]
        del file["mask"]
        file["mask"] = smaller
    source = opened(built.path)
    assert source.info.quality is None
    assert any("masks beside it are not used" in notice for notice in source.info.notices)


def test_an_unknown_unit_of_radiance_is_refused_unless_the_user_knows_it(tmp_path: Path) -> None:
    built = emit.radiance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file["radiance"].attrs["units"] = np.bytes_(b"counts")
    with pytest.raises(SceneError, match=r"'counts'.*--scale"):
        opened(built.path)
    np.testing.assert_allclose(whole(opened(built.path, scale=10.0)), built.truth, rtol=1e-6)


def test_other_arrays_by_name(tmp_path: Path) -> None:
    built = emit.reflectance(tmp_path)
    elevation = opened(built.path, variable="location/elev")
    with h5py.File(built.path) as file:
        np.testing.assert_allclose(whole(elevation)[0], file["location/elev"][...], rtol=1e-6)
    assert elevation.info.bands.names == ("elev",)
    np.testing.assert_array_equal(whole(opened(built.path, variable="reflectance_uncertainty")), emit.uncertainty(tmp_path).truth)
    with pytest.raises(SceneError, match=r"no image 'nothing'.*location/elev"):
        opened(built.path, variable="nothing")
    (tmp_path / f"EMIT_L2A_RFLUNCERT_001_{emit.SCENE}.nc").unlink()
    with pytest.raises(SceneError, match="EMIT_L2A_RFLUNCERT"):
        opened(built.path, variable="reflectance_uncertainty")


def test_a_table_that_points_outside_is_refused(tmp_path: Path) -> None:
    built = emit.observation(tmp_path)
    with h5py.File(built.path, "r+") as file:
        file["location/glt_y"][7, 7] = emit.ROWS + 1
    swath = opened(built.path).info.swath
    assert swath is not None and swath.table is not None
    with pytest.raises(SceneError, match="points outside"):
        swath.table.read(Window(7, 7, 1, 1))
    assert swath.table.read(Window(0, 0, 7, 7)).rows.shape == (7, 7)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    built = emit.masks_2(tmp_path)
    data = built.path.read_bytes()
    built.path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SceneError, match=built.path.name):
        whole(opened(built.path))


def test_gas_products_are_known_by_their_metadata_too(tmp_path: Path) -> None:
    built = emit.methane(tmp_path)
    renamed = built.path.rename(tmp_path / "plume.tif")
    source = opened(renamed)
    assert (source.info.driver, source.info.bands.names) == ("emit-gas", ("methane enhancement",))
    np.testing.assert_array_equal(whole(source), built.truth)
    other = write_geotiff(tmp_path / "other.tif", np.ones((3, 4, 5), np.float32), [500.0, 600.0, 700.0])
    assert opened(other).info.driver == "geotiff"


def test_a_gas_product_of_several_layers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"EMIT_L2B_CO2ENH_002_{emit.SCENE}.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=5, count=2, dtype="float32") as file:
        file.write(np.ones((2, 4, 5), np.float32))
    with pytest.raises(SceneError, match="has 2 layers"):
        opened(path)


def test_the_real_observation(shared_data: Path) -> None:
    path = shared_data / "sensors" / "emit" / "EMIT_L1B_OBS_001_20220827T060753_9999999_999.nc"
    source = opened(path)
    info = source.info
    assert (info.driver, info.grid.shape, info.bands.names[4], info.acquired) == (
        "emit-layers", (200, 200), "To-sun zenith (0 to 90 degrees from zenith)", "2022-08-27T06:07:53Z",
    )  # fmt: skip
    assert info.swath is not None and info.swath.table is not None
    window = Window(11, 20, 30, 40)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(read_window(source, window), file["obs"][11:41, 20:60].transpose(2, 0, 1))
        np.testing.assert_array_equal(info.swath.locate(window)[1], file["location/lat"][11:41, 20:60])
        np.testing.assert_array_equal(info.swath.table.read(info.swath.table.grid.whole).cols, file["location/glt_x"][...] - 1)
    # The map pixel that a measurement is put into lies within a pixel of where it was made.
    grid, table = info.swath.table.grid, info.swath.table.read(info.swath.table.grid.whole)
    lon, lat = info.swath.locate(info.grid.whole)
    rows, cols = np.nonzero(table.filled)
    x, y = grid.centres(rows, cols)
    source_pixels = table.rows[rows, cols], table.cols[rows, cols]
    assert np.median(np.abs(lon[source_pixels] - x)) < grid.pixel_size[0]
    assert np.median(np.abs(lat[source_pixels] - y)) < grid.pixel_size[1]


def test_the_real_masks(shared_data: Path) -> None:
    path = shared_data / "sensors" / "emit" / "EMIT_L2A_MASK_001_20220827T060753_9999999_999.nc"
    source = opened(path)
    assert source.info.quality is not None
    assert source.info.quality.flags == ("cloud", "cirrus", "water", "no-data")
    assert not source.info.quality.read(source.info.grid.whole).any()
    bits = opened(path, variable="band_mask")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(whole(source), file["mask"][...].transpose(2, 0, 1))
        truth = np.unpackbits(file["band_mask"][...], axis=-1)
    assert not truth[..., 285:].any()  # else the bits were in the other order
    np.testing.assert_array_equal(whole(bits), truth[..., :285].transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["fake_EMIT_L2A.nc", "fake_EMIT_L2A_with_good_wavelengths.nc"])
def test_a_product_without_wavelengths_needs_them(shared_data: Path, name: str) -> None:
    path = shared_data / "sensors" / "emit" / "gdal_fake" / name
    with pytest.raises(WavelengthError, match="no wavelengths"):
        opened(path)
    source = opened(path, wavelengths=[500.0, 600.0])
    assert source.info.swath is not None and source.info.swath.table is not None
    table = source.info.swath.table.read(Window(0, 0, 3, 3))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(table.filled, file["location/glt_x"][...] > 0)


def test_the_observation_beside_a_scene_gives_its_angles(tmp_path: Path) -> None:
    built = emit.radiance(tmp_path)
    assert "sun_zenith" not in opened(built.path).info.attrs
    observed = emit.observation(tmp_path)
    middle = observed.truth[:, emit.ROWS // 2, emit.COLS // 2]
    attrs = opened(built.path).info.attrs
    for name, band in (("view_azimuth", 1), ("view_zenith", 2), ("sun_azimuth", 3), ("sun_zenith", 4)):
        assert float(attrs[name]) == pytest.approx(middle[band], abs=1e-4)
    observed.path.write_bytes(observed.path.read_bytes()[:3000])
    source = opened(built.path)
    assert "sun_zenith" not in source.info.attrs
    assert any("observation beside it is not used" in notice for notice in source.info.notices)
