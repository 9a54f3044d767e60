import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import spectral
from pyproj import CRS

from hsikit.errors import OutputError
from hsikit.geo.grid import Grid
from hsikit.layers import Layer
from hsikit.writers import write_raster
from tests.writers.arrays import LEGEND, UTM, ArrayPixels, class_map, cube, floats


@pytest.mark.parametrize("name", ["cube.img", "cube.dat", "cube.hdr"])
def test_cube_is_read_back_by_spy_and_gdal(tmp_path: Path, name: str) -> None:
    layer, values = cube()
    files = write_raster(layer, UTM, ArrayPixels(values), tmp_path / name, tags={"model": "a, {b} = c"})
    assert files[0] == tmp_path / name and len(files) == 2 and all(f.exists() for f in files)
    header = next(f for f in files if f.suffix == ".hdr")
    image = spectral.envi.open(str(header), str(next(f for f in files if f != header)))
    np.testing.assert_array_equal(np.asarray(image.load()).transpose(2, 0, 1), values)
    facts = image.metadata
    assert layer.wavelength is not None
    assert [float(nm) for nm in facts["wavelength"]] == list(layer.wavelength)
    assert [float(nm) for nm in facts["fwhm"]] == [6.55] * 12
    assert facts["bbl"] == [1, 1, 0] + [1] * 9
    assert facts["wavelength units"] == "Nanometers" and tuple(facts["band names"]) == layer.band_names
    assert facts["sensor type"] == "enmap" and facts["quantity"] == "surface_reflectance" and facts["data units"] == "1"
    assert facts["model"] == "a, (b) = c"
    with rasterio.open(next(f for f in files if f != header)) as src:
        np.testing.assert_array_equal(src.read(), values)
        assert src.transform == UTM.affine and src.crs.to_epsg() == 32633 and np.isnan(src.nodata)


def test_class_map_has_names_and_colours(tmp_path: Path) -> None:
    layer, values = class_map()
    write_raster(layer, UTM, ArrayPixels(values), tmp_path / "map.img")
    facts = spectral.envi.read_envi_header(str(tmp_path / "map.hdr"))
    assert facts["file type"] == "ENVI Classification" and facts["classes"] == "256" and len(facts["class names"]) == 256
    assert [facts["class names"][code] for code in (0, 1, 7, 254, 255)] == ["no data", "corn", "water", "unknown", "masked"]
    lookup = np.array(facts["class lookup"], int).reshape(256, 3)
    assert tuple(lookup[3]) == LEGEND.classes[1].colour and tuple(lookup[254]) == (160, 160, 160)
    with rasterio.open(tmp_path / "map.img") as src:
        np.testing.assert_array_equal(src.read(), values)
        assert src.colormap(1)[7][:3] == LEGEND.classes[2].colour and src.nodata == 0


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32733", "EPSG:3035", None])
def test_georeference_of_any_crs(tmp_path: Path, crs: str | None) -> None:
    step = 0.001 if crs == "EPSG:4326" else 30.0
    grid = Grid((40, 50), (step, 0.0, 13.0, 0.0, -2 * step, 52.0), crs)
    layer, values = floats(grid)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "a.img")
    with rasterio.open(tmp_path / "a.img") as src:
        np.testing.assert_allclose(src.transform[:6], grid.transform, rtol=1e-12)
        if crs is None:
            assert not src.crs or src.crs.to_epsg() is None
        else:  # GDAL reads longitude first from ESRI's WKT, whose axes have no order
            assert CRS(src.crs.to_wkt()).equals(CRS(crs), ignore_axis_order=True)


@pytest.mark.parametrize("degrees", [12.5, -33.0, 90.0, 179.0, 135.0])
def test_rotation_is_kept(tmp_path: Path, degrees: float) -> None:
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    # Columns run along (cos, sin), rows along (sin, -cos): a north-up grid turned counter-clockwise about its corner.
    grid = Grid((40, 50), (4 * cos, 4 * sin, 4e5, 4 * sin, -4 * cos, 5.8e6), "EPSG:32633")
    layer, values = floats(grid)
    write_raster(layer, grid, ArrayPixels(values), tmp_path / "a.img")
    with rasterio.open(tmp_path / "a.img") as src:
        np.testing.assert_allclose(src.transform[:6], grid.transform, atol=1e-9)


@pytest.mark.parametrize(
    "transform", [(30.0, 5.0, 0.0, 0.0, -30.0, 0.0), (30.0, 0.0, 0.0, 0.0, 30.0, 0.0), (-30.0, 0.0, 0.0, 0.0, 30.0, 0.0), (0.0, 6.0, 0.0, 4.0, 0.0, 0.0)]
)
def test_what_map_info_cannot_hold_is_refused(tmp_path: Path, transform: tuple[float, ...]) -> None:
    grid = Grid((40, 50), transform, "EPSG:32633")  # type: ignore[arg-type]
    layer, values = floats(grid)
    with pytest.raises(OutputError, match=r"a\.img.*GeoTIFF"):
        write_raster(layer, grid, ArrayPixels(values), tmp_path / "a.img")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float64"])
def test_every_type(tmp_path: Path, dtype: str) -> None:
    values = np.arange(2 * 5 * 7).reshape(2, 5, 7).astype(dtype)
    write_raster(Layer("x", dtype=dtype, bands=2, nodata=0), Grid((5, 7)), ArrayPixels(values), tmp_path / "a.dat")
    image = spectral.envi.open(str(tmp_path / "a.hdr"), str(tmp_path / "a.dat"))
    np.testing.assert_array_equal(np.asarray(image.open_memmap()).transpose(2, 0, 1), values)


def test_types_that_envi_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="int8"):
        write_raster(Layer("x", dtype="int8"), Grid((2, 2)), ArrayPixels(np.zeros((1, 2, 2), np.int8)), tmp_path / "a.img")


def test_no_place_leaves_no_map_info(tmp_path: Path) -> None:
    layer, values = floats(Grid((9, 8)))
    write_raster(layer, Grid((9, 8)), ArrayPixels(values), tmp_path / "a.img")
    assert "map info" not in (tmp_path / "a.hdr").read_text()
