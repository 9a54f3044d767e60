import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import blocks, format_of, write_raster
from tests.writers.arrays import LEGEND, UTM, ArrayPixels, class_map, cube, floats
from tests.writers.cogcheck import problems


@pytest.mark.parametrize(
    ("name", "bands", "wide", "expected"),
    [("a.tif", 1, False, "cog"), ("a.TIFF", 8, False, "cog"), ("a.tif", 9, False, "gtiff"), ("a.tif", 4, True, "gtiff"),
     ("a.zarr", 1, False, "zarr"), ("a.hdr", 1, False, "envi"), ("a.img", 1, False, "envi"), ("a.dat", 1, False, "envi")],
)  # fmt: skip
def test_format_follows_the_name(name: str, bands: int, wide: bool, expected: str) -> None:
    layer = Layer("x", bands=bands, wavelength=np.arange(float(bands)) + 400 if wide else None)
    assert format_of(Path(name), layer) == expected


@pytest.mark.parametrize("name", ["map.png", "map"])
def test_unknown_format_names_path_and_formats(name: str) -> None:
    with pytest.raises(OutputError, match=rf"{name}.*\.tif.*\.zarr.*\.hdr"):
        format_of(Path(name), Layer("x"))


def test_unknown_format_option(tmp_path: Path) -> None:
    layer, values = floats()
    with pytest.raises(OptionError, match="png"):
        write_raster(layer, UTM, ArrayPixels(values), tmp_path / "a.tif", format="png")


def test_empty_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no pixels"):
        write_raster(Layer("x"), Grid((0, 5)), ArrayPixels(np.zeros((1, 0, 5), np.float32)), tmp_path / "a.tif")


def test_class_map_is_a_valid_cog_with_colours(tmp_path: Path) -> None:
    grid = Grid((700, 900), UTM.transform, UTM.crs)
    layer, values = class_map(grid)
    path = tmp_path / "map.tif"
    done: list[int] = []
    assert write_raster(layer, grid, ArrayPixels(values), path, tags={"model": "svm"}, rows_done=done.append) == [path]
    assert sum(done) == 700
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]
    assert problems(path) == []
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(), values)
        assert src.nodata == 0 and src.crs.to_epsg() == 32633 and src.transform == grid.affine
        assert src.overviews(1) == [2, 4]
        colours = src.colormap(1)
        assert {code: colours[code][:3] for code in LEGEND.codes} == {c.code: c.colour for c in LEGEND.classes}
        assert colours[254] == (160, 160, 160, 255) and colours[255] == (255, 255, 255, 255) and colours[0][3] == 0
        assert src.tags()["model"] == "svm"
        assert [row["name"] for row in json.loads(src.tags()["classes"])] == list(LEGEND.names)
        small = src.read(1, out_shape=(350, 450))
    blocks_of_two = values[0].reshape(350, 2, 450, 2).transpose(0, 2, 1, 3).reshape(350, 450, 4)
    pure = (blocks_of_two == blocks_of_two[..., :1]).all(-1)
    assert pure.mean() > 0.7
    np.testing.assert_array_equal(small[pure], blocks_of_two[..., 0][pure])
    assert set(np.unique(small)) <= {0, 1, 3, 7, 254, 255}


def test_class_overviews_are_majorities(tmp_path: Path) -> None:
    grid = Grid((600, 800), UTM.transform, UTM.crs)
    layer, _ = class_map(grid)
    rng = np.random.default_rng(5)
    most = rng.choice(np.array([1, 3, 7], np.uint8), size=(300, 400))
    quads = np.repeat(most[..., None], 4, axis=2)
    corner = rng.integers(0, 4, size=(300, 400, 1))
    np.put_along_axis(quads, corner, rng.choice(np.array([1, 3, 7, 254], np.uint8), size=(300, 400, 1)), axis=2)
    values = quads.reshape(300, 400, 2, 2).transpose(0, 2, 1, 3).reshape(1, 600, 800)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as src:
        np.testing.assert_array_equal(src.read(1, out_shape=(300, 400)), most)


