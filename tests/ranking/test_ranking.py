"""Detectors ranked on small scenes: every number against NumPy in float64, draws that are the same for all, folders that are gone on with."""

from __future__ import annotations

import csv
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import hsikit
from hsikit.errors import LabelError, OptionError, OutputError
from hsikit.metrics.detection import roc_area, roc_area_interval, roc_curve
from hsikit.ranking.standings import ALL
from tests.ranking.toys import CORNERS, ROWS, counted_area, matched, planted, unusual

SCENE, TRUTH = planted()
SEEN = (TRUTH > 0) & ~np.isnan(SCENE.values).any(0)
PLACES = np.argwhere(SEEN)
DRAWN, SEEDS = 3, (0, 3, 8)


def draws() -> list[np.ndarray]:
    return [PLACES[np.random.default_rng(seed).choice(len(PLACES), DRAWN, replace=False)] for seed in SEEDS]


def test_anomalies_equal_numpy_in_float64() -> None:
    unknown = TRUTH.astype(np.float32)
    unknown[:, :3] = np.nan
    found = hsikit.rank_detectors(SCENE, unknown, [("subspace-rx", {"components": 4}), "rx"])
    rows = {row.row: row for row in found.rows}
    expected = np.where(np.isnan(unknown), np.nan, unusual(SCENE.values))
    mine = rows["rx"]
    assert mine.area == pytest.approx(counted_area(expected, SEEN), abs=1e-6)
    assert (mine.low, mine.high) == pytest.approx(roc_area_interval(expected, SEEN, resamples=2000), abs=1e-6) and mine.over == "objects"
    curve = roc_curve(expected, SEEN)
    assert (mine.average_precision, mine.partial_area) == pytest.approx((curve.average_precision, curve.partial_area(0.01)), abs=1e-6)
    assert mine.background == curve.background and mine.targets == curve.targets and mine.objects == len(CORNERS)
    assert all(np.isnan(rate) for rate in mine.detection.values()) and any("at 0.001: told from 5000 pixels" in note for note in found.notes)
    assert mine.floor and not rows["subspace-rx:components=4"].floor and mine.seconds > 0
    assert sorted(row.rank for row in found.rows) == [1, 2] and found.rows[0].area >= found.rows[1].area and np.isnan(found.rows[0].difference)


def test_targets_equal_numpy_on_the_same_draws() -> None:
    found = hsikit.rank_detectors(SCENE, TRUTH, ["matched-filter", ("matched-filter", {"shrinkage": 0.2})], target_pixels=DRAWN, seeds=SEEDS)
    areas = {0.01: [], 0.2: []}
    precision = []
    for pixels in draws():
        for shrinkage, own in areas.items():
            scores = matched(SCENE.values, pixels, shrinkage)
            scores[tuple(pixels.T)] = np.nan
            own.append(counted_area(scores, SEEN))
            if shrinkage == 0.01:
                precision.append(roc_curve(scores, SEEN).average_precision)
    rows = {row.row: row for row in found.rows}
    plain, shrunk = rows["matched-filter"], rows["matched-filter:shrinkage=0.2"]
    assert (plain.area, plain.worst) == pytest.approx((np.mean(areas[0.01]), min(areas[0.01])), abs=1e-5)
    assert shrunk.area == pytest.approx(np.mean(areas[0.2]), abs=1e-5) and plain.average_precision == pytest.approx(np.mean(precision), abs=1e-4)
    assert plain.targets == len(PLACES) - DRAWN and plain.scored == len(SEEDS)
    first = next(row for row in found.rows if row.rank == 1)
    for row in found.rows:
        assert row.reference == first.row
        if row is not first:
            assert row.difference == pytest.approx(row.area - first.area) and row.difference_low <= row.difference <= row.difference_high
    assert rows["spectral-angle"].floor


def test_intervals_are_those_of_resampled_objects_in_all_draws() -> None:
    found = hsikit.rank_detectors(SCENE, TRUTH, ["matched-filter", "cem"], target_pixels=DRAWN, seeds=SEEDS, against="cem")
    numbers = np.zeros(TRUTH.shape, int)
    for i, (row, col) in enumerate(CORNERS):
        numbers[row : row + 2, col : col + 2] = i + 1
    maps = {row: [] for row in ("matched-filter", "cem")}
    for pixels in draws():
        for row, own in maps.items():
            scores = score_of(row, pixels).astype(float)
            scores[tuple(pixels.T)] = np.nan
            own.append(scores)
    rng, areas, apart = np.random.default_rng(5), [], []
    for _ in range(400):
        drawn = rng.integers(1, len(CORNERS) + 1, len(CORNERS))
        each = {row: [area_of(scores, numbers, drawn) for scores in own] for row, own in maps.items()}
        areas.append(np.nanmean(each["matched-filter"]))
        apart.append(np.nanmean(each["matched-filter"]) - np.nanmean(each["cem"]))
    row = next(row for row in found.rows if row.row == "matched-filter")
    spread = np.ptp(np.percentile(areas, [2.5, 97.5]))
    np.testing.assert_allclose((row.low, row.high), np.percentile(areas, [2.5, 97.5]), atol=0.2 * spread)
    np.testing.assert_allclose((row.difference_low, row.difference_high), np.percentile(apart, [2.5, 97.5]), atol=0.2 * np.ptp(apart))
    assert row.difference_high - row.difference_low < row.high - row.low  # paired


