"""`hsikit resample` and `hsikit sensors`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.convert.resample import resampled
from hsikit.geo.grid import Window
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.laws.scenes import make_scene, write_scene

from .verbs import run


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_scene(tmp_path, make_scene(30, 24, 160, seed=1, classes=3, side=12))
    return tmp_path / "scene.tif"


@pytest.mark.parametrize("name", ["s2.tif", "s2.hdr", "s2.zarr", "s2.nc"])
def test_a_scene_becomes_another_sensors(scene: Path, name: str) -> None:
    done = run("resample", scene, "--to", "sentinel-2", "-o", scene.parent / name)
    assert done.code == 0 and "measured responses" in done.err and f"wrote {scene.parent / name}" in done.out
    made, expected = open_source(scene.parent / name), resampled(open_source(scene), "sentinel-2")
    assert made.info.sensor == "sentinel-2" and made.info.grid == expected.info.grid
    whole = Window(0, 0, 30, 24)
    np.testing.assert_allclose(read_window(made, whole), read_window(expected, whole), rtol=1e-6)


def test_bands_of_a_table_and_no_harm_to_what_exists(scene: Path) -> None:
    (scene.parent / "bands.csv").write_text("wavelength,fwhm,name\n660,30,red\n860,40,nir\n")
    words = ("resample", scene, "--to", scene.parent / "bands.csv", "-o", scene.parent / "two.tif")
    assert run(*words, "--quiet").text == ""
    assert open_source(scene.parent / "two.tif").info.bands.names == ("red", "nir")
    before = (scene.parent / "two.tif").read_bytes()
    refused = [
        (words, "exists"),
        ((*words, "--overwrite", "--min-coverage", 2), "min_coverage"),
        (("resample", scene, "--to", "nothing", "-o", scene.parent / "three.tif"), "neither a known sensor"),
        (("resample", scene, "--to", "sentinel-2", "-o", scene, "--overwrite"), "itself"),
    ]
    for call, said in refused:
        done = run(*call)
        assert done.code == 2 and said in done.err
    assert (scene.parent / "two.tif").read_bytes() == before and not (scene.parent / "three.tif").exists()
    assert run(*words, "--overwrite").code == 0


def test_sensors_say_whether_responses_were_measured() -> None:
    lines = {line.split()[0]: line for line in run("sensors").out.splitlines() if line.strip()}
    assert "13 bands" in lines["sentinel-2"] and "measured responses" in lines["sentinel-2"]
    assert "224 bands" in lines["enmap"] and "Gaussian responses" in lines["enmap"]
    assert len(lines) >= 60
