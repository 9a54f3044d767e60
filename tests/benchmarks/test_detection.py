"""The detection benchmark's tables, on little data."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from benchmarks import detection


def test_speed_compares_like_with_like(capsys: pytest.CaptureFixture[str]) -> None:
    detection.speed(argparse.Namespace(rows=70, cols=40, bands=14, threads=1, repeat=1))
    lines = capsys.readouterr().out.splitlines()
    assert sum("ratio" in line for line in lines) == 6
    apart = [float(found[1]) for line in lines if (found := re.search(r"largest difference (\S+)", line))]
    assert len(apart) == 2 and max(apart) < 1e-3


def test_anomalies_reach_the_known_areas(shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "SCENES", {"abu-airport-1": 0.8221})
    monkeypatch.setattr(detection, "ANOMALIES", ("rx",))
    detection.anomalies(shared_data / "detection", threads=1)
    assert "0.8221" in capsys.readouterr().out.splitlines()[-1]


def test_san_diego_lists_every_detector(shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "DRAWS", 1)
    monkeypatch.setattr(detection, "DETECTORS", {"one": ("matched-filter", {}), "two": ("spectral-angle", {})})
    detection.san_diego(shared_data / "detection", threads=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["one", "two"]
    assert float(lines[2].split()[1]) > 0.99 and lines[2].split()[3] == "+0.0000"
