"""`hsikit benchmark`: lists of words, folders that are gone on with, and how it ends."""

from __future__ import annotations

import csv
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from .conftest import Field, Hsikit


def words(place: Field, out: Path, *more: object) -> tuple[object, ...]:
    return ("benchmark", place.scene, "--labels", place.labels, "--per-class", 15, "-o", out, *more)


def test_methods_splits_and_seeds_make_one_table(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    more = ("--methods", "svm", "mnf-lda:components=5,width=3", "--splits", "class-halves", "random:test-share=0.5", "--seeds", "0-1", "--smooth", "both")
    done = hsikit(*words(place, tmp_path / "out", *more))
    assert done.code == 0, done.err
    for said in ("split class-halves:per_class=15; differences to ", "split random:per_class=15,test_share=0.5", "svm (floor)", "nearest-label (floor)"):
        assert said in done.out
    assert "mnf-lda:components=5,width=3+smooth" in done.out and f"wrote {tmp_path / 'out/table.csv'}" in done.out
    assert "cell 20 of 20" in done.err and "All seeds share one scene" in done.err and "random pixels" in done.err
    with (tmp_path / "out/table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 and {row["seeds"] for row in rows} == {"2"}
    again = hsikit(*words(place, tmp_path / "out", *more))
    assert again.code == 0 and again.out == done.out and "20 of 20 cells are there already" in again.err and "cell 1 " not in again.err


def test_another_method_joins_the_cells_that_are_there(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    shape = ("--splits", "class-halves", "--seeds", "0,2")
    assert hsikit(*words(place, tmp_path / "out", "--methods", "svm", *shape)).code == 0
    done = hsikit(*words(place, tmp_path / "out", "--methods", "svm", "svm:C=1", "--against", "svm:C=1", *shape))
    assert done.code == 0 and "4 of 6 cells are there already" in done.err and "differences to svm:C=1" in done.out
    facts = json.loads((tmp_path / "out/results.json").read_text())
    assert facts["seeds"] == [0, 2] and facts["against"] == "svm:C=1" and len(facts["cells"]) == 6


def test_several_scenes_are_left_out_in_turn(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    both = ("benchmark", place.scene, place.second, "--labels", place.labels, "--labels", place.second_labels)
    done = hsikit(*both, "--methods", "svm", "--splits", "scene", "--seeds", "0-1", "-o", tmp_path / "out")
    assert done.code == 0 and "the same scenes" in done.err and "nearest-label" not in done.out
    refused = hsikit("benchmark", place.scene, place.second, "--labels", place.labels, "--methods", "svm", "-o", tmp_path / "other")
    assert refused.code == 2 and "1 label files for 2 scenes" in refused.err


def test_what_fails_is_said_and_the_rest_goes_on(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit(*words(place, tmp_path / "out", "--methods", "mnf-lda:components=4000", "--splits", "class-halves", "--seeds", 3))
    assert done.code == 1 and "0 (1 failed)" in done.out and "svm (floor)" in done.out
    assert "class-halves: mnf-lda:components=4000 failed with 1 seed" in done.err and "1 of 3 cells failed" in done.err
    assert (tmp_path / "out/table.tex").exists()


def test_options_from_a_file(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    text = f"""
[benchmark]
labels = ["{place.labels}"]
methods = ["svm", "random-forest:trees=5"]
splits = ["class-halves:per-class=10"]
seeds = "1-2"
smooth = "no"
"""
    (tmp_path / "experiment.toml").write_text(text)
    done = hsikit("--config", tmp_path / "experiment.toml", "benchmark", place.scene, "-o", tmp_path / "out", "--quiet")
    assert done.code == 0 and "random-forest:trees=5" in done.out and "per_class=10" in done.out and "cell" not in done.err
    assert len(list((tmp_path / "out/cells").iterdir())) == 6


@pytest.mark.parametrize(("more", "fault"), [
    (("--methods", "no-such-method"), "no-such-method"),
    (("--methods", "svm:C"), "no such method"),
    (("--methods", "svm:C=1,gamma"), "--methods svm:C=1,gamma: 'gamma' is not name=value"),
    (("--methods", "svm", "--splits", "by-magic"), "there is no split 'by-magic'"),
    (("--methods", "svm", "--splits", "blocks:guard=six"), "guard='six'"),
    (("--methods", "svm", "--seeds", "0-"), "--seeds: '0-'"),
    (("--methods", "svm", "--seeds", "5-3"), "--seeds: '5-3'"),
    (("--methods", "svm", "--seeds", "-3"), "--seeds: '-3'"),
    (("--methods", "svm", "--against", "mnf-lda"), "'mnf-lda' is no row of the table"),
    (("--methods", "svm", "--guard", "-1"), "-1 is no distance"),
])  # fmt: skip
def test_commands_that_make_no_sense(hsikit: Hsikit, place: Field, tmp_path: Path, more: tuple[str, ...], fault: str) -> None:
    done = hsikit(*words(place, tmp_path / "out", *more))
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and fault in errors[0], done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = hsikit(*words(place, tmp_path, "--methods", "svm"))
    assert done.code == 2 and "did not make" in done.err and [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(("given", "expected"), [
    (["a.tif", "--methods", "svm", "rx", "-o", "x"], ["a.tif", "--methods", "svm", "--methods", "rx", "-o", "x"]),
    (["--methods=svm", "rx", "--splits", "blocks"], ["--methods=svm", "--methods", "rx", "--splits", "blocks"]),
    (["--methods", "svm", "--methods", "rx"], ["--methods", "svm", "--methods", "rx"]),
    (["--methods", "svm", "--", "rx"], ["--methods", "svm", "--", "rx"]),
    (["--seeds", "1", "2"], ["--seeds", "1", "2"]),
])  # fmt: skip
def test_words_of_a_list(given: list[str], expected: list[str]) -> None:
    from hsikit_cli.benchmark import repeated

    assert repeated(given) == expected


def test_an_interrupt_is_told_how_to_go_on(hsikit: Hsikit, place: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("hsikit.train.benchmark")

    def interrupted(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["hsikit.train.benchmark"], "run_benchmark", interrupted)
    done = hsikit(*words(place, tmp_path / "out", "--methods", "svm"))
    assert done.code == 130 and "the same command resumes" in done.err
