"""The traps of PRISMA's products."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from rasterio.warp import transform

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, read_window
from hsikit.sensors import open_source, sensor_bands
from tests.products import prisma

HCO = "HDFEOS/SWATHS/PRS_L{}_HCO/{}"


def whole(path: Path, **options):
    source = open_source(path, inspect=False, **options)
    values = read_window(source, source.info.grid.whole)
    source.close()
    return source.info, values


@pytest.fixture
def l2d(tmp_path: Path) -> Path:
    return prisma.product(tmp_path, "2D").path


def change(path: Path, **attrs: float) -> None:
    with h5py.File(path, "r+") as file:
        for key, value in attrs.items():
            file.attrs[key] = value


def test_renamed_file_opens(l2d: Path) -> None:
    assert open_source(l2d.rename(l2d.with_name("scene.h5")), inspect=False).info.driver == "prisma"


def test_stored_descending_read_ascending_without_bands_of_no_wavelength(l2d: Path) -> None:
    with h5py.File(l2d) as file:
        stored = file.attrs["List_Cw_Vnir"]
        assert (stored == 0).any()
        assert (np.diff(stored[stored > 0]) < 0).all()
    info, _ = whole(l2d, detector_overlap="vnir")
    assert (np.diff(info.bands.wavelength) > 0).all()
    assert info.bands.wavelength[0] == pytest.approx(406.9934, abs=1e-3)


def test_own_centres_win_over_the_published_table(l2d: Path) -> None:
    with h5py.File(l2d, "r+") as file:
        stored = file.attrs["List_Cw_Vnir"]
        file.attrs["List_Cw_Vnir"] = np.where(stored > 0, stored + np.float32(4.5), 0).astype(np.float32)
    info, _ = whole(l2d)
    assert info.sensor == "prisma"
    assert info.bands.wavelength[0] == pytest.approx(411.4934, abs=1e-3)
    assert abs(sensor_bands("prisma").wavelength[0] - info.bands.wavelength[0]) > 5


def test_every_centre_of_the_real_products(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = json.loads(next((shared_data / "sensors" / "prisma").glob("PRS_L2C_*.json")).read_text())
    known = {}
    for detector, (before, after) in (("Vnir", (3, 0)), ("Swir", (0, 2))):
        bands = [band for band in dump["expectedContent"]["bands"] if band["name"].startswith(f"HCO_{detector}_Rrs")]
        named = tuple((float(band["spectralWavelength"]), float(band["spectralBandwidth"])) for band in bands)
        known[detector] = np.array([centre for centre, _ in named])
        monkeypatch.setattr(prisma, detector.upper(), (prisma.NO_BAND,) * before + named + (prisma.NO_BAND,) * after)
    path = prisma.product(tmp_path, "2C").path
    kept, _ = whole(path, detector_overlap="keep")
    np.testing.assert_allclose(kept.bands.wavelength, np.sort(np.concatenate([known["Vnir"], known["Swir"]])), atol=2e-3)
    joined, _ = whole(path)
    assert len(joined.bands) == 63 + 171 - int((known["Swir"] <= known["Vnir"].max()).sum())
    assert any("overlap" in notice for notice in joined.notices)


def test_level_1_is_divided_by_its_scale_factor(tmp_path: Path) -> None:
    path = prisma.product(tmp_path, "1").path
    with h5py.File(path, "r+") as file:
        file[HCO.format("1", "Data Fields/VNIR_Cube")][2, 3, 1] = 5589  # 977 nm over land: 55.89 W m-2 sr-1 um-1 in the dump of the real file
        file.attrs["Offset_Vnir"] = np.float32(0.5)
    info, values = whole(path, detector_overlap="vnir")
    assert info.units == "W m-2 sr-1 um-1"
    band = int(np.abs(info.bands.wavelength - 977.3654).argmin())
    assert values[band, 1, 2] == pytest.approx(55.89 - 0.5, rel=1e-6)


def test_rows_go_along_the_track_on_the_sensor_grid(tmp_path: Path) -> None:
    built = prisma.product(tmp_path, "2B")
    info, _ = whole(built.path)
    with h5py.File(built.path) as file:
        assert file[HCO.format("2B", "Data Fields/VNIR_Cube")].shape == (prisma.COLS, len(prisma.VNIR), prisma.ROWS)
    assert info.grid.shape == (prisma.ROWS, prisma.COLS)
    assert info.swath is not None
    _, latitude = info.swath.locate(info.grid.whole)
    assert np.diff(latitude, axis=0).mean() < 3 * np.diff(latitude, axis=1).mean() < 0  # the platform flies south


def test_zero_of_one_band_is_a_value_and_a_dark_pixel_is_missing(l2d: Path) -> None:
    cubes = [HCO.format("2D", f"Data Fields/{name}_Cube") for name in ("VNIR", "SWIR")]
    with h5py.File(l2d, "r+") as file:
        for name in cubes:
            file[name][0, :, 0] = 100
            file[name][0, :, 1] = 0
        file[cubes[0]][0, 8, 0] = 0
    info, values = whole(l2d, detector_overlap="vnir")
    band = int(np.abs(info.bands.wavelength - prisma.VNIR[8][0]).argmin())
    assert values[band, 0, 0] == pytest.approx(np.float32(-0.02))
    assert np.isnan(values[:, 0, 1]).all()
    assert np.isfinite(values[:, 0, 0]).all()
    _, plain = whole(l2d, detector_overlap="vnir", nodata=0)  # who names a fill value, gets it
    assert np.isnan(plain[band, 0, 0])


@pytest.mark.parametrize("code", [3, 4])
def test_both_codes_of_saturation(l2d: Path, code: int) -> None:
    with h5py.File(l2d, "r+") as file:
        for name in ("VNIR", "SWIR"):
            file[HCO.format("2D", f"Data Fields/{name}_PIXEL_L2_ERR_MATRIX")][...] = 0
        file[HCO.format("2D", "Data Fields/SWIR_PIXEL_L2_ERR_MATRIX")][4, 2, 3] = code
        file[HCO.format("2D", "Data Fields/SWIR_PIXEL_L2_ERR_MATRIX")][5, len(prisma.SWIR) - 1, 3] = code  # of no band
    quality = open_source(l2d, inspect=False).info.quality
    assert quality is not None
    saturated = quality.read(Window(4, 2, 2, 3)) & QUALITY_FLAGS["saturated"] > 0
    np.testing.assert_array_equal(saturated, [[False, True, False], [False, False, False]])


def test_both_conventions_of_extents_lead_to_the_same_corner(tmp_path: Path) -> None:
    grids = []
    for centres in (False, True):
        folder = tmp_path / str(centres)
        folder.mkdir()
        path = prisma.product(folder, "2D", centres).path
        for role in ("cube", "pan"):
            info, _ = whole(path, role=role)
            assert not any("extents" in notice for notice in info.notices)
            grids.append(info.grid.bounds[::3])
    assert set(grids) == {(prisma.UPPER_LEFT[0] + 0.0, grids[0][1])}
    assert grids[0] == prisma.UPPER_LEFT


def test_corner_agrees_with_the_positions_of_a_real_product(shared_data: Path) -> None:
    dump = json.loads(next((shared_data / "sensors" / "prisma").glob("PRS_L2D_*.json")).read_text())
    bands = {band["name"]: band for band in dump["expectedContent"]["bands"]}
    for swath, size in (("HCO", 30.0), ("PCO", 5.0)):
        for axis, name in enumerate(("Longitude", "Latitude")):
            for pixel in bands[f"{swath}_{name}"]["expectedPixels"]:
                east = prisma.UPPER_LEFT[0] + size * (pixel["x"] + 0.5)
                north = prisma.UPPER_LEFT[1] - size * (pixel["y"] + 0.5)
                found = transform("EPSG:32632", "EPSG:4326", [east], [north])[axis][0]
                assert found == pytest.approx(pixel["value"], abs=5e-6)  # half a metre, the precision of what is stored


def test_positions_win_over_the_size_of_the_extents(tmp_path: Path) -> None:
    path = prisma.product(tmp_path, "2D", centres=False).path
    for corner, step in (("UL", -15), ("LL", -15), ("UR", -15), ("LR", -15)):  # a pixel's corner, measured from a centre
        change(path, **{f"Product_{corner}corner_easting": prisma.UPPER_LEFT[0] + 15 + (0 if corner[1] == "L" else 30 * prisma.COLS)})
        change(path, **{f"Product_{corner}corner_northing": prisma.UPPER_LEFT[1] + step - (0 if corner[0] == "U" else 30 * prisma.ROWS)})
    info, _ = whole(path)
    assert info.grid.transform[2::3] == prisma.UPPER_LEFT
    assert any("the positions are followed" in notice for notice in info.notices)


@pytest.mark.parametrize("centres", [False, True])
def test_size_of_the_extents_decides_without_positions(tmp_path: Path, centres: bool) -> None:
    path = prisma.product(tmp_path, "2D", centres).path
    with h5py.File(path, "r+") as file:
        file[HCO.format("2D", "Geolocation Fields/Latitude")][...] = 0
        file[HCO.format("2D", "Geolocation Fields/Longitude")][...] = 0
    info, _ = whole(path)
    assert info.grid.transform[2::3] == prisma.UPPER_LEFT
    change(path, Product_URcorner_easting=prisma.UPPER_LEFT[0] + 30 * prisma.COLS + 44)
    with pytest.raises(SceneError, match="extents differ"):
        open_source(path)


@pytest.mark.parametrize("level", ["1", "2B", "2D"])
def test_water_vapour_bands_are_named_once_whatever_is_measured(tmp_path: Path, level: str) -> None:
    info, _ = whole(prisma.product(tmp_path, level).path)
    np.testing.assert_allclose(info.bands.wavelength[~info.bands.good], [1394.754, 1868.1732], atol=1e-3)
    assert sum("water vapour" in notice for notice in info.notices) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.attrs.__delitem__("List_Fwhm_Swir"),
        lambda file: file.attrs.__setitem__("List_Cw_Vnir", np.zeros(13, np.float32)),
        lambda file: file.attrs.__setitem__("List_Cw_Vnir", np.ones(12, np.float32)),
        lambda file: file.attrs.__setitem__("List_Cw_Swir", np.roll(file.attrs["List_Cw_Swir"], 3)),
        lambda file: file.attrs.__setitem__("L2ScaleVnirMax", np.float32(-1)),
        lambda file: file.attrs.__setitem__("L2ScaleSwirMin", np.float32(np.nan)),
        lambda file: file.attrs.__setitem__("Epsg_Code", np.uint32(7)),
        lambda file: file.attrs.__delitem__("Product_ULcorner_easting"),
        lambda file: file.__delitem__(HCO.format("2D", "Data Fields/SWIR_Cube")),
        lambda file: file.__delitem__(HCO.format("2D", "Data Fields/VNIR_PIXEL_L2_ERR_MATRIX")),
        lambda file: file.__delitem__(HCO.format("2D", "Data Fields")),
    ],
)
def test_damaged_products_are_refused(l2d: Path, spoil) -> None:
    with h5py.File(l2d, "r+") as file:
        spoil(file)
    with pytest.raises(SceneError, match=l2d.name):
        open_source(l2d)


@pytest.mark.parametrize("level", ["1", "2D"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, level: str, share: float) -> None:
    path = prisma.product(tmp_path, level).path
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SceneError):
        whole(path)
