"""A folder with what a user would have, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pytest
from shapely.geometry import box

from tests.laws.scenes import CRS, NODATA, SCALE, TRANSFORM, Scene, make_scene, write_codes, write_scene
from tests.products.geotiff import write_geotiff

NAMES = {1: "barley", 2: "maize", 3: "rye"}
SIDE = 12


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


Hsikit = Callable[..., Done]


@dataclass(frozen=True)
class Field:
    """Files of one place.

    Attributes:
        scene: 72 x 60 pixels, 10 bands, three classes in squares of `SIDE` pixels.
        second: another scene of the same sensor, further east.
        labels: label raster of the scene; second_labels of the second.
        fields: polygons in WGS 84 with the fields "crop" (name) and "plot" (number).
        model: an SVM, fitted on all labels; kept on the training part only.
    """

    folder: Path
    made: Scene
    scene: Path
    second: Path
    labels: Path
    second_labels: Path
    fields: Path
    model: Path
    kept: Path


@pytest.fixture
def hsikit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hsikit:
    """Runs `hsikit ARGUMENTS`."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("HSIKIT_DEBUG", raising=False)
    return lambda *arguments: call(capsys, *arguments)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Done:
    from hsikit_cli.main import main

    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Done(int(ended.value.code or 0), said.out, said.err)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Field:
    import hsikit

    folder = tmp_path_factory.mktemp("place")
    made = make_scene(72, 60, 10, seed=1, classes=3, side=SIDE)
    other = make_scene(50, 40, 10, seed=1, classes=3, side=SIDE)
    scene = write_scene(folder, made, per_class=120)
    east = write_geotiff(folder / "second.tif", other.values, other.nm, scale=SCALE, nodata=NODATA, transform=shifted(200))
    second_labels = write_codes(folder / "second_labels.tif", other.labels(100), transform=shifted(200))
    for name, refit in (("model", True), ("kept", False)):
        hsikit.train("svm", scene, folder / "labels.tif", refit=refit).save(folder / name)
    return Field(folder, made, scene, east, folder / "labels.tif", second_labels, write_fields(folder / "fields.gpkg", made), folder / "model", folder / "kept")


def shifted(cols: int) -> object:
    """The scene's transform, so many pixels further east."""
    from affine import Affine

    step, _, left, _, _, top = TRANSFORM
    return Affine(step, 0.0, left + cols * step, 0.0, -step, top)


def square(row: int, col: int, side: int = SIDE, margin: int = 0) -> object:
    """The polygon of a square of pixels whose first is (row, col)."""
    step, _, left, _, _, top = TRANSFORM
    first, last = margin, side - margin
    return box(left + (col + first) * step, top - (row + last) * step, left + (col + last) * step, top - (row + first) * step)


def write_fields(path: Path, made: Scene) -> Path:
    """Every field of the scene as a polygon, named by its class."""
    rows = []
    for row in range(0, made.truth.shape[0], SIDE):
        for col in range(0, made.truth.shape[1], SIDE):
            codes = made.truth[row : row + SIDE, col : col + SIDE]
            if codes.any():
                rows.append((NAMES[int(codes[codes > 0][0])], len(rows) // 2, square(row, col, margin=3)))
    crops, plots, shapes = zip(*rows, strict=True)
    geopandas.GeoDataFrame({"crop": crops, "plot": plots}, geometry=list(shapes), crs=CRS).to_crs(4326).to_file(path)
    return path


def codes_of(path: Path) -> np.ndarray:
    import rasterio

    with rasterio.open(path) as found:
        return found.read(1)
