"""Broken input of every kind: exit code 2, one message that names the file at fault, nothing written, no file changed."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from shapely.geometry import Point

from hsikit.engine.ledger import work_folder
from tests.laws.scenes import CRS, NODATA, SCALE, write_codes
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff

from .conftest import Done, Field, Hsikit, codes_of, shifted, square


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def refused(hsikit: Hsikit, folder: Path, name: str, *arguments: object) -> Done:
    """Runs what must be refused, and checks what is true of every refusal."""
    before = tree(folder)
    done = hsikit(*arguments)
    lines = [line for line in done.err.splitlines() if not line.startswith("note: ") and not line.startswith("plan: ")]
    assert done.code == 2, done.text
    assert len(lines) == 1 and lines[0].startswith("error: ") and name in lines[0], done.err
    assert "Traceback" not in done.text and done.out == ""
    assert tree(folder) == before
    return done


def geotiff(path: Path, place: Field, **more: object) -> Path:
    return write_geotiff(path, place.made.values, place.made.nm, scale=SCALE, nodata=NODATA, **more)  # type: ignore[arg-type]


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def short_envi(path: Path, place: Field) -> Path:
    write_envi(path, place.made.values)
    cut(path.with_suffix(".img"), 0.5)
    return path


SCENES: dict[str, Callable[[Path, Field], object]] = {
    "missing.tif": lambda path, place: None,
    "empty.tif": lambda path, place: path.touch(),
    "text.tif": lambda path, place: path.write_text("this is no image"),
    "cut.tif": lambda path, place: cut(geotiff(path, place), 0.3),
    "cut-late.tif": lambda path, place: cut(geotiff(path, place, interleave="pixel", tiled=True, blockxsize=16, blockysize=16), 0.7),
    "all-nodata.tif": lambda path, place: write_geotiff(path, np.full_like(place.made.values, NODATA), place.made.nm, scale=SCALE, nodata=NODATA),
    "no-wavelengths.tif": lambda path, place: write_geotiff(path, place.made.values, convention="none", nodata=NODATA),
    "other-bands.tif": lambda path, place: write_geotiff(path, place.made.values[:7], np.linspace(500, 2300, 7), scale=SCALE, nodata=NODATA),
    "other-quantity.hdr": lambda path, place: write_envi(path, place.made.values.astype("f4"), data_units="radiance", wavelength=list(place.made.nm)),
    "short.hdr": short_envi,
    "alone.hdr": lambda path, place: (write_envi(path, place.made.values), path.with_suffix(".img").unlink()),
    "count.hdr": lambda path, place: write_envi(path, place.made.values, wavelength=[450, 550]),
    "words.hdr": lambda path, place: write_envi(path, place.made.values[:3], wavelength=["blue", "green", "red"]),
    "unit.hdr": lambda path, place: write_envi(path, place.made.values[:3], wavelength=[1e7, 2e7, 3e7]),
    "type.hdr": lambda path, place: write_envi(path, place.made.values, data_type=99),
    "folder": lambda path, place: path.mkdir(),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_scenes(hsikit: Hsikit, place: Field, tmp_path: Path, name: str) -> None:
    SCENES[name](tmp_path / name, place)
    refused(hsikit, tmp_path, Path(name).stem, "classify", tmp_path / name, "--model", place.model, "-o", tmp_path / "map.tif")


@pytest.mark.parametrize("name", [name for name in SCENES if not name.startswith(("other", "folder"))])
@pytest.mark.parametrize("verb", ["train", "anomaly"])
def test_scenes_of_other_verbs(hsikit: Hsikit, place: Field, tmp_path: Path, verb: str, name: str) -> None:
    SCENES[name](tmp_path / name, place)
    words = ("svm", tmp_path / name, "--labels", place.labels) if verb == "train" else (tmp_path / name,)
    refused(hsikit, tmp_path, Path(name).stem, verb, *words, "-o", tmp_path / "out.tif")


def test_wavelengths_that_are_missing_can_be_named(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "bare.tif", place.made.values, convention="none", nodata=NODATA)
    done = refused(hsikit, tmp_path, "bare.tif", "info", path)
    assert "--sensor" in done.err and "--wavelengths" in done.err
    (tmp_path / "bands.csv").write_text("wavelength,fwhm\n" + "".join(f"{nm},12\n" for nm in place.made.nm))
    assert hsikit("info", path, "--wavelengths", tmp_path / "bands.csv").code == 0
    (tmp_path / "few.csv").write_text("wavelength\n450\n550\n")
    refused(hsikit, tmp_path, "few.csv", "info", path, "--wavelengths", tmp_path / "few.csv")
    refused(hsikit, tmp_path, "none.csv", "info", path, "--wavelengths", tmp_path / "none.csv")
    refused(hsikit, tmp_path, "noses", "info", path, "--sensor", "noses")
    refused(hsikit, tmp_path, "bare.tif", "info", path, "--sensor", "emit")


def unknown_crs(path: Path, place: Field) -> None:
    geopandas.GeoDataFrame({"crop": ["rye", "maize"]}, geometry=[square(20, 20), square(40, 20)]).to_file(path)


def frame(path: Path, place: Field, crops: list[str], shapes: list[object], **more: object) -> None:
    geopandas.GeoDataFrame({"crop": crops, **more}, geometry=shapes, crs=CRS).to_file(path)


LABELS: dict[str, Callable[[Path, Field], object]] = {
    "missing.tif": lambda path, place: None,
    "missing.gpkg": lambda path, place: None,
    "empty.gpkg": lambda path, place: path.touch(),
    "text.gpkg": lambda path, place: path.write_text("no vectors"),
    "no-label.tif": lambda path, place: write_codes(path, np.zeros((72, 60))),
    "one-class.tif": lambda path, place: write_codes(path, codes_of(place.labels) > 0),
    "away.tif": lambda path, place: write_codes(path, codes_of(place.labels), transform=shifted(5000)),
    "cut.tif": lambda path, place: cut(shutil.copy(place.labels, path), 0.5),
    "unknown-crs.gpkg": unknown_crs,
    "away.gpkg": lambda path, place: frame(path, place, ["rye", "maize"], [square(5000, 20), square(5000, 60)]),
    "away.geojson": lambda path, place: geopandas.GeoDataFrame({"crop": ["rye"]}, geometry=[Point(-60, 10)], crs=4326).to_file(path),
    "one-class.gpkg": lambda path, place: frame(path, place, ["rye", "rye"], [square(36, 24), square(48, 36)]),
    "hollow.gpkg": lambda path, place: frame(path, place, [], []),
    "conflict.gpkg": lambda path, place: frame(path, place, ["rye", "maize"], [square(36, 24), square(36, 24)]),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_labels(hsikit: Hsikit, place: Field, tmp_path: Path, name: str) -> None:
    LABELS[name](tmp_path / name, place)
    more = () if name.endswith(".tif") else ("--class-field", "crop")
    refused(hsikit, tmp_path, name, "train", "svm", place.scene, "--labels", tmp_path / name, "-o", tmp_path / "model", *more)


def test_class_fields(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    words = ("train", "svm", place.scene, "--labels", place.fields, "-o", tmp_path / "model")
    done = refused(hsikit, tmp_path, "fields.gpkg", *words, "--class-field", "colour")
    assert "colour" in done.err and "crop" in done.err and "plot" in done.err  # the fields that there are
    refused(hsikit, tmp_path, "fields.gpkg", *words)
    refused(hsikit, tmp_path, "fields.gpkg", *words, "--class-field", "crop", "--group-field", "owner")
    refused(hsikit, tmp_path, "none.csv", *words, "--class-field", "crop", "--crosswalk", tmp_path / "none.csv")


class Touch:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Touch(folder.parent / "unpickled")))


MODELS: dict[str, Callable[[Path], object]] = {
    "missing": shutil.rmtree,
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
    "file": lambda folder: (shutil.rmtree(folder), folder.touch()),
    "half-json": lambda folder: cut(folder / "model.json", 0.5),
    "other-json": lambda folder: (folder / "model.json").write_text("[1, 2]"),
    "newer": lambda folder: (folder / "model.json").write_text((folder / "model.json").read_text().replace('"format": 1', '"format": 99')),
    "half-weights": lambda folder: cut(folder / "model.safetensors", 0.6),
    "no-weights": lambda folder: (folder / "model.safetensors").unlink(),
    "pickle": pickled,
}


@pytest.mark.parametrize("name", MODELS)
def test_models(hsikit: Hsikit, place: Field, tmp_path: Path, name: str) -> None:
    shutil.copytree(place.model, tmp_path / name)
    MODELS[name](tmp_path / name)
    refused(hsikit, tmp_path, name, "classify", place.scene, "--model", tmp_path / name, "-o", tmp_path / "map.tif")
    refused(hsikit, tmp_path, name, "evaluate", place.scene, "--model", tmp_path / name, "--labels", place.labels)


def test_a_model_for_another_sensor_says_which_bands(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    other = write_geotiff(tmp_path / "other.tif", place.made.values, place.made.nm + 8, scale=SCALE, nodata=NODATA)
    done = refused(hsikit, tmp_path, "other.tif", "classify", other, "--model", place.model, "-o", tmp_path / "map.tif")
    assert "420" in done.err or "nm" in done.err
    near = write_geotiff(tmp_path / "near.tif", place.made.values, place.made.nm + 1, scale=SCALE, nodata=NODATA)
    assert hsikit("classify", near, "--model", place.model, "-o", tmp_path / "near_map.tif").code == 0


@pytest.mark.parametrize("output", ["no-folder/map.tif", "a-file/map.tif"])
def test_folders_that_are_none(hsikit: Hsikit, place: Field, tmp_path: Path, output: str) -> None:
    (tmp_path / "a-file").touch()
    refused(hsikit, tmp_path, output, "classify", place.scene, "--model", place.model, "-o", tmp_path / output)
    refused(hsikit, tmp_path, output, "train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / output)
    refused(hsikit, tmp_path, output.split("/")[0], "simulate", "scene", "-o", tmp_path / output, "--rows", 50, "--cols", 50)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_folders_without_permission(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    refused(hsikit, tmp_path, "locked", "classify", place.scene, "--model", place.model, "-o", locked / "map.tif")
    refused(hsikit, tmp_path, "locked", "train", "svm", place.scene, "--labels", place.labels, "-o", locked / "model")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where nobody may write")
def test_folders_where_nobody_may_write(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    for name in ("map.tif", "map.zarr", "map.hdr"):
        refused(hsikit, tmp_path, "/proc", "classify", place.scene, "--model", place.model, "-o", f"/proc/{name}")
    refused(hsikit, tmp_path, "/proc", "train", "svm", place.scene, "--labels", place.labels, "-o", "/proc/model")
    refused(hsikit, tmp_path, "/proc", "quicklook", place.scene, "-o", "/proc/rgb.png")


@pytest.fixture
def full_at_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file may grow beyond 600 bytes once the products are written: a disk that fills up at the last step."""
    import hsikit.engine.run as engine_run

    limits, deliver = resource.getrlimit(resource.RLIMIT_FSIZE), engine_run.deliver

    def limited(*arguments: object) -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
        try:
            return deliver(*arguments)  # type: ignore[arg-type]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(engine_run, "deliver", limited)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", ["map.tif", "map.hdr", "map.zarr"])
