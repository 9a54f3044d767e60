"""Scenes that are files of a few bytes, workers that obey their names; and real ones with a small model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsikit.batch.job_files import read_orders
from hsikit.batch.orders import Order
from tests.laws.scenes import NODATA, SCALE, make_scene, write_scene
from tests.products.geotiff import write_geotiff

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_worker.py")))
Make = Callable[..., list[Order]]


def runs_of(order: Order) -> int:
    """How often a fake worker began a scene."""
    log = Path(order.scene[0]).with_suffix(".runs")
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def orders(tmp_path: Path) -> Make:
    """Orders of scenes of these names; they need no model, as they are superresolved."""

    def make(*names: str) -> list[Order]:
        (tmp_path / "maps").mkdir(exist_ok=True)
        found = []
        for name in names:
            scene = tmp_path / f"{name}.scene"
            if not scene.exists():
                scene.write_text(name)
            found.append(Order((str(scene),), "superresolve", tmp_path / "maps" / f"{name}.tif", {}))
        return found

    return make


@dataclass(frozen=True)
class Place:
    """A folder with scenes a.tif and b.tif of 30 x 40 pixels, bad.tif, and an SVM."""

    folder: Path
    model: Path

    def orders(self, output: Path, *names: str, **options: object) -> list[Order]:
        """Orders to classify scenes of these names, or patterns of them."""
        scenes = [str(self.folder / name) for name in names]
        return read_orders(scenes, model=str(self.model), output=str(output / "{stem}.tif"), **options)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    import hsikit

    folder = tmp_path_factory.mktemp("granules")
    made = make_scene(30, 40, 10, seed=1, classes=3, side=8)
    scene = write_scene(folder, made)
    for name, values in (("a", made.values), ("b", made.values[:, ::-1])):
        write_geotiff(folder / f"{name}.tif", values, made.nm, scale=SCALE, nodata=NODATA)
    (folder / "bad.tif").write_bytes((folder / "a.tif").read_bytes()[:2000])
    hsikit.train("svm", scene, folder / "labels.tif", split_options={"guard": 0, "block": 6}).save(folder / "model")
    return Place(folder, folder / "model")
