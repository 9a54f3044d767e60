"""`hsikit detect`: a library spectrum, and pixels of the scene, found where they were put."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from tests.laws.scenes import NODATA, SCALE, TRANSFORM, Scene, make_scene, write_scene

from .verbs import run

PLACES = ((25, 20), (30, 40), (44, 9), (50, 50))
SHARE = 0.6
FINE = np.arange(380.0, 2501.0, 5.0)


def mineral(nm: np.ndarray) -> np.ndarray:
    """A bright ramp with two absorptions."""
    return 0.35 + 1e-4 * (nm - 400) - 0.25 * np.exp(-0.5 * ((nm - 900) / 120) ** 2) - 0.3 * np.exp(-0.5 * ((nm - 2200) / 90) ** 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """A scene of 40 bands in which a mineral fills most of four pixels, and a library that holds it among others."""
    folder = tmp_path_factory.mktemp("find")
    scene = make_scene(64, 60, 40, seed=2, classes=4, side=12)
    for row, col in PLACES:
        mixed = (1 - SHARE) * scene.values[:, row, col].clip(0) * SCALE + SHARE * mineral(scene.nm)
        scene.values[:, row, col] = np.round(mixed / SCALE).astype(np.int16)
    write_scene(folder, scene)
    lines = ["wavelength_nm,mineral one,flat"] + [f"{nm:g},{value:.6f},0.3" for nm, value in zip(FINE, mineral(FINE), strict=True)]
    (folder / "minerals.csv").write_text("\n".join(lines))
    return folder, scene


def pixels_of(path: Path) -> set[tuple[int, int]]:
    step, _, left, _, _, top = TRANSFORM
    hits = geopandas.read_file(path)
    assert hits.crs.to_epsg() == 32633
    return {(int((top - point.y) // step), int((point.x - left) // step)) for point in hits.geometry}


@pytest.mark.parametrize("method", ["ace", "cem", "matched-filter"])
def test_a_library_spectrum_is_found_where_it_is(made: tuple[Path, Scene], tmp_path: Path, method: str) -> None:
    folder, scene = made
    share = (len(PLACES) + 0.5) / int((scene.truth > 0).sum())
    done = run("detect", folder / "scene.tif", "--target", folder / "minerals.csv", "--name", "mineral",
               "--method", method, "-o", tmp_path / "scores.tif", "--pfa", share, "--hits", tmp_path / "hits.gpkg", "--tile", 23)  # fmt: skip
    assert done.code == 0, done.err
    assert "4 hits above a score of" in done.out and "Gaussian" not in done.out
    assert pixels_of(tmp_path / "hits.gpkg") == set(PLACES)
    with rasterio.open(tmp_path / "scores.tif") as file:
        scores = file.read(1)
        assert file.count == 1 and file.descriptions == ("mineral one",) and file.crs.to_epsg() == 32633
        threshold = float(file.tags()["threshold_value"])
    assert (np.nan_to_num(scores, nan=-1) > threshold).sum() == len(PLACES)
    assert float(json.loads((tmp_path / "scores.json").read_text())["properties"]["hsikit:parameters"]["threshold_value"]) == threshold
    np.testing.assert_array_equal(np.isnan(scores), (scene.values == NODATA).sum(0) > 4)
    if method == "matched-filter":
        assert [scores[place] for place in PLACES] == pytest.approx([SHARE] * 4, abs=0.12)


def test_pixels_and_points_are_looked_for(made: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, _ = made
    step, _, left, _, _, top = TRANSFORM
    pixels = [part for row, col in PLACES[:2] for part in ("--pixel", f"{row},{col}")]
    points = [part for row, col in PLACES[:2] for part in ("--xy", f"{left + (col + 0.5) * step},{top - (row + 0.5) * step}")]
    for i, given in enumerate((pixels, points)):
        done = run("detect", folder / "scene.tif", *given, "-o", tmp_path / f"{i}.tif", "-p", "shrinkage=0.05")
        assert done.code == 0, done.err
    first, second = (rasterio.open(tmp_path / f"{i}.tif").read(1) for i in (0, 1))
    np.testing.assert_array_equal(first, second)
    best = np.argsort(-np.nan_to_num(first, nan=-1), axis=None)[: len(PLACES)]
    assert {tuple(int(i) for i in np.unravel_index(place, first.shape)) for place in best} == set(PLACES)


def test_all_spectra_of_a_library_have_a_band_each(made: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, _ = made
    given = ("--target", folder / "minerals.csv")
    assert run("detect", folder / "scene.tif", *given, "-o", tmp_path / "scores.tif", "--method", "spectral-angle").code == 0
    with rasterio.open(tmp_path / "scores.tif") as file:
        assert file.descriptions == ("mineral one", "flat")


def test_bands_that_a_target_does_not_answer_for_are_told(made: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, scene = made
    lines = (folder / "minerals.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines[1:] if float(line.split(",")[0]) < 1500)]
    (tmp_path / "part.csv").write_text("\n".join(kept))
    told = ("--target", tmp_path / "part.csv")
    done = run("detect", folder / "scene.tif", *told, "-o", tmp_path / "scores.tif")
    assert done.code == 0 and f"answers for {(scene.nm < 1500).sum()} of the 40 good bands" in done.err


def test_backgrounds_of_clusters_and_of_rings(made: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, scene = made
    given = ("detect", folder / "scene.tif", "--target", folder / "minerals.csv", "--name", "mineral", "--method", "ace")
    done = run(*given, "-o", tmp_path / "own.tif", "--background", "clusters", "-p", "clusters=3", "--tile", 23)
    assert done.code == 0, done.err
    stood = int(done.out.split(" of 3 clusters stand")[0].split()[-1])
    with rasterio.open(tmp_path / "own_clusters.tif") as file:
        codes = file.read(1)
    assert codes.max() == stood
    told = json.loads((tmp_path / "own.json").read_text())["properties"]["hsikit:parameters"]
    assert told["clusters"] == "3" and told["background"] == "each pixel's own cluster"
    assert [told["areas"]["clusters"][f"cluster {code}"]["pixels"] for code in range(1, stood + 1)] == np.bincount(codes.ravel())[1:].tolist()
    done = run(*given, "-o", tmp_path / "ring.tif", "--background", "local", "-p", "inner=3", "-p", "outer=15", "-p", "components=8", "--tile", 23)
    assert done.code == 0 and "clusters stand" not in done.out, done.err
    for name in ("own", "ring"):
        scores = rasterio.open(tmp_path / f"{name}.tif").read(1)
        np.testing.assert_array_equal(np.isnan(scores), (scene.values == NODATA).sum(0) > 4)
        assert all(scores[place] > np.nanquantile(scores, 0.99) for place in PLACES)


def test_mistakes(made: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, _ = made
    library = folder / "minerals.csv"
    told = {
        (): "nothing to look for given",
        ("--target", library, "--pixel", "1,2"): "--target and --pixel given",
        ("--pixel", "1"): "--pixel: '1' is not ROW,COL",
        ("--pixel", "1,2", "--name", "x"): "choose spectra of a library",
        ("--pixel", "30,40", "--method", "rx"): "--method: rx looks for no target. Those that do are ace,",
        ("--pixel", "30,40", "--method", "acE"): "acE: there is no such method",
        ("--pixel", "30,40", "-p", "pfa=1"): "'pfa' is no option of the method",
        ("--pixel", "30,40", "-p", "shrinkage=2"): "-p shrinkage: 2 is not a share",
        ("--pixel", "30,40", "-p", "background=local"): "'background' is no option of the method but of the command",
        ("--pixel", "30,40", "--background", "near"): "--background: 'near' is no background. Give global, clusters, local",
        ("--pixel", "30,40", "--background", "local", "--method", "osp"): "--background: osp cannot be measured against the ring around each pixel",
        ("--pixel", "30,40", "-p", "clusters=3"): "-p clusters: belongs to a background that is clusters",
        ("--target", library, "--quantity", "radiance"): "holds surface_reflectance (1), and",
        ("--target", library, "--name", "Minearl"): "Near are mineral one",
        ("--target", folder / "none.csv"): "does not exist",
    }  # fmt: skip
    for arguments, words in told.items():
        done = run("detect", folder / "scene.tif", *arguments, "-o", tmp_path / "scores.tif")
        assert done.code == 2 and words in done.err, (arguments, done.err)
    assert list(tmp_path.iterdir()) == []


def test_an_output_in_place_is_kept(made: tuple[Path, Scene], tmp_path: Path) -> None:
    (tmp_path / "scores.tif").write_bytes(b"mine")
    done = run("detect", made[0] / "scene.tif", "--pixel", "30,40", "-o", tmp_path / "scores.tif")
    assert done.code == 2 and "--overwrite" in done.err and (tmp_path / "scores.tif").read_bytes() == b"mine"
