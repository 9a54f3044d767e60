"""MATLAB, NumPy and Zarr: the right array, the right axes, nothing unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import zarr

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import IDENTITY, Window
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products.containers import write_matlab73, write_zarr

IMAGE = np.random.default_rng(2).integers(0, 9000, (6, 7, 5)).astype(np.uint16)  # rows, columns, bands
CUBE = IMAGE.transpose(2, 0, 1)
NM = np.array([450.0, 550, 660, 850, 2200])
WINDOW = Window(1, 2, 4, 3)


def holds_cube(path: Path, **options: object) -> None:
    source = open_source(path, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(source.info.bands.wavelength, NM)
    assert source.info.grid.shape == (6, 7)
    np.testing.assert_array_equal(read_window(source, WINDOW), CUBE[(slice(None), *WINDOW.slices())])
    np.testing.assert_array_equal(read_window(source, WINDOW, np.array([0, 3])), CUBE[[0, 3]][(slice(None), *WINDOW.slices())])
    source.close()


def test_numpy_in_either_order_of_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    np.save(tmp_path / "b.npy", np.ascontiguousarray(CUBE))
    np.save(tmp_path / "c.npy", np.asfortranarray(IMAGE))
    for name in ("a.npy", "b.npy", "c.npy"):
        holds_cube(tmp_path / name, wavelengths=NM)
    with pytest.raises(WavelengthError, match=r"a\.npy.*6 x 7 x 5.*4 wavelengths"):
        open_source(tmp_path / "a.npy", wavelengths=NM[:4])
    with pytest.raises(WavelengthError, match=r"a\.npy: no wavelengths"):
        open_source(tmp_path / "a.npy")


def test_npz_with_wavelengths_of_its_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", scene=IMAGE, wavelengths=NM)
    holds_cube(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", scene=IMAGE, other=IMAGE, wavelengths=NM)
    holds_cube(tmp_path / "b.npz", variable="scene")
    with pytest.raises(SceneError, match=r"b\.npz.*scene \(6 x 7 x 5\), other \(6 x 7 x 5\).*--variable"):
        open_source(tmp_path / "b.npz")


def test_numpy_objects_and_damage_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object))
    with pytest.raises(SceneError, match=r"objects\.npy.*never loaded"):
        open_source(tmp_path / "objects.npy", wavelengths=NM)
    np.save(tmp_path / "cut.npy", IMAGE)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:200])
    (tmp_path / "text.npz").write_text("this is no archive")
    for name in ("cut.npy", "text.npz"):
        with pytest.raises(SceneError, match=name):
            open_source(tmp_path / name, wavelengths=NM)


def test_matlab_v5(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"data": IMAGE, "wavelength": NM[:, np.newaxis], "map": IMAGE[..., 0], "note": "words", "more": {"a": 1}})
    holds_cube(tmp_path / "a.mat")
    holds_cube(tmp_path / "a.mat", variable="data")
    with pytest.raises(SceneError, match=r"a\.mat.*no array 'cube'.*data \(6 x 7 x 5\)"):
        open_source(tmp_path / "a.mat", variable="cube")
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(SceneError, match=r"cut\.mat"):
        open_source(tmp_path / "cut.mat")


def test_matlab_v73(tmp_path: Path) -> None:
    path = write_matlab73(tmp_path / "a.mat", data=IMAGE, wavelengths=NM[:, np.newaxis], map=IMAGE[..., 0])
    holds_cube(path)
    turned = write_matlab73(tmp_path / "b.mat", data=IMAGE[..., ::-1], wavelengths=NM[::-1, np.newaxis])
    holds_cube(turned)
    pan = open_source(path, variable="map", role="pan")
    np.testing.assert_array_equal(read_window(pan, WINDOW), CUBE[:1][(slice(None), *WINDOW.slices())])
    (tmp_path / "cut.mat").write_bytes(path.read_bytes()[:900])
    with pytest.raises(SceneError, match=r"cut\.mat"):
        open_source(tmp_path / "cut.mat")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dims", [("wavelength", "y", "x"), ("y", "x", "wavelength"), ("band", "y", "x"), ("x", "y", "wavelength")])
def test_zarr_as_xarray_writes_it(tmp_path: Path, zarr_format: int, dims: tuple[str, str, str]) -> None:
    axes = {"y": 1, "x": 2}
    stored = np.ascontiguousarray(CUBE.transpose([axes.get(dim, 0) for dim in dims]))
    path = write_zarr(tmp_path / "scene.zarr", stored, NM, zarr_format, dims, quantity="radiance", sensor="enmap", _FillValue=0)
    if dims[0] == "band":
        with pytest.raises(WavelengthError, match=r"scene\.zarr: no wavelengths"):
            open_source(path)
        source = open_source(path, wavelengths=NM)
    else:
        source = open_source(path)
    assert (source.info.quantity, source.info.sensor, source.info.nodata) == ("radiance", "enmap", 0)
    assert source.info.grid.transform == (10, 0, 1000, 0, -10, 2000)
    assert source.info.grid.crs == "EPSG:32633"
    expected = np.where(CUBE == 0, np.nan, CUBE.astype(float))
    np.testing.assert_array_equal(read_window(source, WINDOW, np.array([0, 3])), expected[[0, 3]][(slice(None), *WINDOW.slices())])


def test_zarr_with_coordinates_alone_and_damage(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "scene.zarr", CUBE, NM)
    group = zarr.open_group(path)
    del group["spatial_ref"]
    grid = open_source(path).info.grid
    np.testing.assert_allclose(grid.transform, (10, 0, 1000, 0, -10, 2000))
    group["x"][2] = 5
    info = open_source(path).info
    assert info.grid.transform == IDENTITY
    assert any("evenly spaced" in notice for notice in info.notices)
    before = info.identity
    chunk = next(file for file in (path / "radiance").rglob("*") if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(b"")
    with pytest.raises(SceneError, match=r"scene\.zarr.*damaged"):
        open_source(path)
    assert open_source(path, inspect=False).info.identity != before
    (tmp_path / "hollow.zarr").mkdir()
    with pytest.raises(SceneError, match=r"hollow\.zarr"):
        open_source(tmp_path / "hollow.zarr")


def test_real_matlab_files(shared_data: Path) -> None:
    muufl = open_source(shared_data / "classification/muufl_class_demo.mat").info
    assert (muufl.grid.shape, len(muufl.bands)) == ((31, 20), 72)
    msi = shared_data / "fusion/S2A_MSIL1C_20170527_T33UUB.mat"
    with pytest.raises(SceneError, match=r"im10 .*im20 .*im60 .*--variable"):
        open_source(msi)
    assert open_source(msi, variable="im10", wavelengths=[490, 560, 665, 842]).info.grid.shape == (600, 600)
