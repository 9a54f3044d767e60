"""Tasks that take more than a scene and a model: in a batch they give what the single command gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsikit.batch.orders import make_order
from hsikit.errors import OptionError
from tests.cli.test_gas import write_line
from tests.cli.test_minerals import write_library
from tests.cli.verbs import run
from tests.products.geotiff import write_geotiff
from tests.tasks.minerals.test_minerals import NM, SPECTRA


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rock/all.tif and rock/half.tif, of all bands and of every second one, and a library; line/line.hdr, radiance, and a gas's table."""
    folder = tmp_path_factory.mktemp("tasks")
    write_line(folder / "line")
    (folder / "rock").mkdir()
    write_library(folder / "library.csv")
    rng = np.random.default_rng(0)
    values = np.round((0.5 * SPECTRA.T[:, :, None] + 0.15 + 0.002 * rng.standard_normal((len(NM), len(SPECTRA), 20))) / 1e-4).astype(np.int16)
    for name, kept in (("all", slice(None)), ("half", slice(None, None, 2))):
        write_geotiff(folder / "rock" / f"{name}.tif", values[kept], NM[kept], scale=1e-4, nodata=-9999)
    return folder


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def test_minerals_and_targets_in_scenes_of_two_sensors(place: Path, tmp_path: Path) -> None:
    reading = ("--quantity", "surface_reflectance")
    wanted: dict[str, tuple[Any, ...]] = {
        "minerals": ("--task", "minerals", "-p", f"library={place}/library.csv", "-p", "least_fit=0.6"),
        "detect": ("--task", "detect", "-p", f"target={place}/library.csv", "-p", "name=calcite", "-p", "method=ace", "-p", "shrinkage=0.1"),
    }
    single = {
        "minerals": ("--library", place / "library.csv", "-p", "least_fit=0.6"),
        "detect": ("--target", place / "library.csv", "--name", "calcite", "--method", "ace", "-p", "shrinkage=0.1"),
    }
    for verb, options in wanted.items():
        done = run("batch", f"{place}/rock/*.tif", *options, *reading, "-o", tmp_path / verb / "{stem}.tif")
        assert done.code == 0, done.err
        for name in ("all", "half"):
            alone = tmp_path / f"{verb}-{name}.tif"
            assert run(verb, place / "rock" / f"{name}.tif", *single[verb], *reading, "-o", alone).code == 0
            np.testing.assert_array_equal(pixels(tmp_path / verb / f"{name}.tif"), pixels(alone))


def test_gas_and_hits(place: Path, tmp_path: Path) -> None:
    line, table = place / "line" / "line.hdr", place / "line" / "methane.csv"
    reading = ("--quantity", "radiance", "--scale", "10")
    done = run("batch", line, "--task", "gas", "-p", f"absorption={table}", "-p", "window=2150,2300;2310,2400", *reading, "-o", tmp_path / "gas.tif")
    assert done.code == 0, done.err
    own = ("--absorption", table, "--window", "2150,2300", "--window", "2310,2400")
    assert run("gas", line, *own, *reading, "-o", tmp_path / "alone.tif").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "gas.tif"), pixels(tmp_path / "alone.tif"))
    (tmp_path / "jobs.toml").write_text(
        f'scenes = ["{place}/rock/all.tif"]\noutput = "{tmp_path}/{{stem}}.tif"\nquantity = "surface_reflectance"\n'
        f'[detect]\ntarget = "{place}/library.csv"\nname = "goethite"\nhits = "{tmp_path}/{{stem}}.gpkg"\n'
    )
    done = run("batch", tmp_path / "jobs.toml")
    assert done.code == 0, done.err
    assert (tmp_path / "all.gpkg").exists() and pixels(tmp_path / "all.tif").shape == (1, 5, 20)


def test_a_file_that_is_not_there_ends_the_batch_before_it_begins(place: Path, tmp_path: Path) -> None:
    done = run("batch", place / "rock" / "all.tif", "--task", "minerals", "-p", "library=nowhere.sli", "-o", tmp_path / "map.tif")
    assert done.code == 2 and "nowhere.sli is not there" in done.err and not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize(
    ("task", "options", "told"),
    [
        ("detect", {}, "detect needs a target or a model"), ("detect", {"target": "a.sli", "model": "m"}, "not both"), ("minerals", {}, "needs a library"),
        ("gas", {}, "needs a table of its absorption"), ("gas", {"absorption": "a.csv", "window": "2100"}, "no pairs of numbers"),
        ("gas", {"absorption": "a.csv", "window": [[1, "x"]]}, "no number"), ("anomaly", {"target": "a.sli"}, "has no option 'target'"),
    ],
)  # fmt: skip
def test_what_a_task_needs(task: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        make_order(["s.tif"], task, "m/{stem}.tif", options, "here")
