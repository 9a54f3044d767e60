"""Lists of scenes: patterns, CSV, TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hsikit.batch.job_files import read_orders
from hsikit.errors import OptionError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("g/a.tif", "g/b.tif", "g/deep/c.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def briefly(jobs: list[str], **more: Any) -> list[tuple[str, str, str, dict[str, Any]]]:
    here = Path.cwd()
    return [(";".join(o.scene), o.task, o.output.relative_to(here).as_posix(), dict(o.options)) for o in read_orders(jobs, **more)]


def test_patterns() -> None:
    assert briefly(["g/*.tif", "g/a.tif", "missing.tif"], output="m", model="x") == [
        ("g/a.tif", "classify", "m/a.tif", {"model": "x"}), ("g/b.tif", "classify", "m/b.tif", {"model": "x"}),
        ("missing.tif", "classify", "m/missing.tif", {"model": "x"}),
    ]  # fmt: skip
    assert [scene for scene, *_ in briefly(["g/**/*.tif"], output="m", model="x")] == ["g/a.tif", "g/b.tif", "g/deep/c.tif"]
    with pytest.raises(OptionError, match=r"nothing is called like g/\*\.nc"):
        read_orders(["g/*.nc"], output="m", model="x")


@pytest.mark.parametrize(
    ("jobs", "output", "caught"),
    [
        (["g/*.tif"], "g/{stem}_map.tif", True), (["g/*.tif"], "g/maps/{stem}.tif", False), (["**/*.tif"], "g/maps/{stem}.tif", True),
        (["g/[ab].tif"], "g/{stem}_map.tif", False), (["g/a.tif", "g/b.tif"], "g/b.tif", True), (["*/*.tif"], "{stem}.tif", False),
    ],
)  # fmt: skip
def test_outputs_must_not_be_scenes_of_the_next_run(jobs: list[str], output: str, caught: bool) -> None:
    Path("j.toml").write_text(f'scenes = {json.dumps(jobs)}\noutput = "{output}"\n[anomaly]')
    for given in ({"jobs": jobs, "output": output, "task": "anomaly"}, {"jobs": ["j.toml"]}):
        if caught:
            with pytest.raises(OptionError, match=r"in the next run|is a scene and an output|would both write"):
                read_orders(**given)
        else:
            assert read_orders(**given)


def test_csv() -> None:
    Path("jobs.csv").write_text('scene,output,mask,sieve\ng/a.tif,,"cloud,shadow;b.gpkg",4\n"g/a.tif;g/b.tif",two.tif,,\n')
    assert briefly(["jobs.csv"], output="m", sieve=2, mask=["old"], model="x") == [
        ("g/a.tif", "classify", "m/a.tif", {"sieve": 4, "mask": ["cloud,shadow", "b.gpkg"], "model": "x"}),
        ("g/a.tif;g/b.tif", "classify", "two.tif", {"sieve": 2, "mask": ["old"], "model": "x"}),
    ]


def test_a_csv_of_several_tasks() -> None:
    Path("jobs.csv").write_text("scene,task,model,output\ng/a.tif,classify,x,\ng/a.tif,anomaly,,\ng/b.tif,,x,b.tif\n")
    assert briefly(["jobs.csv"], output="m/{stem}_{task}.tif") == [
        ("g/a.tif", "classify", "m/a_classify.tif", {"model": "x"}), ("g/a.tif", "anomaly", "m/a_anomaly.tif", {}),
        ("g/b.tif", "classify", "b.tif", {"model": "x"}),
    ]  # fmt: skip


TOML = """
scenes = ["g/*.tif"]
output = "m/{stem}_{task}.tif"
dilate = 2
[classify]
model = "x"
confidence = true
[anomaly]
output = "scores/{stem}.tif"
param = {ridge = 0.1}
[[scene]]
path = "g/b.tif"
dilate = 5
[[scene]]
path = ["g/a.tif", "g/b.tif"]
task = "anomaly"
output = "both.tif"
"""


def test_toml() -> None:
    Path("jobs.toml").write_text(TOML)
    classify, anomaly = {"model": "x", "confidence": True}, {"param": {"ridge": 0.1}}
    assert briefly(["jobs.toml"]) == [
        ("g/a.tif", "classify", "m/a_classify.tif", {"dilate": 2, **classify}),
        ("g/a.tif", "anomaly", "scores/a.tif", {"dilate": 2, **anomaly}),
        ("g/b.tif", "classify", "m/b_classify.tif", {"dilate": 5, **classify}),
        ("g/b.tif", "anomaly", "scores/b.tif", {"dilate": 5, **anomaly}),
        ("g/a.tif;g/b.tif", "anomaly", "both.tif", {"dilate": 2, **anomaly}),
    ]


def test_the_command_line_wins_over_tables_and_a_line_over_both() -> None:
    Path("jobs.toml").write_text(TOML)
    found = briefly(["jobs.toml"], dilate=9, output="o/{stem}_{task}.tif")
    assert [options["dilate"] for *_, options in found] == [9, 9, 5, 5, 9]
    assert [output for _, _, output, _ in found] == ["o/a_classify.tif", "o/a_anomaly.tif", "o/b_classify.tif", "o/b_anomaly.tif", "both.tif"]


def test_two_lines_for_one_scene_each_with_its_task() -> None:
    Path("jobs.toml").write_text(
        'output = "{stem}_{task}.tif"\n[classify]\nmodel = "x"\n[anomaly]\n'
        '[[scene]]\npath = "g/a.tif"\ntask = "classify"\nsieve = 3\n[[scene]]\npath = "g/a.tif"\ntask = "anomaly"\npfa = 0.1\n'
    )
    assert [(task, options) for _, task, _, options in briefly(["jobs.toml"])] == [("classify", {"model": "x", "sieve": 3}), ("anomaly", {"pfa": 0.1})]


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("j.csv", "path\ng/a.tif\n", "no column 'scene'"),
        ("j.csv", "", "no column 'scene', but nothing"),
        ("j.csv", "scene,colour\ng/a.tif,red\n", "'colour' is no column"),
        ("j.csv", "scene,sieve,sieve\ng/a.tif,1,2\n", "a column stands twice"),
        ("j.csv", "scene,sieve\ng/a.tif\n", "line 2: it has not the 2 cells"),
        ("j.csv", "scene,sieve\ng/a.tif,1,2\n", "line 2: it has not the 2 cells"),
        ("j.csv", "scene,sieve\n,1\n", "line 2: it names no scene"),
        ("j.csv", "scene,sieve\ng/a.tif,many\n", "line 2: sieve: 'many' is no whole number"),
        ("j.csv", "scene\n", "there are no scenes"),
        ("j.toml", "scenes = [", "it is not TOML"),
        ("j.toml", 'scenes = ["g/*.tif"]', "it has no task"),
        ("j.toml", 'scenes = "g/*.tif"\n[anomaly]', "no list of patterns"),
        ("j.toml", "scenes = [3]\n[anomaly]", "no list of patterns"),
        ("j.toml", "scene = 3\n[anomaly]", "no list of tables"),
        ("j.toml", 'scenes = ["g/a.tif"]\n[anomali]', r"\[anomali\] is no task"),
        ("j.toml", 'scenes = ["g/a.tif"]\nsieve = 3\n[anomaly]', "'sieve' is no option that all tasks share"),
        ("j.toml", 'scenes = ["g/a.tif"]\noutput = 3\n[anomaly]', "output of all tasks is no text"),
        ("j.toml", "[anomaly]\n[[scene]]\ndilate = 3", "has no path"),
        ("j.toml", '[anomaly]\n[[scene]]\npath = "g/a.tif"\ntask = "classify"', "for the task 'classify', which has no table"),
        ("j.toml", '[anomaly]\n[[scene]]\npath = "g/a.tif"\ntask = []', "which has no table"),
        ("j.toml", "[anomaly]", "there are no scenes"),
    ],
)
def test_lists_that_are_none(name: str, text: str, wrong: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(OptionError, match=wrong) as told:
        read_orders([name], output="m", **({"model": "x"} if name.endswith("csv") else {}))
    assert name in str(told.value)


def test_lists_that_cannot_be_read() -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_orders(["none.csv"], output="m")
    Path("j.csv").write_bytes(b"scene\n\xff\xfe\n")
    with pytest.raises(OptionError, match="it is not CSV in UTF-8"):
        read_orders(["j.csv"], output="m")
    Path("j.toml").write_text("[anomaly]")
    with pytest.raises(OptionError, match="stands beside other scenes"):
        read_orders(["j.toml", "g/a.tif"], output="m")
    with pytest.raises(OptionError, match="says its tasks by its tables"):
        read_orders(["j.toml"], task="anomaly", output="m")


def test_options_of_the_method_in_a_csv() -> None:
    Path("jobs.csv").write_text('scene,param\ng/a.tif,components=40 window-size=3;ridge=1e-3\ng/b.tif,"ridge=0.5;exact=true name=x=y"\ng/c.tif,\n')
    found = [options["param"] for *_, options in briefly(["jobs.csv"], task="anomaly", output="{stem}_m.tif", param={"ridge": 0.1, "bands": 5})]
    assert found == [
        {"ridge": 1e-3, "bands": 5, "components": 40, "window_size": 3}, {"ridge": 0.5, "bands": 5, "exact": True, "name": "x=y"}, {"ridge": 0.1, "bands": 5},
    ]  # fmt: skip
    Path("jobs.csv").write_text("scene,param\ng/a.tif,ridge 3\n")
    with pytest.raises(OptionError, match="line 2: param: 'ridge' is not name=value"):
        briefly(["jobs.csv"], task="anomaly", output="{stem}_m.tif")
    Path("jobs.csv").write_text("scene,task,absorption,param\ng/a.tif,gas,methane.csv,ridge=3\n")
    with pytest.raises(OptionError, match="gas has no option 'ridge'"):
        briefly(["jobs.csv"], output="{stem}_m.tif")


def test_a_line_of_a_table_changes_single_options_of_the_method() -> None:
    Path("jobs.toml").write_text('output = "{stem}_m.tif"\n[anomaly]\nparam = {ridge = 0.1, bands = 5}\n[[scene]]\npath = "g/a.tif"\nparam = {bands = 6}\n')
    assert briefly(["jobs.toml"], param={"ridge": 0.2})[0][3] == {"param": {"ridge": 0.2, "bands": 6}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("j.csv", "scene,sieve\ng/a\0.tif,1\n"), ("j.csv", "scene,output\ng/a.tif,m\0.tif\n"), ("j.csv", "scene,mask\ng/a.tif,c\0.gpkg\n"),
        ("j.toml", 'scenes = ["g\\u0000/*.tif"]\n[anomaly]\n'), ("j.toml", '[anomaly]\n[[scene]]\npath = "a\\u0000.tif"\n'),
        ("j.json", '{"type": "Feature", "assets": {"a": {"href": "a%00.tif"}}}'),
    ],
)  # fmt: skip
def test_no_name_holds_a_nul(name: str, text: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(OptionError, match="holds a NUL character"):
        read_orders([name], output="m/{stem}.tif", **({} if name == "j.toml" else {"model": "x"}))
