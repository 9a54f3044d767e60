"""HDF5 and NetCDF-4 products in a zip: opened like the file itself, by what is in it, and refused where it is not safe."""

from __future__ import annotations

import gc
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.products import PRODUCTS
from hsikit.sensors.zipped_hdf5 import hdf5_inside
from tests.products import containers, prisma, zipped
from tests.products.case import Built, Case
from tests.products.registry import CASES

HDF5_DRIVERS = {product.name for product in PRODUCTS if product.containers == ("hdf5",)} | {"netcdf"}
METHODS = pytest.mark.parametrize("method", [zipped.STORED, zipped.DEFLATED], ids=["stored", "deflated"])


def values(source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


@METHODS
@pytest.mark.parametrize("case", [case for case in CASES if case.driver in HDF5_DRIVERS and "zip" not in case.name], ids=lambda case: case.name)
def test_every_hdf5_product_opens_in_a_zip(tmp_path: Path, case: Case, method: int) -> None:
    built = case.build(tmp_path)
    if len([path for path in tmp_path.rglob("*") if path.is_file()]) > 1:
        pytest.skip("a product of several files")
    plain = open_source(built.path, inspect=False, **built.options)
    whole, info = values(plain), plain.info
    plain.close()
    source = open_source(zipped.zipped(built, method).path, inspect=False, **built.options)
    np.testing.assert_array_equal(values(source), whole)
    assert (source.info.driver, source.info.sensor, source.info.acquired) == (info.driver, info.sensor, info.acquired)
    assert source.info.attrs == info.attrs
    source.close()
    np.testing.assert_array_equal(values(source), whole)  # a closed source opens again
    source.close()


def test_a_matlab_file_opens_in_a_zip(tmp_path: Path) -> None:
    cube = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    file = containers.write_matlab73(tmp_path / "scene.mat", cube=cube, wavelength=np.linspace(400, 900, 6))
    for method in (zipped.STORED, zipped.DEFLATED):
        archive = zipped.pack(tmp_path / "scene.zip", {"scene.mat": file.read_bytes()}, method)
        source = open_source(archive, inspect=False)
        assert source.info.driver == "matlab"
        np.testing.assert_array_equal(values(source), cube.transpose(2, 0, 1))
        source.close()


@pytest.fixture
def l2d(tmp_path: Path) -> Built:
    return prisma.product(tmp_path, "2D")


@METHODS
def test_found_by_content_not_by_name(l2d: Built, method: int) -> None:
    archive = zipped.pack(l2d.path.with_name("delivery.bin"), {"a/readme.he5": b"no HDF5", "a/b/scene": l2d.path.read_bytes()}, method)
    assert open_source(archive, inspect=False).info.driver == "prisma"


@METHODS
def test_the_scene_is_known_by_its_archive(l2d: Built, method: int) -> None:
    archive = zipped.zipped(l2d, method).path
    source = open_source(archive, inspect=False)
    stat = archive.stat()
    assert source.info.identity[0] == (str(archive), stat.st_size, stat.st_mtime_ns)
    assert not any(".he5" in str(part) for part in source.info.identity)
    assert source.info.name == str(archive)
    assert any("unpacked in" in notice for notice in source.info.notices) == (method == zipped.DEFLATED)
    assert source.info.identity == open_source(archive, inspect=False).info.identity
    os.utime(archive, ns=(7, 7))
    assert source.info.identity != open_source(archive, inspect=False).info.identity


@METHODS
def test_threads_read_one_source(l2d: Built, method: int) -> None:
    source = open_source(zipped.zipped(l2d, method).path, inspect=False)
    whole = values(source)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: values(source), range(16)):
            np.testing.assert_array_equal(found, whole)
    source.close()


def test_the_copy_is_made_once_and_goes_with_the_source(l2d: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped.zipped(l2d, zipped.DEFLATED).path
    made: list[object] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: made.append(real(**options)) or made[-1])
    source = open_source(archive)
    values(source)
    assert len(made) == 1 and not made[0].closed
    source.close()
    gc.collect()
    assert made[0].closed
    values(source)
    assert len(made) == 2 and not made[1].closed
    source.close()
    del source
    gc.collect()
    assert made[1].closed


def test_several_hdf5_files_are_named(l2d: Built) -> None:
    data = l2d.path.read_bytes()
    archive = zipped.pack(l2d.path.with_name("two.zip"), {"a.he5": data, "b.he5": data, "c.txt": b"x"}, zipped.DEFLATED)
    with pytest.raises(SceneError, match=r"two\.zip: holds several HDF5 files: a\.he5, b\.he5\. Unpack it"):
        open_source(archive)
    many = zipped.pack(l2d.path.with_name("many.zip"), {f"{i}.h5": data for i in range(7)})
    with pytest.raises(SceneError, match=r"4\.h5 and 2 more"):
        open_source(many)


