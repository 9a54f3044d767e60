from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.errors import OptionError, OutputError
from hsikit.simulate import scene as simulation
from hsikit.simulate.landscape import CLASSES, WATER
from hsikit.simulate.scene import BLOCK, NODATA, SimulatedScene, simulate_scene

WAVELENGTH = np.array([460.0, 550.0, 640.0, 670.0, 860.0, 1380.0, 1650.0, 2200.0])
FWHM = np.full(8, 10.0)
ROWS, COLS = 170, 150


@pytest.fixture(autouse=True)
def _few_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "sensor_bands", lambda sensor: (WAVELENGTH, FWHM))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulatedScene:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "sensor_bands", lambda sensor: (WAVELENGTH, FWHM))
        return simulate_scene(tmp_path_factory.mktemp("made") / "scene.tif", rows=ROWS, cols=COLS, seed=3)


def read(path: Path) -> np.ndarray:
    import rasterio

    with rasterio.open(path) as dataset:
        return dataset.read()


def test_the_scene_says_what_it_is(made: SimulatedScene) -> None:
    import rasterio

    with rasterio.open(made.scene) as dataset:
        assert (dataset.height, dataset.width, dataset.count) == (ROWS, COLS, 8)
        assert dataset.dtypes[0] == "int16"
        assert dataset.crs.to_epsg() == 32633
        assert dataset.nodata == NODATA
        assert dataset.scales[0] == pytest.approx(1e-4)
        assert dataset.block_shapes[0] == (BLOCK, BLOCK)
        assert float(dataset.tags(5, ns="IMAGERY")["CENTRAL_WAVELENGTH_UM"]) == pytest.approx(0.860)
        assert dataset.tags(5)["wavelength_units"] == "nm"
        assert dataset.tags()["quantity"] == "surface_reflectance"


def test_the_hole_is_nodata_in_every_band_and_zero_in_the_truth(made: SimulatedScene) -> None:
    values, truth = read(made.scene), read(made.truth)[0]
    hole = truth == 0
    assert 0.001 < hole.mean() < 0.05
    np.testing.assert_array_equal(values == NODATA, np.broadcast_to(hole, values.shape))


def test_the_truth_brings_its_names(made: SimulatedScene) -> None:
    from hsikit.sensors import open_source
    from hsikit.train.labels import read_labels

    labels = read_labels(open_source(made.scene), made.truth)
    assert set(labels.legend.names) <= set(CLASSES.values())
    assert all(CLASSES[code] == name for code, name in zip(labels.legend.codes, labels.legend.names, strict=True))
    assert len(labels.rows) == (read(made.truth) > 0).sum()


def test_the_reader_understands_the_scene(made: SimulatedScene) -> None:
    from hsikit.sensors import open_source

    info = open_source(made.scene).info
    assert (info.sensor, info.quantity, info.grid.crs) == ("enmap", "surface_reflectance", "EPSG:32633")
    np.testing.assert_allclose(info.bands.wavelength, WAVELENGTH)
    np.testing.assert_allclose(info.bands.fwhm, FWHM)


def test_classes_look_like_themselves(made: SimulatedScene) -> None:
    values, truth = read(made.scene).astype(float), read(made.truth)[0]
    assert set(np.unique(truth)) <= {0, *CLASSES}
    assert len(np.unique(truth)) >= 9
    red, infrared, shortwave = values[3], values[4], values[6]
    index = (infrared - red) / (infrared + red + 1e-9)
    means = {name: index[truth == code].mean() for code, name in CLASSES.items() if (truth == code).any()}
    assert means["meadow"] > 0.55 > 0.3 > means["bare soil"]
    assert shortwave[truth == WATER].mean() < 500 < shortwave[(truth != WATER) & (truth > 0)].mean()


def test_fields_are_of_their_class_and_away_from_the_hole(made: SimulatedScene) -> None:
    import geopandas
    import rasterio
    from rasterio.features import rasterize

    fields = geopandas.read_file(made.fields)
    with rasterio.open(made.truth) as dataset:
        truth, transform = dataset.read(1), dataset.transform
    assert fields.crs.to_epsg() == 32633
    codes = rasterize(zip(fields.geometry, fields["code"], strict=True), out_shape=truth.shape, transform=transform)
    assert (codes > 0).sum() > 300
    np.testing.assert_array_equal(codes[codes > 0], truth[codes > 0])
    assert [CLASSES[code] for code in fields["code"]] == list(fields["class"])
    assert fields.groupby("class")["field"].nunique().min() >= 1
    assert fields["class"].nunique() >= 8


def test_one_seed_gives_one_scene_and_another_gives_another(made: SimulatedScene, tmp_path: Path) -> None:
    again = simulate_scene(tmp_path / "again.tif", rows=ROWS, cols=COLS, seed=3)
    other = simulate_scene(tmp_path / "other.tif", rows=ROWS, cols=COLS, seed=4, fields=tmp_path / "other.gpkg")
    digests = [hashlib.sha256(read(m.scene).tobytes()).hexdigest() for m in (made, again, other)]
    assert digests[0] == digests[1] != digests[2]
    np.testing.assert_array_equal(read(made.truth), read(again.truth))


