"""`hsikit superresolve`, `pansharpen` and `anomaly`: their products are scenes, scores and points where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from tests.laws.scenes import NODATA, SCALE, TRANSFORM
from tests.products.geotiff import write_geotiff

from .conftest import Field, Hsikit


def test_superresolve_keeps_axis_and_place(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    target = tmp_path / "fine.tif"
    done = hsikit("superresolve", place.scene, "--method", "bicubic", "--zoom", 3, "-o", target, "--tile", 25)
    assert done.code == 0 and f"wrote {target}" in done.out
    before, after = (json.loads(hsikit("info", path, "--json").out) for path in (place.scene, target))
    assert after["size"] == {"rows": 216, "cols": 180} and after["pixel_size"] == [10, 10]
    for key in ("bands", "wavelength_nm", "fwhm_nm", "extent", "crs"):
        assert after[key] == before[key]
    with rasterio.open(target) as made:
        holes = np.isnan(made.read(1))
    coarse = (place.made.truth == 0).repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(holes | coarse, coarse | holes)
    assert (holes == coarse).mean() > 0.98  # a single missing band is a hole in that band alone


@pytest.mark.parametrize("zoom", [1, 9])
def test_zooms_that_there_are_not(hsikit: Hsikit, place: Field, tmp_path: Path, zoom: int) -> None:
    done = hsikit("superresolve", place.scene, "--zoom", zoom, "-o", tmp_path / "fine.tif")
    assert done.code == 2 and f"--zoom: {zoom}" in done.err and not list(tmp_path.iterdir())


@pytest.fixture
def pan(place: Field, tmp_path: Path) -> Path:
    """The brightness of the scene's first bands, three times finer, with detail of its own; without wavelengths."""
    step, _, left, _, _, top = TRANSFORM
    bright = place.made.values[:2].mean(0).clip(1).repeat(3, 0).repeat(3, 1)
    detail = 1 + 0.1 * np.random.default_rng(0).standard_normal(bright.shape)
    folder = tmp_path / "given"
    folder.mkdir()
    finer = Affine(step / 3, 0, left, 0, -step / 3, top)
    values = (bright * detail).astype(np.int16)[None]
    return write_geotiff(folder / "pan.tif", values, convention="none", scale=SCALE, nodata=NODATA, transform=finer)


@pytest.mark.parametrize("options", [(), ("--pan-range", 400, 900)])
def test_pansharpen(hsikit: Hsikit, place: Field, pan: Path, tmp_path: Path, options: tuple[object, ...]) -> None:
    target = tmp_path / "sharp.tif"
    done = hsikit("pansharpen", place.scene, "--pan", pan, "--method", "brovey", "-o", target, *options)
    assert done.code == 0, done.err
    assert ("400 to 700" in done.err) == (not options)  # a response that was assumed is said
    with rasterio.open(target) as made:
        assert made.shape == (216, 180) and made.count == 10 and made.transform[0] == 10
        sharp = made.read()
        told = made.tags()["pan_range_nm"]
    assert told.startswith("400 900" if options else "400 700")
    # Angles between bands are the cube's: a ratio of two bands has no detail of the panchromatic image.
    fine = np.isfinite(sharp[:2]).all(0)
    assert 0.7 < fine.mean() < 1 and (sharp[:, fine] > 0).mean() > 0.99


def test_pan_faults(hsikit: Hsikit, place: Field, pan: Path, tmp_path: Path) -> None:
    faults = (
        ((place.scene, "--pan", place.scene), "a panchromatic input has one"),
        ((place.scene, "--pan", pan, "--pan-range", 900, 400), "--pan-range"),
        ((place.scene, "--pan", pan, "--pan-range", 300, 310), "--pan-range"),
        ((place.second, "--pan", pan), str(pan)),
    )
    for more, words in faults:
        done = hsikit("pansharpen", *more, "-o", tmp_path / "sharp.tif")
        assert done.code == 2 and words in done.err, done.err
        assert not (tmp_path / "sharp.tif").exists()


