"""Mosaics with pixels of their own: what they hold, what lies beside them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject

from hsikit.errors import GridError, MapError, OptionError, OutputError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid
from hsikit.mosaic import compose, make_mosaic
from tests.mosaic.four import SHAPE, Four, make_four
from tests.mosaic.maps import CRS, LEFT, NAMES, STEP, TOP, grid_at, read, write_map, write_numbers
from tests.writers.cogcheck import problems


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return make_four(tmp_path_factory.mktemp("four"))


def test_zarr_and_parts_of_any_size_hold_the_same(four: Four, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import xarray

    make_mosaic(four.paths, tmp_path / "all.tif", rule="most-confident")
    monkeypatch.setattr(compose, "PART", (7, 11))
    make_mosaic(four.paths, tmp_path / "store.zarr", rule="most-confident")
    with xarray.open_zarr(tmp_path / "store.zarr", mask_and_scale=False) as store:
        np.testing.assert_array_equal(store["map"].to_numpy(), read(tmp_path / "all.tif"))
        assert json.loads(store.attrs["classes"])[0]["name"] == "water"


def test_areas_tags_and_the_table_of_maps(four: Four, tmp_path: Path) -> None:
    made = make_mosaic(four.paths, tmp_path / "all.tif", rule="latest", source_layer=True)
    assert [path.name for path in made.files] == ["all.tif", "all.qml", "all.tif.aux.xml", "all_source.tif", "all_source.csv", "all.json"]
    codes, numbers = four.expected(four.of_scenes((1, 3, 2, 0)))
    facts = json.loads((tmp_path / "all.json").read_text())["properties"]["hsikit:parameters"]
    areas = class_areas([(made.grid.whole, codes)], made.grid)
    for code, name in NAMES.items():
        assert facts["areas"]["map"][name]["pixels"] == areas[code][0]
        assert facts["areas"]["map"][name]["hectares"] == pytest.approx(areas[code][1], rel=1e-12)
    assert facts["acquired"] == {"first": "2024-04-01T08:00:00Z", "last": "2024-07-01T10:00:00Z"}
    rows = [line.split(",") for line in (tmp_path / "all_source.csv").read_text().splitlines()]
    assert [int(row[rows[0].index("pixels")]) for row in rows[1:]] == np.bincount(numbers.ravel(), minlength=5)[1:].tolist()
    assert [row[1] for row in rows[1:]] == [str(path) for path in four.paths]
    with rasterio.open(tmp_path / "all.tif") as dataset:
        assert dataset.tags()["mosaic_ranked_by"] == "the scenes' times of acquisition"
        assert dataset.nodata == 0


def test_another_layer_of_the_maps_is_joined_where_the_classes_are(four: Four, tmp_path: Path) -> None:
    make_mosaic(four.paths, tmp_path / "all.tif", rule="most-confident", layer="confidence")
    _, numbers = four.expected(four.confidence)
    stack = np.concatenate([np.full((1, *SHAPE), np.nan, np.float32), four.confidence])
    wanted = np.take_along_axis(stack, np.where(np.isfinite(four.confidence).any(axis=0), numbers, 0)[None].astype(int), 0)[0]
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), wanted)


def test_layers_of_several_bands_go_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((3, 6, 8)).astype(np.float32) for _ in range(2))
    a[:, :2], b[0, 5] = np.nan, np.nan
    write_numbers(tmp_path / "a.tif", a, "probabilities", grid_at(0, 0, (6, 8)))
    write_numbers(tmp_path / "b.tif", b, "probabilities", grid_at(0, 0, (6, 8)))
    make_mosaic([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "all.tif")
    with rasterio.open(tmp_path / "all.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), np.where(np.isnan(a).all(axis=0), b, a))


@pytest.mark.parametrize(("crs", "resolution"), [("EPSG:32634", None), ("EPSG:3035", 40.0)])
def test_maps_of_other_systems_are_warped_like_gdal_does(tmp_path: Path, crs: str, resolution: float | None) -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(1, 4, (8, 10)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
    write_map(tmp_path / "one.tif", blocks)
    made = make_mosaic([tmp_path / "one.tif"], tmp_path / "all.tif", crs=crs, resolution=resolution)
    wanted = np.zeros(made.grid.shape, np.uint8)
    own = grid_at(0, 0, blocks.shape)
    reproject(
        blocks, wanted, src_transform=own.affine, src_crs=CRS, src_nodata=0, dst_transform=made.grid.affine, dst_crs=crs, dst_nodata=0,
        resampling=Resampling.nearest, tolerance=0,
    )  # fmt: skip
    found = read(tmp_path / "all.tif")
    assert (found != wanted).mean() < 2e-3  # centres on the border of two pixels
    assert (found > 0).sum() > 0.9 * blocks.size / ((resolution or 30) / 30) ** 2


def test_a_shifted_map_needs_a_choice(four: Four, tmp_path: Path) -> None:
    one = write_map(tmp_path / "one.tif", np.full((6, 6), 1))
    two = write_map(tmp_path / "two.tif", np.arange(36).reshape(6, 6) % 3 + 1, (0, 4.4))
    with pytest.raises(GridError, match=r"two\.tif: does not lie on the pixels.*--resampling nearest"):
        make_mosaic([one, two], tmp_path / "all.tif")
    with pytest.raises(OptionError, match="would mix the codes"):
        make_mosaic([one, two], tmp_path / "all.tif", resampling="bilinear")
    made = make_mosaic([one, two], tmp_path / "all.tif", resampling="nearest")
    found = read(tmp_path / "all.tif")
    row, col = round((made.grid.transform[5] - TOP) / STEP), round((LEFT - made.grid.transform[2]) / STEP)
    # Centres of the lattice's columns 4, 5, ... lie at 0.1, 1.1, ... of the shifted map: columns 0, 1, ...
    np.testing.assert_array_equal(found[row : row + 6, col + 6 : col + 10], (np.arange(36).reshape(6, 6) % 3 + 1)[:, 2:6])
    assert (found[row : row + 6, col : col + 6] == 1).all()
    assert (found > 0).sum() == 6 * 10


def test_the_grid_of_another_raster(four: Four, tmp_path: Path) -> None:
    like = write_map(tmp_path / "like.tif", np.zeros((20, 30)), (5, 30))
    make_mosaic(four.paths, tmp_path / "all.tif", like=like)
    np.testing.assert_array_equal(read(tmp_path / "all.tif"), four.expected(four.of_scenes((0, -1, -2, -3)))[0][5:25, 30:60])
    far = write_map(tmp_path / "far.tif", np.zeros((20, 30)), (5000, 30))
    with pytest.raises(GridError, match="no map lies on its grid"):
        make_mosaic(four.paths, tmp_path / "none.tif", like=far)
    with pytest.raises(OptionError, match="Leave out --dst-crs and --res"):
        make_mosaic(four.paths, tmp_path / "none.tif", like=far, resolution=30)


def test_numbers_are_interpolated_on_request(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:10, :12]
    plane = (rows * 2 + cols).astype(np.float32)
    write_numbers(tmp_path / "a.tif", plane, "score", grid_at(0, 0, plane.shape))
    write_numbers(tmp_path / "like.tif", plane, "score", grid_at(0.5, 0.25, plane.shape))
    make_mosaic([tmp_path / "a.tif"], tmp_path / "all.tif", like=tmp_path / "like.tif", resampling="bilinear")
    np.testing.assert_allclose(read(tmp_path / "all.tif")[:-1, :-1], (plane + 1.25)[:-1, :-1], rtol=1e-5)


def test_maps_that_differ_are_refused(tmp_path: Path) -> None:
    one = write_map(tmp_path / "one.tif", np.ones((4, 4)))
    cases = {
        "its classes are not those of .*: 3 is lake here and field there": write_map(tmp_path / "a.tif", np.ones((4, 4)), names={**NAMES, 3: "lake"}),
        "4 is town here and no class there": write_map(tmp_path / "b.tif", np.ones((4, 4)), names={**NAMES, 4: "town"}),
        "the same names under other codes": write_map(tmp_path / "c.tif", np.ones((4, 4)), names={1: "forest", 2: "water", 3: "field"}),
        "names no classes, and": write_numbers(tmp_path / "d.tif", np.ones((4, 4)), "score", grid_at(0, 0, (4, 4))).path,
    }
    for wrong, other in cases.items():
        with pytest.raises(MapError, match=wrong):
            make_mosaic([one, other], tmp_path / "all.tif")
    score = write_numbers(tmp_path / "e.tif", np.ones((2, 4, 4)), "score", grid_at(0, 0, (4, 4))).path
    with pytest.raises(MapError, match="its number of bands is 2, and 1 in"):
        make_mosaic([cases["names no classes, and"], score], tmp_path / "all.tif")


def test_files_that_are_no_maps_are_refused(tmp_path: Path) -> None:
    one = write_map(tmp_path / "one.tif", np.ones((4, 4)))
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "list.json").write_text('{"type": "FeatureCollection", "features": []}')
    bare = tmp_path / "bare.tif"
    with rasterio.open(bare, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8", crs=CRS, transform=grid_at(0, 0, (4, 4)).affine) as dataset:
        dataset.write(np.ones((1, 4, 4), np.uint8))
    swath = write_map(tmp_path / "swath.tif", np.ones((4, 4)), grid=Grid((4, 4)), item=False)
    from hsikit.errors import HsikitError

    for path, wrong in {
        tmp_path / "none.tif": "does not exist", tmp_path / "text.tif": "is no GeoTIFF, or it is", bare: "has no nodata value", swath: "has no map grid",
        tmp_path / "list.json": "names no STAC item",
    }.items():  # fmt: skip
        with pytest.raises(HsikitError, match=wrong):
            make_mosaic([path], tmp_path / "all.tif")
    with pytest.raises(MapError, match="has no layer 'scores'"):
        make_mosaic([one], tmp_path / "all.tif", layer="scores")
    with pytest.raises(OptionError, match="none is given"):
        make_mosaic([], tmp_path / "all.tif")


def test_outputs_are_never_damaged(four: Four, tmp_path: Path) -> None:
    one = write_map(tmp_path / "one.tif", np.ones((4, 4)))
    with pytest.raises(OutputError, match="is one of the maps"):
        make_mosaic([one], one, overwrite=True)
    (tmp_path / "all_source.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"all_source\.csv: exists already"):
        make_mosaic([one], tmp_path / "all.tif", source_layer=True)
    with pytest.raises(OutputError, match=r"ends in \.csv or \.html"):
        make_mosaic([one], tmp_path / "all.tif", report=tmp_path / "seams.txt")
    with pytest.raises(OutputError, match="written to a disk"):
        make_mosaic([one], "s3://bucket/all.tif")
    before = sorted(tmp_path.iterdir())
    two = write_map(tmp_path / "two.tif", np.ones((4, 4)), item=False)
    two.write_bytes(two.read_bytes()[:-100] if two.stat().st_size < 2000 else two.read_bytes()[:900])
    with pytest.raises(Exception, match=r"two\.tif"):
        make_mosaic([one, two], tmp_path / "all.tif")
    assert sorted(tmp_path.iterdir()) == sorted([*before, two])


def test_a_mosaic_is_a_valid_cog(four: Four, tmp_path: Path) -> None:
    make_mosaic(four.paths, tmp_path / "all.tif")
    assert not problems(tmp_path / "all.tif")
