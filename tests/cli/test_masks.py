"""`--mask`, `--dilate` and `--aoi` on the command line, in every verb that trains, applies or scores."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from hsikit.convert.write import write_scene
from tests.cli.conftest import Field, Hsikit, codes_of, square
from tests.convert.scenes import quality, scene
from tests.laws.scenes import CRS, write_codes


@pytest.fixture(scope="module")
def files(place: Field, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    geopandas.GeoDataFrame(geometry=[square(30, 30, 10)], crs=CRS).to_file(folder / "clouds.gpkg")
    geopandas.GeoDataFrame(geometry=[square(20, 12, 36)], crs=CRS).to_file(folder / "area.gpkg")
    hidden = np.zeros(place.made.truth.shape, np.uint8)
    hidden[40:50, 20:26] = 1
    write_codes(folder / "haze.tif", hidden)
    return folder


def test_several_masks_grown_within_an_area(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    map_ = ["classify", place.scene, "--model", place.model]
    assert hsikit(*map_, "-o", tmp_path / "plain.tif").code == 0
    done = hsikit(
        *map_, "-o", tmp_path / "map.tif", "--mask", files / "clouds.gpkg", "--mask", files / "haze.tif", "--dilate", "1", "--aoi", files / "area.gpkg"
    )
    assert done.code == 0, done.err
    hidden = np.zeros(place.made.truth.shape, bool)
    hidden[29:41, 30:40] = hidden[30:40, 29:41] = hidden[39:51, 20:26] = hidden[40:50, 19:27] = True
    inside = np.zeros_like(hidden)
    inside[20:56, 12:48] = True
    hidden |= ~inside
    plain, got = codes_of(tmp_path / "plain.tif"), codes_of(tmp_path / "map.tif")
    np.testing.assert_array_equal(got, np.where(hidden & (plain > 0), 255, plain))
    assert f"masked: {hidden.mean():.1%} of the pixels" in done.err and "outside the area 70.0%" in done.err
    with rasterio.open(tmp_path / "map.tif") as found:
        said = found.tags()["hsikit_masked"]
    assert said == "clouds.gpkg, haze.tif, outside the area; grown by 1 pixels"
    assert json.loads((tmp_path / "map.json").read_text())["properties"]["hsikit:parameters"]["masked"] == said


@pytest.mark.parametrize(
    "words",
    [
        ("superresolve",), ("anomaly",), ("anomaly", "--method", "cluster-rx", "-p", "clusters=2", "-p", "components=4"), ("detect", "--pixel", "50,30"),
        ("detect", "--pixel", "50,30", "--hits", "hits.gpkg"), ("transform", "--components", "3"),
    ],
)  # fmt: skip
def test_other_maps_leave_out_what_is_hidden_and_tell_it_from_what_is_missing(
    hsikit: Hsikit, place: Field, files: Path, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = hsikit(words[0], place.scene, *words[1:], "-o", "out.tif", "--mask", files / "clouds.gpkg")
    assert done.code == 0 and "masked: 2.3% of the pixels" in done.err, done.err
    assert "out_masked.tif" in done.out.split("wrote ")[1].strip().split(", ")
    with rasterio.open("out.tif") as found, rasterio.open("out_masked.tif") as states:
        zoom = found.height // place.made.truth.shape[0]
        valid, codes = found.read_masks(1) > 0, states.read(1)
        assert states.transform == found.transform and states.tags()["hsikit_masked"] == "clouds.gpkg"
    hidden = np.zeros(place.made.truth.shape, bool)
    hidden[30:40, 30:40] = True
    wanted = np.where(place.made.truth == 0, 0, np.where(hidden, 255, 1))
    assert (wanted[hidden] == 0).any()
    np.testing.assert_array_equal(codes, wanted.repeat(zoom, 0).repeat(zoom, 1))
    assert valid.any() and not valid[codes != 1].any()
    assert hsikit("quicklook", "out_masked.tif", "-o", "out.png").out.startswith("classes of the map")


def test_an_output_without_a_mask_has_no_layer_beside_it(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    assert hsikit("anomaly", place.scene, "-o", tmp_path / "out.tif").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.tif"]
    again = ("anomaly", place.scene, "-o", tmp_path / "again.tif", "--aoi", files / "area.gpkg")
    (tmp_path / "again_masked.tif").write_text("mine")
    done = hsikit(*again)
    assert done.code == 2 and "again_masked.tif: exists already" in done.err and (tmp_path / "again_masked.tif").read_text() == "mine"
    assert hsikit(*again, "--overwrite").code == 0
    wanted = np.full(place.made.truth.shape, 255)
    wanted[20:56, 12:48] = 1
    np.testing.assert_array_equal(codes_of(tmp_path / "again_masked.tif"), np.where(place.made.truth == 0, 0, wanted))


def test_training_and_scoring_tell_what_they_leave_out(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    hide = ("--mask", files / "clouds.gpkg", "--dilate", "2")
    done = hsikit("train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model", *hide)
    assert done.code == 0 and "label pixels were left out, the mask hides them" in done.err and "masked: " in done.err
    done = hsikit("evaluate", place.scene, "--model", place.kept, "--labels", place.labels, *hide)
    assert done.code == 0 and "label pixels were left out, the mask hides them" in done.err
    done = hsikit("benchmark", place.scene, "--labels", place.labels, "--methods", "svm", "--seeds", "0", "-o", tmp_path / "b", *hide)
    assert done.code == 0 and "label pixels were left out, the mask hides them" in done.err


def test_pretraining_learns_from_nothing_hidden(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    short = ("--preset", "tiny", "--steps", "2", "--window", "8", "--windows", "2", "--device", "cpu", "-o", tmp_path / "base")
    done = hsikit("pretrain", place.scene, *short, "--mask", files / "clouds.gpkg", "--dilate", "2", "--aoi", files / "area.gpkg")
    assert done.code == 0, done.err
    assert "masked: " in done.err and "outside the area 70.0%" in done.err
    about = json.loads((tmp_path / "base" / "base.json").read_text())["about"]
    assert about["masked"] == ["clouds.gpkg, outside the area; grown by 2 pixels"]
    done = hsikit("pretrain", "--simulate", "desis", *short[:-1], tmp_path / "other", "--mask", files / "clouds.gpkg")
    assert done.code == 2 and "no scene to hide anything of" in done.err


def test_objects_that_are_hidden_are_not_learned(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"class": ["a", "b"]}, geometry=[square(33, 33, 3), square(10, 50, 2)], crs=CRS)
    frame.to_file(tmp_path / "objects.gpkg")
    words = ("train-objects", place.scene, "--objects", tmp_path / "objects.gpkg", "--steps", "1", "--device", "cpu")
    done = hsikit(*words, "-o", tmp_path / "model", "--mask", files / "clouds.gpkg")
    assert done.code == 0, done.err
    assert "masked: 2.3% of the pixels" in done.err and "1 objects of 1 classes" in done.err and "note: 1 objects were left out" in done.err
    done = hsikit(*words, "-o", tmp_path / "none", "--aoi", files / "area.gpkg", "--mask", files / "clouds.gpkg")
    assert done.code == 2 and "nothing is measured where they lie" in done.err and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--mask", "cloud"), "'cloud' cannot be told"),
        (("--mask", "cloud,fog"), "--mask: 'fog' is no quality flag"),
        (("--dilate", "3"), "--dilate: there is no mask to grow"),
        (("--aoi", "nowhere.gpkg"), "nowhere.gpkg: the file given for --aoi does not exist"),
    ],
)
@pytest.mark.parametrize("verb", ["classify", "train"])
def test_masks_that_cannot_be(hsikit: Hsikit, place: Field, tmp_path: Path, verb: str, words: tuple[str, ...], wrong: str) -> None:
    what = ("--model", place.model) if verb == "classify" else ("--labels", place.labels)
    done = hsikit(verb, *(("svm",) if verb == "train" else ()), place.scene, *what, "-o", tmp_path / "out.tif", *words)
    assert done.code == 2 and wrong in done.err and not list(tmp_path.iterdir())


def test_masks_in_a_configuration(hsikit: Hsikit, place: Field, files: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[classify]\nmask = ["{files}/clouds.gpkg"]\ndilate = 1\n')
    done = hsikit("--config", tmp_path / "c.toml", "classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif")
    assert done.code == 0 and "masked: 3." in done.err and codes_of(tmp_path / "map.tif")[29, 35] in (0, 255)


@pytest.mark.parametrize(("suffix", "kept"), [(".nc", True), (".zarr", True), (".tif", False), (".hdr", False)])
def test_flags_of_a_product_mask_its_copies(hsikit: Hsikit, tmp_path: Path, suffix: str, kept: bool) -> None:
    flags = np.random.default_rng(0).choice([0, 1, 2, 3], (20, 15), p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8)
    write_scene(scene(20, 15, quality=quality(flags)), tmp_path / "first.nc")
    copied = hsikit("convert", tmp_path / "first.nc", "-o", tmp_path / f"copy{suffix}")
    assert copied.code == 0 and ("no quality flags (cloud, shadow): --mask cannot name them" in copied.err) != kept
    done = hsikit("anomaly", tmp_path / f"copy{suffix}", "-o", tmp_path / "scores.tif", "--mask", "cloud")
    if not kept:
        assert done.code == 2 and "'cloud' cannot be told" in done.err
        return
    assert done.code == 0 and f"masked: {(flags & 1 != 0).mean():.1%} of the pixels" in done.err
    with rasterio.open(tmp_path / "scores.tif") as found:
        assert not found.read_masks(1)[flags & 1 != 0].any() and found.read_masks(1).any()
