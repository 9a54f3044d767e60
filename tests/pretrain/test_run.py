from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import hsikit
from hsikit.errors import OptionError, OutputError, RunError
from hsikit.nn.adapters.channel import ChannelAdapter
from hsikit.nn.base_files import load_base, read_base_facts
from hsikit.nn.encoder import build_encoder
from hsikit.nn.lora import is_pretrained
from hsikit.nn.pooling import GGeM
from hsikit.nn.rebuilding import MaskedWindows, build_objective
from hsikit.pretrain import run
from hsikit.pretrain.recipe import Recipe
from hsikit.pretrain.windows import SceneSupply
from tests.pretrain.scenes import scene

SMALL = {"channels": (16,), "depths": (1,), "width": 16, "band_width": 8}
OPTIONS: dict[str, Any] = {"preset": "tiny", "changes": SMALL, "window": 8, "windows": 2, "steps": 12, "device": "cpu"}


def pretrained(folder: Path, **options: Any) -> Path:
    return hsikit.pretrain([scene(30), scene(12, seed=1, last=1000.0)], folder, **{**OPTIONS, **options})


class Stopped(Exception):
    pass


@pytest.mark.parametrize("objective", ["detail", "mixup"])
def test_a_run_that_was_killed_ends_with_the_same_weights_to_the_bit(tmp_path: Path, objective: str) -> None:
    whole = load_base(pretrained(tmp_path / "whole", objective=objective))
    step, count = run.Loop.step, 0

    def stopping(self: Any, number: int) -> float:
        nonlocal count
        count += 1
        if count == 8:
            raise Stopped
        return step(self, number)

    with mock.patch.object(run, "EVERY", 3):
        with mock.patch.object(run.Loop, "step", stopping), pytest.raises(Stopped):
            pretrained(tmp_path / "cut", objective=objective)
        assert not (tmp_path / "cut").exists() and (tmp_path / ".cut.pretraining").is_dir()
        with mock.patch.object(run.Loop, "step", autospec=True, side_effect=step) as steps:
            cut = load_base(pretrained(tmp_path / "cut", objective=objective))
        assert steps.call_count == 6
    assert not (tmp_path / ".cut.pretraining").exists()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, cut.state_dict()[name]), name
    assert read_base_facts(tmp_path / "whole")["about"]["losses"] == read_base_facts(tmp_path / "cut")["about"]["losses"]


def test_a_base_that_was_trained_says_what_of(tmp_path: Path) -> None:
    folder = pretrained(tmp_path / "base", licence="CC0-1.0", simulate="desis", seed=4)
    encoder, about = load_base(folder), read_base_facts(folder)["about"]
    assert is_pretrained(encoder)
    assert about["licence"] == "CC0-1.0" and about["recipe"]["seed"] == 4 and about["recipe"]["steps"] == 12
    assert [each[0] for each in about["scenes"]] == ["scene", "scene", "simulated"] and len(about["losses"]) == 1
    torch.manual_seed(4)
    fresh = build_encoder("tiny", **SMALL).state_dict()
    assert any(not torch.equal(tensor, fresh[name]) for name, tensor in encoder.state_dict().items() if tensor.dim() > 1)


def test_another_adapter_and_its_options(tmp_path: Path) -> None:
    folder = pretrained(tmp_path / "base", adapter="channel", changes={**SMALL, "adapter_options": {"pool": "ggem"}}, steps=2)
    assert isinstance(load_base(folder).adapter, ChannelAdapter) and isinstance(load_base(folder).adapter.pool, GGeM)
    assert read_base_facts(folder)["about"]["recipe"]["adapter"] == "channel"


def test_one_instrument_alone(tmp_path: Path) -> None:
    with mock.patch.object(run, "make_example", side_effect=run.make_example) as made:
        pretrained(tmp_path / "off", sensors="off", steps=2)
        assert all(call.args[1] is None for call in made.call_args_list)
        made.reset_mock()
        pretrained(tmp_path / "random", steps=2)
        assert all(call.args[1] is not None for call in made.call_args_list)


def test_scenes_take_turns() -> None:
    class Counted:
        identity = "counted"

        def __init__(self) -> None:
            self.numbers: list[int] = []

        def draw(self, number: int, count: int, side: int, seed: int) -> Any:
            self.numbers.append(number)
            return None

    supplies = [Counted() for _ in range(3)]
    with mock.patch.object(run, "make_example"):
        for step in range(6):
            for part in range(2):
                run.example_of(supplies, Recipe(), step, part)
    assert [each.numbers for each in supplies] == [[0, 1, 2, 3]] * 3


