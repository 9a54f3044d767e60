"""A small simulated place with a map, its models and a page about them; class names are hostile on purpose."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.laws.scenes import Scene, make_scene, write_scene

HOSTILE = ("<script>alert(1)</script>", 'maize" onload="x', "rye & <b>oats</b>")


@dataclass(frozen=True)
class Reported:
    """Files of one place.

    Attributes:
        scene: 72 x 60 pixels, 10 bands, three classes with the names `HOSTILE`.
        model: an SVM fitted on all labels, scored on blocks; kept: the scored one, of the split class-halves.
        map: of the scene, by `model`; other: a crop of the scene, by `kept`.
        page: the text of a report of `map`; numbers: its run.json.
    """

    folder: Path
    made: Scene
    scene: Path
    labels: Path
    model: Path
    kept: Path
    map: Path
    crop: Path
    page: str
    numbers: dict[str, Any]


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    import hsikit
    from hsikit.report import write_report
    from hsikit.sensors import open_source

    folder = tmp_path_factory.mktemp("reported")
    made = make_scene(72, 60, 10, seed=1, classes=3, side=12)
    scene = write_scene(folder, made, per_class=120)
    (folder / "names.csv").write_text("from,to,name\n" + "\n".join(f'{k},{k},"{name.replace(chr(34), chr(34) * 2)}"' for k, name in enumerate(HOSTILE, 1)))
    for name, split, refit in (("model", "blocks", True), ("kept", "class-halves", False)):
        trained = hsikit.train("svm", scene, folder / "labels.tif", split=split, refit=refit, label_options={"crosswalk": folder / "names.csv"})
        trained.save(folder / name)
    hsikit.run(folder / "model", scene, folder / "map.tif")
    left, top = 365_000 + 30 * 10, 5_808_000 - 30 * 20
    hsikit.run(folder / "kept", scene, folder / "crop.tif", bbox=(left, top - 30 * 40, left + 30 * 45, top))
    write_report(folder / "map.tif", folder / "model", folder / "report.html", scene=open_source(scene))
    numbers = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    names = ("scene.tif", "labels.tif", "model", "kept", "map.tif", "crop.tif")
    return Reported(folder, made, *(folder / name for name in names), page, numbers)