def test_float_overviews_are_means_that_ignore_nan(tmp_path: Path) -> None:
    grid = Grid((600, 800), UTM.transform, UTM.crs)
    layer, values = floats(grid, 2, unit="K", band_names=("mean", "sd"))
    path = tmp_path / "scores.tif"
    write_raster(layer, grid, ArrayPixels(values), path)
    assert problems(path) == []
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(), values)
        assert np.isnan(src.nodata) and src.descriptions == ("mean", "sd") and src.units == ("K", "K")
        small = src.read(1, out_shape=(300, 400))
    with np.errstate(invalid="ignore"):
        expected = np.nanmean(np.where(np.isnan(values[0]), np.nan, values[0]).reshape(300, 2, 400, 2)[:100], axis=(1, 3))
    np.testing.assert_allclose(small[:100], expected, rtol=1e-6)
    assert np.isnan(small[110, 150])


def test_cube_keeps_its_spectral_axis_in_both_conventions(tmp_path: Path) -> None:
    layer, values = cube()
    path = tmp_path / "cube.tif"
    write_raster(layer, UTM, ArrayPixels(values), path)
    assert layer.wavelength is not None
    with rasterio.open(path) as src:
        assert src.profile["interleave"] == "band" and src.profile["tiled"] and src.block_shapes[0] == (256, 256)
        assert src.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        np.testing.assert_array_equal(src.read(), values)
        assert src.descriptions == layer.band_names
        assert [float(src.tags(i)["wavelength"]) for i in src.indexes] == list(layer.wavelength)
        assert {src.tags(i)["wavelength_units"] for i in src.indexes} == {"Nanometers"}
        assert [float(src.tags(i)["fwhm"]) for i in src.indexes] == [6.55] * 12
        assert [src.tags(i)["bbl"] for i in src.indexes] == ["1", "1", "0"] + ["1"] * 9
        assert src.tags(1, ns="IMAGERY") == {"CENTRAL_WAVELENGTH_UM": "0.4501", "FWHM_UM": "0.00655"}
        facts = src.tags()
    assert (facts["sensor"], facts["quantity"], facts["units"]) == ("enmap", "surface_reflectance", "1")


def test_unknown_widths_and_panchromatic_bands_are_left_out(tmp_path: Path) -> None:
    values = np.ones((1, 20, 30), np.float32)
    nan = np.array([np.nan])
    grid = Grid((20, 30))
    write_raster(Layer("pan", wavelength=nan, fwhm=nan), grid, ArrayPixels(values), tmp_path / "pan.tif")
    write_raster(Layer("one", wavelength=np.array([500.0]), fwhm=nan), grid, ArrayPixels(values), tmp_path / "one.tif")
    with rasterio.open(tmp_path / "pan.tif") as src:
        assert src.tags(1) == {} and src.tags(1, ns="IMAGERY") == {} and src.crs is None
    with rasterio.open(tmp_path / "one.tif") as src:
        assert src.tags(1) == {"wavelength": "500.0", "wavelength_units": "Nanometers"}


def test_what_a_killed_run_has_left_does_no_harm(tmp_path: Path) -> None:
    layer, values = class_map()
    path = tmp_path / "map.tif"
    for kind in ("gtiff", "cog"):
        write_raster(layer, UTM, ArrayPixels(values), path, format=kind)
        torn = b"II*\0" + (500).to_bytes(4, "little") + bytes(92)  # its directory was never written
        path.write_bytes(torn)
        (tmp_path / "map.tif.plain.tif").write_bytes(torn)
        write_raster(layer, UTM, ArrayPixels(values), path, format=kind)
        with rasterio.open(path) as src:
            np.testing.assert_array_equal(src.read(), values)


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name, (layer, values) in {"map": class_map(), "cube": cube()}.items():
        for run in ("first", "second"):
            write_raster(layer, UTM, ArrayPixels(values), tmp_path / f"{name}-{run}.tif", tags={"b": "1", "a": "2"})
        assert (tmp_path / f"{name}-first.tif").read_bytes() == (tmp_path / f"{name}-second.tif").read_bytes()


