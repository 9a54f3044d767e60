"""`hsikit batch`: exit codes, what is said, what lies there afterwards."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from .conftest import Field, codes_of
from .verbs import run


@pytest.fixture
def folder(place: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: two good scenes, a broken one and a model."""
    for name in ("g1", "g2"):
        shutil.copy(place.scene, tmp_path / f"{name}.tif")
    (tmp_path / "g3.tif").write_bytes(b"II*\0 broken")
    shutil.copytree(place.model, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_batch_from_plan_to_catalogue(folder: Path, place: Field) -> None:
    command = ("batch", "g*.tif", "--model", "model", "-o", "maps/{stem}_map.tif", "--threads", 2, "-p", "sieve=4")
    plan = run(*command, "--dry-run")
    assert plan.code == 1 and "g3.tif  classify      cannot be done: " in plan.out and "3 to do, 1 of them cannot be done" in plan.out
    assert "72 x 60 pixels" in plan.out and "time from some tiles of g1.tif (classify)" in plan.out and not (folder / "maps").exists()
    pages = ("--summary", "batch.html", "--collection", "maps/all.json")
    done = run(*command, *pages)
    assert done.code == 1 and "2 done, 0 were done before, 1 failed" in done.out and "2 items in maps/all.json" in done.out
    assert "3 scenes; 1 worker\n" in done.err and "failed: g3.tif (classify): g3.tif: " in done.err and "of 3: g1.tif done" in done.err
    assert {"g1_map.tif", "g1_map.json", "g2_map.tif", "all.json"} <= {path.name for path in (folder / "maps").iterdir()}
    assert [link["href"] for link in json.loads((folder / "maps" / "all.json").read_text())["links"]] == ["./g1_map.json", "./g2_map.json"]
    alone = folder / "alone.tif"
    assert run("classify", "g1.tif", "--model", "model", "-o", alone, "--sieve", 4, "-q").code == 0
    np.testing.assert_array_equal(codes_of(folder / "maps" / "g1_map.tif"), codes_of(alone))

    again = run(*command, *pages)
    assert again.code == 1 and "0 done, 2 were done before, 1 failed" in again.out and "2 are done, 1 failed before (--retry-failed" in again.err
    status = run("batch", "status", "maps", *pages)
    assert status.code == 0 and "0 waiting, 0 running, 2 done, 1 failed" in status.out and "failed: g3.tif (classify): g3.tif: " in status.out
    assert "2 of 3 scenes are done" in (folder / "batch.html").read_text()
    (folder / "g3.tif").unlink()
    rest = run(*command)
    assert rest.code == 0 and "0 done, 2 were done before, 0 failed" in rest.out


def test_mistakes_end_with_2(folder: Path) -> None:
    common = ("-o", "maps", "--model", "model")
    for words, said in (
        (("g*.tif", "-o", "maps"), "classify needs a model"),
        (("g*.tif", "--model", "model"), "there is no output"),
        (("x*.tif", *common), "nothing is called like x*.tif"),
        (("g*.tif", "--model", "none", "-o", "maps"), "there is no such model folder"),
        (("g*.tif", *common, "-p", "sieve=many"), "sieve: 'many' is no whole number"),
        (("g*.tif", *common, "-p", "components=3"), "classify has no option 'components'"),
        (("g*.tif", *common, "-j", 0), "error: --jobs: 0 is not above 0"),
        (("g*.tif", *common, "-j", -1, "--dry-run"), "error: --jobs: -1 is not above 0"),
        (("g*.tif", *common, "--memory", "much"), "'much' is not an amount of memory"),
        (("g*.tif", "--model", "model", "-o", "one.tif"), "error: --output: g1.tif (classify) and g2.tif (classify) would both write"),
        (("g*.tif", *common, "--summary", "page.txt"), "a summary ends in .html"),
        (("status", "maps"), "there is no ledger of a batch"),
    ):
        done = run("batch", *words)
        assert done.code == 2 and said in done.err, done.text
    assert not list(folder.glob("maps/*.tif"))
    (folder / "maps" / "g2.tif").write_text("precious")
    assert "exists already" in run("batch", "g*.tif", *common).err and (folder / "maps" / "g2.tif").read_text() == "precious"


def test_a_list_with_another_task(folder: Path) -> None:
    (folder / "jobs.toml").write_text('scenes = ["g1.tif"]\noutput = "{stem}_{task}.tif"\n[anomaly]\npfa = 0.01\n[classify]\nmodel = "model"\n')
    done = run("batch", "jobs.toml", "--quiet")
    assert done.code == 0 and done.text == ""
    assert (folder / "g1_anomaly_hits.gpkg").exists() and (folder / "g1_classify.tif").exists() and (folder / ".hsikit-batch.sqlite").exists()


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_all_scenes_and_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit_cli.batch_view import View

    from hsikit.batch import Order

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    order = Order(("[bold]granule.tif",), "anomaly", Path("x.tif"), {})
    with View() as view:
        view.begin(5, 1, 1, 2)
        view.begun(2, order)
        view.stepped(2, 3, 9)
        view.ended(2, order, "waiting", 0.0, "")
        view.begun(2, order)
        view.note("worker 2 [was] killed")
        view.ended(2, order, "done", 1.0, "")
    shown = screen.getvalue()
    assert "5 scenes, 1 are done, 1 failed before" in shown and "worker 2 [was] killed" in shown
    last = shown[shown.rindex("scenes ") :]
    assert "3/5" in last and "2: [bold]granule.tif" in last
