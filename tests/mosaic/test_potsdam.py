"""The maps of 18 real EnMAP tiles as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

import hsikit
from hsikit.mosaic import make_mosaic
from hsikit.mosaic.maps import open_map


@pytest.fixture(scope="module")
def tiles(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Maps of the tiles by a quick SVM, each of a run of its own."""
    folder, out = shared_data / "classification" / "enmap_potsdam", tmp_path_factory.mktemp("potsdam")
    reading = {"wavelengths": folder / "enmap_potsdam_srf.csv", "scale": 1e-4}
    scenes = sorted((folder / "images").glob("*.tif"))
    whole = hsikit.open_scene(folder / "images", **reading)
    model = hsikit.train("svm", whole, folder / "enmap_landcover_unstyled.tif", split_options={"per_class": 40}, refit=False)
    for scene in scenes:
        hsikit.run(model, hsikit.open_scene(scene, **reading), out / scene.name, confidence=True)
    return [out / scene.name for scene in scenes]


@pytest.mark.parametrize("name", ["all.tif", "all.vrt", "all.gti.gpkg"])
def test_the_mosaic_is_the_tiles_and_nothing_else(tiles: list[Path], tmp_path: Path, name: str) -> None:
    made = make_mosaic(tiles, tmp_path / name)
    assert len(tiles) == 18
    wanted = np.zeros(made.grid.shape, np.uint8)
    for tile in tiles:
        with rasterio.open(tile) as dataset:
            row, col = rasterio.transform.rowcol(made.grid.affine, *dataset.transform * (0.5, 0.5))
            wanted[row : row + dataset.height, col : col + dataset.width] = dataset.read(1)
    with rasterio.open(tmp_path / name) as dataset:
        np.testing.assert_array_equal(dataset.read(1), wanted)
        assert (dataset.crs.to_epsg(), dataset.nodata) == (32633, 0)
    assert 0 < (wanted > 0).sum() <= 18 * 32 * 32 < wanted.size
    assert made.seams == ()


def test_confidence_is_there_for_the_rule(tiles: list[Path], tmp_path: Path) -> None:
    assert open_map(tiles[0]).beside("confidence") == tiles[0].with_name(f"{tiles[0].stem}_confidence.tif")
    make_mosaic(tiles, tmp_path / "all.zarr", rule="most-confident", source_layer=True)
