"""The detection benchmark's tables, on little data."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import anomaly_choice, detection, false_alarms


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


def test_local_rx_is_timed_a_pixel(capsys: pytest.CaptureFixture[str]) -> None:
    detection.local_speed(argparse.Namespace(local_side=30, bands=24))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" us")[0].rsplit(" ", 1)[0] for line in lines[2:]] == ["SPy on 20 bands", "SPy on 24 bands"]


def test_false_alarms_are_counted_over_what_was_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(false_alarms, "TARGETED", ("ace",))
    monkeypatch.setattr(false_alarms, "SIMULATED", 0.01)
    monkeypatch.setattr(false_alarms, "DRAWS", 1)
    false_alarms.simulated(60, threads=1)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["rx", "ace"]
    assert all(float(row[1]) == 1.0 and 0.3 < float(row[2]) < 3 for row in rows)
    scores = np.arange(100.0).reshape(10, 10)
    assert false_alarms.threshold(scores, 0.1) == 89 and false_alarms.quarters_left_out(scores * 0, 0.1) == 0
    assert false_alarms.pooled(np.array([[100, 1], [300, 7]]), 1) == (0.02, 0.01, 7 / 300)


def test_choices_leave_the_scene_out(shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in {"SCENES": {"abu-airport-1": 0.8221, "sandiego_58": 0.8885}, "NEIGHBOURS": (4,), "NEAREST": (0.01,), "PICTURES": (3,)}.items():
        monkeypatch.setattr(anomaly_choice, name, values)
    monkeypatch.setattr("sys.argv", ["anomaly_choice", "--data", str(shared_data / "detection"), "--threads", "1"])
    anomaly_choice.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 3 + 3 and sum("<- the product" in line for line in lines) == 1
    assert float(lines[-3].split()[-1]) > 0.98
