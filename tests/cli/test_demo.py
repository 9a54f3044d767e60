"""`hsikit demo`: the first command of the README."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
import rasterio

from .conftest import Hsikit

METHODS = ("lola-specvit", "mnf-lda-edge", "mnf-lda")


def test_the_demo_maps_two_scenes_and_reports(hsikit: Hsikit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorly", reason="the real scene lies in that package")
    from hsikit import demo
    from hsikit.tasks.classification import spectral_network

    monkeypatch.setattr(demo, "simulate_scene", partial(demo.simulate_scene, rows=150, cols=140))
    monkeypatch.setattr(spectral_network, "MOST_PIXELS", 6000)
    monkeypatch.setattr(spectral_network, "PRETRAINING", {**spectral_network.PRETRAINING, "epochs": 1})
    folder = tmp_path / "demo"
    done = hsikit("demo", "-o", folder)
    assert done.code == 0, done.err
    rows = [line.rsplit(maxsplit=2) for line in done.out.splitlines() if line.startswith(("lola-specvit ", "mnf-lda", "floor: "))]
    overall = {name.strip(): float(found) for name, found, _ in rows}
    assert list(overall) == [*METHODS, "floor: coordinates only", "floor: single spectra"]
    assert min(overall[name] for name in METHODS) > overall["floor: single spectra"] > overall["floor: coordinates only"]
    told = re.search(r"lola-specvit has (\d+) right: \d+ (more|fewer) than mnf-lda-edge", done.out)
    assert told is not None and int(told[1]) == pytest.approx(100 * overall["lola-specvit"], abs=0.56)
    assert "no georeference" in done.err and "pretraining" in done.err
    with rasterio.open(folder / "indian_pines_map.tif") as real, rasterio.open(folder / "map.tif") as simulated:
        assert real.shape == (145, 145) and real.crs is None
        assert real.tags()["hsikit_method"] == "lola-specvit"
        assert simulated.crs.to_epsg() == 32633 and simulated.read(1).any()
    for name in ("map.qml", "map.tif.aux.xml", "map.png", "map_confidence.tif", "indian_pines_map.png", "indian_pines_report.html", "run.json"):
        assert str(folder / name) in done.out and (folder / name).stat().st_size > 0
    reported = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert reported["report"] == "indian_pines_report.html"
    assert round(reported["assessment"]["rows"][0]["overall"], 3) == overall["lola-specvit"]


@pytest.mark.parametrize(("points", "words"), [(21.4, "21 more"), (-3.0, "3 fewer"), (0.0, "0 more")])
def test_a_difference_is_told_with_its_sign(points: float, words: str) -> None:
    from hsikit.demo import _apart

    assert _apart(points) == words
