"""Small simulated places: one with a map, its models and a page about them, one where something was found; names are hostile on purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.laws.scenes import CRS, SCALE, TRANSFORM, Scene, make_scene, write_codes, write_scene

HOSTILE = ("<script>alert(1)</script>", 'maize" onload="x', "rye & <b>oats</b>")


@dataclass(frozen=True)
class Reported:
    """Files of one place.

    Attributes:
        scene: 72 x 60 pixels, 10 bands, three classes with the names `HOSTILE`.
        model: an SVM fitted on all labels, scored on blocks; kept: the scored one, of the split class-halves.
        map: of the scene, by `model`; other: a crop of the scene, by `kept`.
        page: the text of a report of `map`; numbers: its run.json.
    """

    folder: Path
    made: Scene
    scene: Path
    labels: Path
    model: Path
    kept: Path
    map: Path
    crop: Path
    page: str
    numbers: dict[str, Any]


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    import hsikit
    from hsikit.report import write_report
    from hsikit.sensors import open_source

    folder = tmp_path_factory.mktemp("reported")
    made = make_scene(72, 60, 10, seed=1, classes=3, side=12)
    scene = write_scene(folder, made, per_class=120)
    (folder / "names.csv").write_text("from,to,name\n" + "\n".join(f'{k},{k},"{name.replace(chr(34), chr(34) * 2)}"' for k, name in enumerate(HOSTILE, 1)))
    for name, split, refit in (("model", "blocks", True), ("kept", "class-halves", False)):
        trained = hsikit.train("svm", scene, folder / "labels.tif", split=split, refit=refit, label_options={"crosswalk": folder / "names.csv"})
        trained.save(folder / name)
    hsikit.run(folder / "model", scene, folder / "map.tif")
    left, top = 365_000 + 30 * 10, 5_808_000 - 30 * 20
    hsikit.run(folder / "kept", scene, folder / "crop.tif", bbox=(left, top - 30 * 40, left + 30 * 45, top))
    write_report(folder / "map.tif", folder / "model", folder / "report.html", scene=open_source(scene))
    numbers = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    names = ("scene.tif", "labels.tif", "model", "kept", "map.tif", "crop.tif")
    return Reported(folder, made, *(folder / name for name in names), page, numbers)


ORE = '<b>ore</b> & "co"'
OBJECTS = ((25, 20, 2), (30, 40, 3), (44, 9, 1), (50, 50, 2))
"""Row, column and side of the planted squares."""


@dataclass(frozen=True)
class Detected:
    """Files of a place where something was planted.

    Attributes:
        scene: 64 x 60 pixels, 40 bands; most of each pixel of `OBJECTS` is of the target.
        library: the target, whose name is hostile, and another.
        scores, hits: of ace with a threshold; plain: without one; both: of two targets; rx, rx_hits: anomalies.
        truth: raster, polygons and points of the objects.
        page: the text of a report of `scores` with everything; numbers: its run.json.
    """

    folder: Path
    made: Scene
    scene: Path
    library: Path
    planted: np.ndarray
    page: str
    numbers: dict[str, Any]

    def file(self, name: str) -> Path:
        return self.folder / name


def ore(nm: np.ndarray) -> np.ndarray:
    """A bright ramp with two absorptions."""
    return 0.35 + 1e-4 * (nm - 400) - 0.25 * np.exp(-0.5 * ((nm - 900) / 120) ** 2) - 0.3 * np.exp(-0.5 * ((nm - 2200) / 90) ** 2)


def write_objects(folder: Path, planted: np.ndarray) -> None:
    """truth.tif, truth.gpkg (polygons) and points.gpkg."""
    import geopandas
    from shapely.geometry import Point, box

    step, _, left, _, _, top = TRANSFORM
    write_codes(folder / "truth.tif", planted)
    shapes = [box(left + c * step, top - (r + side) * step, left + (c + side) * step, top - r * step) for r, c, side in OBJECTS]
    geopandas.GeoDataFrame(geometry=shapes, crs=CRS).to_crs(4326).to_file(folder / "truth.gpkg")
    points = [Point(left + (c + 0.5) * step, top - (r + 0.5) * step) for r, c, _ in OBJECTS]
    geopandas.GeoDataFrame(geometry=points, crs=CRS).to_file(folder / "points.gpkg")


@pytest.fixture(scope="session")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Detected:
    import hsikit
    from hsikit.sensors import open_source
    from hsikit.targets import read_targets

    folder = tmp_path_factory.mktemp("detected")
    made, planted = make_scene(64, 60, 40, seed=2, classes=4, side=12), np.zeros((64, 60), np.uint8)
    for row, col, side in OBJECTS:
        planted[row : row + side, col : col + side] = 1
    planted[made.truth == 0] = 0
    rows, cols = np.nonzero(planted)
    mixed = 0.4 * made.values[:, rows, cols].clip(0) * SCALE + 0.6 * ore(made.nm)[:, None]
    made.values[:, rows, cols] = np.round(mixed / SCALE).astype(np.int16)
    scene = write_scene(folder, made)
    write_objects(folder, planted)
    fine = np.arange(380.0, 2501.0, 5.0)
    quoted = ORE.replace('"', '""')
    rows_of = [f'wavelength_nm,"{quoted}",flat', *(f"{nm:g},{value:.6f},0.3" for nm, value in zip(fine, ore(fine), strict=True))]
    (folder / "minerals.csv").write_text("\n".join(rows_of))
    source = open_source(scene)
    one, two = (read_targets(source, folder / "minerals.csv", names=names) for names in ([ORE], []))
    for name, method, options in (
        ("scores", "ace", {"targets": one, "pfa": 0.006}),
        ("plain", "matched-filter", {"targets": one}),
        ("both", "matched-filter", {"targets": two, "pfa": 0.006}),
        ("mixture", "mtmf", {"targets": one, "pfa": 0.006}),
        ("rx", "rx", {"pfa": 0.01}),
    ):
        named = {"named": {"hits": folder / f"{name}_hits.gpkg"}} if "pfa" in options else {}
        hsikit.run(hsikit.make_method(method, **options), source, folder / f"{name}.tif", **named)
    (folder / "report").mkdir()
    hsikit.write_detection_report(
        folder / "scores.tif", folder / "report" / "report.html", scene=scene, hits=folder / "scores_hits.gpkg", truth=folder / "truth.tif"
    )
    page, numbers = ((folder / "report" / name).read_text(encoding="utf-8") for name in ("report.html", "run.json"))
    return Detected(folder, made, scene, folder / "minerals.csv", planted, page, json.loads(numbers))
