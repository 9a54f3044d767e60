"""`hsikit benchmark --truth`: detectors of anomalies and of targets in one table, and options of the other kind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.laws.scenes import NODATA, SCALE, make_scene, write_codes
from tests.products.geotiff import write_geotiff

from .conftest import Hsikit

CORNERS = ((20, 24), (30, 40), (44, 9), (50, 50), (15, 45), (56, 20))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scene.tif with objects of 2 x 2 pixels, truth.tif; the same of east.tif."""
    place = tmp_path_factory.mktemp("ranked")
    for name, seed in (("scene", 2), ("east", 3)):
        made = make_scene(64, 60, 24, seed=seed, classes=4, side=12)
        bright, truth = np.linspace(6000, 1500, 24) + 1500 * (np.arange(24) % 3), np.zeros((64, 60), np.uint8)
        for row, col in CORNERS:
            part = slice(row, row + 2), slice(col, col + 2)
            truth[part] = 1
            mixed = 0.4 * made.values[:, *part].clip(10) + 0.6 * bright[:, None, None]
            made.values[:, *part] = np.where(made.values[:, *part] == NODATA, NODATA, mixed).astype(np.int16)
        write_geotiff(place / f"{name}.tif", made.values, made.nm, scale=SCALE, nodata=NODATA)
        write_codes(place / f"{name}_truth.tif", truth, nodata=None)
    return place


def words(folder: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("benchmark", folder / "scene.tif", "--truth", folder / "scene_truth.tif", "-o", out, *more)


def test_anomalies_of_two_scenes_make_one_table(hsikit: Hsikit, folder: Path, tmp_path: Path) -> None:
    both = ("benchmark", folder / "scene.tif", folder / "east.tif", "--truth", folder / "scene_truth.tif", "--truth", folder / "east_truth.tif")
    done = hsikit(*both, "--methods", "subspace-rx:components=5", "local-rx", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.out.count("rx (floor)") == 3 and "subspace-rx:components=5" in done.out and "in 6 objects" in done.out and "intervals over objects" in done.out
    assert "all scenes: means of their areas" in done.out and "best on the other scenes" in done.out and f"wrote {tmp_path / 'out/table.csv'}" in done.out
    assert "cell 6 of 6" in done.err and "is best on the others: " in done.err and "a choice made on that truth" in done.err
    with (tmp_path / "out/table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and [row["rank"] for row in rows] == ["1", "2", "3"] * 3
    again = hsikit(*both, "--methods", "subspace-rx:components=5", "local-rx", "-o", tmp_path / "out")
    assert again.code == 0 and again.out == done.out and "6 of 6 cells are there already" in again.err


def test_targets_are_drawn_or_of_a_library(hsikit: Hsikit, folder: Path, tmp_path: Path) -> None:
    done = hsikit(*words(folder, tmp_path / "drawn", "--methods", "ace", "matched-filter:exclude=0.005", "--target-pixels", 3, "--seeds", "0-2"))
    assert done.code == 0, done.err
    assert "3 of each draw unscored" in done.out and "spectral-angle (floor)" in done.out and "3 target pixels for each draw" in done.err
    facts = json.loads((tmp_path / "drawn/results.json").read_text())
    assert facts["seeds"] == [0, 1, 2] and len(facts["cells"]) == 9 and facts["rows"][0]["area"] > 0.9
    hsikit("spectrum", folder / "scene.tif", "--pixel", "30,40", "--pixel", "44,9", "-o", tmp_path / "targets.sli")
    done = hsikit(*words(folder, tmp_path / "library", "--methods", "ace", "--target", tmp_path / "targets.sli", "--name", "row 30", "--quiet"))
    assert done.code == 0 and json.loads((tmp_path / "library/results.json").read_text())["names"] == ["row 30"] and "cell" not in done.err


@pytest.mark.parametrize(("more", "fault"), [
    (("--methods", "no-such"), "no-such: there is no such method. The methods are"),
    (("--methods", "svm"), "svm: is of the task classification"),
    (("--methods", "rx", "ace", "--target-pixels", "3"), "ace looks for a target, and rx for anomalies"),
    (("--methods", "ace"), "Give --target-pixels 3"),
    (("--methods", "ace", "--target-pixels", "400"), "400 would be drawn"),
    (("--methods", "rx", "--seeds", "0-2"), "--seeds: nothing is drawn"),
    (("--methods", "rx", "--labels", "fields.gpkg"), "--labels: it belongs to classifiers, and --truth is given"),
    (("--methods", "rx", "--splits", "blocks"), "--splits: it belongs to classifiers"),
    (("--methods", "rx", "--class-field", "crop"), "--class-field: it belongs to classifiers"),
    (("--methods", "rx", "--per-class", "3"), "--per-class: it belongs to classifiers"),
    (("--methods", "rx", "--smooth", "yes"), "--smooth: it belongs to classifiers"),
    (("--methods", "rx", "--all-touched"), "--all-touched: "),
    (("--methods", "rx", "--truth", "another.tif"), "2 truth files for 1 scenes"),
])  # fmt: skip
def test_commands_that_make_no_sense(hsikit: Hsikit, folder: Path, tmp_path: Path, more: tuple[str, ...], fault: str) -> None:
    done = hsikit(*words(folder, tmp_path / "out", *more))
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and fault in errors[0], done.err
    assert list(tmp_path.iterdir()) == []


def test_labels_and_truth_do_not_mix(hsikit: Hsikit, folder: Path, tmp_path: Path) -> None:
    scene = ("benchmark", folder / "scene.tif", "--methods", "svm", "-o", tmp_path / "out")
    assert "neither --labels nor --truth is given" in hsikit(*scene).err
    assert "--target-pixels: it belongs to detectors" in hsikit(*scene, "--labels", folder / "scene_truth.tif", "--target-pixels", 2).err
    rows = ("--methods", "rx", "--labels", "x.tif", "-o", tmp_path / "out")
    assert "detectors are compared with --truth" in hsikit("benchmark", folder / "scene.tif", *rows).err


def test_what_fails_ends_with_code_1(hsikit: Hsikit, folder: Path, tmp_path: Path) -> None:
    done = hsikit(*words(folder, tmp_path / "out", "--methods", "subspace-rx:components=300"))
    assert done.code == 1 and "0 (1 failed)" in done.out and "1 of 2 cells failed" in done.err and (tmp_path / "out/table.tex").exists()


def test_the_output_is_a_folder(hsikit: Hsikit, folder: Path, tmp_path: Path) -> None:
    done = hsikit(*words(folder, tmp_path / "table.csv", "--methods", "rx"))
    assert done.code == 2 and "a benchmark is kept in a folder. Name a folder: table.csv" in done.err and list(tmp_path.iterdir()) == []
