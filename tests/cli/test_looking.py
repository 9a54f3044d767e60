"""The verbs that look: info, quicklook, methods, sensors, datasets, simulate; and what the command line itself does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.laws.scenes import NODATA, SCALE
from tests.products.geotiff import write_geotiff

from .conftest import Field, Hsikit, shifted

VERBS = ("info", "quicklook", "methods", "sensors", "datasets", "train", "evaluate", "classify", "superresolve", "pansharpen", "anomaly", "simulate", "demo")
RUN = "import sys; from hsikit_cli.main import main; sys.argv[0] = 'hsikit'; main()"


def test_help_names_every_verb_and_each_has_its_own(hsikit: Hsikit) -> None:
    done = hsikit("--help")
    assert done.code == 0 and all(f" {verb} " in done.out for verb in VERBS)
    for verb in VERBS:
        done = hsikit(verb, "--help")
        assert done.code == 0 and f"Usage: hsikit {verb}" in done.out


@pytest.mark.parametrize("arguments", [["--help"], ["methods"], ["sensors"], ["info", "scene.tif"]])
def test_looking_imports_nothing_heavy(place: Field, arguments: list[str]) -> None:
    words = [sys.executable, "-X", "importtime", "-c", RUN, *arguments]
    done = subprocess.run(words, cwd=place.folder, capture_output=True, text=True, check=True)
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert len(modules) > 50
    assert not modules & {"torch", "xarray", "sklearn", "scipy", "geopandas", "matplotlib", "pandas", "skimage"}


def test_version(hsikit: Hsikit) -> None:
    from hsikit.version import __version__

    assert hsikit("--version").out == f"hsikit {__version__}\n"


def test_info_says_what_the_scene_is(hsikit: Hsikit, place: Field) -> None:
    done = hsikit("info", place.scene)
    assert done.code == 0 and done.err == ""
    for words in (str(place.scene), "rows 72, cols 60", "geotiff", "EPSG:32633", "from 420 to 2450", "int16", "-9999", "% (sampled)"):
        assert words in done.out


def test_info_as_json(hsikit: Hsikit, place: Field) -> None:
    facts = json.loads(hsikit("info", place.scene, "--json").out)
    assert facts["size"] == {"rows": 72, "cols": 60} and facts["bands"] == 10 and facts["crs"] == "EPSG:32633"
    assert facts["extent"] == [365000, 5805840, 366800, 5808000] and facts["pixel_size"] == [30, 30]
    share = (place.made.values == NODATA).all(0).mean()
    assert float(facts["missing_share"].split("%")[0]) == pytest.approx(100 * share, abs=1.5)


def test_info_without_georeference_is_json_too(hsikit: Hsikit, tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.ones((5, 6, 3), np.float32) * np.arange(1, 4, dtype=np.float32))
    (tmp_path / "bands.csv").write_text("wavelength\n450\n550\n650\n")
    facts = json.loads(hsikit("info", tmp_path / "cube.npy", "--wavelengths", tmp_path / "bands.csv", "--json").out)
    assert facts["crs"] == "none" and facts["extent"] == "none" and facts["bands"] == 3 and facts["fwhm_nm"] == "unknown"


def test_info_of_several_tiles_is_one_scene(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    east = write_geotiff(tmp_path / "east.tif", place.made.values, place.made.nm, scale=SCALE, nodata=NODATA, transform=shifted(60))
    facts = json.loads(hsikit("info", place.scene, east, "--json").out)
    assert facts["size"] == {"rows": 72, "cols": 120}


def test_wavelengths_by_name_of_sensor(hsikit: Hsikit, tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "bare.tif", np.ones((220, 4, 5), np.int16) + np.arange(20, dtype=np.int16).reshape(4, 5), convention="none")
    refused = hsikit("info", path)
    assert refused.code == 2 and "--sensor" in refused.err and "--wavelengths" in refused.err and str(path) in refused.err
    assert json.loads(hsikit("info", path, "--sensor", "aviris", "--json").out)["bands"] == 220


def test_quicklook(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    from matplotlib.image import imread

    target = tmp_path / "rgb.png"
    done = hsikit("quicklook", place.scene, "-o", target)
    assert done.code == 0 and f"wrote {target}" in done.out
    picture = imread(target)
    assert picture.shape[:2] == (72, 60) and picture[..., :3].std() > 0.05
    assert hsikit("quicklook", place.scene, "-o", target).code == 2
    assert hsikit("quicklook", place.scene, "-o", target, "--overwrite", "--max-size", 30).code == 0
    assert imread(target).shape[0] <= 36


def test_methods_by_task(hsikit: Hsikit) -> None:
    from hsikit.registry import METHODS

    done = hsikit("methods")
    lines = done.out.splitlines()
    assert done.code == 0
    for entry in METHODS:
        line = next(line for line in lines if line.split()[0] == entry.name)
        assert entry.paper in line and entry.line in line
        assert entry.task in lines


def test_sensors(hsikit: Hsikit) -> None:
    done = hsikit("sensors")
    assert done.code == 0 and "enmap" in done.out and "aviris" in done.out and " nm" in done.out


def test_products_are_listed_by_what_they_were_held_against(hsikit: Hsikit) -> None:
    lines = hsikit("sensors").out.splitlines()
    said = [line.split(maxsplit=1)[1] for line in lines if line.startswith("landsat ")]
    assert len(said) == 2 and said[0].startswith("real bytes") and "Landsat 8," in said[0]
    assert said[1].startswith("from specification") and "Landsat 4 to 7 and 9" in said[1]


def test_the_table_of_a_sensor(hsikit: Hsikit) -> None:
    from hsikit.sensors import list_sensors, sensor_bands

    lines = hsikit("sensors", "Sentinel-2A").out.splitlines()
    assert lines[0].startswith("sentinel-2a: ESA") and "Spectral Response Functions" in lines[1] and lines[2].startswith("responses: measured; ESA")
    table = sensor_bands("sentinel-2a")
    rows = [line.split() for line in lines[5:]]
    assert [row[0] for row in rows] == list(table.names) and {row[3] for row in rows} == {"measured"}
    np.testing.assert_allclose([float(row[1]) for row in rows], table.wavelength, atol=0.006)
    np.testing.assert_allclose([float(row[2]) for row in rows], table.fwhm, atol=0.006)
    enmap = hsikit("sensors", "enmap").out
    assert "a Gaussian of its width" in enmap and len(enmap.splitlines()) == 5 + 224
    assert all(entry.source and bool(entry.response_source) == entry.measured for entry in list_sensors())
    refused = hsikit("sensors", "sentinl-2")
    assert refused.code == 2 and "Near are sentinel-2" in refused.err and "hsikit sensors" in refused.err
    assert "Known are ali" in hsikit("sensors", "nothing").err


def test_datasets_are_listed_and_described(hsikit: Hsikit) -> None:
    done = hsikit("datasets")
    assert done.code == 0 and "indian-pines" in done.out and len(done.out.splitlines()) >= 10
    told = hsikit("datasets", "indian-pines").out
    assert "145 x 145" in told and "licence" in told and "Corn-notill" in told
    refused = hsikit("datasets", "no-such-set")
    assert refused.code == 2 and "no-such-set" in refused.err


def test_datasets_are_verified(hsikit: Hsikit, tmp_path: Path) -> None:
    done = hsikit("datasets", "indian-pines", tmp_path)
    assert done.code == 2 and "missing" in done.out
    tensorly = pytest.importorskip("tensorly")
    folder = Path(tensorly.__file__).parent / "datasets" / "data"
    done = hsikit("datasets", "indian-pines", folder)
    assert done.code == 0 and "ok" in done.out and "missing" not in done.out


def test_simulate_scene(hsikit: Hsikit, tmp_path: Path) -> None:
    target = tmp_path / "sim.tif"
    done = hsikit("simulate", "scene", "-o", target, "--rows", 60, "--cols", 50, "--seed", 3)
    assert done.code == 0 and all(str(tmp_path / name) in done.out for name in ("sim.tif", "sim_truth.tif", "fields.gpkg"))
    with rasterio.open(target) as found:
        assert found.shape == (60, 50) and found.crs.to_epsg() == 32633 and found.count > 200
    assert hsikit("simulate", "scene", "-o", target, "--rows", 60, "--cols", 50).code == 2
    clean, size = tmp_path / "clean" / "sim.tif", ("--rows", 60, "--cols", 50, "--seed", 3)
    clean.parent.mkdir()
    assert hsikit("simulate", "scene", "-o", clean, *size, "--snr", "inf").code == 0
    with rasterio.open(target) as noisy, rasterio.open(clean) as found:
        assert np.abs(noisy.read(20).astype(float) - found.read(20)).max() > 0
    done = hsikit("simulate", "scene", "-o", clean, *size, "--snr", 0, "--overwrite")
    assert done.code == 2 and "snr" in done.err


def test_simulate_scene_elsewhere_under_clouds(hsikit: Hsikit, tmp_path: Path) -> None:
    target, size = tmp_path / "sim.tif", ("--rows", 60, "--cols", 50)
    seen = ("--origin", 500_010, 5_700_000, "--acquired", "2023-05-06T10:11:12Z", "--clouds", 0.2, "--view-zenith", 7.5)
    done = hsikit("simulate", "scene", "-o", target, *size, *seen)
    assert done.code == 0 and "sim_clouds.tif" in done.out
    with rasterio.open(target) as found:
        assert (found.transform.c, found.transform.f) == (500_010, 5_700_000)
    shown = hsikit("info", target).out
    assert "2023-05-06T10:11:12Z" in shown and "7.5" in shown and "20.0" in shown
    done = hsikit("simulate", "scene", "-o", target, *size, "--clouds", 2, "--overwrite")
    assert done.code == 2 and "clouds" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "fly"),
        (["info"], "scene"),
        (["info", "scene.tif", "--colour"], "--colour"),
        (["classify", "scene.tif", "-o", "map.tif"], "--model"),
        (["superresolve", "scene.tif", "--zoom", "two", "-o", "fine.tif"], "--zoom"),
    ],
)
def test_wrong_usage_is_the_users_mistake(hsikit: Hsikit, arguments: list[str], words: str) -> None:
    done = hsikit(*arguments)
    assert done.code == 2 and words in done.err and done.out == ""


def test_without_a_verb_the_help_is_shown(hsikit: Hsikit) -> None:
    assert "classify" in hsikit().text


def test_an_internal_error_is_one_line_and_exit_code_1(hsikit: Hsikit, place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("twice\nover")

    monkeypatch.setattr("hsikit.api.describe", broken)
    done = hsikit("info", place.scene)
    assert done.code == 1 and done.out == ""
    assert len(done.err.splitlines()) == 1 and "internal error: ZeroDivisionError: twice over" in done.err and "HSIKIT_DEBUG" in done.err
    monkeypatch.setenv("HSIKIT_DEBUG", "1")
    from hsikit_cli.main import main

    with pytest.raises(ZeroDivisionError):
        main(["info", str(place.scene)])


def test_an_interrupt_ends_with_130(hsikit: Hsikit, place: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hsikit.api.describe", interrupted)
    done = hsikit("info", place.scene)
    assert done.code == 130 and done.err == "interrupted\n"
    monkeypatch.setattr("hsikit.run", interrupted)
    done = hsikit("superresolve", place.scene, "-o", place.folder / "fine.tif")
    assert done.code == 130 and done.err.splitlines()[-1] == "interrupted; the same command resumes"


def test_a_closed_pipe_is_no_traceback(place: Field) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, "datasets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode != 0 and "Traceback" not in said


def test_config_may_follow_the_verb(tmp_path):
    from hsikit_cli.main import _config_first

    assert _config_first(["classify", "a.tif", "--config", "c.toml", "-o", "m.tif"]) == ["--config", "c.toml", "classify", "a.tif", "-o", "m.tif"]
    assert _config_first(["classify", "--config=c.toml"]) == ["--config=c.toml", "classify"]
    assert _config_first(["info", "--", "--config", "x"]) == ["info", "--", "--config", "x"]


def test_info_says_how_bright_the_scene_is(hsikit: Hsikit, place: Field) -> None:
    said = {line.split("  ")[0]: line for line in hsikit("info", place.scene).out.splitlines()}
    assert "871.1 nm: 2 % 0." in said["percentiles"] and ", 98 % 0." in said["percentiles"]
    assert said["quality flags"].endswith("none") and said["pixels lie"].endswith("on a map grid")


@pytest.mark.parametrize(
    ("words", "wrong"), [(("--detector-overlap", "both"), "--detector-overlap: 'both' is not known"), (("--res", "-3"), "--res: -3.0 is no size of a pixel")]
)
def test_options_of_products_that_make_no_sense(hsikit: Hsikit, place: Field, words: tuple[str, ...], wrong: str) -> None:
    done = hsikit("info", place.scene, *words)
    assert done.code == 2 and wrong in done.err
