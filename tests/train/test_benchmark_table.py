"""The table as text, CSV, LaTeX and JSON, and what its notes say."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hsikit.train.benchmark_plan import make_plan
from hsikit.train.benchmark_statistics import standings
from hsikit.train.benchmark_table import benchmark_notes, table_latex, table_text, write_results
from hsikit.train.labelled import LabelledScene
from tests.tasks.classification.scenes import fields, labelled, source
from tests.train.benchmark_toys import CELLS, PLAN, cell

ROWS = standings(PLAN, CELLS)


@pytest.fixture(scope="module")
def scene() -> LabelledScene:
    values, truth = fields(30, 30, 2, 4)
    return labelled(source(values), truth, 20)


def notes(cells: list[object], scene: LabelledScene, plan: object = PLAN) -> str:
    return "\n".join(benchmark_notes(plan, cells, [scene]))  # type: ignore[arg-type]


def test_the_text_ranks_and_compares() -> None:
    first, second = table_text(ROWS).split("\n\n")
    title, head, best, *others = first.splitlines()
    assert title == "split blocks; differences to svm" and "OA" in head and "95 % interval" in head
    assert best.split()[:2] == ["1", "mnf-lda"] and "2 (1 failed)" in best and "78.0 ± 2.8" in best and "+12.00 ± 2.00" in best
    low, high = 12 - 12.7062 * 2, 12 + 12.7062 * 2
    assert f"{low:+.2f} to {high:+.2f}" in best
    assert "svm (floor)" in others[0] and others[0].split()[-1] == "-"
    assert second.splitlines()[-1].split()[:2] == ["-", "mnf-lda"] and "0 (3 failed)" in second


def test_the_latex_has_one_number_of_columns() -> None:
    plan = make_plan([("mnf-lda", {"standardise": True})], [("blocks", {"per_class": 3})], [0, 1])
    rows = standings(plan, [cell(row, seed, 60 + seed + len(row), "blocks:per_class=3") for row in ("svm", "mnf-lda:standardise=true") for seed in (0, 1)])
    text = table_latex(rows)
    lines = [line for line in text.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None and {line.count(" & ") + 1 for line in lines} == {len(columns[1])} and len(lines) == 3
    assert "per\\_class=3" in text and "$\\pm$" in text and "$+$" in text and "%" not in text.replace("\\%", "").removeprefix("% needs")
    assert text.rstrip().endswith("\\end{tabular}")


def test_the_files_agree(tmp_path: Path, scene: LabelledScene) -> None:
    paths = write_results(tmp_path, PLAN, CELLS, [scene])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "table.csv", "table.tex"] == sorted(path.name for path in paths)
    found = json.loads((tmp_path / "results.json").read_text())
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["method"], int(row["rank"])) for row in rows] == [(row["split"], row["row"], row["rank"]) for row in found["rows"]]
    for row, fact in zip(rows, found["rows"], strict=True):
        mean = fact["measures"]["overall"]["mean"]
        assert (row["overall_mean"] == "") == (mean is None) and (mean is None or float(row["overall_mean"]) == mean)
        apart = fact["overall_difference"]
        assert (row["overall_low"] == "") == (apart is None or apart["low"] is None)
    assert len(found["cells"]) == len(CELLS) and [c["overall"] for c in found["cells"][:3]] == [0.5, 0.6, 0.4]
    assert found["scenes"] == [{"scene": "scene.tif", "labels": "labels.tif", "pixels": len(scene)}] and found["seeds"] == [0, 1, 2]
    assert found["rows"][0]["row"] == "mnf-lda" and "NaN" not in (tmp_path / "results.json").read_text()


def test_tables_of_an_earlier_run_are_replaced_whole(tmp_path: Path, scene: LabelledScene) -> None:
    write_results(tmp_path, PLAN, CELLS, [scene])
    before = (tmp_path / "table.csv").read_text()
    write_results(tmp_path, PLAN, CELLS[:9], [scene])
    assert (tmp_path / "table.csv").read_text() != before and len(list(tmp_path.iterdir())) == 3


def test_the_notes_say_what_the_interval_is_of(scene: LabelledScene) -> None:
    said = notes([replace(c, notes=("it leaks",)) if c.split == "random" else c for c in CELLS], scene)
    assert said.count("random: it leaks") == 1 and "blocks: it leaks" not in said
    assert "All seeds share one scene" in said and "not how much another scene would" in said
    assert "blocks: mnf-lda failed with 1 seed: no" in said and "random: mnf-lda failed with 3 seeds: no" in said


def test_a_draw_that_fails_for_all_is_said_once(scene: LabelledScene) -> None:
    failed = [cell(row, seed, 0, error=f"lost {seed}") for seed in (0, 1) for row in ("svm", "mnf-lda")]
    assert [line for line in notes(failed, scene).splitlines() if "failed" in line] == [
        "blocks: every method failed with 2 seeds: lost 0 (seed 0; others differ)"
    ]


def test_repeated_draws_and_lost_classes_are_said(scene: LabelledScene) -> None:
    cells = [replace(c, draw="ab"[c.seed % 2], untrained=("oats",) if c.seed else (), untested=("rye",)) for c in CELLS if c.split == "blocks"]
    said = notes(list(cells), scene)
    assert "blocks: 3 seeds gave only 2 different draws, so its intervals are too narrow" in said
    assert "nothing to train on, and their test pixels are left out: oats (2 of 3 seeds)" in said and "no test pixel: rye (3 of 3 seeds)" in said
    assert "different draws" not in notes([replace(c, draw=str(c.seed)) for c in CELLS], scene)


def test_time_spent_once_is_said(scene: LabelledScene) -> None:
    said = notes([replace(c, shared_seconds=12.34 if c.row == "mnf-lda" else 0.0) for c in CELLS], scene)
    assert "mnf-lda: 12.3 s more, spent once for all seeds" in said and "svm: " not in said
