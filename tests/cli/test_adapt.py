"""`hsikit adapt`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import OptionError
from hsikit.models import load_method, save_method
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import gather_transfer
from hsikit.train.labelled import LabelledScene
from tests.laws.scenes import make_scene, write_codes, write_scene
from tests.tasks.classification.networks import short
from tests.tasks.classification.scenes import fields, labelled, run_with, source

from .verbs import run


def scene_with_labels(per_class: int) -> LabelledScene:
    values, truth = fields(30, 30, 3, 80)
    scene = source(np.abs(values) + 1)
    scene.info = scene.info.with_(bands=replace(scene.info.bands, fwhm=np.full(80, 26.0)))
    return labelled(scene, truth, per_class)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    labels = scene_with_labels(10)
    return save_method(Svm.train([labels], run=run_with()), tmp_path / "model", transfer=gather_transfer([labels]))


def test_a_model_for_another_sensor(model: Path) -> None:
    made = model.parent / "model-s2"
    done = run("adapt", model, "--to", "sentinel-2", "-o", made)
    assert done.code == 0 and "note: refitted for sentinel-2 by its measured responses" in done.err and f"wrote {made}" in done.out
    assert load_method(made).basis.sensor == "sentinel-2"  # type: ignore[attr-defined]
    assert run("adapt", model, "--to", "sentinel-2", "-o", made, "--overwrite", "--quiet").text == ""


def test_a_model_for_any_sensor(tmp_path: Path) -> None:
    made = make_scene(72, 60, 160, seed=1, classes=3, side=12)
    write_scene(tmp_path, made)
    write_codes(tmp_path / "labels.tif", made.truth)
    scene, model, other, reader = tmp_path / "scene.tif", tmp_path / "model", tmp_path / "s2.tif", tmp_path / "any"
    assert run("train", "svm", scene, "--labels", tmp_path / "labels.tif", "--no-refit", "--no-calibrate", "-q", "-o", model).code == 0
    assert run("resample", scene, "--to", "sentinel-2", "-o", other, "-q").code == 0
    with short():
        done = run("adapt", model, "--to", "any", "-o", reader)
    assert done.code == 0 and "note: made to read scenes of any sensor" in done.err and f"wrote {reader}" in done.out
    for seen in (other, scene):
        done = run("classify", seen, "--model", reader, "-o", tmp_path / f"map-{seen.name}")
        assert done.code == 0 and ("read out by marginal LDA and two networks" in done.err) == (seen is other)
        with rasterio.open(tmp_path / f"map-{seen.name}") as found:
            mapped = found.read(1)
        known = (made.truth > 0) & (mapped > 0) & (mapped < 250)
        assert (mapped == made.truth)[known].mean() > 0.8
        (tmp_path / seen.stem).mkdir()
        assert run("report", tmp_path / f"map-{seen.name}", "--model", reader, "-o", tmp_path / seen.stem / "report.html").code == 0
        told = " ".join(json.loads((tmp_path / seen.stem / "run.json").read_text())["warnings"])
        assert ("another sensor" in told) == (seen is other) and "another model" not in told
    done = run("evaluate", scene, "--model", reader, "--labels", tmp_path / "labels.tif", "--as-sensor", "sentinel-2")
    assert done.code == 0 and "nothing to refit" in done.out
    assert "reads any sensor as it is" in run("adapt", reader, "--to", "prisma", "-o", tmp_path / "no").err


def test_mistakes_harm_nothing(model: Path) -> None:
    made = model.parent / "model-s2"
    run("adapt", model, "--to", "sentinel-2", "-o", made)
    before = (made / "model.safetensors").read_bytes()
    refused = [
        (("adapt", model, "--to", "prisma", "-o", made), "exists"),
        (("adapt", model, "--to", "nothing", "-o", made, "--overwrite"), "neither a known sensor"),
        (("adapt", model.parent / "no-model", "--to", "prisma", "-o", model.parent / "other"), "no such model folder"),
    ]
    for call, said in refused:
        done = run(*call)
        assert done.code == 2 and said in done.err
    assert (made / "model.safetensors").read_bytes() == before and not (model.parent / "other").exists()


def test_the_table_of_what_is_lost(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hsikit_cli.as_sensors import scores_as_sensors, show_as_sensors
    from hsikit_cli.console import Bar

    labels, options = scene_with_labels(20), {"allow_lost": True}
    found = scores_as_sensors(model, [labels], "sentinel-2, landsat-8", split="class-halves", split_options=options, seed=0, bar=Bar(quiet=True))
    show_as_sensors(found)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 * 3 and lines[4].startswith("sentinel-2  read out") and lines[7].startswith("landsat-8   refitted")
    assert all("%" in line for line in lines[4:]) and "%" not in lines[2]
    with pytest.raises(OptionError, match="no sensor is named"):
        scores_as_sensors(model, [labels], " , ", split=None, split_options={}, seed=0, bar=Bar(quiet=True))


def test_from_labels_to_a_map_of_another_sensor(tmp_path: Path) -> None:
    made = make_scene(72, 60, 160, seed=1, classes=3, side=12)
    write_scene(tmp_path, made)
    write_codes(tmp_path / "labels.tif", made.truth)
    scene, model, other = tmp_path / "scene.tif", tmp_path / "model", tmp_path / "s2.tif"
    words = ("train", "svm", scene, "--labels", tmp_path / "labels.tif", "--no-refit", "--no-calibrate", "-q")
    with short():
        assert run(*words, "-o", model).code == 0
    assert run("resample", scene, "--to", "sentinel-2", "-o", other, "-q").code == 0

    done = run("classify", other, "--model", model, "-o", tmp_path / "map.tif", "--confidence")
    assert done.code == 0 and "read out by marginal LDA and two networks, " in done.err and "of the model's range" in done.err
    with rasterio.open(tmp_path / "map.tif") as found:
        mapped = found.read(1)
        assert "read out by marginal LDA and two networks" in " ".join(found.tags().values())
    known = (made.truth > 0) & (mapped > 0) & (mapped < 250)
    assert (mapped == made.truth)[known].mean() > 0.8
    assert run("report", tmp_path / "map.tif", "--model", model, "-o", tmp_path / "report.html").code == 0
    told = json.loads((tmp_path / "run.json").read_text())["warnings"]
    assert any("of another sensor than the model's" in said and "s2.tif" in said for said in told) and "another model" not in " ".join(told)
    assert "marginal" not in run("classify", scene, "--model", model, "-o", tmp_path / "own.tif").err

    done = run("evaluate", other, "--model", model, "--labels", tmp_path / "labels.tif")
    assert done.code == 0 and "read out by marginal LDA" in done.err and "sensor-ensemble" in done.out

    assert run("adapt", model, "--to", other, "-o", tmp_path / "model-s2").code == 0
    done = run("classify", other, "--model", tmp_path / "model-s2", "-o", tmp_path / "map2.tif")
    assert done.code == 0 and "marginal" not in done.err

    words = ("evaluate", scene, "--model", model, "--labels", tmp_path / "labels.tif", "--as-sensor", "sentinel-2")
    done = run(*words, "-o", tmp_path / "lost.json")
    assert done.code == 0 and "sentinel-2  refitted" in done.out and f"wrote {tmp_path / 'lost.json'}" in done.out
    assert [row["way"] for row in json.loads((tmp_path / "lost.json").read_text())] == ["read out", "refitted"] * 2
    assert "is no option beside" in run(*words, "--smooth").err


def test_what_a_model_keeps_for_other_sensors_is_the_users_choice(tmp_path: Path) -> None:
    made = make_scene(48, 40, 160, seed=2, classes=3, side=12)
    write_scene(tmp_path, made)
    write_codes(tmp_path / "labels.tif", made.truth)
    scene, other = tmp_path / "scene.tif", tmp_path / "s2.tif"
    assert run("resample", scene, "--to", "sentinel-2", "-o", other, "-q").code == 0
    words = ("train", "svm", scene, "--labels", tmp_path / "labels.tif", "--no-refit", "--no-calibrate", "-q")
    plain, bare = tmp_path / "plain", tmp_path / "bare"
    assert run(*words, "--no-any-sensor", "-o", plain).code == 0
    assert run(*words, "--no-spectra", "-o", bare).code == 0
    done = run("classify", other, "--model", plain, "-o", tmp_path / "plain.tif")
    assert done.code == 0 and "read out by marginal LDA, " in done.err and "`hsikit adapt --to any` makes a model of it" in done.err
    done = run("classify", other, "--model", bare, "-o", tmp_path / "bare.tif")
    assert done.code == 0 and "read out by marginal LDA and two networks, " in done.err and "adapt" not in done.err
    assert "--no-spectra" in run("adapt", bare, "--to", other, "-o", tmp_path / "no").err
    # Its networks have learned already, and those of the other learn now from the spectra that it kept.
    for folder in (plain, bare):
        assert run("adapt", folder, "--to", "any", "-o", tmp_path / f"{folder.name}-any").code == 0
    first, second = (load_method(tmp_path / f"{name}-any").arrays for name in ("plain", "bare"))  # type: ignore[attr-defined]
    assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
