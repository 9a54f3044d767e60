"""`hsikit sample` and `hsikit accuracy`: from a map to points, answers, a table, and files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest

from tests.assess.maps import CLASSES, COUNTS, NAMES, PIXELS, answer, answer_from, quarters, write_example, write_map
from tests.laws.scenes import write_codes

from .conftest import Hsikit

MAP, TRUTH = quarters()


@pytest.fixture
def map_(tmp_path: Path) -> Path:
    return write_map(tmp_path / "map.tif", MAP)


@pytest.fixture
def points(hsikit: Hsikit, map_: Path, tmp_path: Path) -> Path:
    assert hsikit("sample", map_, "--per-class", 40, "-o", tmp_path / "p.gpkg").code == 0
    return answer_from(tmp_path / "p.gpkg", TRUTH)


def test_a_sample_says_what_it_drew(hsikit: Hsikit, map_: Path, tmp_path: Path) -> None:
    done = hsikit("sample", map_, "--per-class", 50, "--stratified", "-o", tmp_path / "p.gpkg")
    assert done.code == 0 and f"wrote {tmp_path / 'p.gpkg'}" in done.out
    for code, name in NAMES.items():
        assert re.search(rf"{name} +{int((code == MAP).sum())} pixels +50 points", done.out)
    assert "outside the population: 124 pixels (24 of code 0, 100 of code 255)" in done.out
    assert len(geopandas.read_file(tmp_path / "p.gpkg", layer="sample")) == 150


def test_every_option_of_a_sample_arrives(hsikit: Hsikit, map_: Path, tmp_path: Path) -> None:
    expected = [word for pair in ("water=0.9", "2=0.5", "field=0.8") for word in ("--expected-accuracy", pair)]
    words = ("--standard-error", 0.03, *expected, "--minimum", 10, "--seed", 3, "--blind", "--outside", 254, "--json")
    done = hsikit("sample", map_, *words, "-o", tmp_path / "a.gpkg")
    facts = json.loads(done.out)
    share = np.array([(code == MAP).sum() for code in NAMES]) / np.isin(MAP, list(NAMES)).sum()
    assert facts["points"] == int(np.ceil((share @ np.sqrt([0.09, 0.25, 0.16]) / 0.03) ** 2)) and facts["outside"] == {"0": 24, "255": 100}
    assert "map_code" not in geopandas.read_file(tmp_path / "a.gpkg", layer="sample")
    assert json.loads(hsikit("sample", map_, "--total", 80, "--simple", "-o", tmp_path / "b.gpkg", "--json").out)["design"] == "simple"
    three = json.loads(hsikit("sample", map_, "--per-class", 9, "--inside", 255, "-o", tmp_path / "b.gpkg", "--overwrite", "--json").out)
    assert [stratum["code"] for stratum in three["strata"]] == [1, 2, 3, 255]
    assert hsikit("sample", map_, "--standard-error", 0.05, "--expected-accuracy", 0.8, "-o", tmp_path / "c.gpkg").code == 0


def test_the_worked_example_is_printed_to_its_digits(hsikit: Hsikit, tmp_path: Path) -> None:
    map_ = write_example(tmp_path / "map.tif")
    assert hsikit("sample", map_, "--per-class", 325, "-o", tmp_path / "p.gpkg").code == 0
    frame = geopandas.read_file(tmp_path / "p.gpkg", layer="sample")
    chosen = [np.flatnonzero(frame["map_code"] == row + 1)[: counts.sum()] for row, counts in enumerate(COUNTS)]
    frame = frame.iloc[np.concatenate(chosen)][["id", "geometry"]]
    frame["truth"] = np.concatenate([np.repeat(np.arange(1, 5), counts) for counts in COUNTS])
    frame.to_file(tmp_path / "points.gpkg")
    words = ("--reference", tmp_path / "points.gpkg", "--field", "truth", "-o", tmp_path / "a.csv", "--latex", tmp_path / "t.tex")
    done = hsikit("accuracy", map_, *words)
    assert done.code == 0 and "overall accuracy 0.947 ± 0.018 from 640 points" in done.out and "post-stratified" in done.err
    printed = (
        ("75 / 69", "0.880 ± 0.074", "0.749 ± 0.213", "18,000", "21,158 ± 6,158"),
        ("75 / 56", "0.733 ± 0.101", "0.847 ± 0.254", "13,500", "11,686 ± 3,756"),
        ("165 / 175", "0.927 ± 0.040", "0.935 ± 0.034", "288,000", "285,770 ± 15,510"),
        ("325 / 340", "0.963 ± 0.021", "0.962 ± 0.018", "580,500", "581,386 ± 16,282"),
    )
    latex = (tmp_path / "t.tex").read_text()
    for code, cells in enumerate(printed, start=1):
        assert re.search(" +│ +".join([f"class {code}", *cells]), done.out), done.out
        assert " & ".join([f"class {code}", *cells]).replace("±", r"$\pm$") + r" \\" in latex
    assert done.out.index("kappa") > done.out.index("overall accuracy") and "more than 5% of the area of class 1, class 2" in done.err
    assert len(CLASSES) == len(PIXELS) == 4


def test_a_table_for_further_work(hsikit: Hsikit, map_: Path, points: Path, tmp_path: Path) -> None:
    facts = json.loads(hsikit("accuracy", map_, "--reference", points, "-o", tmp_path / "a.csv", "--json").out)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [*NAMES.values(), "all classes"] and [row["code"] for row in rows] == ["1", "2", "3", ""]
    for place, row in enumerate(rows[:3]):
        assert int(row["map_points"]) == sum(facts["counts"][place]) == 40
        for column, key in (("users", "users"), ("producers", "producers"), ("area_ha", "area_ha")):
            assert float(row[column]) == facts[key]["value"][place]
            assert float(row[f"{column}_half_width"]) == facts[key]["half_width"][place]
    assert float(rows[3]["overall"]) == facts["overall"]["value"] and rows[3]["users"] == rows[0]["overall"] == ""
    assert float(rows[3]["mapped_ha"]) == pytest.approx(sum(facts["mapped_area"]))


def test_latex_holds_names_of_every_kind(hsikit: Hsikit, tmp_path: Path) -> None:
    map_ = write_map(tmp_path / "map.tif", MAP, {1: "50 % oak & ash_2", 2: "[bold]x", 3: r"a\b{c}~^#$"})
    assert hsikit("sample", map_, "--per-class", 30, "-o", tmp_path / "p.gpkg").code == 0
    frame = geopandas.read_file(tmp_path / "p.gpkg", layer="sample")
    answer(tmp_path / "p.gpkg", TRUTH[frame["row"], frame["col"]])
    done = hsikit("accuracy", map_, "--reference", tmp_path / "p.gpkg", "--latex", tmp_path / "t.tex")
    assert done.code == 0 and "50 % oak & ash_2" in done.out and "[bold]x" in done.out
    text = (tmp_path / "t.tex").read_text()
    for name in (r"50 \% oak \& ash\_2", "[bold]x", r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}\#\$"):
        assert name in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    # Unescaped: the separators of six columns, and no comment.
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5} and not re.findall(r"(?<!\\)%", text)


def test_choices_of_an_assessment_arrive(hsikit: Hsikit, map_: Path, points: Path, tmp_path: Path) -> None:
    frame = geopandas.read_file(points, layer="sample").to_crs(4326)
    table = {"x": frame.geometry.x, "y": frame.geometry.y, "reference": frame["reference"].where(frame["id"] != 5, "quarry").where(frame["id"] != 6)}
    pandas.DataFrame(table).to_csv(tmp_path / "p.csv", index=False)
    words = ("accuracy", map_, "--reference", tmp_path / "p.csv", "--crs", "EPSG:4326")
    assert "no class 'quarry' (ids 5)" in hsikit(*words).err
    assert "no answer (ids 6)" in hsikit(*words, "--allow-unmapped").err
    done = hsikit(*words, "--allow-unanswered", "--allow-unmapped", "--simple")
    assert done.code == 0 and "quarry" in done.out and "from 119 points" in done.out and "in one stratum" in done.err
    binary = write_codes(tmp_path / "binary.tif", (MAP == 3).astype(np.uint8), nodata=None)
    frame["reference"] = (TRUTH == 3)[frame["row"], frame["col"]].astype(int)
    frame.drop(columns="map_code").to_file(tmp_path / "zero.geojson")
    done = hsikit("accuracy", binary, "--reference", tmp_path / "zero.geojson", "--inside", 0, "--outside", 7)
    assert done.code == 0 and "class 0" in done.out


@pytest.mark.parametrize(("words", "fault"), [
    (("sample", "map.tif", "-o", "s.gpkg"), "number of points: not said"),
    (("sample", "map.tif", "--per-class", "5", "-o", "s.shp"), "s.shp"),
    (("sample", "map.tif", "--per-class", "5", "-o", "nowhere/s.gpkg"), "nowhere"),
    (("sample", "map.tif", "--standard-error", "0.1", "--expected-accuracy", "good", "-o", "s.gpkg"), "'good'"),
    (("sample", "map.tif", "--standard-error", "0.1", "--expected-accuracy", "0.8", "--expected-accuracy", "water=0.9", "-o", "s.gpkg"), "one for all"),
    (("sample", "none.tif", "--per-class", "5", "-o", "s.gpkg"), "none.tif"),
    (("accuracy", "map.tif", "--reference", "none.gpkg"), "none.gpkg"),
    (("accuracy", "map.tif", "--reference", "p.gpkg", "--field", "truth"), "its fields are id, map_code, map_class, row, col, reference"),
    (("accuracy", "map.tif", "--reference", "p.gpkg", "-o", "a.txt"), "a.txt"),
    (("accuracy", "map.tif", "--reference", "p.gpkg", "--latex", "a.csv"), "a.csv"),
    (("accuracy", "map.tif", "--reference", "p.gpkg", "--simple"), "error: --simple: the points of p.gpkg were drawn by strata"),
    (("accuracy", "map.tif", "--reference", "p.gpkg", "--inside", "3"), "error: --inside: code 3"),
    (("sample", "map.tif", "--per-class", "1", "-o", "s.gpkg"), "error: --per-class: 1 is fewer"),
])  # fmt: skip
def test_mistakes_are_named(hsikit: Hsikit, points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], fault: str) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = hsikit(*words)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and fault in errors[0], done.err
    assert sorted(tmp_path.iterdir()) == before


def test_tables_in_place_need_overwrite(hsikit: Hsikit, map_: Path, points: Path, tmp_path: Path) -> None:
    (tmp_path / "t.tex").write_text("mine")
    words = ("accuracy", map_, "--reference", points, "-o", tmp_path / "a.csv", "--latex", tmp_path / "t.tex")
    done = hsikit(*words)
    assert done.code == 2 and "t.tex" in done.err and not (tmp_path / "a.csv").exists() and (tmp_path / "t.tex").read_text() == "mine"
    assert hsikit(*words, "--overwrite").code == 0 and (tmp_path / "t.tex").read_text().startswith(r"\begin{tabular}{lrrrrr}")
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "t.tex", "p.gpkg", "map.tif"}
