"""What is peculiar to PACE OCI: overlapping detectors, two gains of one band, two lists of wavelengths, flags by name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, Source, read_window
from hsikit.sensors import open_source
from tests.products import pace
from tests.products.netcdf import add_array

HIGH = [1248.550, 1618.036]
STANDARD = [1250.375, 1619.626]


def opened(path: Path, **options: object) -> Source:
    return open_source(path, inspect=False, **options)  # type: ignore[arg-type]


def whole(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def at(source: Source, centres: list[float]) -> np.ndarray:
    index = np.array([int(np.abs(source.info.bands.wavelength - centre).argmin()) for centre in centres])
    assert np.abs(source.info.bands.wavelength[index] - centres).max() < 0.01
    return read_window(source, source.info.grid.whole, index)


@pytest.mark.parametrize(("overlap", "inside"), [("vnir", pace.BLUE), ("swir", pace.RED)])
def test_one_detector_alone_in_the_overlap(tmp_path: Path, overlap: str, inside: np.ndarray) -> None:
    built = pace.level_1(tmp_path)
    source = opened(built.path, detector_overlap=overlap)
    low, high = pace.RED[0], pace.BLUE[-1]
    found = source.info.bands.wavelength
    np.testing.assert_allclose(found[(found >= low) & (found <= high)], inside[(inside >= low) & (inside <= high)], atol=1e-3)
    assert any("--detector-overlap" in notice for notice in source.info.notices)


def test_high_gain_gives_way_to_standard_gain_where_it_is_saturated(tmp_path: Path) -> None:
    built = pace.level_1(tmp_path)
    with h5py.File(built.path, "r+") as file:
        for name in ("blue", "red", "SWIR"):
            file[f"observation_data/qual_{name}"][...] = 0
        file["observation_data/qual_SWIR"][6, 2, 3] = 1  # one of the two saturated, and both give way
        file["observation_data/qual_SWIR"][3, 4, 4] = 2  # another bit than that of saturation
        file["observation_data/qual_red"][1, 1, 1] = 1
        file["observation_data/rhot_SWIR"][...] = np.arange(9, dtype=np.float32)[:, None, None]
    source = opened(built.path)
    np.testing.assert_array_equal(at(source, HIGH)[:, 2, 3], [2, 5])
    np.testing.assert_array_equal(at(source, HIGH)[:, 4, 4], [3, 6])
    assert not np.isclose(source.info.bands.wavelength, STANDARD[0], atol=0.5).any()
    assert source.info.quality is not None
    saturated = source.info.quality.read(source.info.grid.whole) & QUALITY_FLAGS["saturated"] != 0
    assert np.argwhere(saturated).tolist() == [[1, 1]]
    kept = opened(built.path, detector_overlap="keep")
    np.testing.assert_array_equal(at(kept, STANDARD + HIGH)[:, 0, 0], [2, 5, 3, 6])


def test_radiance_is_read_in_its_unit(tmp_path: Path) -> None:
    path = pace.level_1(tmp_path).path
    with h5py.File(path, "r+") as file:
        for name in ("blue", "red", "SWIR"):
            file.move(f"observation_data/rhot_{name}", f"observation_data/Lt_{name}")
            file[f"observation_data/Lt_{name}"].attrs["units"] = np.bytes_(b"mW cm^-2 um^-1 sr^-1")
        stored = file["observation_data/Lt_red"][-1]
    source = opened(path)
    assert source.info.quantity == "radiance"
    np.testing.assert_allclose(at(source, [float(pace.RED[-1])])[0], np.where(stored == pace.FILL, np.nan, 10 * stored), rtol=1e-6)


def test_arrays_with_different_fill_values_are_refused(tmp_path: Path) -> None:
    path = pace.level_1(tmp_path).path
    with h5py.File(path, "r+") as file:
        file["observation_data/rhot_red"].attrs["_FillValue"] = np.float32(-999)
    with pytest.raises(SceneError, match="different fill values"):
        opened(path)


def test_wavelengths_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = pace.level_1(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file["sensor_band_parameters/red_wavelength"]
        file["sensor_band_parameters/red_wavelength"] = pace.RED[:-1]
    with pytest.raises(SceneError, match=r"rhot_red.*6 wavelengths"):
        opened(path)
    path = pace.surface_reflectance(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file["sensor_band_parameters/wavelength_3d"]
    with pytest.raises(SceneError, match="wavelength_3d"):
        opened(path)


def test_flags_are_known_by_name_and_not_by_bit(tmp_path: Path) -> None:
    built = pace.apparent_optical_properties(tmp_path)
    with h5py.File(built.path, "r+") as file:
        flags = file["geophysical_data/l2_flags"]
        names, masks = pace.FLAGS.split(), flags.attrs["flag_masks"]
        cloud, ice = names.index("CLDICE"), names.index("SEAICE")
        names[cloud], names[ice] = names[ice], names[cloud]
        flags.attrs["flag_meanings"] = np.bytes_(" ".join(names).encode())
        flags.attrs["flag_masks"] = masks
    quality = opened(built.path).info.quality
    assert quality is not None
    found = quality.read(Window(0, 0, pace.ROWS, pace.COLS))
    np.testing.assert_array_equal(found & QUALITY_FLAGS["cloud"] != 0, built.quality["snow"])
    np.testing.assert_array_equal(found & QUALITY_FLAGS["snow"] != 0, built.quality["cloud"])


def test_other_arrays_by_name(tmp_path: Path) -> None:
    path = pace.apparent_optical_properties(tmp_path).path
    depth = opened(path, variable="aot_865")
    with h5py.File(path) as file:
        np.testing.assert_allclose(whole(depth)[0], file["geophysical_data/aot_865"][...] * 1e-3, rtol=1e-5)
    uncertainty = opened(path, variable="Rrs_unc")
    assert (uncertainty.info.quantity, uncertainty.info.bands.spectral) == ("dn", True)
    np.testing.assert_allclose(whole(uncertainty), 300 * 2e-6 + 0.05, rtol=1e-5)
    with pytest.raises(SceneError, match="no image 'geophysical_data/chlor_a'"):
        opened(path, variable="chlor_a")
    zenith = opened(pace.level_1(tmp_path).path, variable="solar_zenith")
    np.testing.assert_allclose(whole(zenith), 41.5, rtol=1e-6)


def test_places_across_the_date_line_stay_as_they_are(tmp_path: Path) -> None:
    swath = opened(pace.level_1(tmp_path).path).info.swath
    assert swath is not None and swath.table is None
    lon, _ = swath.locate(Window(0, 0, pace.ROWS, pace.COLS))
    assert lon.max() > 179 and lon.min() < -179


def test_renamed_files_are_known_by_their_content(tmp_path: Path) -> None:
    for number, build in enumerate((pace.level_1, pace.apparent_optical_properties)):
        built = build(tmp_path)
        source = opened(built.path.rename(tmp_path / f"{number}.h5"))
        assert source.info.driver == ("pace-l1b", "pace-l2")[number]


@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    built = pace.level_1(tmp_path)
    data = built.path.read_bytes()
    built.path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SceneError, match=built.path.name):
        whole(opened(built.path))


def test_angles_of_level_2_are_read_where_l2gen_wrote_them(tmp_path: Path) -> None:
    built = pace.surface_reflectance(tmp_path)
    with h5py.File(built.path, "r+") as file:
        add_array(file, "geophysical_data/solz", np.full((pace.ROWS, pace.COLS), 4150, np.int16), _FillValue=pace.FILL, scale_factor=np.float32(0.01))
    assert opened(built.path).info.attrs["sun_zenith"] == "41.5000"
