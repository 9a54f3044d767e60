"""`hsikit transform`: components of a scene, and the tables beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.laws.scenes import make_scene, write_scene

from .verbs import run


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_scene(tmp_path, make_scene(30, 24, 40, seed=1, classes=3, side=12))
    return tmp_path / "scene.tif"


@pytest.mark.parametrize(("method", "more"), [("mnf", ("-p", "noise=both")), ("pca", ("-p", "standardise=true"))])
def test_components_and_their_tables(scene: Path, method: str, more: tuple[str, ...]) -> None:
    done = run("transform", scene, "--method", method, "--components", 5, "-o", scene.parent / "c.tif", "--threads", 1, *more)
    assert done.code == 0 and "c_strengths.csv" in done.out
    with rasterio.open(scene.parent / "c.tif") as file:
        assert file.count == 5 and file.descriptions[0] == f"{method.upper()} 1" and file.crs.to_epsg() == 32633
        assert np.isfinite(file.read()).any()
    assert len((scene.parent / "c_loadings.csv").read_text().splitlines()) == 41


def test_an_option_of_the_command_is_none_of_the_method(scene: Path) -> None:
    done = run("transform", scene, "-o", scene.parent / "d.tif", "-p", "components=3")
    assert done.code == 2 and "--components" in done.err