@given(
    rows=st.integers(1, 70),
    cols=st.integers(1, 90),
    bands=st.integers(1, 10),
    budget=st.integers(1, 60_000),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_shape_and_budget_round_trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, cols: int, bands: int, budget: int, dtype: str) -> None:
    monkeypatch.setattr(blocks, "PIECE_BYTES", budget)
    layer = Layer("x", dtype=dtype, bands=bands, nodata=0)
    values = np.random.default_rng(rows * cols).integers(0, 200, (bands, rows, cols)).astype(dtype)
    pixels, done = ArrayPixels(values), []
    path = tmp_path / "x.tif"
    write_raster(layer, Grid((rows, cols), UTM.transform, UTM.crs), pixels, path, rows_done=done.append)
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(), values)
    assert sum(done) == rows
    covered = np.zeros((rows, cols), int)
    for window in pixels.windows:
        covered[window.slices()] += 1
    assert (covered == 1).all()


def test_strips_are_bounded_and_aligned_to_blocks() -> None:
    layer = Layer("cube", bands=200)
    rows = blocks.block_rows(layer, 2000)
    windows = list(blocks.pieces(Grid((2000, 2000)), layer, rows, 256))
    assert all(w.col == 0 and w.cols == 2000 and w.row % rows == 0 for w in windows)
    assert max(w.size for w in windows) * 200 * 4 <= blocks.PIECE_BYTES
    wide = list(blocks.pieces(Grid((100, 50_000)), layer, blocks.block_rows(layer, 50_000), 256))
    assert all(w.col % 256 == 0 and w.row % 16 == 0 for w in wide)
    assert max(w.size for w in wide) * 200 * 4 <= blocks.PIECE_BYTES


def test_pixels_of_another_type_are_our_mistake(tmp_path: Path) -> None:
    layer, values = floats()
    with pytest.raises(ValueError, match="float64"):
        write_raster(layer, UTM, ArrayPixels(values.astype(np.float64)), tmp_path / "a.tif")


def test_unknown_crs_is_one_message(tmp_path: Path) -> None:
    layer, values = floats()
    with pytest.raises(OutputError, match=r"a\.tif"):
        write_raster(layer, Grid(UTM.shape, UTM.transform, "EPSG:999999"), ArrayPixels(values), tmp_path / "a.tif")


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import write_raster

class Noise:
    def read(self, window):
        return np.random.default_rng(window.row).random((3, *window.shape), np.float32)

path, limit = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write_raster(Layer("x", bands=3), Grid((600, 600)), Noise(), path, format=sys.argv[3])
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("kind", "name", "limit"),
    [
        ("gtiff", "a.tif", 2_000),
        ("gtiff", "a.tif", 100_000),
        ("cog", "a.tif", 2_000),
        ("cog", "a.tif", 4_200_000),
        ("envi", "a.img", 100_000),
        ("zarr", "a.zarr", 2_000),
    ],
)
def test_full_disk_is_one_message(tmp_path: Path, kind: str, name: str, limit: int) -> None:
    """At 4,200,000 bytes the plain file fits (3.9 MB) and the COG with its overviews (5.2 MB) does not."""
    run = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / name), str(limit), kind], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "disk is full" in run.stdout and name in run.stdout
    assert {p.name for p in tmp_path.iterdir()} <= {name}


def test_a_block_lost_at_the_end_is_noticed(tmp_path: Path) -> None:
    """GDAL writes its last blocks as it closes the file, where rasterio reports no error: so a full disk would go unseen."""
    path, small = tmp_path / "a.tif", FULL_DISK.replace("600", "90")
    whole = subprocess.run([sys.executable, "-c", small, str(path), "1000000", "gtiff"], capture_output=True, text=True, check=False)
    assert (whole.returncode, whole.stdout) == (0, ""), whole.stderr
    limit = str(path.stat().st_size - 500)
    torn = subprocess.run([sys.executable, "-c", small, str(path), limit, "gtiff"], capture_output=True, text=True, check=False)
    assert torn.returncode == 0, torn.stderr
    assert "disk is full" in torn.stdout
