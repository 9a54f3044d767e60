"""Devices and precisions: what is refused, what float32 means on a GPU, and which digits reach a file."""

import numpy as np
import pytest
import torch

from hsikit.engine import RunOptions, compute
from hsikit.engine.device import computing_on, require_device, require_precision
from hsikit.engine.plan import plan_run
from hsikit.errors import MemoryPlanError, OptionError
from hsikit.layers import Layer
from hsikit.method import Map

from .toys import BANDS, Memory, job, odd_scene


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", ""])
def test_a_device_of_no_kind_is_refused(name):
    with pytest.raises(OptionError, match="--device"):
        require_device(name)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match="torch sees"):
        require_device(f"cuda:{torch.cuda.device_count()}")
    assert require_device("cpu") == "cpu"


def test_a_precision_of_no_kind_is_refused():
    with pytest.raises(OptionError, match="--precision"):
        require_precision("float16")


@pytest.mark.parametrize(
    ("name", "precision", "cut"), [("cuda", "float32", False), ("cuda:1", "float32", False), ("cuda", "bf16", True), ("cpu", "float32", True)]
)
@pytest.mark.parametrize("before", [True, False])
def test_float32_keeps_its_digits_on_a_gpu_and_the_setting_comes_back(monkeypatch, name, precision, cut, before):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with pytest.raises(ZeroDivisionError), computing_on(name, precision):
        assert torch.backends.cudnn.allow_tf32 is (cut and before)
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32 is before


def failing(error):
    def apply(tile, store):
        raise error

    return job([Map("fails", ("cube",), ("x",), apply)], [Layer("x")])


def test_a_full_device_is_the_users_to_solve():
    with pytest.raises(MemoryPlanError, match=r"the memory of cpu is full.*--threads 1"):
        compute(failing(torch.OutOfMemoryError("2 GiB")), {"cube": Memory(odd_scene())}, options=RunOptions(tile=20, threads=2))


def test_a_float64_layer_keeps_its_digits_and_bf16_reaches_a_file():
    def apply(tile, store):
        values = tile.inner("cube")
        return {"fine": values.double() + 1e-12, "coarse": values.bfloat16()}

    made = job([Map("both", ("cube",), ("fine", "coarse"), apply)], [Layer("fine", dtype="float64", bands=BANDS), Layer("coarse", bands=BANDS)])
    got = compute(made, {"cube": Memory(odd_scene())}, tile=30, threads=1).layers
    there = ~np.isnan(got["fine"])
    assert there.any()
    np.testing.assert_array_equal(got["fine"][there], odd_scene()[there] + 1e-12)
    np.testing.assert_array_equal(got["coarse"][there], torch.from_numpy(odd_scene()).float().bfloat16().float().numpy()[there])


def test_a_device_is_started_before_the_memory_is_measured(monkeypatch):
    done = []
    monkeypatch.setattr("hsikit.engine.plan.start_device", done.append)
    monkeypatch.setattr("hsikit.engine.plan.resident_bytes", lambda: done.append("measured") or 0)
    source = Memory(odd_scene())
    plan_run(failing(ValueError()), {"cube": source}, {}, RunOptions(device="cuda:1", memory=2**30, threads=1), None)
    assert done == ["cuda:1", "measured"]
