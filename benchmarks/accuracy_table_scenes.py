"""Scenes of the accuracy table: an open source and all its label pixels."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import indian_pines
from hsikit.geo.grid import Grid
from hsikit.layers import Legend
from hsikit.scene import Bands, SceneInfo, Source
from hsikit.sensors.array import ArraySource
from hsikit.train.labelled import LabelledScene, connected_groups

CLASSES = Path(__file__).parents[1] / "datasets" / "indian_pines_classes.csv"
POTSDAM_CLASSES = {1: "roof", 2: "pavement", 3: "low vegetation", 4: "tree", 5: "soil", 6: "water"}


def load_scene(name: str, folder: Path | None = None) -> LabelledScene:
    """A scene with all its labels; groups are connected patches of one class.

    Args:
        name: `indian-pines` or `enmap-potsdam`.
        folder: its files. Default: for Indian Pines the package `tensorly`; for Potsdam `classification/enmap_potsdam` in the
            folder that HSIKIT_SHARED_DATA names, else `shared/data` beside the project.
    """
    if name == "indian-pines":
        values, truth = indian_pines.load_scene(folder)
        with CLASSES.open(newline="") as file:
            names = {int(row["from"]): row["name"] for row in csv.DictReader(file)}
        return labelled(indian_pines.open_scene(values), truth, names)
    shared = Path(os.environ.get("HSIKIT_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    return _potsdam(folder or shared / "classification" / "enmap_potsdam")


def labelled(source: Source, truth: NDArray[np.integer], names: dict[int, str]) -> LabelledScene:
    """A scene with the labels of a map of shape (rows, cols), 0 where unknown."""
    rows, cols = np.nonzero(truth)
    codes = truth[rows, cols].astype(np.uint8)
    groups = connected_groups(rows, cols, codes, truth.shape[1])
    return LabelledScene(source, rows, cols, codes, groups, Legend.of(names), "labels")


def _potsdam(folder: Path) -> LabelledScene:
    """The EnMAP tiles of one grid as one scene with holes; labels where there are data."""
    import rasterio

    images = sorted((folder / "images").glob("*.tif"))
    if not images:
        raise SystemExit(f"no EnMAP tiles in {folder / 'images'}; give --folder or set HSIKIT_SHARED_DATA")
    with rasterio.open(folder / "enmap_landcover_unstyled.tif") as whole:
        shape, grid, crs, place_of = whole.shape, whole.transform, str(whole.crs), whole.index
    with rasterio.open(images[0]) as first:
        nodata, count = float(first.nodata), first.count
    values, truth = np.full((count, *shape), nodata, np.float32), np.zeros(shape, np.int64)
    for image in images:
        with rasterio.open(image) as tile, rasterio.open(folder / "labels" / image.name) as labels:
            row, col = place_of(*tile.xy(0, 0))
            window = (slice(row, row + tile.height), slice(col, col + tile.width))
            # The lowest tiles reach over the label map's edge.
            down, across = min(tile.height, shape[0] - row), min(tile.width, shape[1] - col)
            values[(slice(None), *window)] = tile.read()[:, :down, :across]
            truth[window] = np.nan_to_num(labels.read(1)).astype(np.int64)[:down, :across]
    with (folder / "enmap_potsdam_srf.csv").open(newline="") as file:
        table = np.array([[float(row["wavelength"]), float(row["fwhm"])] for row in csv.DictReader(file)])
    empty = values == nodata
    bands = Bands(table[:, 0], table[:, 1], ~empty.all((1, 2)), tuple(f"band {k + 1}" for k in range(count)))
    info = SceneInfo("EnMAP Potsdam", Grid(shape, tuple(grid)[:6], crs), bands, "float32", "array", sensor="enmap", nodata=nodata)
    truth[empty[bands.good].all(0)] = 0
    return labelled(ArraySource(values, info), truth, POTSDAM_CLASSES)
