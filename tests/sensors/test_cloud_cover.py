"""How much of a scene its product says to be under clouds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.sensors import open_source
from hsikit.sensors.cloud_cover import cloud_cover
from tests.products import enmap, landsat, planetscope, prisma, sentinel2, worldview, wyvern
from tests.products.case import Built
from tests.products.envi import write_envi


@pytest.mark.parametrize(
    ("write", "percent"),
    [
        (landsat.level_1, 12.34),
        (landsat.level_2, 12.34),
        (sentinel2.level_1, 7.25),
        (sentinel2.level_2, 7.25),
        (lambda folder: enmap.merged(folder, "L2A"), 3),
        (lambda folder: prisma.product(folder, "2D"), 4.5),
        (worldview.ortho_ready, 0.3),
        (worldview.basic, 0.3),
        (planetscope.surface, 2),
        (wyvern.level_1, 20),
    ],
)
def test_products_tell_their_clouds(tmp_path: Path, write: Callable[[Path], Built], percent: float) -> None:
    built = write(tmp_path)
    info = open_source(built.path, inspect=False, **built.options).info
    assert info.cloud_cover == pytest.approx(percent)


def test_a_real_landsat_scene_is_all_clouds(shared_data: Path) -> None:
    assert open_source(shared_data / "sensors" / "landsat8_l2sr", inspect=False).info.cloud_cover == 100


@pytest.mark.parametrize("ending", ["tif", "hdr", "zarr", "nc"])
def test_a_converted_scene_tells_the_same(tmp_path: Path, ending: str) -> None:
    from hsikit.convert.write import write_scene
    from hsikit.simulate.scene import simulate_scene

    made = simulate_scene(tmp_path / "scene.tif", rows=48, cols=50, sensor="sentinel-2", clouds=0.3, view_zenith=11.5)
    before = open_source(made.scene)
    write_scene(before, tmp_path / f"converted.{ending}")
    info = open_source(tmp_path / f"converted.{ending}", inspect=False).info
    assert (info.cloud_cover, info.attrs["view_zenith"]) == (before.info.cloud_cover, "11.5")
    assert info.cloud_cover == pytest.approx(30, abs=0.1)


def test_envi_s_own_field_is_read(tmp_path: Path) -> None:
    write_envi(tmp_path / "scene.hdr", np.ones((2, 3, 4), np.float32), wavelength=[500.0, 600.0], cloud_cover=12)
    assert "cloud cover = 12" in (tmp_path / "scene.hdr").read_text()
    assert open_source(tmp_path / "scene.hdr", inspect=False).info.cloud_cover == 12


@pytest.mark.parametrize("stated", ["-1", "-999", -1.0, "nan", "inf", "unknown", "", None, 100.1])
def test_what_is_no_percentage_is_not_kept(stated: Any) -> None:
    assert cloud_cover(stated) == {}


def test_shares_become_percent() -> None:
    assert cloud_cover("0.25", whole=1) == {"cloud_cover": "25.0000"}
    assert cloud_cover(0) == {"cloud_cover": "0.0000"}