def test_a_disk_that_fills_up_at_the_end(
    hsikit: Hsikit, place: Field, tmp_path: Path, full_at_the_end: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = tmp_path / name
    if target.suffix == ".zarr":
        target.mkdir()
    older = target / "zarr.json" if target.suffix == ".zarr" else target
    older.write_bytes(b"{}")
    words = ("classify", place.scene, "--model", place.model, "-o", target, "--tile", 24, "--probabilities", "--overwrite")
    done = hsikit(*words)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and "map" in errors[0] and "disk is full" in errors[0], done.err
    assert older.read_bytes() == b"{}"  # the older output is whole
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, work_folder(target).name})
    monkeypatch.undo()
    done = hsikit(*words)
    assert done.code == 0 and "resumed 9 of 9 tiles" in done.err, done.err
    assert not work_folder(target).exists() and (target.is_dir() or target.read_bytes() != b"{}")


def test_outputs_in_place_of_every_verb(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    for name in ("map.tif", "fine.tif", "sharp.tif", "scores.tif", "rgb.png", "scene.tif"):
        (tmp_path / name).write_bytes(b"older")
    (tmp_path / "model").mkdir()
    for verb, words, name in (
        ("classify", (place.scene, "--model", place.model), "map.tif"),
        ("superresolve", (place.scene,), "fine.tif"),
        ("pansharpen", (place.scene, "--pan", place.scene), "sharp.tif"),
        ("anomaly", (place.scene,), "scores.tif"),
        ("quicklook", (place.scene,), "rgb.png"),
        ("train", ("svm", place.scene, "--labels", place.labels), "model"),
    ):
        done = refused(hsikit, tmp_path, name, verb, *words, "-o", tmp_path / name)
        assert "--overwrite" in done.err
    assert "--overwrite" in refused(hsikit, tmp_path, "scene.tif", "simulate", "scene", "-o", tmp_path / "scene.tif").err


def test_a_damaged_scene_leaves_an_older_map_as_it_was(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    SCENES["cut-late.tif"](tmp_path / "cut-late.tif", place)
    (tmp_path / "map.tif").write_bytes(b"older")
    refused(hsikit, tmp_path, "cut-late.tif", "classify", tmp_path / "cut-late.tif", "--model", place.model, "-o", tmp_path / "map.tif", "--overwrite")


def test_another_command_over_an_unfinished_run(hsikit: Hsikit, place: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit_cli.console import Bar

    words = ("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--tile", 20)

    def interrupted(bar: Bar, stage: str, steps: int = 1) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "advance", interrupted)
    done = hsikit(*words)
    assert done.code == 130 and "the same command resumes" in done.err
    monkeypatch.undo()
    done = refused(hsikit, tmp_path, "map.tif", *words, "--sieve", 4)
    assert "--restart" in done.err
    assert hsikit(*words, "--sieve", 4, "--restart").code == 0
    with rasterio.open(tmp_path / "map.tif") as made:
        assert made.read(1).any()


def test_unsorted_bands_are_no_fault(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    turn = np.random.default_rng(0).permutation(len(place.made.nm))
    scene = write_geotiff(tmp_path / "turned.tif", place.made.values[turn], place.made.nm[turn], scale=SCALE, nodata=NODATA)
    for name, path in (("turned_map.tif", scene), ("map.tif", place.scene)):
        assert hsikit("classify", path, "--model", place.model, "-o", tmp_path / name).code == 0
    np.testing.assert_array_equal(codes_of(tmp_path / "turned_map.tif"), codes_of(tmp_path / "map.tif"))
