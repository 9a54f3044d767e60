"""`kill -9` in the middle of a training, then the same command: the same weights to the bit as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .scenes import make_scene, write_scene

# The real command with few epochs, of which each takes a moment to be kept, so that it can be met.
COMMAND = """
import os, sys, time
from hsikit.tasks.classification import network_tuning, spectral_network
from hsikit_cli.main import main

def slowly(*arguments, real=os.replace, **options):
    time.sleep(0.1)
    return real(*arguments, **options)

os.replace = slowly
spectral_network.PRETRAINING = {**spectral_network.PRETRAINING, "epochs": 4}
network_tuning.TUNING = {**network_tuning.TUNING, "epochs": 4}
main(sys.argv[1:])
"""
OPTIONS = ("--labels", "labels.tif", "--split", "random", "--no-calibrate", "-p", "head=lora", "-p", "normalise=raw", "-p", "steps=25")
PATIENCE = 120.0


def start(place: Path, output: str) -> subprocess.Popen[bytes]:
    """The command in a process group of its own."""
    words = [sys.executable, "-c", COMMAND, "train", "lola-specvit", "scene.tif", "-o", output, *OPTIONS]
    with (place / "log").open("wb") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, cwd=place, stdout=log, stderr=log, env=environment, start_new_session=True)


def kill_at(place: Path, moment: str) -> str:
    """Kills the command once it has kept an epoch; what it said until then."""
    snapshot, until = place / "out/.model.training" / f"{moment}.safetensors", time.monotonic() + PATIENCE
    with start(place, "out/model") as run:
        while run.poll() is None and not snapshot.exists():
            assert time.monotonic() < until, "the moment never came"
            time.sleep(0.002)
        assert run.poll() is None, f"it ended before {moment}: {(place / 'log').read_text()}"
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert [path.name for path in (place / "out").iterdir()] == [".model.training"]
    return (place / "log").read_text()


def finish(place: Path, output: str) -> str:
    """Runs the command to its end; what it said."""
    with start(place, output) as run:
        assert run.wait(PATIENCE) == 0, (place / "log").read_text()
    return (place / "log").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene with labels, and the model of an undisturbed run in `quiet`."""
    place = tmp_path_factory.mktemp("kill")
    write_scene(place, make_scene(44, 40, 12, seed=2), per_class=30)
    (place / "quiet").mkdir()
    (place / "out").mkdir()
    finish(place, "quiet/model")
    return place


def test_killed_in_pretraining_and_in_tuning(folder: Path) -> None:
    first = kill_at(folder, "training-part/pretraining/epoch-000002")
    second = kill_at(folder, "all-labels/tuning/epoch-000002")
    third = finish(folder, "out/model")
    assert "pretraining: 28 steps" in first and "resumed" not in first
    assert second.index("pretraining: ") < second.index("resumed") < second.index("tuning: ")
    assert "pretraining: " not in third and third.index("tuning: ") < third.index("resumed")
    assert [path.name for path in (folder / "out").iterdir()] == ["model"]
    for name in ("model.safetensors", "model.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"):
        assert (folder / "out/model" / name).read_bytes() == (folder / "quiet/model" / name).read_bytes(), name
