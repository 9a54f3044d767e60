from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch

from hsikit.errors import ModelError, OutputError
from hsikit.nn.base_files import FACTS, SHIPPED, WEIGHTS, load_base, load_body, read_base_facts, save_base
from hsikit.nn.encoder import Encoder, build_encoder
from hsikit.nn.lora import is_pretrained, mark_pretrained
from tests.nn.adapters.sensors import sensor, window


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    model = build_encoder("tiny", channels=(8,), depths=(1,), width=8)
    mark_pretrained(model)
    return model.eval()


def test_a_base_comes_back_as_it_was(tmp_path: Path) -> None:
    model = encoder()
    folder = save_base(tmp_path / "base", model, {"licence": "CC0-1.0", "limits": ["none known"]})
    again = load_base(folder)
    assert torch.equal(again.dense(window(20), *sensor(20)), model.dense(window(20), *sensor(20)))
    assert is_pretrained(again) and not again.training
    assert read_base_facts(folder)["about"]["licence"] == "CC0-1.0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "base", encoder(), {})
    before = (folder / WEIGHTS).read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        save_base(folder, encoder(1), {})
    with pytest.raises(OutputError, match="cannot be written"):
        save_base(tmp_path / "none" / "base", encoder(), {})
    with pytest.raises(ValueError, match="JSON"):
        save_base(tmp_path / "other", encoder(), {"seed": object()})
    assert (folder / WEIGHTS).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_files_of_two_bases_are_known_as_such(tmp_path: Path) -> None:
    one, other = save_base(tmp_path / "one", encoder(0), {}), save_base(tmp_path / "other", encoder(1), {})
    (one / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_base(one)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "config": {"channels": 3}}', '{"format": 1, "config": 3}'])
def test_facts_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    folder = save_base(tmp_path / "base", encoder(), {})
    (folder / FACTS).write_text(text)
    with pytest.raises(ModelError, match=FACTS):
        load_base(folder)


def test_options_of_another_encoder_are_refused(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "base", encoder(), {})
    document = json.loads((folder / FACTS).read_text())
    document["config"]["ratio"] = 7
    (folder / FACTS).write_text(json.dumps(document))
    with pytest.raises(ModelError, match="do not fit"):
        load_base(folder)


def test_weights_that_are_missing_or_cut_short_are_refused(tmp_path: Path) -> None:
    folder = save_base(tmp_path / "base", encoder(), {})
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:200])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_base(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_base(folder)
    with pytest.raises(ModelError, match="cannot be read"):
        load_base(tmp_path / "nowhere")


def test_the_base_that_comes_with_hsikit_is_that_of_its_recipe() -> None:
    """docs/base.md says what it is, and configs/base.toml what makes it."""
    about, body = read_base_facts(SHIPPED)["about"], load_body(SHIPPED)
    asked = tomllib.loads((Path(__file__).parents[2] / "configs" / "base.toml").read_text(encoding="utf-8"))["pretrain"]
    made = {**about["recipe"], "per-step": about["recipe"]["scenes_per_step"], "licence": about["licence"], "device": "cpu"}
    assert about["scenes"] == [["simulated", sensor] for sensor in asked.pop("simulate")]
    assert {name: made[name] for name in asked} == asked
    assert sum(parameter.numel() for parameter in body.parameters()) == 331_984 and body.halo == 4
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 12e6
