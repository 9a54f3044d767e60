"""Choices of the user that a reader does not know are refused; fill values must be numbers that the file can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.convert.indices import index_source, write_indices
from hsikit.convert.orthorectify import orthorectified
from hsikit.convert.write import write_scene
from hsikit.errors import OptionError, SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products import emit, landsat, sentinel2
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff


@pytest.mark.parametrize(("choice", "option"), [({"variable": "foo"}, "variable"), ({"resolution": 45.0}, "res"), ({"dem": "heights.tif"}, "dem")])
def test_a_choice_without_effect_is_refused(tmp_path: Path, choice: dict[str, object], option: str) -> None:
    built = landsat.level_2(tmp_path)
    with pytest.raises(OptionError, match=rf"{option}: Landsat .* has no such choice"):
        open_source(built.path, **choice)  # type: ignore[arg-type]


@pytest.mark.parametrize(("choice", "option"), [({"variable": "foo"}, "variable"), ({"resolution": 45.0}, "res"), ({"dem": "heights.tif"}, "dem")])
def test_a_choice_that_a_plain_format_has_not_is_refused(tmp_path: Path, choice: dict[str, object], option: str) -> None:
    cube = np.ones((3, 4, 5), np.int16)
    write_envi(tmp_path / "scene.hdr", cube)
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    for number in range(2):
        write_geotiff(tiles / f"{number}.tif", cube, transform=(30.0, 0.0, 500_000.0 + 150 * number, 0.0, -30.0, 4e6), crs="EPSG:32633")
    for path, what in ((tmp_path / "scene.hdr", "ENVI"), (tiles, "GeoTIFF")):
        with pytest.raises(OptionError, match=rf"{option}: {what}.* has no such choice"):
            open_source(path, **choice)  # type: ignore[arg-type]


def test_a_choice_that_a_reader_knows_is_taken(tmp_path: Path) -> None:
    case = next(case for case in sentinel2.CASES if "60m" in case.name)
    built = case.build(tmp_path)
    assert open_source(built.path, **{**built.options, "resolution": 60.0}).info.grid.pixel_size == (60.0, 60.0)


@pytest.mark.parametrize("value", [-1.0, 1e9, float("nan"), 0.5])
def test_a_fill_value_that_the_type_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    built = landsat.level_2(tmp_path)
    with pytest.raises(OptionError, match="no number that uint16 can hold"):
        open_source(built.path, nodata=value)


def test_a_folder_of_two_products_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        landsat.level_2(folder)
    with pytest.raises(SceneError, match=r"holds 2 products\. Give one of them, such as one"):
        open_source(tmp_path)


def test_one_band_of_landsat_is_no_scene_but_may_be_panchromatic(tmp_path: Path) -> None:
    built = landsat.level_1(tmp_path)
    band = next(built.path.glob("*_B4.TIF"))
    with pytest.raises(SceneError, match="is one band of a Landsat product"):
        open_source(band)
    assert len(open_source(band, role="pan").info.bands) == 1
    assert open_source(band, wavelengths=[655.0]).info.bands.wavelength.tolist() == [655.0]


def test_layers_that_were_written_open_again(tmp_path: Path) -> None:
    built = next(case for case in emit.CASES if "obs" in case.name).build(tmp_path)
    source = open_source(built.path, **built.options)
    write_scene(orthorectified(source), tmp_path / "obs.tif")
    again = open_source(tmp_path / "obs.tif")
    assert again.info.bands.names == source.info.bands.names
    assert not again.info.bands.spectral
    assert again.info.grid.georeferenced


def test_indices_of_a_swath_are_put_on_the_map(tmp_path: Path) -> None:
    built = emit.reflectance(tmp_path)
    source = open_source(built.path, **built.options)
    names = [f"r = b{source.info.bands.wavelength[3]:.0f} / b{source.info.bands.wavelength[1]:.0f}"]
    write_indices(index_source(source, names), tmp_path / "r.tif")
    found = open_source(tmp_path / "r.tif")
    assert source.info.swath is not None
    assert source.info.swath.table is not None
    assert found.info.grid.transform == pytest.approx(source.info.swath.table.grid.transform)
    table = source.info.swath.table.read(found.info.grid.whole)
    flat = read_window(index_source(source, names), source.info.grid.whole)[0]
    expected = np.where(table.filled, flat[table.rows, table.cols], np.nan)
    np.testing.assert_array_equal(read_window(found, found.info.grid.whole)[0], expected)
