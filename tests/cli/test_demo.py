"""`hsikit demo`: the first command of the README."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio

from .conftest import Hsikit


def test_the_demo_maps_two_scenes(hsikit: Hsikit, tmp_path: Path) -> None:
    pytest.importorskip("tensorly", reason="the real scene lies in that package")
    folder = tmp_path / "demo"
    done = hsikit("demo", "-o", folder)
    assert done.code == 0, done.err
    scores = {line.split("  ")[0].strip(): float(line.split()[-2]) for line in done.out.splitlines() if line.startswith(("mnf-lda", "svm", "floor"))}
    assert scores["mnf-lda"] > scores["svm"] > scores["floor: coordinates only"]
    assert "no georeference" in done.err
    with rasterio.open(folder / "indian_pines_map.tif") as real, rasterio.open(folder / "map.tif") as simulated:
        assert real.shape == (145, 145) and real.crs is None
        assert simulated.crs.to_epsg() == 32633 and simulated.read(1).any()
    for name in ("map.qml", "map.tif.aux.xml", "map.png", "map_confidence.tif", "indian_pines_map.png"):
        assert str(folder / name) in done.out and (folder / name).stat().st_size > 0
