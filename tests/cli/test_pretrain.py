"""`hsikit pretrain`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsikit.nn.base_files import load_base, read_base_facts
from hsikit.nn.lora import is_pretrained

from .conftest import Field, codes_of
from .verbs import run

SHORT = ("--preset", "tiny", "--steps", 2, "--window", 8, "--windows", 2, "--device", "cpu")


def test_from_a_scene_to_a_base_that_a_model_stands_on(place: Field, tmp_path: Path) -> None:
    base = tmp_path / "base"
    done = run("pretrain", place.scene, "--simulate", "desis", *SHORT, "--licence", "CC0-1.0", "-o", base)
    assert done.code == 0 and f"wrote {base}" in done.out and "pretraining: 2 steps" in done.err
    assert is_pretrained(load_base(base)) and read_base_facts(base)["about"]["licence"] == "CC0-1.0"
    trained = run("train", "encoder", place.scene, "--labels", place.labels, "--base", base, "--no-calibrate", "-o", tmp_path / "model")
    assert trained.code == 0 and "parameters that learned from the labels: " in trained.out
    assert run("pretrain", "--simulate", "desis", *SHORT, "-o", tmp_path / "quiet", "--quiet").text == ""


@pytest.mark.parametrize("adapter", ["ranges", "channel"])
def test_another_adapter_makes_a_base_that_a_classifier_stands_on(place: Field, tmp_path: Path, adapter: str) -> None:
    base, model, found = (tmp_path / name for name in ("base", "model", "map.tif"))
    assert run("pretrain", "--simulate", "desis", *SHORT, "--adapter", adapter, "-o", base).code == 0
    assert load_base(base).preset.adapter == adapter and read_base_facts(base)["about"]["recipe"]["adapter"] == adapter
    words = ("--labels", place.labels, "--base", base, "--no-calibrate", "--no-refit")
    assert run("train", "encoder", place.scene, *words, "-o", model).code == 0
    assert run("classify", place.scene, "--model", model, "-o", found).code == 0
    codes = codes_of(found)
    assert (codes == place.made.truth)[codes > 0].mean() > 0.6


def test_a_base_that_no_method_can_use_is_told_of_and_refused_for_its_cause(place: Field, tmp_path: Path) -> None:
    done = run("pretrain", "--simulate", "desis", "--preset", "swin", *SHORT[2:], "-o", tmp_path / "base")
    assert done.code == 0 and "note: no method can stand on this base" in done.err and "windows that begin where the map begins" in done.err
    for words in (("train", "encoder", place.scene, "--labels", place.labels), ("fill", place.scene, "--method", "encoder", "--bands", "800-900")):
        refused = run(*words, "--base", tmp_path / "base", "-o", tmp_path / "out.tif")
        assert refused.code == 2 and "a stride of 4" in refused.err and "Pretrain the preset base" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to learn from"),
        (("no-such-scene.tif",), "no-such-scene.tif"),
        (("--simulate", "no-such-sensor"), "not known"),
        (("--simulate", "enmap", "--objective", "guess"), "none named 'guess'"),
        (("--simulate", "enmap", "--sensors", "off", "--objective", "mixup"), "two instruments"),
        (("--simulate", "enmap", "--preset", "huge"), "no preset 'huge'"),
        (("--simulate", "enmap", "--adapter", "magic"), "adapter: there is no 'magic'. There are channel, conv, grid, hyper, pixel, ranges"),
        (("--simulate", "enmap", "--preset", "less", "--adapter", "grid"), "the adapter 'grid' has no tokens"),
    ],
)
def test_wrong_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = run("pretrain", *words, "-o", tmp_path / "base", "--steps", 1)
    assert done.code == 2 and said in done.err and not (tmp_path / "base").exists()


def test_a_base_that_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    done = run("pretrain", "--simulate", "enmap", "-o", tmp_path / "base")
    assert done.code == 2 and "exists already" in done.err