def score_of(row: str, pixels: np.ndarray) -> np.ndarray:
    """The product's map."""
    from hsikit.engine import compute
    from hsikit.targets import read_targets

    targets = read_targets(SCENE, pixels=[(int(r), int(c)) for r, c in pixels])
    return compute(hsikit.make_method(row, targets=targets).bind({"cube": SCENE.info}), {"cube": SCENE}, layers=["scores"]).layers["scores"][0]


def area_of(scores: np.ndarray, numbers: np.ndarray, drawn: np.ndarray) -> float:
    """The area where each object stands as often as it was drawn."""
    background = scores[(numbers == 0) & ~np.isnan(scores)]
    picked = np.concatenate([scores[(numbers == i) & ~np.isnan(scores)] for i in drawn])
    return roc_area(np.append(picked, background), np.append(np.ones(len(picked)), np.zeros(len(background)))) if len(picked) else np.nan


def test_a_single_object_has_intervals_over_draws_alone() -> None:
    single = np.zeros_like(TRUTH)
    single[5:7, 6:8] = 1
    found = hsikit.rank_detectors(SCENE, single, ["ace"], target_pixels=1, seeds=range(4))
    assert {row.over for row in found.rows} == {"draws"} and "intervals over draws" in str(found)
    areas = np.array([cell.area for cell in found.cells if cell.row == "ace"])
    half = 3.182446 * areas.std(ddof=1) / 2
    row = next(row for row in found.rows if row.row == "ace")
    assert (row.low, row.high) == pytest.approx((max(0, areas.mean() - half), min(1, areas.mean() + half)), abs=1e-6)
    anomalies = hsikit.rank_detectors(SCENE, single, ["rx"])
    assert anomalies.rows[0].over == "" and "a single object has no interval" in str(anomalies)


def test_a_scene_is_left_out_of_the_choice() -> None:
    scenes, truths = zip(*(planted(seed, name=f"scene {seed}") for seed in range(3)), strict=True)
    methods = ["rx", ("subspace-rx", {"components": 3}), ("subspace-rx", {"components": 6})]
    found = hsikit.rank_detectors(list(scenes), list(truths), methods)
    table = {(row.scene, row.row): row.area for row in found.rows}
    names = ["rx", "subspace-rx:components=3", "subspace-rx:components=6"]
    for choice in found.choices:
        others = [scene.info.name for scene in scenes if scene.info.name != choice.scene]
        best = max(names, key=lambda name: np.mean([table[other, name] for other in others]))
        assert (choice.row, choice.area) == (best, table[choice.scene, best])
    assert [choice.scene for choice in found.choices] == [scene.info.name for scene in scenes]
    for name in names:
        assert table[ALL, name] == pytest.approx(np.mean([table[scene.info.name, name] for scene in scenes]))
    last = str(found).splitlines()[-1]
    assert "best on the other scenes" in last and f"{np.mean([choice.area for choice in found.choices]):.4f}" in last
    same = hsikit.rank_detectors([scenes[0], planted(1, name="scene 0")[0]], list(truths[:2]), ["rx"])
    assert list(dict.fromkeys(row.scene for row in same.rows)) == ["scene 0 (1)", "scene 0 (2)", ALL]


