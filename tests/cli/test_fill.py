"""`hsikit fill`: the cube, its flags, the check, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.laws.scenes import CRS, NODATA, SCALE, make_scene
from tests.products.geotiff import write_geotiff
from tests.tasks.bases import small_base

from .verbs import run

BANDS = 30


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    made = make_scene(30, 26, BANDS, seed=1, classes=3, side=12)
    return write_geotiff(tmp_path / "scene.tif", made.values, made.nm, scale=SCALE, nodata=NODATA)


def nm_of(scene: Path) -> np.ndarray:
    with rasterio.open(scene) as file:
        return np.array([1000 * float(file.tags(band, ns="IMAGERY")["CENTRAL_WAVELENGTH_UM"]) for band in range(1, BANDS + 1)])


def test_a_filled_cube_its_flags_and_its_check(scene: Path) -> None:
    nm = nm_of(scene)
    named = f"{nm[8] - 1:.0f}-{nm[9] + 1:.0f}nm"
    done = run("fill", scene, "-o", scene.parent / "f.tif", "--bands", named, "--threads", 1, "--report")
    assert done.code == 0, done.err
    assert "values of known bands were missing" in done.out and "2 known bands hidden everywhere: RMSE" in done.out and "interpolation_rmse" in done.out
    with rasterio.open(scene) as given, rasterio.open(scene.parent / "f.tif") as filled, rasterio.open(scene.parent / "f_flags.tif") as flags:
        measured, values, codes = given.read(), filled.read(), flags.read()
        assert filled.crs.to_string() == CRS and filled.transform == given.transform and filled.count == BANDS
        assert float(filled.tags(9)["wavelength"]) == pytest.approx(nm[8]) and filled.tags(9)["bbl"] == "0" and filled.tags(8)["bbl"] == "1"
        assert "2 known bands hidden everywhere" in filled.tags()["fill_check"]
    there = (measured != NODATA) & (np.arange(BANDS) // 2 != 4)[:, None, None] & (codes > 0)
    assert (codes[there] == 1).all() and (codes[8:10][codes[8:10] > 0] == 2).all()
    np.testing.assert_allclose(values[there], measured[there] * SCALE, rtol=1e-5)
    assert np.isnan(values[codes == 0]).all() and np.isfinite(values[codes > 0]).all()
    assert "fill_check" in json.dumps(json.loads((scene.parent / "f.json").read_text()))
    assert len((scene.parent / "f_check.csv").read_text().splitlines()) > 4


def test_masked_pixels_are_told_from_missing_ones(scene: Path) -> None:
    with rasterio.open(scene) as given:
        place = {"crs": given.crs, "transform": given.transform, "height": given.height, "width": given.width}
        hidden, empty = np.zeros(given.shape, np.uint8), (given.read() == NODATA).all(axis=0)
    hidden[4:12, 3:20] = 1
    with rasterio.open(scene.parent / "cloud.tif", "w", driver="GTiff", count=1, dtype="uint8", **place) as file:
        file.write(hidden, 1)
    done = run("fill", scene, "-o", scene.parent / "f.tif", "--bands", "700-720", "--threads", 1, "--mask", scene.parent / "cloud.tif")
    assert done.code == 0, done.err
    with rasterio.open(scene.parent / "f.tif") as filled, rasterio.open(scene.parent / "f_masked.tif") as states:
        values, codes = filled.read(), states.read(1)
    np.testing.assert_array_equal(np.isnan(values).all(axis=0), codes != 1)
    assert (codes[empty] == 0).all() and empty[hidden > 0].any() and (codes == 255).sum() > 60 and hidden[codes == 255].all()


def test_the_deviation_of_each_estimate(scene: Path) -> None:
    done = run("fill", scene, "-o", scene.parent / "g.tif", "--method", "gaussian", "--sigma", "--threads", 1)
    assert done.code == 0 and "claimed" in done.out, done.err
    with rasterio.open(scene.parent / "g_sigma.tif") as sigma, rasterio.open(scene.parent / "g_flags.tif") as flags:
        deviation, codes = sigma.read(), flags.read()
    assert (deviation[codes == 2] > 0).all() and (deviation[codes == 1] == 0).all() and np.isnan(deviation[codes == 0]).all()


def test_gaussian_fills_whole_bands_by_a_library_alone(scene: Path) -> None:
    nm = nm_of(scene)
    named = ("--bands", f"{nm[8] - 1:.0f}-{nm[9] + 1:.0f}", "--method", "gaussian")
    done = run("fill", scene, "-o", scene.parent / "h.tif", *named)
    assert done.code == 2 and "missing in all pixels" in done.err and "--method interpolate" in done.err
    rng = np.random.default_rng(0)
    shapes = 0.3 + 0.02 * rng.standard_normal((20, BANDS)).cumsum(1)
    lines = [
        "wavelength," + ",".join(f"m{k}" for k in range(20)),
        *(f"{w:.3f}," + ",".join(f"{v:.5f}" for v in row) for w, row in zip(nm, shapes.T, strict=True)),
    ]
    (scene.parent / "library.csv").write_text("\n".join(lines) + "\n")
    done = run("fill", scene, "-o", scene.parent / "h.tif", *named, "--library", scene.parent / "library.csv", "--threads", 1)
    assert done.code == 0, done.err


def test_an_encoder_by_its_short_name(scene: Path) -> None:
    base = small_base(scene.parent / "base")
    done = run("fill", scene, "-o", scene.parent / "e.tif", "--method", "encoder", "--base", base, "-p", "steps=3", "--threads", 1)
    assert done.code == 0, done.err
    done = run("fill", scene, "-o", scene.parent / "e2.tif", "--method", "encoder", "-p", "steps=2", "--threads", 1)
    assert done.code == 0, done.err


def test_mistakes(scene: Path) -> None:
    for words, said in (
        (("--sigma",), "interpolate: has no such options"),
        (("--bands", "red"), "'red' is no range"),
        (("--method", "magic"), "no such method"),
        (("-p", "sigma=true"), "no option of the method but of the command"),
    ):
        done = run("fill", scene, "-o", scene.parent / "x.tif", *words)
        assert done.code == 2 and said in done.err, done.err