def test_anomaly_scores_and_hits(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    values = place.made.values.copy()
    values[:, 50:52, 40:43] = values[::-1, 50:52, 40:43] * 2
    scene = write_geotiff(tmp_path / "scene.tif", values, place.made.nm, scale=SCALE, nodata=NODATA)
    scores, points = tmp_path / "scores.tif", tmp_path / "hits.gpkg"
    done = hsikit("anomaly", scene, "--method", "rx", "-o", scores, "--hits", points, "--pfa", "2e-3")
    assert done.code == 0 and str(scores) in done.out and str(points) in done.out
    with rasterio.open(scores) as made:
        found = made.read(1)
        assert made.dtypes == ("float32",) and np.isnan(made.nodata)
    np.testing.assert_array_equal(np.isnan(found), (values == NODATA).sum(0) > 1)
    hits = geopandas.read_file(points)
    assert hits.crs.to_epsg() == 32633 and hits["pixels"].sum() == pytest.approx(2e-3 * np.isfinite(found).sum(), abs=2)
    best = hits.loc[hits["peak"].idxmax()]
    step, _, left, _, _, top = TRANSFORM
    assert abs((best.geometry.x - left) / step - 41.5) < 1.5 and abs((top - best.geometry.y) / step - 51) < 1.5
    assert best["peak"] == pytest.approx(np.nanmax(found), rel=1e-6)


def test_anomaly_without_hits_writes_scores_alone(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    assert hsikit("anomaly", place.scene, "-o", tmp_path / "scores.tif").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.json", "scores.tif"]
    done = hsikit("anomaly", place.scene, "-o", tmp_path / "more.tif", "--hits", tmp_path / "hits.gpkg", "--pfa", 2)
    assert done.code == 2 and "--pfa: 2" in done.err


def test_an_object_size_chooses_the_method(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("anomaly", place.scene, "--object-size", 6, "-o", tmp_path / "scores.tif", "--hits", tmp_path / "hits.gpkg")
    assert done.code == 0 and "hits above a score of 0.9" in done.out and "Gaussian" not in done.out
    with rasterio.open(tmp_path / "scores.tif") as made:
        assert made.read(1)[np.isfinite(made.read(1))].max() <= 1
    done = hsikit("anomaly", place.scene, "--method", "rx", "--object-size", 6, "-o", tmp_path / "more.tif")
    assert done.code == 2 and "rx: has no such options as object_size" in done.err


def test_hits_in_place_are_not_overwritten(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    (tmp_path / "hits.gpkg").write_bytes(b"mine")
    done = hsikit("anomaly", place.scene, "-o", tmp_path / "scores.tif", "--hits", tmp_path / "hits.gpkg")
    assert done.code == 2 and "hits.gpkg" in done.err
    assert (tmp_path / "hits.gpkg").read_bytes() == b"mine" and [path.name for path in tmp_path.iterdir()] == ["hits.gpkg"]


@pytest.mark.parametrize(("verb", "param", "words"), [
    ("anomaly", "pfa=0.1", "'pfa' is no option of the method"),
    ("anomaly", "name=x", "rx: has no such option"),
    ("anomaly", "colour=red", "Its options are: pfa, ridge"),
    ("anomaly", "ridge=abc", "'abc' is not of the type float"),
    ("anomaly", "ridge=true", "True is not of the type float"),
    ("superresolve", "zoom=3", "'zoom' is no option of the method"),
    ("superresolve", "components=3", "bicubic: has no such option"),
])  # fmt: skip
def test_params_that_a_method_does_not_have(hsikit: Hsikit, place: Field, tmp_path: Path, verb: str, param: str, words: str) -> None:
    done = hsikit(verb, place.scene, "-o", tmp_path / "out.tif", "-p", param)
    assert done.code == 2 and words in done.err and len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_ridge_helps_where_bands_are_combinations(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    twice = np.concatenate([place.made.values, place.made.values])
    scene = write_geotiff(tmp_path / "twice.tif", twice, np.linspace(450, 2400, len(twice)), scale=SCALE, nodata=NODATA)
    done = hsikit("anomaly", scene, "-o", tmp_path / "scores.tif")
    assert done.code == 2 and "-p ridge=1e-6" in done.err
    assert hsikit("anomaly", scene, "-o", tmp_path / "scores.tif", "-p", "ridge=1e-6").code == 0


def test_an_output_that_an_interrupted_commit_put_there_does_not_stop_the_same_command(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    from hsikit.engine.ledger import work_folder

    target = tmp_path / "fine.tif"
    target.write_bytes(b"put there by the commit")
    assert hsikit("superresolve", place.scene, "-o", target).code == 2
    work_folder(target).mkdir()
    (work_folder(target) / "committing").touch()
    done = hsikit("superresolve", place.scene, "-o", target)
    assert "exists already" not in done.err
