"""`hsikit train` and `hsikit evaluate`: labels of every kind, splits, several scenes, and what may be scored."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest

from hsikit.train.evaluate import Evaluation

from .conftest import NAMES, Field, Hsikit, codes_of


def model_facts(folder: Path) -> dict[str, object]:
    facts = json.loads((folder / "model.json").read_text())
    assert isinstance(facts, dict)
    return facts


def test_polygons_in_another_crs(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("train", "svm", place.scene, "--labels", place.fields, "--class-field", "crop", "-o", tmp_path / "model")
    assert done.code == 0 and f"wrote {tmp_path / 'model'}" in done.out
    for words in ("overall", "kappa", "floor: nearest-label", "floor: svm on spectra", "split: blocks, seed 0", *NAMES.values()):
        assert words in done.out
    assert "fitted on all labels" in done.err
    assert [entry["name"] for entry in model_facts(tmp_path / "model")["classes"]] == ["barley", "maize", "rye"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    assert hsikit("classify", place.scene, "--model", tmp_path / "model", "-o", tmp_path / "map.tif").code == 0
    codes = codes_of(tmp_path / "map.tif")
    assert (codes == place.made.truth)[codes > 0].mean() > 0.7


@pytest.mark.parametrize("method", ["mnf-lda", "random-forest", "nearest-label"])
def test_every_classifier_trains_and_maps(hsikit: Hsikit, place: Field, tmp_path: Path, method: str) -> None:
    options = {"mnf-lda": ("components=6", "width=3"), "random-forest": ("trees=20",)}.get(method, ())
    params = [word for option in options for word in ("-p", option)]
    done = hsikit("train", method, place.scene, "--labels", place.labels, "-o", tmp_path / "model", *params)
    assert done.code == 0
    told = model_facts(tmp_path / "model")["options"]
    for option in options:
        assert str(told[option.partition("=")[0]]) == option.partition("=")[2]
    more = ("--refit-statistics",) if method == "mnf-lda" else ()
    assert hsikit("classify", place.scene, "--model", tmp_path / "model", "-o", tmp_path / "map.tif", *more).code == 0
    codes = codes_of(tmp_path / "map.tif")
    assert (codes == place.made.truth)[codes > 0].mean() > 0.6


def test_quiet_and_pixels(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("--labels", place.labels, "-o", tmp_path / "model", "--pixels", tmp_path / "pixels.gpkg", "--quiet")
    done = hsikit("train", "svm", place.scene, *words)
    assert (done.code, done.text) == (0, "")
    labels = codes_of(place.labels)
    assert len(geopandas.read_file(tmp_path / "pixels.gpkg")) == int(((labels > 0) & (place.made.truth > 0)).sum())


def test_two_scenes_with_labels_of_their_own(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    both = ("--labels", place.labels, "--labels", place.second_labels)
    done = hsikit("train", "svm", place.scene, place.second, *both, "-o", tmp_path / "model", "--split", "scene")
    assert done.code == 0 and "split: scene" in done.out
    assert len(model_facts(tmp_path / "model")["training"]["used"]) == 2
    refused = hsikit("train", "svm", place.scene, place.second, "--labels", place.labels, "-o", tmp_path / "other")
    assert refused.code == 2 and "1 label files for 2 scenes" in refused.err


def test_groups_are_not_cut(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("--labels", place.fields, "--class-field", "crop", "--group-field", "plot", "--split", "groups")
    done = hsikit("train", "svm", place.scene, *words, "-o", tmp_path / "model")
    assert done.code == 0 and "split: group" in done.out


def test_labels_as_the_user_says(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    (tmp_path / "joined.csv").write_text("from,to,name\nbarley,1,cereal\nrye,1,cereal\nmaize,2,maize\n")
    words = ("--labels", place.fields, "--class-field", "crop", "--crosswalk", tmp_path / "joined.csv", "--buffer", 20, "--min-coverage", 0.9)
    assert hsikit("train", "svm", place.scene, *words, "-o", tmp_path / "model").code == 0
    assert [entry["name"] for entry in model_facts(tmp_path / "model")["classes"]] == ["cereal", "maize"]
    words = ("--labels", place.fields, "--class-field", "crop", "--ignore", "rye")
    assert hsikit("train", "svm", place.scene, *words, "-o", tmp_path / "two").code == 0
    assert [entry["name"] for entry in model_facts(tmp_path / "two")["classes"]] == ["barley", "maize"]


def test_a_model_in_place_needs_overwrite(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model")
    assert hsikit(*words).code == 0
    before = (tmp_path / "model/model.safetensors").read_bytes()
    done = hsikit(*words, "--seed", 3)
    assert done.code == 2 and str(tmp_path / "model") in done.err and "--overwrite" in done.err
    assert (tmp_path / "model/model.safetensors").read_bytes() == before
    assert hsikit(*words, "--overwrite", "--split", "class-halves").code == 0
    assert model_facts(tmp_path / "model")["training"]["split"] == "class-halves"


def test_pixels_that_the_model_has_seen_are_not_scored(hsikit: Hsikit, place: Field) -> None:
    done = hsikit("evaluate", place.scene, "--model", place.model, "--labels", place.labels)
    assert done.code == 2 and done.out == ""
    assert str(place.labels) in done.err and "fitted on all" in done.err and "--no-refit" in done.err and "--split" in done.err


def test_a_kept_model_is_scored_on_what_it_has_not_seen(hsikit: Hsikit, place: Field) -> None:
    done = hsikit("evaluate", place.scene, "--model", place.kept, "--labels", place.labels, "--confusion")
    for words in ("scored on ", "confusion", "F1", "IoU", "95 % interval", "expected calibration error"):
        assert done.code == 0 and words in done.out
    assert "label pixels that the model was fitted on are left out" in done.err
    facts = json.loads(hsikit("evaluate", place.scene, "--model", place.kept, "--labels", place.labels, "--json").out)
    assert facts["tested"] > 0 and facts["seen"] > 0 and not facts["refitted"]
    assert facts["tested"] == sum(map(sum, facts["scores"]["confusion"])) == facts["scores"]["scored"]
    trained = model_facts(place.kept)["training"]
    # The guard's pixels were neither trained nor tested on, so they are fresh too.
    assert facts["tested"] >= trained["scores"]["scored"]
    matrix = np.array(facts["scores"]["confusion"])
    assert facts["scores"]["overall"] == pytest.approx(matrix.trace() / matrix.sum())


def test_with_a_split_another_model_is_scored_and_that_is_said(hsikit: Hsikit, place: Field) -> None:
    done = hsikit("evaluate", place.scene, "--model", place.model, "--labels", place.labels, "--split", "blocks", "--seed", 4)
    assert done.code == 0 and "Not the saved model" in done.err and "floor: nearest-label" in done.out


def test_an_evaluation_is_told_and_kept_in_a_file(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("evaluate", place.scene, "--model", place.kept, "--labels", place.labels, "-o", tmp_path / "evaluation.json")
    done = hsikit(*words)
    assert done.code == 0 and "confusion" not in done.out and f"wrote {tmp_path / 'evaluation.json'}" in done.out
    again = Evaluation.from_json(json.loads((tmp_path / "evaluation.json").read_text()))
    assert f"{again.scores.overall:.3f}" in done.out and f"{again.scores.mean_iou:.3f}" in done.out
    low, high = again.intervals.limits["overall"]
    assert f"{low:.3f}-{high:.3f}" in done.out
    assert f"{100 * again.before.ece:.1f} % before, {100 * again.after.ece:.1f} % after" in done.out
    assert f"temperature {again.temperature:.2f}" in done.out and "cannot calibrate another" in done.err
    assert json.loads(hsikit(*words[:-2], "--json").out) == again.to_json()
    refused = hsikit(*words)
    assert refused.code == 2 and "evaluation.json" in refused.err and "--overwrite" in refused.err
    assert hsikit(*words, "--overwrite", "--quiet").code == 0 and len(list(tmp_path.iterdir())) == 1


def test_smoothing_is_scored_when_asked(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("evaluate", place.scene, "--model", place.kept, "--labels", place.folder / "truth.tif", "--json")
    plain, smoothed = (json.loads(hsikit(*words, *more).out) for more in ((), ("--smooth",)))
    assert smoothed["smoothed"] and not plain["smoothed"] and smoothed["scores"]["overall"] > plain["scores"]["overall"]
    assert hsikit("classify", place.scene, "--model", place.kept, "--smooth", "-o", tmp_path / "map.tif").code == 0
    facts = model_facts(place.kept)["training"]
    codes, truth = codes_of(tmp_path / "map.tif"), place.made.truth
    assert smoothed["tested"] == (truth > 0).sum() - facts["used"][0]["pixels"]
    assert smoothed["scores"]["overall"] == pytest.approx((codes == truth)[truth > 0].mean(), abs=0.02)


def test_calibration_is_told_and_kept_in_the_model(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model")
    facts = model_facts(tmp_path / "model")
    assert facts["temperature"] == facts["training"]["calibration"]["temperature"] != 1
    assert f"calibration (temperature {facts['temperature']:.2f})" in done.out
    assert "test windows that overlap a training window: 1 x 1: 0 %, 5 x 5: 0 %" in done.out


def test_calibration_may_be_left_out(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("train", "svm", place.scene, "--labels", place.labels, "--no-calibrate", "-o", tmp_path / "model")
    facts = model_facts(tmp_path / "model")
    assert done.code == 0 and facts["temperature"] == 1 and "calibration (temperature 1.00)" in done.out
    assert facts["training"]["calibration"]["folds"] == "none" and "cannot calibrate another" not in done.err


def test_fixed_parts_from_two_files_or_a_field(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    frame = geopandas.read_file(place.fields)
    frame["part"] = np.where(np.arange(len(frame)) % 4 < 2, "train", "test")
    for name, part in (("train", frame[frame.part == "train"]), ("test", frame[frame.part == "test"]), ("both", frame)):
        part.to_file(tmp_path / f"{name}.gpkg")
    words = ("train", "svm", place.scene, "--class-field", "crop", "--no-refit")
    first = hsikit(*words, "--labels", tmp_path / "train.gpkg", "--test-labels", tmp_path / "test.gpkg", "--split", "fixed", "-o", tmp_path / "one")
    second = hsikit(*words, "--labels", tmp_path / "both.gpkg", "--group-field", "part", "--split", "fixed:part", "-o", tmp_path / "two")
    assert first.code == second.code == 0 and "split: fixed" in first.out
    one, two = (model_facts(tmp_path / name)["training"] for name in ("one", "two"))
    assert one["scores"] == two["scores"] and one["report"]["train"] == two["report"]["train"] > 0
    refused = hsikit(*words, "--labels", tmp_path / "both.gpkg", "--split", "fixed", "-o", tmp_path / "three")
    assert refused.code == 2 and "--test-labels" in refused.err
    dealt = hsikit(*words, "--labels", tmp_path / "train.gpkg", "--test-labels", tmp_path / "test.gpkg", "-o", tmp_path / "four")
    assert dealt.code == 2 and "--split fixed" in dealt.err


def test_other_places_are_fresh(hsikit: Hsikit, place: Field) -> None:
    facts = json.loads(hsikit("evaluate", place.second, "--model", place.model, "--labels", place.second_labels, "--json").out)
    assert facts["seen"] == 0 and facts["scores"]["overall"] > 0.7


def test_evaluating_on_the_truth_scores_the_map(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    """The confusion matrix is that of the map which the model writes, at the pixels that it has not seen."""
    facts = json.loads(hsikit("evaluate", place.scene, "--model", place.model, "--labels", place.folder / "truth.tif", "--json").out)
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif").code == 0
    codes, truth = codes_of(tmp_path / "map.tif"), place.made.truth
    fresh = (truth > 0) & (codes_of(place.labels) == 0)
    expected = [[int((fresh & (truth == a) & (codes == b)).sum()) for b in (1, 2, 3)] for a in (1, 2, 3)]
    assert facts["scores"]["confusion"] == expected


@pytest.mark.parametrize(("words", "fault"), [
    (("train", "no-such-method"), "no-such-method"),
    (("train", "rx"), "rx: learns nothing from labels"),
    (("train", "svm", "--split", "by-magic"), "by-magic"),
    (("train", "svm", "-p", "colour=3"), "colour"),
    (("train", "svm", "-p", "components"), "'components' is not name=value"),
    (("train", "mnf-lda", "-p", "components=4000"), "4000"),
    (("train", "svm", "--min-coverage", "7"), "coverage"),
    (("train", "svm", "--class-field", "crop"), "class"),
    (("train", "svm", "--guard", "-1"), "guard"),
])  # fmt: skip
def test_training_that_makes_no_sense(hsikit: Hsikit, place: Field, tmp_path: Path, words: tuple[str, ...], fault: str) -> None:
    verb, method, *options = words
    done = hsikit(verb, method, place.scene, "--labels", place.labels, "-o", tmp_path / "model", *options)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and fault in errors[0], done.err
    assert list(tmp_path.iterdir()) == []


def test_methods_that_must_be_trained_are_not_run_bare(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("superresolve", place.scene, "--method", "svm", "-o", tmp_path / "fine.tif")
    assert done.code == 2 and "svm: must be trained" in done.err


@pytest.mark.parametrize("param", ["seed=3", "split=random", "method=svm", "run=1", "progress=1"])
def test_params_that_the_command_has_itself(hsikit: Hsikit, place: Field, tmp_path: Path, param: str) -> None:
    done = hsikit("train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model", "-p", param)
    assert done.code == 2 and f"'{param.partition('=')[0]}' is no option of the method" in done.err


@pytest.mark.parametrize("target", ["nowhere/p.gpkg", "p.txt", "mine.gpkg"])
def test_pixels_that_cannot_be_written_are_refused_before_training(
    hsikit: Hsikit, place: Field, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.gpkg").write_bytes(b"mine")
    words = ("train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model", "--pixels", tmp_path / target)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["hsikit.train.pipeline"], "train_classifier", lambda *a, **k: pytest.fail("it was trained"))
        done = hsikit(*words)
    assert done.code == 2 and target in done.err and (tmp_path / "mine.gpkg").read_bytes() == b"mine"
    if target == "mine.gpkg":
        assert hsikit(*words, "--overwrite").code == 0 and len(geopandas.read_file(tmp_path / target))
