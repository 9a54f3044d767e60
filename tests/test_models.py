from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import ModelError, OutputError
from hsikit.models import check_target, load_method, load_record, load_transfer, read_folder, save_method
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import Transfer, gather_transfer
from hsikit.train.record import TrainingRecord, UsedPixels
from tests.tasks.classification.scenes import fields, labelled, run_with, source

VALUES, TRUTH = fields(24, 22, 3, 8, holes=False)
LABELS = labelled(source(VALUES), TRUTH, 15)
MODEL = Svm.train([LABELS], run=run_with())
RECORD = TrainingRecord(
    "blocks", 3, ("A note.",), {"guard": 4}, {"overall": 0.9}, {"svm on spectra": {"overall": 0.8}}, {"method": {}}, True, (UsedPixels.of(LABELS),)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_method(MODEL, tmp_path / "model", record=RECORD, licence="CC-BY-4.0")


def test_what_is_saved_is_loaded(folder: Path) -> None:
    again = load_method(folder)
    assert isinstance(again, Svm)
    assert again.identity() == MODEL.identity() and again.legend == MODEL.legend and again.settings == MODEL.settings
    for key, value in MODEL.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], value)
    record = load_record(folder, TrainingRecord)
    assert record is not None and record.state()[1] == json.loads(json.dumps(RECORD.state()[1]))
    np.testing.assert_array_equal(record.used[0].rows, LABELS.rows)


def test_what_is_kept_for_other_sensors_is_no_part_of_the_model(folder: Path, tmp_path: Path) -> None:
    kept = gather_transfer([LABELS])
    other = save_method(MODEL, tmp_path / "other", record=RECORD, transfer=kept)
    assert load_method(other).identity() == load_method(folder).identity()
    again = load_transfer(other, Transfer)
    assert kept is not None and again is not None and again.arrays.keys() == kept.arrays.keys()
    record = load_record(other, TrainingRecord)
    assert record is not None and record.state()[0].keys() == RECORD.state()[0].keys()
    assert load_transfer(folder, Transfer) is None


def test_a_folder_whose_spectra_are_damaged_is_refused_where_they_are_asked_for(tmp_path: Path) -> None:
    kept = gather_transfer([LABELS])
    assert kept is not None
    cut = dataclasses.replace(kept, arrays={**kept.arrays, "spectra": kept.arrays["spectra"][1:]})
    folder = save_method(MODEL, tmp_path / "cut", transfer=cut)
    assert isinstance(load_method(folder), Svm)
    with pytest.raises(ModelError, match="do not fit together"):
        load_transfer(folder, Transfer)


def test_the_folder_says_what_a_person_asks(folder: Path) -> None:
    facts = json.loads((folder / "model.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert facts["format"] == 1 and facts["method"] == "svm" and facts["licence"] == "CC-BY-4.0"
    assert facts["sensor"] == "toy" and facts["quantity"] == "dn" and facts["units"] == "1"
    assert len(facts["wavelength"]) == len(facts["fwhm"]) == 8
    assert facts["classes"][0] == {"code": 1, "name": "class 1", "colour": list(MODEL.legend.classes[0].colour)}
    assert facts["training"]["scores"] == {"overall": 0.9} and facts["training"]["used"][0]["pixels"] == 45


def with_wavelengths(centres: np.ndarray) -> Svm:
    bands = dataclasses.replace(MODEL.basis.bands, wavelength=centres, fwhm=np.full(8, 0.1 + 0.2))
    return dataclasses.replace(MODEL, basis=dataclasses.replace(MODEL.basis, bands=bands))


def test_wavelengths_are_written_without_the_noise_of_their_unit(tmp_path: Path) -> None:
    noisy = np.array([0.41842, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]) * 1000.0000000000001
    model = with_wavelengths(noisy)
    assert any(len(repr(nm)) > 12 for nm in noisy.tolist())
    facts = json.loads((save_method(model, tmp_path / "noisy") / "model.json").read_text())
    assert facts["wavelength"] == [418.42, 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0, 1100.0]
    assert facts["fwhm"] == [0.3] * 8
    again = load_method(tmp_path / "noisy")
    assert isinstance(again, Svm) and again.identity() == model.identity()
    np.testing.assert_allclose(again.basis.bands.wavelength, noisy, rtol=0, atol=1e-6)


def test_bands_closer_than_the_digits_are_kept_apart(tmp_path: Path) -> None:
    close = np.array([400.0, 400.0 + 1e-9, 600, 700, 800, 900, 1000, 1100])
    again = load_method(save_method(with_wavelengths(close), tmp_path / "close"))
    assert isinstance(again, Svm)
    np.testing.assert_array_equal(again.basis.bands.wavelength, close)


def test_a_transposed_array_is_stored_as_it_reads(tmp_path: Path) -> None:
    turned = {**MODEL.arrays, "vectors": np.asfortranarray(MODEL.arrays["vectors"])}
    save_method(Svm(MODEL.basis, MODEL.legend, turned, MODEL.settings), tmp_path / "turned")
    np.testing.assert_array_equal(read_folder(tmp_path / "turned")[1]["vectors"], MODEL.arrays["vectors"])


def test_a_folder_without_a_record(tmp_path: Path) -> None:
    assert load_record(save_method(MODEL, tmp_path / "plain"), TrainingRecord) is None


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("share", [0.0, 0.002, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_cut_files_are_refused(folder: Path, name: str, share: float) -> None:
    cut(folder / name, share)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_method(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_missing_files_are_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load_method(folder)


def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Touch(tmp_path / "unpickled")))
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_method(folder)
    assert not (tmp_path / "unpickled").exists()


def test_no_folder_and_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no-model.*there is no such model folder"):
        load_method(tmp_path / "no-model")
    (tmp_path / "a-file").touch()
    with pytest.raises(ModelError, match=r"a-file.*not a model folder"):
        load_method(tmp_path / "a-file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty"):
        load_method(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 99}, "newer"),
        ({"format": "one"}, "no format"),
        ({"method": "oracle"}, "'oracle' is not installed"),
        ({"method": "bicubic"}, "learns"),
        ({"wavelength": [1.0]}, "do not fit together"),
        ({"wavelength": None}, "do not fit together"),
        ({"classes": []}, "do not fit together.*has shape"),
        ({"classes": [{"code": 1}]}, "do not fit together.*lacks"),
        ({"quantity": "love"}, "unknown quantity"),
        ({"options": 3}, "do not fit together"),
        ({"options": {}}, "do not fit together.*'kernel_width' is missing"),
        ({"options": {"kernel_width": "wide", "temperature": 1.0}}, "'kernel_width' is wide"),
        ({"options": {"kernel_width": 0.1, "temperature": -1}}, "'temperature' is -1"),
    ],
)
def test_facts_that_make_no_sense_are_refused(folder: Path, change: dict[str, object], reason: str) -> None:
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**facts, **change}))
    with pytest.raises(ModelError, match=rf"model.*{reason}"):
        load_method(folder)


