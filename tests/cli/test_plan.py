"""`hsikit plan`: scenes, a pace in a file, an archive, mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hsikit.batch.pace import read_pace
from hsikit.errors import HsikitError

from .conftest import Field


def said(*words: object) -> str:
    """What the verb says; raises what it raises."""
    from hsikit_cli.plan import add_to

    app = typer.Typer()
    app.callback()(lambda: None)
    add_to(app)
    done = CliRunner().invoke(app, ["plan", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_from_a_scene_to_an_archive(place: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = said(place.scene, "--model", place.model, "--save-pace", "pace.json", "--memory", "2G")
    assert "72 x 60 pixels" in text and "for a million pixels reading" in text and "time from some tiles of" in text
    assert [path.name for path in tmp_path.iterdir()] == ["pace.json"]
    pace = read_pace("pace.json")
    assert (pace.rows, pace.cols, pace.bands) == (72, 60, 10)
    archive = said("--pace", "pace.json", "--scenes", 10_000, "--jobs", 50, "--threads", 2, "--bandwidth", "1M")
    gib = 10_000 * max(1, pace.passes) * place.scene.stat().st_size / 2**30
    assert "10000 scenes, 50 workers of 2 threads" in archive and f"traffic: {gib:.1f} GiB in" in archive and "held up by: storage" in archive
    assert said(place.scene, "--model", place.model, "--pace", "pace.json", "--scenes", 3).startswith("classify on")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ([], "nothing to plan"), (["--pace", "p.json"], "nothing to plan"), (["a.tif", "--bandwidth", "1G"], "about an archive"),
        (["a.tif", "--scene-size", "1x1x1"], "about an archive"), (["--pace", "p", "--scenes", 1, "--save-pace", "q"], "nothing is measured"),
        (["none.tif", "--task", "anomaly", "--scenes", 1], "its scene cannot be run"), (["none.tif"], "needs a model"),
        (["none.tif", "--task", "anomaly", "--save-pace", "x.json"], "0 tasks were measured"),
    ],
)  # fmt: skip
def test_mistakes(words: list[object], wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HsikitError, match=wrong):
        said(*words)
    assert not list(tmp_path.iterdir())
