"""The Python API, as a notebook uses it: a scene, its cube, a model, maps."""

from __future__ import annotations

import importlib
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import xarray as xr

import hsikit
from hsikit.engine.ledger import work_folder
from hsikit.engine.options import Silent
from hsikit.errors import HsikitError, MemoryPlanError, MethodError, ModelError, OptionError, OutputError, RunError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scene: scene.tif, scene_truth.tif, fields.gpkg, and a panchromatic image of it."""
    from hsikit.simulate.scene import simulate_scene

    folder = tmp_path_factory.mktemp("api")
    simulate_scene(folder / "scene.tif", rows=110, cols=96, seed=5, sensor="enmap")
    return folder


@pytest.fixture(scope="module")
def cube(place: Path) -> xr.DataArray:
    return hsikit.open_scene(place / "scene.tif")


@pytest.fixture(scope="module")
def model(place: Path, cube: xr.DataArray):
    return hsikit.train("svm", cube, place / "fields.gpkg", class_field="class", split="class-halves")


def codes_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as found:
        return found.read(1)


def test_every_public_name_is_there() -> None:
    assert set(hsikit.__all__) <= set(dir(hsikit))
    for name in hsikit.__all__:
        assert getattr(hsikit, name) is not None
        assert name == "__version__" or getattr(hsikit, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = hsikit.fly


def test_the_folder_train_does_not_hide_the_function() -> None:
    import sys

    labels = importlib.import_module("hsikit.train.labels")
    importlib.reload(sys.modules["hsikit.train"])
    assert callable(hsikit.train) and callable(labels.read_labels)
    assert importlib.import_module("hsikit.train").__path__


def test_a_cube_is_lazy_xarray(cube: xr.DataArray) -> None:
    assert cube.dims == ("wavelength", "y", "x") and cube.shape == (224, 110, 96)
    assert not cube.variable._in_memory
    part = cube.sel(wavelength=slice(450, 900))
    assert not part.variable._in_memory
    assert 60 < part.sizes["wavelength"] < 120
    assert part.wavelength.min() >= 450 and part.wavelength.max() <= 900
    assert abs(float(cube.sel(wavelength=650, method="nearest").wavelength) - 650) < 10
    assert cube.attrs["quantity"] == "surface_reflectance" and cube.attrs["sensor"] == "enmap"
    assert cube.rio.crs.to_epsg() == 32633 and cube.rio.transform()[0] == 30


def test_values_are_those_of_the_file(place: Path, cube: xr.DataArray) -> None:
    with rasterio.open(place / "scene.tif") as found:
        stored = found.read(100, window=((20, 30), (40, 52)))
        expected = np.where(stored == found.nodata, np.nan, stored * 1e-4)
    np.testing.assert_allclose(cube.isel(wavelength=99, y=slice(20, 30), x=slice(40, 52)).values, expected, rtol=1e-6)


def test_the_accessor_shows_and_plots(cube: xr.DataArray) -> None:
    import matplotlib

    matplotlib.use("agg")
    picture = cube.hsi.rgb()
    assert picture.shape == (110, 96, 3) and float(np.nanmax(picture)) <= 1
    x, y = float(cube.x[60]), float(cube.y[70])
    axes = cube.hsi.plot_spectrum(x, y)
    assert axes.lines and "nm" in axes.get_xlabel()
    np.testing.assert_array_equal(cube.hsi.spectrum(x, y).values, cube[:, 70, 60].values)


def test_training_gives_scores_beside_floors(model) -> None:
    assert 0.5 < model.scores["overall"] <= 1
    assert set(model.record.floors) == {"nearest-label", "svm on spectra"}
    assert model.record.refitted and model.record.split == "class-halves"
    assert "water" in " ".join(model.method.legend.names).lower()


def test_training_twice_gives_the_same(place: Path, cube: xr.DataArray, model) -> None:
    again = hsikit.train("svm", place / "scene.tif", place / "fields.gpkg", class_field="class", split="class-halves")
    assert again.method.identity() == model.method.identity() and again.scores == model.scores


def test_a_map_from_a_cube(place: Path, cube: xr.DataArray, model, tmp_path: Path) -> None:
    report = hsikit.run(model, cube, tmp_path / "map.tif", confidence=True, tile=32)
    assert report.files[0] == tmp_path / "map.tif" and tmp_path / "map_confidence.tif" in report.files
    assert report.tiles == 12 and report.resumed == 0
    codes, truth = codes_of(tmp_path / "map.tif"), codes_of(place / "scene_truth.tif")
    np.testing.assert_array_equal(codes == 0, truth == 0)
    pixels, hectares = report.areas["map"][int(codes.max())]
    assert pixels == (codes == codes.max()).sum() and hectares == pytest.approx(pixels * 0.09, rel=0.01)
    hsikit.run(model, place / "scene.tif", tmp_path / "file.tif")
    np.testing.assert_array_equal(codes_of(tmp_path / "file.tif"), codes)


def test_a_map_from_a_cube_that_was_cut_and_computed(cube: xr.DataArray, model, tmp_path: Path) -> None:
    hsikit.run(model, cube, tmp_path / "map.tif")
    rows, cols = slice(33, 91), slice(20, 77)
    part = cube.isel(y=rows, x=cols)
    for name, given in (("lazy.tif", part), ("memory.tif", part.load()), ("scaled.tif", (cube.isel(y=rows, x=cols) * 2 / 2).assign_attrs(cube.attrs))):
        hsikit.run(model, given, tmp_path / name, tile=25)
        np.testing.assert_array_equal(codes_of(tmp_path / name), codes_of(tmp_path / "map.tif")[rows, cols])
        with rasterio.open(tmp_path / name) as made:
            assert (made.bounds.left, made.bounds.top) == (cube.rio.transform()[2] + 20 * 30, cube.rio.transform()[5] - 33 * 30)


def test_a_saved_model_is_the_same_model(cube: xr.DataArray, model, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    with pytest.raises(OutputError, match="overwrite"):
        model.save(tmp_path / "model")
    loaded = hsikit.load_method(tmp_path / "model")
    assert loaded.identity() == model.method.identity()
    hsikit.run(model, cube, tmp_path / "a.tif", probabilities=True)
    hsikit.run(tmp_path / "model", cube, tmp_path / "b.tif", probabilities=True)
    for name in ("{}.tif", "{}_probabilities.tif"):
        with rasterio.open(tmp_path / name.format("a")) as one, rasterio.open(tmp_path / name.format("b")) as other:
            np.testing.assert_array_equal(one.read(), other.read())


def test_a_run_resumes(cube: xr.DataArray, model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)

    class Dying(Silent):
        left = 5

        def advance(self, stage: str, steps: int = 1) -> None:
            self.left -= steps
            if self.left < 0:
                raise KeyboardInterrupt

    target = tmp_path / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        hsikit.run(model, cube, target, tile=24, progress=Dying())
    assert work_folder(target).is_dir() and not target.exists()
    report = hsikit.run(model, cube, target, tile=24)
    assert 1 <= report.resumed < report.tiles and not work_folder(target).exists()
    hsikit.run(model, cube, tmp_path / "quiet.tif", tile=24)
    np.testing.assert_array_equal(codes_of(target), codes_of(tmp_path / "quiet.tif"))


def test_a_run_under_other_reading_options_does_not_resume(place: Path, model, tmp_path: Path) -> None:
    from hsikit.api import source_of

    class Dying(Silent):
        def advance(self, stage: str, steps: int = 1) -> None:
            raise KeyboardInterrupt

    target, method = tmp_path / "fine.tif", hsikit.make_method("bicubic")
    with pytest.raises(KeyboardInterrupt):
        hsikit.run(method, place / "scene.tif", target, tile=24, progress=Dying())
    with pytest.raises(RunError, match="another"):
        hsikit.run(method, source_of(place / "scene.tif", scale=2.0), target, tile=24)


def open_files(folder: Path) -> list[str]:
    found = [str(number.resolve()) for number in Path("/proc/self/fd").iterdir()]
    return [name for name in found if name.startswith(str(folder.resolve()))]


def test_what_is_opened_from_a_path_is_closed(place: Path, model, tmp_path: Path) -> None:
    import shutil

    from hsikit.api import draw_quicklook

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list the open files of a process")
    for name in ("scene.tif", "scene_truth.tif", "fields.gpkg"):
        shutil.copy(place / name, tmp_path / name)
    scene = tmp_path / "scene.tif"
    hsikit.describe(scene)
    draw_quicklook(scene, tmp_path / "rgb.png", max_size=64)
    trained = hsikit.train("nearest-label", scene, tmp_path / "fields.gpkg", class_field="class", split="class-halves", refit=False)
    hsikit.evaluate(trained, scene, tmp_path / "fields.gpkg", class_field="class")
    part = np.zeros((110, 96), "uint8")
    part[:20] = 1
    with rasterio.open(tmp_path / "scene_truth.tif") as truth:
        profile = {**truth.profile, "nodata": None}
    with rasterio.open(tmp_path / "hide.tif", "w", **profile) as hide:
        hide.write(part, 1)
    hsikit.run(model, scene, tmp_path / "map.tif", mask=tmp_path / "hide.tif", threads=2, tile=40)
    assert open_files(tmp_path) == []


def test_too_little_memory_says_what_is_held_already(place: Path, model, tmp_path: Path) -> None:
    with pytest.raises(MemoryPlanError, match=r"100 MiB is too little: .* MiB, \d+ MiB of it held by this process before it began"):
        hsikit.run(model, place / "scene.tif", tmp_path / "map.tif", memory="100M")


def test_labels_as_an_array_and_as_a_frame(place: Path, cube: xr.DataArray) -> None:
    frame = geopandas.read_file(place / "fields.gpkg")
    by_frame = hsikit.read_labels(cube, frame, class_field="code")
    codes = np.zeros((110, 96), np.uint8)
    codes[by_frame.rows, by_frame.cols] = by_frame.codes
    by_array = hsikit.read_labels(cube, codes)
    np.testing.assert_array_equal(by_array.codes, by_frame.codes)
    assert by_frame.legend.codes == by_array.legend.codes
    assert hsikit.train("nearest-label", cube, codes, split="class-halves").record.scores["scored"] > 0


def test_two_scenes(place: Path, cube: xr.DataArray, model) -> None:
    labels = place / "fields.gpkg"
    west, east = cube.isel(x=slice(0, 48)), cube.isel(x=slice(48, 96))
    both = hsikit.train("svm", [west, east], [labels, labels], class_field="class", split="class-halves")
    assert len(both.record.used) == 2
    assert sum(len(used.rows) for used in both.record.used) == sum(len(used.rows) for used in model.record.used)


def test_evaluation_scores_only_what_is_fresh(place: Path, cube: xr.DataArray, model) -> None:
    with pytest.raises(HsikitError, match="fitted on all"):
        hsikit.evaluate(model, cube, place / "fields.gpkg", class_field="class")
    found = hsikit.evaluate(model, cube, place / "scene_truth.tif")
    assert found.tested > 1000 and found.seen > 0 and 0.3 < found.scores.overall <= 1
    refitted = hsikit.evaluate(model, cube, place / "fields.gpkg", class_field="class", split="class-halves")
    assert refitted.refitted and refitted.scores.overall == pytest.approx(model.scores["overall"])


def test_methods_that_need_no_training(cube: xr.DataArray, tmp_path: Path) -> None:
    part = cube.isel(wavelength=slice(0, 224, 12), y=slice(0, 60), x=slice(0, 50))
    hsikit.run(hsikit.make_method("rx", pfa=1e-2), part, tmp_path / "scores.tif", named={"hits": tmp_path / "points.gpkg"})
    assert len(geopandas.read_file(tmp_path / "points.gpkg"))
    hsikit.run(hsikit.make_method("bicubic", zoom=2), part, tmp_path / "fine.tif")
    fine = hsikit.open_scene(tmp_path / "fine.tif")
    assert fine.shape == (19, 120, 100)
    np.testing.assert_allclose(fine.wavelength, part.wavelength, atol=1e-3)
    np.testing.assert_allclose(fine.fwhm, part.fwhm, atol=1e-3)


def test_two_inputs(cube: xr.DataArray, tmp_path: Path) -> None:
    part = cube.isel(wavelength=slice(0, 60, 6), y=slice(40, 80), x=slice(30, 70))
    bright = part.mean("wavelength").values.repeat(3, 0).repeat(3, 1)
    step, _, left, _, _, top = tuple(part.rio.transform())[:6]
    finer = rasterio.Affine(step / 3, 0, left, 0, -step / 3, top)
    profile = {"width": 120, "height": 120, "count": 1, "dtype": "float32", "crs": part.rio.crs, "transform": finer, "nodata": np.nan}
    with rasterio.open(tmp_path / "pan.tif", "w", driver="GTiff", **profile) as target:
        target.write(bright.astype("float32"), 1)
    pan = hsikit.open_scene(tmp_path / "pan.tif", role="pan")
    hsikit.run(hsikit.make_method("brovey"), {"hs": part, "pan": pan}, tmp_path / "sharp.tif")
    assert hsikit.open_scene(tmp_path / "sharp.tif").shape == (10, 120, 120)


def test_what_is_asked_of_the_wrong_thing(place: Path, cube: xr.DataArray, model, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="svm: must be trained"):
        hsikit.make_method("svm")
    with pytest.raises(MethodError, match="rx: learns nothing"):
        hsikit.train("rx", cube, place / "fields.gpkg")
    with pytest.raises(OptionError, match="bicubic: has no such option"):
        hsikit.make_method("bicubic", colour=3)
    with pytest.raises(OptionError, match="makes no class map"):
        hsikit.run(hsikit.make_method("rx"), cube, tmp_path / "scores.tif", smooth=True)
    with pytest.raises(ModelError, match="2 of its bands lie where"):
        hsikit.run(model, cube.isel(wavelength=slice(0, 2)), tmp_path / "map.tif")
    assert not list(tmp_path.iterdir())


def test_inputs_that_a_method_does_not_have(cube: xr.DataArray, model, tmp_path: Path) -> None:
    with pytest.raises(HsikitError, match=r"svm: .*cube"):
        hsikit.run(model, {"hs": cube}, tmp_path / "map.tif")
    with pytest.raises(HsikitError, match=r"brovey: .*pan"):
        hsikit.run(hsikit.make_method("brovey"), cube, tmp_path / "sharp.tif")
    assert not list(tmp_path.iterdir())


def test_looking(place: Path, cube: xr.DataArray, tmp_path: Path) -> None:
    from hsikit.api import draw_quicklook

    assert draw_quicklook(cube, tmp_path / "rgb.png", max_size=64) and (tmp_path / "rgb.png").stat().st_size > 1000
    assert hsikit.describe(place / "scene.tif")["bands"] == 224 == hsikit.describe(cube)["bands"]
    assert {entry.name for entry in hsikit.list_methods()} >= {"svm", "mnf-lda", "rx"}
    assert "enmap" in {entry.name for entry in hsikit.list_sensors()}