def test_facts_that_are_no_object_are_refused(folder: Path) -> None:
    (folder / "model.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="JSON"):
        load_method(folder)
    (folder / "model.json").write_text("[1]")
    with pytest.raises(ModelError, match="names no format"):
        load_method(folder)


def test_a_record_that_does_not_fit_is_refused(folder: Path) -> None:
    facts = json.loads((folder / "model.json").read_text())
    facts["training"]["used"][0]["pixels"] = 3
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="as many"):
        load_record(folder, TrainingRecord)


def test_existing_outputs_stay_unless_told(folder: Path) -> None:
    before = (folder / "model.json").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        save_method(MODEL, folder)
    assert (folder / "model.json").read_bytes() == before
    save_method(MODEL, folder, overwrite=True)
    assert load_record(folder, TrainingRecord) is None
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_only_model_folders_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(OutputError, match="no model folder"):
        save_method(MODEL, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_targets_are_checked_before_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        check_target(tmp_path / "none" / "model")
    assert check_target(tmp_path / "model") == tmp_path / "model"


def test_a_failed_write_leaves_the_old_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hsikit.models._write", full)
    with pytest.raises(OutputError, match="No space left"):
        save_method(MODEL, folder, overwrite=True)
    monkeypatch.undo()
    replace, failed = Path.replace, []

    def once(self: Path, target: Path) -> Path:
        if self.name.endswith(".new") and not failed:
            failed.append(self)
            raise OSError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(OutputError, match="permission to write is denied"):
        save_method(MODEL, folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def saved_until(folder: Path, step: int) -> int:
    """Saves over a model in a child that is killed before its n-th rename; the child's exit status."""
    child = os.fork()
    if child == 0:
        replace, count = Path.replace, [0]

        def counted(self: Path, target: Path) -> Path:
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1
            return replace(self, target)

        Path.replace = counted  # type: ignore[method-assign, assignment]
        try:
            save_method(MODEL, folder, licence="new", overwrite=True)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("step", [0, 1])
def test_a_model_survives_a_kill(folder: Path, step: int) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert saved_until(folder, step) == signal.SIGKILL
    assert len(list(folder.parent.iterdir())) == 2  # the staged model; and the older one, in its place or aside
    with pytest.raises(OutputError, match="exists already"):  # the older one is back
        check_target(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert saved_until(folder, 2) == 0
    assert json.loads((folder / "model.json").read_text())["licence"] == "new"


def test_what_another_running_process_saves_is_left_alone(folder: Path) -> None:
    (folder.parent / f".model.{os.getppid()}.new").mkdir()
    save_method(MODEL, folder, overwrite=True)
    assert len(list(folder.parent.iterdir())) == 2