def test_a_folder_is_gone_on_with_and_another_truth_is_another_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hsikit.engine as engine

    runs, compute = [], engine.compute
    monkeypatch.setattr(engine, "compute", lambda *given, **more: runs.append(1) or compute(*given, **more))
    how = {"target_pixels": 2, "seeds": [0, 1]}
    first = hsikit.rank_detectors(SCENE, TRUTH, ["ace"], tmp_path / "out", **how)
    assert len(runs) == 4 and sorted(path.name for path in first.files) == ["results.json", "table.csv", "table.tex"]
    again = hsikit.rank_detectors(SCENE, TRUTH, ["ace", "cem"], tmp_path / "out", **how)
    assert len(runs) == 6 and {row.row: row.area for row in first.rows}.items() <= {row.row: row.area for row in again.rows}.items()
    with (tmp_path / "out/table.csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == [row.row for row in again.rows]
    facts = json.loads((tmp_path / "out/results.json").read_text())
    assert facts["seeds"] == [0, 1] and facts["target_pixels"] == 2 and len(facts["cells"]) == 6 and facts["notes"] == list(again.notes)
    assert "scene scene.tif" in (tmp_path / "out/table.tex").read_text()
    less = TRUTH.copy()
    less[CORNERS[0]] = 0
    hsikit.rank_detectors(SCENE, less, ["ace"], tmp_path / "out", **how)
    hsikit.rank_detectors(SCENE, TRUTH, ["ace"], tmp_path / "out", target_pixels=1, seeds=[0])
    assert len(runs) == 6 + 4 + 2
    for broken in (tmp_path / "out/cells").iterdir():
        broken.write_text("{")
    hsikit.rank_detectors(SCENE, TRUTH, ["ace", "cem"], tmp_path / "out", **how)
    assert len(runs) == 12 + 6
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(OutputError, match="did not make"):
        hsikit.rank_detectors(SCENE, TRUTH, ["rx"], tmp_path / "mine")


def test_what_fails_leaves_a_gap_and_is_tried_again(tmp_path: Path) -> None:
    found = hsikit.rank_detectors(SCENE, TRUTH, [("subspace-rx", {"components": 200})], tmp_path / "out")
    failed = next(row for row in found.rows if row.rank == 0)
    assert failed.failed == 1 and np.isnan(failed.area) and found.failed == 1 and "failed 1 time: scene.tif: has 8 good bands" in found.notes[-1]
    assert str(found).splitlines()[-1].split()[:2] == ["-", "subspace-rx:components=200"] and "nan" not in (tmp_path / "out/table.csv").read_text()
    assert found.rows[0].row == "rx" and found.rows[0].rank == 1


def test_a_mixture_is_ranked_as_its_hits_are_and_several_targets_by_the_highest() -> None:
    from hsikit.engine import compute
    from hsikit.library import Library
    from hsikit.targets import library_targets

    bands = SCENE.info.bands
    spectra = np.stack([np.nanmean(SCENE.values[:, SEEN], 1), SCENE.values[:, 30, 20]])
    library = Library(spectra.astype(np.float32), bands.wavelength, bands.fwhm, ("one", "two"), {}, "mine", SCENE.info.quantity)
    found = hsikit.rank_detectors(SCENE, TRUTH, ["mtmf", "matched-filter"], target=library)
    targets = library_targets(SCENE.info, library)
    for name in ("mtmf", "matched-filter"):
        layers = compute(hsikit.make_method(name, targets=targets).bind({"cube": SCENE.info}), {"cube": SCENE}).layers
        each = layers["scores"] / np.maximum(layers["infeasibility"], 1) if name == "mtmf" else layers["scores"]
        assert next(row for row in found.rows if row.row == name).area == pytest.approx(counted_area(each.max(0), SEEN), abs=1e-9)
    named = hsikit.rank_detectors(SCENE, TRUTH, ["matched-filter"], target=library, names=["one"])
    assert {row.row: row for row in named.rows}["matched-filter"].area != {row.row: row for row in found.rows}["matched-filter"].area


def test_what_cannot_be_ranked_is_named() -> None:
    with pytest.raises(LabelError, match="has 4 target pixels, and 4 would be drawn"):
        hsikit.rank_detectors(SCENE, np.where(np.arange(ROWS)[:, None] < 10, TRUTH, 0), ["ace"], target_pixels=4)
    with pytest.raises(OptionError, match="truth: 1 of them for 2 scenes"):
        hsikit.rank_detectors([SCENE, SCENE], [TRUTH], ["rx"])
    with pytest.raises(OptionError, match="looks for a target, and rx for anomalies"):
        hsikit.rank_detectors(SCENE, TRUTH, ["rx", "ace"])


def test_detectors_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "mine": EntryPoint("mine", "tests.ranking.toys:Seeker", "hsikit.methods"),
        "rx2": EntryPoint("rx2", "hsikit.tasks.detection.rx:RX", "hsikit.methods"),
    }
    monkeypatch.setattr("hsikit.registry._plugged", lambda: points)
    found = hsikit.rank_detectors(SCENE, TRUTH, ["rx2"])
    assert {row.row: row.rank for row in found.rows}.keys() == {"rx2", "rx"} and len({row.area for row in found.rows}) == 1
    found = hsikit.rank_detectors(SCENE, TRUTH, ["mine"], target_pixels=2, seeds=[0])
    assert found.failed == 1 and "mine: gives no score to each pixel" in found.notes[-1]
    assert repr(found) == str(found)


def test_cubes_and_arrays_as_a_notebook_has_them(tmp_path: Path) -> None:
    import xarray as xr

    from tests.laws.scenes import make_scene, write_scene

    made = make_scene(40, 36, 8, seed=1)
    cube = hsikit.open_scene(write_scene(tmp_path, made))
    truth = np.zeros((40, 36), int)
    truth[20:22, 20:23] = truth[30, 25] = 1
    plain = hsikit.rank_detectors(tmp_path / "scene.tif", truth, ["rx"])
    same = hsikit.rank_detectors(cube, xr.DataArray(truth, dims=("y", "x")), ["rx"])
    assert [row.area for row in same.rows] == pytest.approx([row.area for row in plain.rows])
    part = hsikit.rank_detectors(cube.isel(y=slice(10, 40)), truth[10:], ["rx"])
    assert part.rows[0].background < plain.rows[0].background
