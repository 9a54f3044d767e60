"""Where targets are: rasters, arrays, points and polygons, objects, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from scipy.io import savemat
from shapely.geometry import Point, box

from hsikit.errors import LabelError, OptionError
from hsikit.metrics.detection_strips import TARGET, UNKNOWN
from hsikit.ranking.truth import Truth, read_truth
from hsikit.report.detection.truth import open_truth
from tests.ranking.toys import COLS, CORNERS, ROWS, planted
from tests.tasks.classification.scenes import UTM, source

SCENE, TRUTH = planted()


def raster(path: Path, values: np.ndarray, transform: tuple[float, ...] = UTM, **more: object) -> Path:
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(*transform), **more}
    shape = values if values.ndim == 3 else values[None]
    with rasterio.open(path, "w", driver="GTiff", height=shape.shape[1], width=shape.shape[2], count=len(shape), dtype=shape.dtype, **place) as file:
        file.write(shape)
    return path


def as_map(truth: Truth) -> np.ndarray:
    found = np.zeros((ROWS, COLS), bool)
    found[truth.targets.rows, truth.targets.cols] = True
    return found


def seen() -> np.ndarray:
    """Targets where the scene has data."""
    return (TRUTH > 0) & ~np.isnan(SCENE.values).any(0)


def test_rasters_and_arrays_agree(tmp_path: Path) -> None:
    np.save(tmp_path / "truth.npy", TRUTH)
    savemat(tmp_path / "truth.mat", {"map": TRUTH.astype(float), "data": np.zeros(5)})
    plain = raster(tmp_path / "plain.tif", TRUTH * 7, crs=None, transform=(1, 0, 0, 0, 1, 0))
    for given in (TRUTH, TRUTH > 0, TRUTH.astype(float), raster(tmp_path / "truth.tif", TRUTH), plain, tmp_path / "truth.npy", tmp_path / "truth.mat"):
        found = read_truth(SCENE, given)
        np.testing.assert_array_equal(as_map(found), seen())
        assert found.unscored is None and len(np.unique(found.objects)) == len(CORNERS)
        assert "label pixels were left out, the scene has no data there" in found.targets.notes[-1]


def test_what_is_unknown_is_neither_target_nor_background(tmp_path: Path) -> None:
    values = TRUTH.astype(np.float32)
    values[:4], values[5, 6] = -1, -1
    found = read_truth(SCENE, raster(tmp_path / "truth.tif", values, nodata=-1))
    np.testing.assert_array_equal(found.unscored, values < 0)
    np.testing.assert_array_equal(as_map(found), seen() & (values > 0))
    zero = read_truth(SCENE, raster(tmp_path / "zero.tif", TRUTH, nodata=0))
    assert zero.unscored is None and (as_map(zero) == seen()).all()
    values[values < 0] = np.nan
    np.testing.assert_array_equal(read_truth(SCENE, values).unscored, np.isnan(values))


def test_objects_are_pixels_of_one_value_that_touch() -> None:
    values = np.zeros((ROWS, COLS), int)
    values[3, 3:6], values[4, 6], values[5, 6], values[30, 30] = 1, 1, 2, 2
    empty = source(np.ones((3, ROWS, COLS)))
    found = read_truth(empty, values)
    own = dict(zip(zip(found.targets.rows.tolist(), found.targets.cols.tolist(), strict=True), found.objects.tolist(), strict=True))
    assert own[3, 3] == own[3, 5] == own[4, 6] and len(set(own.values())) == 3 and own[5, 6] not in (own[4, 6], own[30, 30])


def place(row: float, col: float) -> tuple[float, float]:
    return UTM[2] + col * UTM[0], UTM[5] + row * UTM[4]


def test_points_and_polygons_are_placed_by_their_crs(tmp_path: Path) -> None:
    polygons = [box(*place(row + 2, col), *place(row, col + 2)) for row, col in CORNERS]
    beside = [*polygons, box(*place(8.6, 20.1), *place(8.4, 20.3))]  # a twentieth of a pixel
    geopandas.GeoDataFrame({"kind": ["a"] * 7, "size": range(7)}, geometry=beside, crs="EPSG:32633").to_crs(4326).to_file(tmp_path / "objects.gpkg")
    found = read_truth(SCENE, tmp_path / "objects.gpkg")
    np.testing.assert_array_equal(as_map(found), seen())
    assert len(np.unique(found.objects)) == len(CORNERS) and any("1 of 7 features are no pixel's" in note for note in found.targets.notes)
    touched = read_truth(SCENE, tmp_path / "objects.gpkg", options={"all_touched": True})
    assert as_map(touched)[8, 20] and len(np.unique(touched.objects)) == len(CORNERS) + 1
    points = geopandas.GeoDataFrame(geometry=[Point(*place(row + 0.5, col + 0.5)) for row, col in CORNERS], crs="EPSG:32633")
    found = read_truth(SCENE, points)
    assert list(zip(found.targets.rows.tolist(), found.targets.cols.tolist(), strict=True))[:2] == [(5, 6), (12, 30)]
    assert len(np.unique(found.objects)) == len(found) == len(CORNERS) - 1  # one lies where the scene has no data
    assert found.unscored is not None and found.unscored.sum() == 8 * len(CORNERS) and found.unscored[4:7, 5:8].sum() == 8 and not found.unscored[5, 6]


def test_a_mask_hides_targets_and_background(tmp_path: Path) -> None:
    hidden = np.zeros((ROWS, COLS), np.uint8)
    hidden[:9] = 1
    found = read_truth(SCENE, TRUTH, mask=raster(tmp_path / "mask.tif", hidden))
    np.testing.assert_array_equal(as_map(found), seen() & (hidden == 0))
    assert any("masked: " in note for note in found.targets.notes) and any("the mask hides them" in note for note in found.targets.notes)


@pytest.mark.parametrize(("values", "more", "wrong"), [
    (TRUTH[:-1], {}, "lies on another grid than the scene: 43 x 40 pixels at"),
    (TRUTH, {"transform": (30.0, 0.0, 500_015.0, 0.0, -30.0, 5_800_000.0)}, "lies on another grid than the scene"),
    (np.stack([TRUTH, TRUTH]), {}, "has 2 bands"),
    (TRUTH * 0, {}, "holds no target"),
    (TRUTH.astype(np.int16) - 3, {}, "hold values below 0 .such as -"),
])  # fmt: skip
def test_rasters_that_are_no_truth(tmp_path: Path, values: np.ndarray, more: dict[str, object], wrong: str) -> None:
    path = raster(tmp_path / "truth.tif", values, **more)
    with pytest.raises(LabelError, match=wrong) as raised:
        read_truth(SCENE, path)
    assert str(path) in str(raised.value)


def test_what_else_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such label file"):
        read_truth(SCENE, tmp_path / "nothing.tif")
    with pytest.raises(LabelError, match=r"has the shape \(3, 3\)"):
        read_truth(SCENE, np.eye(3))
    with pytest.raises(OptionError, match=r"--all-touched: .* has no polygons"):
        read_truth(SCENE, TRUTH, options={"all_touched": True})
    with pytest.raises(LabelError, match="cover the whole scene"):
        read_truth(SCENE, geopandas.GeoDataFrame(geometry=[box(*place(ROWS, 0), *place(0, COLS))], crs="EPSG:32633"))
    bare = source(SCENE.values, crs=None)
    with pytest.raises(LabelError, match="no georeference to place them by"):
        read_truth(bare, geopandas.GeoDataFrame(geometry=[Point(*place(5, 5))], crs="EPSG:32633"))
    only = np.zeros((ROWS, COLS), np.uint8)
    only[20, 11] = 1
    with pytest.raises(LabelError, match="has no data"):
        read_truth(SCENE, only)


def test_a_file_of_truth_means_the_same_to_a_report(tmp_path: Path) -> None:
    """`hsikit benchmark --truth` and `hsikit report --truth` score the same pixels."""
    grid, levels = SCENE.info.grid, TRUTH.astype(np.int16)
    levels[:4], levels[5, 6] = -1, -1
    points = geopandas.GeoDataFrame(geometry=[Point(*place(row + 0.5, col + 0.5)) for row, col in CORNERS], crs="EPSG:32633")
    points.to_file(tmp_path / "points.gpkg")
    polygons = [box(*place(row + 2, col), *place(row, col + 2)) for row, col in CORNERS]
    geopandas.GeoDataFrame(geometry=polygons, crs="EPSG:32633").to_file(tmp_path / "polygons.gpkg")
    for path in (
        raster(tmp_path / "plain.tif", TRUTH), raster(tmp_path / "zero.tif", TRUTH, nodata=0), raster(tmp_path / "unknown.tif", levels, nodata=-1),
        tmp_path / "points.gpkg", tmp_path / "polygons.gpkg",
    ):  # fmt: skip
        codes, found = open_truth(path, grid, "map").read(grid.whole), read_truth(SCENE, path)
        np.testing.assert_array_equal(as_map(found), (codes == TARGET) & ~np.isnan(SCENE.values).any(0), err_msg=path.name)
        np.testing.assert_array_equal(codes == UNKNOWN, False if found.unscored is None else found.unscored, err_msg=path.name)
    with pytest.raises(LabelError, match="values below 0"):
        open_truth(raster(tmp_path / "below.tif", levels), grid, "map").read(grid.whole)
