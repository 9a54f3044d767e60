"""What all tests share: the folder of real scenes, one torch thread, and Hypothesis without deadlines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Read when torch is first imported, so that no test module has to import torch for it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Tests run side by side on few cores; a test that needs more threads asks for them itself."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _short_lessons() -> Iterator[None]:
    """Every training would teach networks for other sensors for ten seconds; a test that looks at their answers teaches them longer."""
    from hsikit.tasks.classification import sensor_lessons

    with mock.patch.multiple(sensor_lessons, INSTRUMENTS=2, WIENER_STEPS=4, WIENER_BATCH=32, STEPS=4, PARTS=1):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scenes that may not be redistributed; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("HSIKIT_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real scenes at {folder}; set HSIKIT_SHARED_DATA to their folder")
    return folder