def test_noise_is_what_was_asked_for(tmp_path: Path) -> None:
    noisy = simulate_scene(tmp_path / "noisy.tif", rows=96, cols=96, seed=1)
    clean = simulate_scene(tmp_path / "clean.tif", rows=96, cols=96, seed=1, snr=np.inf, fields=tmp_path / "clean.gpkg")
    a, b, inside = read(noisy.scene).astype(float), read(clean.scene).astype(float), read(clean.truth)[0] > 0
    sigma = (a - b)[:, inside].std(axis=1)
    assert 3.0 < sigma[1] < 12.0  # an SNR of some hundreds at 550 nm, in units of 1e-4
    assert sigma[5] > 20 * sigma[1]  # water vapour at 1380 nm


def test_pixels_at_borders_are_mixed(made: SimulatedScene) -> None:
    values, truth = read(made.scene).astype(float), read(made.truth)[0]
    water = truth == WATER
    rim = water & ~(np.roll(water, 1, 1) & np.roll(water, -1, 1) & np.roll(water, 1, 0) & np.roll(water, -1, 0))
    assert values[4][rim].mean() > 1.3 * values[4][water & ~rim].mean()


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("scene.img", {}, OutputError, "GeoTIFF"),
        ("absent/scene.tif", {}, OutputError, "folder does not exist"),
        ("scene.tif", {"rows": 10}, OptionError, "too small"),
        ("scene.tif", {"snr": 0.0}, OptionError, "signal-to-noise"),
        ("scene.tif", {"clouds": 1.0}, OptionError, "no share of a scene that shows ground"),
        ("scene.tif", {"clouds": np.nan}, OptionError, "no share"),
        ("scene.tif", {"view_zenith": 90.0}, OptionError, "no angle"),
        ("scene.tif", {"origin": (0.0, np.inf)}, OptionError, "no place"),
        ("scene.tif", {"acquired": "last summer"}, OptionError, "no ISO 8601 time"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, name: str, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        simulate_scene(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_scene_says_where_and_how_it_was_seen(tmp_path: Path) -> None:
    from hsikit.sensors import open_source
    from hsikit.sensors.masking import open_masks

    options: dict[str, Any] = {"rows": 60, "cols": 70, "seed": 3}
    plain = simulate_scene(tmp_path / "plain.tif", fields=tmp_path / "plain.gpkg", **options)
    seen = {"origin": (500_010.0, 5_700_000.0), "acquired": "2023-05-06T10:11:12Z", "view_zenith": 12.5}
    cloudy = simulate_scene(tmp_path / "cloudy.tif", clouds=0.25, **seen, **options)
    info, before = open_source(cloudy.scene).info, open_source(plain.scene).info
    assert (info.grid.transform[2], info.grid.transform[5]) == seen["origin"] and before.grid.transform[2] == simulation.ORIGIN[0]
    assert (info.acquired, info.attrs["view_zenith"]) == ("2023-05-06T10:11:12Z", "12.5")
    assert (before.cloud_cover, "view_zenith" in before.attrs, plain.clouds) == (0.0, False, None)
    assert cloudy.clouds == tmp_path / "cloudy_clouds.tif"
    covered, values, clear, truth = read(cloudy.clouds)[0] == 1, read(cloudy.scene), read(plain.scene), read(cloudy.truth)
    assert info.cloud_cover == pytest.approx(25, abs=0.1) == 100 * covered.sum() / (truth[0] > 0).sum()
    np.testing.assert_array_equal(values[:, ~covered], clear[:, ~covered])
    assert values[1, covered].min() > 6000  # brighter than any ground here, at 550 nm
    np.testing.assert_array_equal(truth, read(plain.truth))
    hidden = open_masks(info, cloudy.clouds)
    assert hidden is not None
    np.testing.assert_array_equal(hidden.read(info.grid.whole), covered)
    hidden.close()


def test_no_labelled_field_lies_under_clouds(tmp_path: Path) -> None:
    from hsikit.sensors import open_source
    from hsikit.train.labels import read_labels

    made = simulate_scene(tmp_path / "scene.tif", rows=96, cols=96, seed=1, clouds=0.4)
    assert made.clouds is not None
    labels = read_labels(open_source(made.scene), made.fields, class_field="class")
    assert len(labels.rows) > 50 and not read(made.clouds)[0, labels.rows, labels.cols].any()


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    (tmp_path / "fields.gpkg").write_text("mine")
    with pytest.raises(OutputError, match=r"fields\.gpkg: exists"):
        simulate_scene(tmp_path / "scene.tif", rows=64, cols=64)
    assert (tmp_path / "fields.gpkg").read_text() == "mine"
    made = simulate_scene(tmp_path / "scene.tif", rows=64, cols=64, overwrite=True)
    assert made.fields.stat().st_size > 1000
