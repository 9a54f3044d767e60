"""Spectra out of a scene: single pixels as they are read, polygon means as NumPy has them."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
from pyproj import Transformer
from shapely.geometry import Point, Polygon, box

from hsikit.convert import sampling
from hsikit.convert.pictures import save_plot
from hsikit.convert.sampling import at_pixels, at_points, polygon_means
from hsikit.errors import GridError, OptionError, OutputError
from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.scene import Bands
from hsikit.sensors.array import ArraySource
from hsikit.sensors.libraries import open_library
from tests.laws.scenes import CRS, NODATA, SCALE, TRANSFORM, as_source

NM = np.linspace(420, 2400, 40)
STORED = np.random.default_rng(1).integers(100, 6000, (40, 24, 18)).astype(np.int16)
STORED[3:9, 5, 6] = NODATA
VALUES = np.where(STORED == NODATA, np.nan, STORED * SCALE)


def scene() -> ArraySource:
    source = as_source(STORED, NM, TRANSFORM, "scene.tif")
    source.info.bands.good[10:14] = False
    return source


def block(row: int, col: int, height: int, width: int, margin: float = 5.0) -> Polygon:
    x, y = TRANSFORM[2] + 30 * col, TRANSFORM[5] - 30 * row
    return box(x + margin, y - 30 * height + margin, x + 30 * width - margin, y - margin)


def vector(path: Path, shapes: list[object], crs: str | None = "EPSG:4326", **fields: list[object]) -> Path:
    frame = geopandas.GeoDataFrame(fields or {"id": range(len(shapes))}, geometry=shapes, crs=CRS if crs else None)
    (frame.to_crs(crs) if crs else frame).to_file(path)
    return path


def test_pixels_are_what_is_read() -> None:
    found = at_pixels(scene(), [0, 5, 23], [0, 6, 17])
    np.testing.assert_allclose(found.values, VALUES[:, [0, 5, 23], [0, 6, 17]].T, rtol=1e-6)
    assert found.names[1] == "row 5 column 6" and found.spread is None
    with pytest.raises(GridError, match=r"row 24, column 0.*24 rows and 18 columns"):
        at_pixels(scene(), [24], [0])


def test_points_in_the_scenes_crs_and_in_degrees() -> None:
    x, y = scene().info.grid.centres(np.array([3.2, 7.9 - 0.5]), np.array([4.3, 9.0]))
    want = VALUES[:, [3, 7], [4, 9]].T
    np.testing.assert_allclose(at_points(scene(), list(zip(x, y, strict=True))).values, want, rtol=1e-6)
    degrees = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)
    np.testing.assert_allclose(at_points(scene(), list(zip(*degrees, strict=True)), "EPSG:4326").values, want, rtol=1e-6)
    with pytest.raises(GridError, match=r"point \(0, 0\) lies outside the scene.*from \(365000, 5807280\) to \(365540, 5808000\)"):
        at_points(scene(), [(x[0], y[0]), (0, 0)])
    with pytest.raises(GridError, match="EPSG:nothing"):
        at_points(scene(), [(x[0], y[0])], "EPSG:nothing")


@pytest.mark.parametrize("at_once", [1 << 23, 400])
def test_polygons_are_means_over_the_centres_inside(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_NUMBERS", at_once)
    monkeypatch.setattr(sampling, "PIXELS_AT_ONCE", 50)
    shapes = [block(4, 5, 4, 3), block(10, 0, 2, 2), block(20, 15, 3, 3), Point(365_001, 5_807_999).buffer(0.5)]
    path = vector(tmp_path / "fields.gpkg", shapes, crop=["oats", "rye", "oats", "none"])
    found = polygon_means(scene(), path, "crop")
    assert found.names == ("oats", "rye") and found.counts.tolist() == [21, 4] and "inside none" in found.notices[0]
    oats = np.concatenate([VALUES[:, 4:8, 5:8].reshape(40, -1), VALUES[:, 20:23, 15:18].reshape(40, -1)], axis=1)
    np.testing.assert_allclose(found.values[0], np.nanmean(oats, axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.spread[0], np.nanstd(oats, axis=1, ddof=1), rtol=1e-5)
    each = polygon_means(scene(), path)
    assert each.names == ("1", "2", "3") and each.counts.tolist() == [12, 4, 9]


def test_polygons_over_a_swath(tmp_path: Path) -> None:
    source = scene()
    x, y = source.info.grid.centres(*(axis.astype(float) for axis in np.mgrid[:24, :18]))
    longitude, latitude = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)
    source.info = source.info.with_(grid=Grid((24, 18)), swath=swath_of_arrays(longitude, latitude))
    path = vector(tmp_path / "fields.gpkg", [block(10, 3, 4, 5), block(0, 0, 1, 1)])
    np.testing.assert_allclose(polygon_means(source, path).values, polygon_means(scene(), path).values)
    assert np.isnan(polygon_means(source, path).spread[1]).all()


def test_polygons_that_cannot_serve(tmp_path: Path) -> None:
    fields = vector(tmp_path / "fields.gpkg", [block(4, 5, 4, 3)], crop=["oats"])
    for path, field, error, words in (
        (tmp_path / "none.gpkg", None, OptionError, "does not exist"), (fields, "colour", OptionError, "no field 'colour'.*crop"),
        (vector(tmp_path / "points.gpkg", [Point(365_000, 5_807_990)]), None, OptionError, "no polygon"),
        (vector(tmp_path / "away.gpkg", [block(400, 5, 4, 3)]), None, GridError, "outside scene"),
        (vector(tmp_path / "bare.gpkg", [block(4, 5, 4, 3)], None), None, GridError, "no coordinate reference system"),
        (vector(tmp_path / "small.gpkg", [Point(365_001, 5_807_999).buffer(0.5)]), None, GridError, "no pixel centre"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            polygon_means(scene(), path, field)
    (tmp_path / "words.gpkg").write_text("words")
    with pytest.raises(OptionError, match="cannot be read as polygons"):
        polygon_means(scene(), tmp_path / "words.gpkg")


def test_table_library_and_plot(tmp_path: Path) -> None:
    found = polygon_means(scene(), vector(tmp_path / "fields.gpkg", [block(4, 5, 4, 3), block(10, 0, 2, 2)], crop=["oats", "rye"]), "crop")
    (path,) = found.save(tmp_path / "out.csv")
    lines = path.read_text().splitlines()
    assert lines[0] == "wavelength_nm,good_band,oats,oats sd,rye,rye sd" and len(lines) == 41
    assert lines[11].split(",")[1] == "0" and float(lines[1].split(",")[2]) == pytest.approx(float(found.values[0, 0]))
    with pytest.raises(OutputError, match="--overwrite"):
        found.save(path)
    found.save(tmp_path / "library.sli")
    library = open_library(tmp_path / "library.sli")
    assert library.names == ("oats", "rye") and library.metadata["pixels"] == ("12", "4") and np.isnan(library.spectra[:, 10:14]).all()
    assert float(library.metadata["longitude"][0]) == pytest.approx(13.02, abs=0.01)
    axes = found.plot()
    assert len(axes.lines) == 2 and np.isnan(axes.lines[0].get_ydata()[10:14]).all()
    (picture,) = save_plot(found.plot, tmp_path / "out.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match=r"ends in '\.gif'"):
        save_plot(found.plot, tmp_path / "out.gif")


def test_places_of_one_name_get_numbers() -> None:
    columns = at_pixels(scene(), [1, 2, 3], [1, 1, 1], ["a", "a", "b"]).table().columns
    assert list(columns) == ["wavelength_nm", "good_band", "a", "a (2)", "b"]


def test_places_named_like_other_columns_get_numbers(tmp_path: Path) -> None:
    names = ["wavelength_nm", "oats", "oats sd", "good_band"]
    path = vector(tmp_path / "fields.gpkg", [block(4 * i, 5, 4, 3) for i in range(4)], crop=names)
    found = polygon_means(scene(), path, "crop")
    columns = found.table().columns
    titles = [name for name in columns if not name.endswith(" sd")]
    assert titles == ["wavelength_nm", "good_band", "wavelength_nm (2)", "oats", "oats sd (2)", "good_band (2)"] and len(columns) == 10
    np.testing.assert_allclose(columns["wavelength_nm"], NM)
    np.testing.assert_allclose(columns["oats sd"], found.spread[1], rtol=1e-6)


def test_layers_without_wavelengths_are_told_by_name(tmp_path: Path) -> None:
    source = scene()
    bands = source.info.bands
    source.info = source.info.with_(bands=Bands(np.full(40, np.nan), bands.fwhm, bands.good, tuple(f"layer {i}" for i in range(40))))
    found = at_pixels(source, [0], [0])
    lines = found.save(tmp_path / "out.csv")[0].read_text().splitlines()
    assert lines[0] == "band,good_band,row 0 column 0" and lines[1].startswith("layer 0,1,")
    with pytest.raises(OutputError, match=r"needs wavelengths.*--wavelengths"):
        found.save(tmp_path / "out.sli")
    assert not list(tmp_path.glob("out.[sh]*"))
