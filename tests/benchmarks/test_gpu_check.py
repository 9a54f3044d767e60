"""The check on a GPU: what it calls equal, and that it runs where there is none."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import gpu_check
from benchmarks.gpu_check import COARSE, EXACT, MethodCase, PretrainingCase, agreement, exceeds, make_scene
from hsikit.nn.rebuilding import OBJECTIVES
from hsikit.pretrain.recipe import Recipe

SMALL = Recipe(preset="tiny", changes={"channels": (16,), "depths": (1,), "width": 16, "band_width": 8}, windows=2)


def layers(scores, codes=(1, 2, 0, 3)):
    return {"map": np.array(codes, np.uint8), "scores": np.array(scores, np.float32)}


def test_agreement_counts_codes_and_measures_by_the_range():
    expected = layers([0.0, 4.0, np.nan, 2.0])
    assert agreement(layers([0.0, 4.0, np.nan, 2.5], (1, 2, 0, 2)), expected) == (pytest.approx(0.125), pytest.approx(2 / 3))
    assert agreement(expected, expected) == (0.0, 1.0)
    assert agreement(layers([0.0, 4.0, 1.0, 2.0]), expected)[0] == np.inf


def test_what_is_not_there_is_not_compared():
    difference, codes = agreement({"map": np.ones(3, np.uint8)}, {"map": np.ones(3, np.uint8)})
    assert np.isnan(difference)
    assert codes == 1
    assert np.isnan(agreement({"scores": np.zeros(2)}, {"scores": np.zeros(2)})[1])


@pytest.mark.parametrize(
    ("found", "autocast", "bad"),
    [
        ((EXACT / 2, 1.0), False, False),
        ((2 * EXACT, 1.0), False, True),
        ((0.0, 0.99), False, True),
        ((np.nan, 1.0), False, False),
        ((0.0, np.nan), False, False),
        ((2 * EXACT, 0.5), True, False),
        ((2 * COARSE, 1.0), True, True),
        ((np.inf, np.nan), True, True),
    ],
)
def test_limits(found, autocast, bad):
    case = MethodCase(lambda device: None, (), autocast=autocast)
    assert exceeds(found, case, "bf16") is bad
    assert exceeds((2 * EXACT, 1.0), case, "float32") is True
    assert exceeds((2 * EXACT, 1.0), replace(case, exact=3 * EXACT), "float32") is False


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_says_so_and_checks_the_cpu(monkeypatch, capsys):
    sizes = ["--rows", "40", "--cols", "40", "--bands", "8", "--tile", "30", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["gpu_check", *sizes, "--methods", "rx", "bicubic", "network", "pretrain"])
    monkeypatch.setattr(gpu_check, "Recipe", lambda: SMALL)
    with pytest.raises(SystemExit) as stop:
        gpu_check.main()
    said = capsys.readouterr().out
    assert "no CUDA" in said
    assert [line.split()[0] for line in said.splitlines() if " cpu " in line] == ["rx", "bicubic", *["network"] * 2, *["pretrain"] * 2]
    assert stop.value.code == 0, said


def test_pretraining_is_compared_by_losses_and_gradients():
    case, scene = PretrainingCase(SMALL, autocast=True), make_scene((8, 40, 40))
    once = case.ready(scene, "cpu", "float32", 30, 1)
    found, again = once(), once()
    assert found["losses"].shape == (len(OBJECTIVES),)
    assert np.isfinite(found["gradients"]).all() and found["gradients"].any()
    assert agreement(found, again)[0] == 0
    mixed = case.ready(scene, "cpu", "bf16", 30, 1)()
    assert EXACT < agreement(mixed, found)[0] < COARSE


def test_a_method_that_fails_is_shown_and_does_not_stop_the_others(capsys):
    def broken():
        raise ZeroDivisionError("of the method")

    assert gpu_check.checked("rx", broken, None, ["cpu"], None) is False
    said = capsys.readouterr().out
    assert said.startswith("rx") and "FAILED" in said and "of the method" in said
