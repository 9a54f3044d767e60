"""How much of a scene its product says to be under clouds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsikit.sensors import open_source
from hsikit.sensors.cloud_cover import cloud_cover
from tests.products import enmap, landsat, planetscope, prisma, sentinel2, worldview, wyvern
from tests.products.case import Built


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


@pytest.mark.parametrize("stated", ["-1", "-999", -1.0, "nan", "inf", "unknown", "", None, 100.1])
def test_what_is_no_percentage_is_not_kept(stated: Any) -> None:
    assert cloud_cover(stated) == {}


def test_shares_become_percent() -> None:
    assert cloud_cover("0.25", whole=1) == {"cloud_cover": "25.0000"}
    assert cloud_cover(0) == {"cloud_cover": "0.0000"}