def test_minutes_become_steps_and_stay(tmp_path: Path) -> None:
    clock = iter([0.0, 3.0, 0.0, 30.0])
    with mock.patch("hsikit.pretrain.run.time.monotonic", lambda: next(clock)):
        folder = pretrained(tmp_path / "base", minutes=0.1)
    assert read_base_facts(folder)["about"]["recipe"]["steps"] == 6
    work = tmp_path / "work"
    work.mkdir()
    recipe = Recipe(preset="tiny", changes=SMALL)
    (work / run.PLAN).write_text(json.dumps({"asked": {"minutes": 5.0, "recipe": {**recipe.record(), "steps": 1}}, "steps": 77}))
    module: Any = None
    assert run._with_steps(recipe, module, [], 5.0, torch.device("cpu"), work).steps == 77
    with pytest.raises(RunError, match="other options"):
        run._with_steps(recipe, module, [], 6.0, torch.device("cpu"), work)


def test_progress_is_told_of_each_step(tmp_path: Path) -> None:
    progress = mock.Mock()
    pretrained(tmp_path / "base", progress=progress, steps=5)
    progress.begin.assert_called_once_with("pretraining", 5, 0)
    assert progress.advance.call_count == 5


@pytest.mark.parametrize(
    ("preset", "said"), [("tiny", []), ("vit", ["a stride of 8, whose cells", "the mixer `full`, which sees the whole map. Exact are base"])]
)
def test_an_encoder_that_no_method_can_stand_on_is_told_before_it_learns(tmp_path: Path, preset: str, said: list[str]) -> None:
    progress, told = mock.Mock(), []
    progress.note.side_effect = told.append
    with mock.patch.object(run, "_with_steps", side_effect=Stopped), pytest.raises(Stopped):
        pretrained(tmp_path / "base", preset=preset, changes={}, progress=progress)
    assert len(told) == bool(said) and all(each in told[0] for each in said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "nothing"}, "mae"),
        ({"sensors": "all"}, "neither random nor off"),
        ({"sensors": "off", "objective": "mixup"}, "two instruments"),
        ({"window": 10}, "multiple of 4"),
        ({"steps": 0}, "1 or more"),
        ({"minutes": 0.0}, "above 0"),
        ({"lr": -1.0}, "above 0"),
        ({"seed": -1}, "below 0"),
        ({"preset": "nothing"}, "no preset"),
        ({"device": "abacus"}, "no device"),
        ({"depth": 3}, "no option"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        pretrained(tmp_path / "base", **options)
    assert not (tmp_path / "base").exists()


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nothing to learn from"):
        hsikit.pretrain([], tmp_path / "base", **OPTIONS)
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        pretrained(tmp_path / "there")
    with mock.patch.object(run, "EVERY", 2), mock.patch.object(run, "save_base", side_effect=Stopped), pytest.raises(Stopped):
        pretrained(tmp_path / "base", steps=2)
    with pytest.raises(RunError, match="other options"):
        pretrained(tmp_path / "base", steps=3)


def test_a_training_that_goes_astray_says_so(tmp_path: Path) -> None:
    with mock.patch.object(run, "build_objective") as made:
        module = torch.nn.Linear(1, 1)
        module.loss = lambda *_: module.weight.sum() * float("nan")  # type: ignore[assignment]
        made.return_value = module
        with pytest.raises(OptionError, match="astray in step 1"):
            pretrained(tmp_path / "base")


@contextmanager
def numbers_used(device: str) -> Iterator[tuple[set[Any], set[torch.dtype]]]:
    """Gathers what autocast says in each loss, None where it is off, and in what numbers the linear layers of the stages give their results."""
    own, autocast, linear = MaskedWindows.loss, set[Any](), set[torch.dtype]()

    def loss(module: MaskedWindows, *given: Any) -> torch.Tensor:
        autocast.add(torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None)
        layers = [part for part in module.encoder.stages.modules() if isinstance(part, torch.nn.Linear)]
        hooks = [layer.register_forward_hook(lambda layer, x, result: linear.add(result.dtype)) for layer in layers]
        found = own(module, *given)
        for hook in hooks:
            hook.remove()
        return found

    with mock.patch.object(MaskedWindows, "loss", loss):
        yield autocast, linear


@pytest.mark.parametrize("mixed", [True, False])
def test_a_step_in_mixed_precision_computes_in_bfloat16(mixed: bool) -> None:
    """What CUDA does, on the CPU."""
    recipe = Recipe(preset="tiny", changes=SMALL, window=8, windows=2, steps=12)
    torch.manual_seed(0)
    loop = run.Loop(build_objective("detail", build_encoder("tiny", **SMALL)), [SceneSupply(scene(30))], recipe, torch.device("cpu"))
    assert not loop.mixed
    loop.mixed = mixed
    with numbers_used("cpu") as (autocast, linear):
        loss = loop.step(0)
    assert autocast == {torch.bfloat16 if mixed else None}
    assert linear == {torch.bfloat16 if mixed else torch.float32}
    assert np.isfinite(loss) and all(p.dtype == torch.float32 and p.isfinite().all() for p in loop.module.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_in_bfloat16(tmp_path: Path) -> None:
    with numbers_used("cuda") as (autocast, linear):
        assert is_pretrained(load_base(pretrained(tmp_path / "base", device="cuda")))
    assert autocast == linear == {torch.bfloat16}
