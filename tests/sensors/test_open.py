"""Opening: recognition, options, readers of other packages, sources in memory, and what opening does not import."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, Decoding, SceneInfo, read_window
from hsikit.sensors import FORMATS, ArraySource, formats, open_source
from hsikit.sensors.facts import Options
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff

CUBE = np.random.default_rng(8).integers(1, 99, (3, 4, 5), dtype=np.int16)


def info() -> SceneInfo:
    bands = Bands(np.array([450.0, 550, 650]), np.full(3, np.nan), np.ones(3, bool), ("a", "b", "c"))
    return SceneInfo("memory", Grid((4, 5)), bands, "int16", "array")


def test_content_counts_more_than_the_name(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", CUBE).rename(tmp_path / "a.img")
    assert open_source(tmp_path / "a.img").info.driver == "geotiff"
    write_envi(tmp_path / "b.hdr", CUBE, suffix=".raw")
    assert open_source(tmp_path / "b.raw").info.driver == "envi"


def test_one_tile_in_a_list_is_that_scene(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE)
    assert open_source([path]).info.driver == "geotiff"
    assert open_source(str(path)).info.name == str(path)


@pytest.mark.parametrize("options", [{"quantity": "brightness"}, {"scale": 0}, {"scale": float("nan")}, {"offset": float("inf")}, {"sensor": "unknown"}])
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        open_source(write_geotiff(tmp_path / "a.tif", CUBE), **options)  # type: ignore[arg-type]


READINGS: list[dict[str, object]] = [
    {}, {"scale": 0.5}, {"offset": 1.0}, {"nodata": 7}, {"quantity": "radiance"}, {"wavelengths": [450.0, 550, 655]}, {"wavelengths": [650.0, 550, 450]},
]  # fmt: skip


def test_the_same_file_read_otherwise_is_another_input(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", CUBE)
    found = [open_source(path, **reading).info.identity for reading in READINGS]  # type: ignore[arg-type]
    assert all(one != other for i, one in enumerate(found) for other in found[:i])
    assert found == [open_source(path, inspect=False, **reading).info.identity for reading in READINGS]  # type: ignore[arg-type]
    band = write_geotiff(tmp_path / "pan.tif", CUBE[:1], convention="none")
    one, other = (open_source(band, role="pan", pan_range=limits).info.identity for limits in ((450, 700), (450, 800)))
    assert one != other
    np.savez(tmp_path / "two.npz", one=CUBE, other=CUBE)
    one, other = (open_source(tmp_path / "two.npz", variable=name, wavelengths=[450, 550, 650]).info.identity for name in ("one", "other"))
    assert one != other


def test_sources_in_memory() -> None:
    source = ArraySource(CUBE, info(), Decoding(np.array([1.0, 2.0, 3.0]), 0.5, nodata=7))
    expected = np.where(CUBE == 7, np.nan, CUBE * np.array([1, 2, 3])[:, None, None] + 0.5)
    np.testing.assert_allclose(read_window(source, Window(1, 1, 2, 3)), expected[:, 1:3, 1:4])
    np.testing.assert_allclose(read_window(source, Window(0, 0, 4, 5), np.array([0, 2])), expected[[0, 2]])
    same, other = ArraySource(CUBE.copy(order="F"), info()), ArraySource(CUBE + 1, info())
    assert source.info.identity == same.info.identity != other.info.identity


def test_a_virtual_raster_is_its_tiles(tmp_path: Path) -> None:
    source = open_source(write_geotiff(tmp_path / "a.tif", CUBE))
    rows, cols = source.info.grid.shape
    bands = "".join(
        f'<VRTRasterBand dataType="Int16" band="{b}"><Metadata><MDI key="wavelength">{w}</MDI><MDI key="wavelength_units">nm</MDI></Metadata>'
        f'<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>{b}</SourceBand></SimpleSource></VRTRasterBand>'
        for b, w in ((1, 450), (2, 550), (3, 650))
    )
    (tmp_path / "a.vrt").write_text(f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">{bands}</VRTDataset>')
    virtual = open_source(tmp_path / "a.vrt")
    assert virtual.info.driver == "vrt" and virtual.info.bands.wavelength.tolist() == [450, 550, 650]
    np.testing.assert_array_equal(read_window(virtual, Window(1, 1, 2, 3)), CUBE[:, 1:3, 1:4])
    before = virtual.info.identity
    write_geotiff(tmp_path / "a.tif", np.concatenate([CUBE, CUBE], axis=1))
    assert open_source(tmp_path / "a.vrt").info.identity != before  # a change of a tile is a change of the scene
    (tmp_path / "a.tif").unlink()
    with pytest.raises(SceneError, match=r"a\.vrt: is .*truncated or damaged"):
        open_source(tmp_path / "a.vrt")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("S2A_MSIL1C_20171207T002051_T55JEJ.SAFE/manifest.safe", "a Sentinel-2"), ("scene/LC08_L2SP_099120_20191129_02_T2_SR_B3.TIF", "a Landsat"),
     ("enmap/ENMAP01-X-METADATA.XML", "an EnMAP")],
)  # fmt: skip
def test_what_is_only_named_like_a_product_says_so(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"not what its name says")
    with pytest.raises(SceneError, match=f"is a folder with a file that is named like {kind} product"):
        open_source(tmp_path / name.split("/")[0])


class Foreign:
    @staticmethod
    def recognises(path: Path, head: bytes) -> bool:
        if head.startswith(b"BROKEN"):
            raise ValueError("a bug")
        return head.startswith(b"FOREIGN")

    @staticmethod
    def open(path: Path, options: Options) -> ArraySource:
        return ArraySource(CUBE, info().with_(name=str(path), driver="foreign"))


def test_another_packages_reader_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("foreign", f"{__name__}:Foreign", formats.GROUP)
    monkeypatch.setattr(formats, "entry_points", lambda group: [entry] if group == formats.GROUP else [])
    (tmp_path / "a.tif").write_bytes(b"FOREIGN data")
    (tmp_path / "b.tif").write_bytes(b"BROKEN data")
    assert open_source(tmp_path / "a.tif").info.driver == "foreign"
    with pytest.raises(SceneError, match=r"b\.tif: the reader 'foreign' of another package failed"):
        open_source(tmp_path / "b.tif")
    assert open_source(write_geotiff(tmp_path / "c.tif", CUBE)).info.driver == "geotiff"


def test_every_reader_of_the_table_can_be_loaded() -> None:
    for name in FORMATS:
        assert callable(formats.load_reader(name).open)


def test_opening_imports_nothing_heavy(tmp_path: Path) -> None:
    paths = [write_envi(tmp_path / "a.hdr", CUBE), write_geotiff(tmp_path / "b.tif", CUBE)]
    code = (
        "import sys\nfrom hsikit.sensors import open_source, list_sensors\nlist_sensors()\n"
        "assert not {'rasterio', 'spectral', 'h5py', 'zarr', 'scipy'} & set(sys.modules)\n"
        f"for path in {[str(path) for path in paths]!r}: open_source(path)\n"
        "print(sorted({'torch', 'xarray', 'pandas', 'scipy', 'matplotlib', 'geopandas', 'sklearn'} & set(sys.modules)))"
    )
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
