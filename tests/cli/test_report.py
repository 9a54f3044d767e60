"""`hsikit report` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Field, Hsikit


@pytest.fixture
def mapped(hsikit: Hsikit, place: Field, tmp_path: Path) -> Path:
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "-q").code == 0
    return tmp_path / "map.tif"


def test_a_report_with_everything(hsikit: Hsikit, place: Field, mapped: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    words = ("report", mapped, "--model", place.model, "--scene", place.scene, "-o", page)
    done = hsikit(*words)
    assert (done.code, done.out.strip()) == (0, f"wrote {page}, {tmp_path / 'run.json'}")
    text = page.read_text(encoding="utf-8")
    assert "Confusion matrix" in text and "Methods text" in text and "@article{cortes1995," in text
    assert json.loads((tmp_path / "run.json").read_text())["model"]["method"] == "svm"
    refused = hsikit(*words)
    assert refused.code == 2 and "exists already" in refused.err
    assert hsikit(*words, "--overwrite").code == 0


def test_an_evaluation_counts_more_than_the_folder(hsikit: Hsikit, place: Field, mapped: Path, tmp_path: Path) -> None:
    done = hsikit("evaluate", place.scene, "--model", place.model, "--labels", place.labels, "--split", "class-halves", "-o", tmp_path / "e.json", "-q")
    assert done.code == 0
    words = ("report", mapped, "--model", place.model, "-o", tmp_path / "report.html", "--evaluation", tmp_path / "e.json")
    assert hsikit(*words).code == 0
    found = json.loads((tmp_path / "run.json").read_text())["assessment"]
    told = json.loads((tmp_path / "e.json").read_text())
    assert found["source"] == "evaluation" and found["rows"][0]["overall"] == told["scores"]["overall"] and found["split"]["name"] == "class-halves"


def test_areas_from_reference_points(hsikit: Hsikit, place: Field, mapped: Path, tmp_path: Path) -> None:
    rows = ["x,y,reference"]
    for row in range(3, 72, 4):
        for col in range(2, 57, 5):
            code = int(place.made.truth[row, col])
            if code:
                rows.append(f"{365_000 + 30 * (col + 0.5)},{5_808_000 - 30 * (row + 0.5)},{code}")
    (tmp_path / "points.csv").write_text("\n".join(rows))
    told = hsikit("accuracy", mapped, "--reference", tmp_path / "points.csv", "--json")
    assert told.code == 0, told.err
    (tmp_path / "a.json").write_text(told.out)
    assert hsikit("report", mapped, "--model", place.model, "-o", tmp_path / "report.html", "--accuracy", tmp_path / "a.json").code == 0
    found = json.loads((tmp_path / "run.json").read_text())["areas"]
    assert found["overall"]["value"] == json.loads(told.out)["overall"]["value"] and found["rows"][0]["hectares"]["half_width"] > 0


def test_mistakes_are_named_before_any_work(hsikit: Hsikit, place: Field, mapped: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    for words, said in (
        ((place.scene, "--model", place.model), "bands"),
        ((place.labels, "--model", place.model), "names no classes"),
        ((mapped, "--model", tmp_path), "model.json"),
        ((mapped, "--model", place.model, "--scene", place.second), "second.tif"),
        ((mapped, "--model", place.model, "--evaluation", mapped), "is not JSON"),
    ):
        done = hsikit("report", *words, "-o", page)
        assert done.code == 2 and said in done.err and not page.exists(), done.err
    assert hsikit("report", mapped, "--model", place.model, "-o", tmp_path / "report.pdf").code == 2


def test_a_detection_has_a_page_of_its_own(hsikit: Hsikit, place: Field, mapped: Path, tmp_path: Path) -> None:
    scores, hits, page = (tmp_path / name for name in ("scores.tif", "hits.gpkg", "report.html"))
    found = hsikit("detect", place.scene, "--pixel", "30,40", "--pixel", "30,41", "-o", scores, "--hits", hits, "--pfa", "0.01", "-q")
    assert found.code == 0, found.err
    words = ("report", scores, "--scene", place.scene, "--hits", hits, "--truth", place.labels, "-o", page)
    done = hsikit(*words, "--pixel", "30,40", "--pixel", "30,41")
    assert (done.code, done.out.strip()) == (0, f"wrote {page}, {tmp_path / 'run.json'}"), done.err
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["made_by"]["method"] == "matched-filter" and [row["floor"] for row in told["worth"]["rows"]] == [False, True]
    for more, said in (
        (("--model", place.model), "--model: "),
        (("--name", "ore"), "choose spectra of a library"),
        (("--pixel", "1"), "is not ROW,COL"),
        (("--pixel", "31,41"), "was made for mean of 2 pixels"),
        (("--scene", place.second), "second.tif"),
    ):
        done = hsikit(*words, *more, "--overwrite")
        assert done.code == 2 and said in done.err, done.err
    for more, said in ((("--truth", place.labels, "--model", place.model), "--truth: "), ((), "--model: ")):
        done = hsikit("report", mapped, *more, "-o", page, "--overwrite")
        assert done.code == 2 and said in done.err, done.err
