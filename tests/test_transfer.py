"""Model folders on scenes of another sensor."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import ModelError, OptionError, SceneError
from hsikit.models import load_method, load_transfer, save_method
from hsikit.scene import Bands
from hsikit.sensors import sensor_bands
from hsikit.sensors.responses import sensor_response
from hsikit.spectral.resample import response_resampling
from hsikit.tasks.classification.any_sensor import AnySensor
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import Transfer, gather_transfer
from hsikit.train.record import TrainingRecord, UsedPixels
from hsikit.transfer import adapt, adaptation_target, method_for, open_model
from tests.tasks.classification.scenes import as_sensor, fields, labelled, layers_of, run_with, source

VALUES, TRUTH = fields(40, 43, 4, 60, noise=0.5)
SCENE = source(np.abs(VALUES) + 1)
SCENE.info = SCENE.info.with_(bands=replace(SCENE.info.bands, fwhm=np.full(60, 35.0)))
LABELS = labelled(SCENE, TRUTH, 12)
MODEL = Svm.train([LABELS], run=run_with())
RECORD = TrainingRecord("blocks", 3, ("A note.",), {"guard": 4}, {"overall": 0.9}, {}, {"method": {}}, True, (UsedPixels.of(LABELS),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_method(MODEL, tmp_path / "model", record=RECORD, transfer=gather_transfer([LABELS]), licence="CC-BY-4.0")


def test_a_folder_gives_the_method_for_a_scene(folder: Path, tmp_path: Path) -> None:
    assert method_for(folder, SCENE).identity() == MODEL.identity()
    other = as_sensor(SCENE, [600.0, 800.0, 1100.0, 1600.0, 2200.0], [60.0] * 5)
    assert isinstance(method_for(folder, other.info), MarginalLda) and isinstance(open_model(folder), AnySensor)
    older = save_method(MODEL, tmp_path / "older")
    assert isinstance(open_model(older), Svm) and isinstance(method_for(older, other), Svm)
    with pytest.raises(SceneError):
        method_for(folder, tmp_path / "nothing.tif")


def test_a_folder_with_networks_opens_without_building_them(tmp_path: Path) -> None:
    place = save_method(MODEL, tmp_path / "model", transfer=gather_transfer([LABELS], networks=True))
    # The machinery by which torch builds modules without numbers takes a second and 90 MB in every process that maps.
    told = "import sys; from hsikit.transfer import open_model; print(open_model(sys.argv[1]).transfer.has_networks, 'sympy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told, str(place)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_model_is_refitted_by_measured_responses(folder: Path) -> None:
    made = adapt(folder, "Sentinel 2")
    assert "refitted for sentinel-2 by its measured responses: 13 of its 13 bands" in made.notes[0]
    measured = sensor_response("sentinel-2")
    assert measured is not None
    own = SCENE.info.bands
    weights = response_resampling(own.wavelength, own.fwhm, measured.wavelength, measured.response).weights.toarray()
    table = sensor_bands("sentinel-2")
    kept = [i for i in np.argsort(table.wavelength) if table.names[i] in made.method.basis.bands.names]
    seen = np.tensordot(weights[kept], np.abs(VALUES) + 1, 1).astype(np.float32)
    scene = source(seen, name="s2.tif", sensor="sentinel-2")
    scene.info = scene.info.with_(bands=Bands(table.wavelength[kept], table.fwhm[kept], np.ones(13, bool), tuple(table.names[i] for i in kept)))
    found = layers_of(made.bind({"cube": scene.info}), scene, None, "map")["map"][0]
    assert (found == TRUTH)[found > 0].mean() > 0.75


def test_the_new_folder_names_its_origin_and_can_be_adapted_again(folder: Path, tmp_path: Path) -> None:
    first = adapt(folder, "sentinel-2").save(tmp_path / "s2")
    facts = json.loads((first / "model.json").read_text())
    assert facts["licence"] == "CC-BY-4.0" and facts["sensor"] == "sentinel-2" and facts["options"]["adapted_from"] == "model (toy)"
    origin = facts["transfer"]["origin"]
    assert (origin["model"], origin["sensor"], origin["to"], origin["responses"]) == ("model", "toy", "sentinel-2", "its measured responses")
    assert origin["weights"] == MODEL.identity()["weights"] and facts["transfer"]["sensor"] == "toy"
    assert any("refitted" in note for note in facts["training"]["notes"]) and facts["training"]["used"][0]["pixels"] == len(LABELS)
    again, straight = (adapt(place, "landsat-8").method for place in (first, folder))
    np.testing.assert_array_equal(again.arrays["vectors"], straight.arrays["vectors"])
    kept = load_transfer(first, Transfer)
    assert kept is not None and len(kept.basis.bands) == 60
    # What it learned for sentinel-2 is no basis for a third sensor: the original statistics are.
    narrow = as_sensor(SCENE, SCENE.info.bands.wavelength[3:40].tolist(), [40.0] * 37)
    chosen = method_for(first, narrow)
    assert isinstance(chosen, MarginalLda) and len(chosen.basis.bands) == 60
    assert load_method(first).name == "svm"


def test_a_marginal_discriminant_is_adapted_again_from_what_it_was_trained_on(tmp_path: Path) -> None:
    first = save_method(MarginalLda.train([LABELS], run=run_with()), tmp_path / "marginal", transfer=gather_transfer([LABELS]))
    once = adapt(first, "landsat-8").method
    again = adapt(adapt(first, "sentinel-2").save(tmp_path / "s2"), "landsat-8").method
    for name, value in once.arrays.items():
        np.testing.assert_allclose(again.arrays[name], value, rtol=1e-6)


def test_a_table_and_a_scene_are_targets_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bands.csv").write_text("wavelength,fwhm,name\n660,30,red\n860,40,nir\n1610,90,swir 1\n2200,180,swir 2\n")
    made = adapt(folder, tmp_path / "bands.csv")
    assert "4 bands by Gaussians" in made.notes[0] and made.method.basis.bands.names == ("red", "nir", "swir 1", "swir 2")
    table = sensor_bands("sentinel-2")
    kept = [i for i in np.argsort(table.wavelength) if table.names[i] in ("B2", "B3", "B4", "B8")]
    scene = SCENE.info.with_(sensor="sentinel-2", bands=Bands(table.wavelength[kept] + 2, table.fwhm[kept], np.ones(4, bool), tuple("abcd")))
    target = adaptation_target(scene)
    measured = sensor_response("sentinel-2")
    assert target.response is not None and measured is not None and target.sensor == "sentinel-2"
    np.testing.assert_array_equal(target.response.response, measured.response[kept])
    np.testing.assert_array_equal(adapt(folder, scene).method.basis.bands.wavelength, table.wavelength[kept] + 2)
    shifted = scene.with_(bands=replace(scene.bands, wavelength=scene.bands.wavelength + 40))
    assert adaptation_target(shifted).response is None


def test_mistakes_are_said(folder: Path, tmp_path: Path) -> None:
    for wrong in ("nothing", str(tmp_path / "missing.tif")):
        with pytest.raises(OptionError, match="neither a known sensor"):
            adapt(folder, wrong)
    with pytest.raises(ModelError, match="keeps nothing for other sensors"):
        adapt(save_method(MODEL, tmp_path / "older"), "prisma")
    bare = save_method(MODEL, tmp_path / "bare", transfer=gather_transfer([LABELS], spectra=False))
    with pytest.raises(ModelError, match="no-spectra"):
        adapt(bare, "sentinel-2")
    layers = SCENE.info.with_(bands=Bands(np.full(2, np.nan), np.full(2, np.nan), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match="no wavelengths"):
        adapt(folder, layers)