def test_an_archive_without_one_says_what_it_is_named_like(tmp_path: Path) -> None:
    archive = zipped.pack(tmp_path / "PRS_L2D_STD_20240402.zip", {"PRS.xml": b"<a/>"})
    with pytest.raises(SceneError, match="is named like a PRISMA product, but does not hold one"):
        open_source(archive)
    assert hdf5_inside(Delivery(archive)) is None
    with pytest.raises(SceneError, match="of no kind that is known"):
        open_source(archive.rename(tmp_path / "a.zip"))


@pytest.mark.parametrize("name", ["../scene.he5", "/scene.he5", "a/../../scene.he5", "C:\\scene.he5"])
def test_names_that_lead_outside_are_refused(l2d: Built, name: str) -> None:
    with pytest.raises(SceneError, match="leads outside"):
        open_source(zipped.pack(l2d.path.with_name("p.zip"), {name: l2d.path.read_bytes()}))


@METHODS
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_archive_is_refused(l2d: Built, method: int, share: float) -> None:
    archive = zipped.zipped(l2d, method).path
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(SceneError, match=r"\.zip: is no zip archive, or it is truncated"):
        open_source(archive)


def _declared(archive: Path, size: int) -> None:
    """Writes another unpacked size into the headers of an archive with one file."""
    data = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.rindex(mark) + place
        data[at : at + 4] = size.to_bytes(4, "little")
    archive.write_bytes(bytes(data))


def test_bombs_are_refused(l2d: Built, tmp_path: Path) -> None:
    bomb = zipped.pack(tmp_path / "bomb.zip", {"a.he5": b"\x89HDF\r\n\x1a\n" + bytes(5000)}, zipped.DEFLATED)
    _declared(bomb, 1 << 31)
    with pytest.raises(SceneError, match="decompression bomb"):
        open_source(bomb)
    larger = zipped.pack(tmp_path / "larger.zip", {"a.he5": b"\x89HDF\r\n\x1a\n" + bytes(50_000)}, zipped.DEFLATED)
    _declared(larger, 2000)  # unpacks to more than it says
    with pytest.raises(SceneError, match=r"damaged|said to have"):
        open_source(larger)


def test_damaged_and_unread_ones_are_named(l2d: Built) -> None:
    archive = zipped.pack(l2d.path.with_name("p.zip"), {"scene.he5": l2d.path.read_bytes()}, zipfile.ZIP_LZMA)
    with pytest.raises(SceneError, match=r"p\.zip: scene\.he5 in it is damaged, or packed by a method that is not read"):
        open_source(archive)
    encrypted = zipped.zipped(l2d, zipped.STORED).path
    data = bytearray(encrypted.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    encrypted.write_bytes(bytes(data))
    with pytest.raises(SceneError, match="encrypted"):
        open_source(encrypted)


@METHODS
def test_a_damaged_hdf5_file_is_named(l2d: Built, method: int) -> None:
    whole = l2d.path.read_bytes()
    broken = whole[:800] + b"\xff" * 3000 + whole[3800:]
    archive = zipped.pack(l2d.path.with_name("p.zip"), {"scene.he5": broken}, method)
    with pytest.raises(SceneError, match=r"p\.zip/scene\.he5: "):
        values(open_source(archive))


@METHODS
def test_endless_heaps_are_refused(tmp_path: Path, method: int) -> None:
    heap = b"GCOL\x01\0\0\0" + (4096).to_bytes(8, "little") + bytes(4080)
    archive = zipped.pack(tmp_path / "p.zip", {"scene.nc": b"\x89HDF\r\n\x1a\n" + bytes(504) + heap}, method)
    with pytest.raises(SceneError, match="has no end"):
        open_source(archive)


def test_tiles_in_zips_are_each_their_own(tmp_path: Path) -> None:
    from tests.products import netcdf_cf

    archives = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        built = zipped.zipped(netcdf_cf.build_map(folder), zipped.DEFLATED)
        archives.append(built.path)
    source = open_source(archives, inspect=False)
    assert {part[0] for part in source.info.identity if part[0] != "reading"} == {str(path) for path in archives}
    np.testing.assert_allclose(values(source)[np.isfinite(built.truth)], built.truth[np.isfinite(built.truth)], rtol=1e-5)
    source.close()
