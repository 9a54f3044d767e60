"""`hsikit check` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from hsikit_cli import check
from typer.testing import CliRunner, Result

from tests.cli.conftest import Field
from tests.products.geotiff import write_geotiff


def typed(*words: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    check.add_to(app)
    return CliRunner().invoke(app, ["check", *map(str, words)])


def test_findings_and_cures_are_told_and_it_ends_well(place: Field, tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "scene.tif", np.random.default_rng(0).integers(100, 6000, (10, 30, 20), np.int16))
    done = typed(path)
    assert done.exit_code == 0
    assert "cure: --scale 0.0001 --quantity surface_reflectance" in done.output and done.output.splitlines()[-1].endswith(" warnings")
    assert all(line.split()[0] in ("pass", "warn", "skip", "cure:") for line in done.output.splitlines()[:-1])
    assert "pass  quantity" in typed(path, "--scale", "0.0001", "--quantity", "surface_reflectance").output


def test_labels_and_json(place: Field) -> None:
    done = typed(place.scene, "--labels", place.fields, "--class-field", "crop", "--json")
    found = {finding["name"]: finding for finding in json.loads(done.output)}
    assert done.exit_code == 0 and found["labels"]["state"] == "pass" and found["labels"]["cure"] == ""
    without = typed(place.scene, "--labels", place.fields)
    assert without.exit_code == 0 and "cure: " in without.output and "--class-field" in without.output


def test_a_scene_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    from hsikit.errors import SceneError

    assert isinstance(typed(tmp_path / "nothing.tif").exception, SceneError)


@pytest.mark.parametrize("word", ["--json", "--labels", "Ends with 0"])
def test_help(word: str) -> None:
    assert word in typed("--help").output
